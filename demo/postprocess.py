"""Post-processing: what is done to the vectors of a set, after the model and before they are compared. NumPy only.

Everything is fitted on a reference set and applied to vectors: (n, dim) float → float32 (n, dim) (whitening: fewer
columns where the reference set spans fewer directions).
"""

from __future__ import annotations

import numpy as np

from demo.datamodels import Postprocess

_FEWEST_TEXTS = {
    Postprocess.NONE: 0,
    Postprocess.CENTER: 8,
    Postprocess.ZSCORE: 16,
    Postprocess.ALL_BUT_THE_TOP: 32,
}
_TINY = 1e-6  # of the largest deviation or variance: what is smaller is noise


def fewest_texts(method: Postprocess, dim: int) -> int:
    """Below this many texts a fit says more about the handful of texts than about the model.

    Whitening n ≤ dim texts puts them at the corners of a simplex: every cosine becomes −1/(n−1), whatever they say.
    """
    return 2 * dim if method is Postprocess.WHITENING else _FEWEST_TEXTS[method]


def postprocess(vectors: np.ndarray, reference: np.ndarray, method: Postprocess) -> np.ndarray:
    """The vectors as the method leaves them, fitted on the reference set.

    Sources: center, zscore arXiv 2109.04404; all_but_the_top arXiv 1702.01417; whitening arXiv 2103.15316.
    """
    if method is Postprocess.NONE:
        return np.asarray(vectors, dtype=np.float32)
    reference = np.asarray(reference, dtype=np.float64)
    mean = reference.mean(axis=0)
    centred, spread = np.asarray(vectors, dtype=np.float64) - mean, reference - mean
    if method is Postprocess.ZSCORE:
        deviation = spread.std(axis=0)
        known = deviation > _TINY * max(deviation.max(), 1e-12)
        centred = np.where(known, centred / np.where(known, deviation, 1.0), 0.0)
    elif method is Postprocess.ALL_BUT_THE_TOP:
        count = max(1, round(reference.shape[1] / 100))
        top = np.linalg.svd(spread, full_matrices=False)[2][:count]
        centred = centred - centred @ top.T @ top
    elif method is Postprocess.WHITENING:
        _, singular, directions = np.linalg.svd(spread, full_matrices=False)
        kept = singular > np.sqrt(_TINY) * max(singular[0], 1e-12)
        deviation = singular[kept] / np.sqrt(len(reference))
        centred = centred @ directions[kept].T / deviation
    return centred.astype(np.float32)
