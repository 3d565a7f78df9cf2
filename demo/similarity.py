"""Similarity: embeddings become a matrix of cosines and the numbers that say whether it tells pairs apart."""

from __future__ import annotations

import numpy as np

from demo.datamodels import Metrics

_DIGITS = 6  # of a cosine; what differs by less is float32's rounding, and a tie
_BLOCK = 2**22  # numbers held at once: 32 MiB an array
EPS = 1e-6  # the article's nn.CosineSimilarity(eps=1e-6)


def cos_sim(a: np.ndarray, b: np.ndarray, eps: float = EPS) -> np.ndarray:
    """Cosine of every row of a with every row of b.

    a: (n, dim), b: (m, dim). Returns float32 (n, m). A norm below eps counts as eps, as in torch's cosine_similarity.
    """
    similarity = np.empty((len(a), len(b)), dtype=np.float32)
    # Some rows at a time: a thousand texts as logits would fill the memory in float64.
    step = max(1, _BLOCK // max(1, np.shape(a)[1]))
    for row in range(0, len(a), step):
        asked = _unit(a[row : row + step], eps)
        for column in range(0, len(b), step):
            answered = _unit(b[column : column + step], eps)
            similarity[row : row + step, column : column + step] = asked @ answered.T
    return similarity


def _unit(vectors: np.ndarray, eps: float) -> np.ndarray:
    """float64 (n, dim), each row divided by its norm."""
    vectors = np.asarray(vectors, dtype=np.float64)
    squares = np.einsum("ij,ij->i", vectors, vectors)  # a third of the time of np.linalg.norm, which copies
    return vectors / np.maximum(np.sqrt(squares), eps)[:, None]


def right_ranks(similarity: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """Where each question finds its best right answer: 1 is first, and 0 where it has none.

    similarity: (n_questions, n_answers). matches: bool of the same shape. Returns int (n_questions,). A wrong answer
    that is as close stands before it: a tie is not a find.
    """
    similarity = np.round(np.asarray(similarity, dtype=np.float64), _DIGITS)
    best = np.where(matches, similarity, -np.inf).max(axis=1, initial=-np.inf)
    ranks = 1 + np.count_nonzero((similarity >= best[:, None]) & ~matches, axis=1)
    return np.where(matches.any(axis=1), ranks, 0)


def score_pairs(similarity: np.ndarray, matches: np.ndarray) -> Metrics:
    """The numbers under the heatmap.

    similarity: (n_questions, n_answers). matches: bool of the same shape. A tie is not a find.
    """
    similarity = np.round(np.asarray(similarity, dtype=np.float64), _DIGITS)
    right, wrong = similarity[matches], similarity[~matches]
    matched = matches.any(axis=1)
    found = None
    if matched.any():
        best_right = np.where(matches, similarity, -np.inf).max(axis=1)
        best_wrong = np.where(matches, -np.inf, similarity).max(axis=1)
        found = int((best_right > best_wrong)[matched].sum())
    both = right.size > 0 and wrong.size > 0
    return Metrics(
        matching_mean=float(right.mean()) if right.size else None,
        other_mean=float(wrong.mean()) if wrong.size else None,
        margin=float(right.mean() - wrong.mean()) if both else None,
        found_first=found,
        n_matched=int(matched.sum()),
        auc=_auc(right, wrong) if both else None,
    )


def _auc(right: np.ndarray, wrong: np.ndarray) -> float:
    """How often a right pair is closer than a wrong one, ties counting half: the area under the ROC curve.

    By sorting, and equal to scikit-learn's roc_auc_score, whose import would hold up the first heatmap by a second.
    """
    wrong = np.sort(wrong)
    below, up_to = (np.searchsorted(wrong, right, side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * wrong.size))
