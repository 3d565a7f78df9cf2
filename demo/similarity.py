"""Similarity: embeddings become a matrix of cosines and the numbers that say whether it tells pairs apart."""

from __future__ import annotations

import numpy as np

from demo.datamodels import Metrics

_DIGITS = 6  # of a cosine; what differs by less is float32's rounding, and a tie
EPS = 1e-6  # the article's nn.CosineSimilarity(eps=1e-6)


def cos_sim(a: np.ndarray, b: np.ndarray, eps: float = EPS) -> np.ndarray:
    """Cosine of every row of a with every row of b.

    a: (n, dim), b: (m, dim). Returns float32 (n, m). A norm below eps counts as eps, as in torch's cosine_similarity.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    a = a / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), eps)
    b = b / np.maximum(np.linalg.norm(b, axis=1, keepdims=True), eps)
    return (a @ b.T).astype(np.float32)


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
