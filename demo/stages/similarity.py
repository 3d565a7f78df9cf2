"""Similarity: embeddings become a matrix of cosines, and the metrics of how well it separates matching pairs."""

from __future__ import annotations

import numpy as np

from demo.domain.datamodels import Metrics

_DIGITS = 6  # of a cosine; smaller differences are float32's rounding, and ties
_BLOCK = 2**22  # numbers held at once: 32 MiB an array
EPS = 1e-6  # the article's nn.CosineSimilarity(eps=1e-6)


def unit_vectors(vectors: np.ndarray, eps: float = 1e-12) -> np.ndarray:
    """Each row divided by its L2 norm, (n, dim) in the dtype of the vectors; a norm below eps counts as eps."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), eps)


def rounded(cosines: np.ndarray | list[float]) -> np.ndarray:
    """Cosines as float64, so that those which differ by float32's rounding only are ties."""
    return np.round(np.asarray(cosines, dtype=np.float64), _DIGITS)


def cos_sim(a: np.ndarray, b: np.ndarray, eps: float = EPS) -> np.ndarray:
    """Cosine of every row of a with every row of b.

    a: (n, dim), b: (m, dim). Returns float32 (n, m). A norm below eps counts as eps, as in torch's cosine_similarity.
    """
    a, b = np.asarray(a), np.asarray(b)
    products = np.zeros((len(a), len(b)))
    squares = np.zeros(len(a)), np.zeros(len(b))
    # Some dimensions at a time: thousands of texts as logits would fill the memory in float64.
    step = max(1, _BLOCK // max(1, len(a) + len(b)))
    for start in range(0, a.shape[1], step):
        sides = [side[:, start : start + step].astype(np.float64) for side in (a, b)]
        products += sides[0] @ sides[1].T
        for square, side in zip(squares, sides, strict=True):
            square += np.einsum("ij,ij->i", side, side)
    norms = [np.maximum(np.sqrt(square), eps) for square in squares]
    return (products / np.outer(*norms)).astype(np.float32)


def right_ranks(similarity: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """Where each question finds its best right answer: 1 is first, and 0 where it has none.

    similarity: (n_questions, n_answers). matches: bool of the same shape. Returns int (n_questions,). A wrong answer
    that is as close stands before it: a tie is not a find.
    """
    similarity = rounded(similarity)
    best = np.where(matches, similarity, -np.inf).max(axis=1, initial=-np.inf)
    ranks = 1 + np.count_nonzero((similarity >= best[:, None]) & ~matches, axis=1)
    return np.where(matches.any(axis=1), ranks, 0)


def score_pairs(similarity: np.ndarray, matches: np.ndarray) -> Metrics:
    """The numbers under the heatmap.

    similarity: (n_questions, n_answers). matches: bool of the same shape. A tie is not a find.
    """
    similarity = rounded(similarity)
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
        auc=roc_auc(right, wrong) if both else None,
    )


def count_below(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """How many of the wrong cosines are below each right one, ties counting half: float64 (n_right,)."""
    wrong = np.sort(wrong)
    return sum(np.searchsorted(wrong, right, side=side) for side in ("left", "right")) / 2


def roc_auc(right: np.ndarray, wrong: np.ndarray) -> float:
    """The area under the ROC curve: how often a right cosine is above a wrong one, ties counting half.

    By sorting, and equal to scikit-learn's roc_auc_score, whose import would hold up the first heatmap by a second.
    """
    return float(count_below(right, wrong).mean() / wrong.size)
