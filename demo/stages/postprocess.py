"""Post-processing: transforms of embeddings, fitted on a reference set, before they are compared. NumPy only.

Everything is fitted on a reference set and is then an affine map: (n, dim) float → float32 (n, dim) (whitening: fewer
columns where the reference set spans fewer directions).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from demo.domain.datamodels import Postprocess

_FEWEST_TEXTS = {
    Postprocess.NONE: 0,
    Postprocess.CENTER: 8,
    Postprocess.ZSCORE: 16,
    Postprocess.ALL_BUT_THE_TOP: 32,
    Postprocess.SOFT_WHITENING: 32,
}
_TINY = 1e-6  # of the largest deviation or variance: what is smaller is noise
Transform = Callable[[np.ndarray], np.ndarray]


def fewest_texts(method: Postprocess, dim: int) -> int:
    """Below this many texts a fit says more about the handful of texts than about the model.

    Whitening n ≤ dim texts puts them at the corners of a simplex: every cosine becomes −1/(n−1), whatever they say.
    """
    return 2 * dim if method is Postprocess.WHITENING else _FEWEST_TEXTS[method]


def fit_postprocess(reference: np.ndarray, method: Postprocess) -> Transform:
    """The method fitted on a reference set, (n, dim): a function of vectors, (m, dim) → float32 (m, dim).

    Sources: center, zscore arXiv 2109.04404; all_but_the_top arXiv 1702.01417; whitening arXiv 2103.15316;
    soft_whitening is zscore, then whitening with shrunk variances (doi 10.1016/S0047-259X(03)00096-4).
    """
    if method is Postprocess.NONE:
        return lambda vectors: np.asarray(vectors, dtype=np.float32)
    reference = np.asarray(reference, dtype=np.float64)
    mean = reference.mean(axis=0)
    finish = _FITS[method](reference - mean)
    return lambda vectors: finish(np.asarray(vectors, dtype=np.float64) - mean).astype(np.float32)


def _fit_center(spread: np.ndarray) -> Transform:
    return lambda centred: centred


def _fit_zscore(spread: np.ndarray) -> Transform:
    deviation = spread.std(axis=0)
    known = deviation > _TINY * max(deviation.max(), 1e-12)
    return lambda centred: np.where(known, centred / np.where(known, deviation, 1.0), 0.0)


def _fit_all_but_the_top(spread: np.ndarray) -> Transform:
    count = max(1, round(spread.shape[1] / 100))
    top = principal_directions(spread, count)[1]
    return lambda centred: centred - centred @ top.T @ top


def _fit_whitening(spread: np.ndarray) -> Transform:
    singular, directions = principal_directions(spread)
    kept = singular > np.sqrt(_TINY) * max(singular.max(initial=0.0), 1e-12)
    deviation = singular[kept] / np.sqrt(len(spread))
    return lambda centred: centred @ directions[kept].T / deviation


def _fit_soft_whitening(spread: np.ndarray) -> Transform:
    zscore = _fit_zscore(spread)
    singular, directions = principal_directions(zscore(spread))
    toned_down = 1.0 - 1.0 / np.sqrt(singular**2 / len(spread) + 1.0)

    def finish(centred: np.ndarray) -> np.ndarray:
        scored = zscore(centred)
        # Turned back to the model's own dimensions: what the reference set does not span is left as it is.
        return scored - (scored @ directions.T * toned_down) @ directions

    return finish


def principal_directions(spread: np.ndarray, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Singular values, largest first, and right singular vectors of centred vectors (n, dim): (k,), (≤ most, dim).

    Without those that are mere rounding. From the Gram matrix of the rows or of the columns, whichever are fewer:
    logits are as wide as the vocabulary, and a set may hold thousands of texts.
    """
    wide = len(spread) < spread.shape[1]
    squares, sides = np.linalg.eigh((spread @ spread.T if wide else spread.T @ spread).astype(np.float64))
    singular, sides = np.sqrt(np.maximum(squares[::-1], 0.0)), sides[:, ::-1].T
    known = singular > _TINY * max(singular[0], 1e-12)
    singular, sides = singular[known], sides[known][:most]
    return singular, sides @ spread / singular[:most, None] if wide else sides


_FITS: dict[Postprocess, Callable[[np.ndarray], Transform]] = {
    Postprocess.CENTER: _fit_center,
    Postprocess.ZSCORE: _fit_zscore,
    Postprocess.ALL_BUT_THE_TOP: _fit_all_but_the_top,
    Postprocess.WHITENING: _fit_whitening,
    Postprocess.SOFT_WHITENING: _fit_soft_whitening,
}
