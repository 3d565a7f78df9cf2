"""Projection and anisotropy: vectors as points in three dimensions, and how far their cloud is from round.

NumPy only; umap-learn where it is installed. Knows no model. Vectors are float (n, dim), questions first, answers after
them; dim may be a whole vocabulary (49,152 and more) while n is a few hundred.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence

import numpy as np

from demo.domain.errors import BadInput, UnknownChoice
from demo.stages.postprocess import principal_directions
from demo.stages.similarity import unit_vectors

METHODS = ("pca", "umap")
FEWEST_FOR_UMAP = 8  # texts; below this there are no neighbourhoods to keep
_AXES = 3
_SMALL = 4_000_000  # numbers; up to here float64 costs nothing that a person would notice
_NOISE = 1e-10  # of the whole variance; a direction with less is rounding
_ROUND = 0.05  # a mean cosine below this is no common direction, and shares of it say nothing


def umap_available() -> bool:
    """Whether umap-learn is installed; it is not imported for the question."""
    return importlib.util.find_spec("umap") is not None


def project(questions: np.ndarray, answers: np.ndarray, method: str = "pca") -> tuple[np.ndarray, tuple[float, ...]]:
    """All texts as points: float32 (n_questions + n_answers, 3), and each axis' share of the variance (UMAP: none).

    questions: (n_questions, dim); answers: (n_answers, dim). "pca": the first three principal axes of the centred
    vectors, each turned so that its largest loading is positive; axes that the texts do not span are zero. "umap":
    arXiv 1802.03426 by cosine, with a fixed seed. Raises UnknownChoice, BadInput.
    """
    vectors = np.concatenate([questions, answers])
    if method == "pca":
        return _pca(vectors)
    if method == "umap":
        return _umap(vectors), ()
    raise UnknownChoice(field="method", value=str(method)[:80], kind="projection", accepted=", ".join(METHODS))


def variance_shares(vectors: np.ndarray, k: int = 10) -> np.ndarray:
    """Share of the whole variance along each of the first k principal directions, largest first: float32 (≤ k,).

    n texts span n − 1 directions, so there are no more shares than that; all are zero where all vectors are equal.
    """
    shares = _principal(vectors, axes=0)[1]
    kept = max(1, min(k, len(vectors) - 1, vectors.shape[1]))
    return np.concatenate([shares, np.zeros(kept)])[:kept].astype(np.float32)


def unrelated(questions: Sequence[str], answers: Sequence[str], matches: Iterable[tuple[int, int]]) -> np.ndarray:
    """Which pairs of texts have nothing to do with each other: bool (n, n), above the diagonal only.

    Left out are matching questions and answers, equal texts, and second copies: each distinct question and answer
    counts once.
    """
    texts = [*questions, *answers]
    related = {(questions[row], answers[column]) for row, column in matches}
    copies = {
        index
        for side in (range(len(questions)), range(len(questions), len(texts)))
        for index in side
        if texts[index] in texts[side.start : index]
    }
    mask = np.triu(np.ones((len(texts), len(texts)), dtype=bool), 1)
    for index in copies:
        mask[index, :] = mask[:, index] = False
    places: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        places.setdefault(text, []).append(index)
    for same in places.values():
        mask[np.ix_(same, same)] = False
    for question, answer in related:
        rows, columns = np.array(places[question]), np.array(places[answer])
        mask[np.ix_(rows, columns)] = False
        mask[np.ix_(columns, rows)] = False
    return mask


def anisotropy(vectors: np.ndarray, pairs: np.ndarray) -> tuple[float | None, int]:
    """Mean cosine of the pairs, None without any, and how many they are. pairs: bool (n, n), as `unrelated` gives it.

    In a round cloud unrelated texts have a cosine near 0; GPTs' vectors lie in a narrow cone (Ethayarajh 2019,
    arXiv 1909.00512).
    """
    count = int(pairs.sum())
    if not count:
        return None, 0
    units = unit_vectors(_precise(vectors))
    return float((units @ units.T)[pairs].mean(dtype=np.float64)), count


def rogue_dimensions(vectors: np.ndarray, pairs: np.ndarray, k: int = 3) -> tuple[tuple[int, float], ...]:
    """The k dimensions that carry most of the pairs' mean cosine, with their shares of it, largest first.

    With unit vectors u, v a cosine is the sum of u_i · v_i over the dimensions: dimension i carries the mean of
    u_i · v_i (Timkey & van Schijndel 2021, arXiv 2109.04404). Empty where the mean cosine is below .05.
    """
    count = int(pairs.sum())
    if not count:
        return ()
    units = unit_vectors(_precise(vectors))
    carried = np.einsum("nd,nd->d", pairs.astype(units.dtype) @ units, units, dtype=np.float64) / count
    mean = carried.sum()
    if mean < _ROUND:
        return ()
    most = np.argsort(-carried, kind="stable")[:k]
    return tuple((int(dimension), float(carried[dimension] / mean)) for dimension in most)


def _pca(vectors: np.ndarray) -> tuple[np.ndarray, tuple[float, ...]]:
    centred, shares, directions = _principal(vectors, _AXES)
    largest = np.abs(directions).argmax(axis=1)
    signs = np.where(directions[np.arange(len(directions)), largest] >= 0, 1.0, -1.0)
    points = np.zeros((len(vectors), _AXES), dtype=np.float32)
    points[:, : len(directions)] = centred @ directions.T.astype(centred.dtype) * signs
    return points, tuple(float(share) for share in [*shares, 0.0, 0.0, 0.0][:_AXES])


def _umap(vectors: np.ndarray) -> np.ndarray:
    if len(vectors) < FEWEST_FOR_UMAP:
        raise BadInput(
            field="method",
            problem=f"UMAP needs at least {FEWEST_FOR_UMAP} texts, and there are {len(vectors)}. "
            "Choose PCA, or add texts.",
        )
    if not umap_available():
        raise BadInput(field="method", problem="UMAP is not installed here. Choose PCA, or install umap-learn.")
    from umap import UMAP

    neighbours = min(15, len(vectors) - 1)
    start = _pca(unit_vectors(_precise(vectors)))[0]  # the spectral start fails on a handful of texts
    spread = np.abs(start).max() or 1.0
    reducer = UMAP(
        n_components=_AXES,
        n_neighbors=neighbours,
        metric="cosine",
        init=(10 * start / spread).astype(np.float32),
        random_state=0,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(unit_vectors(_precise(vectors)).astype(np.float32)), dtype=np.float32)


def _principal(vectors: np.ndarray, axes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The centred vectors, the shares of their variance, largest first, and the first principal directions."""
    vectors = _precise(vectors)
    centred = vectors - vectors.mean(axis=0)
    scale = np.abs(vectors).max(initial=0.0)
    centred[np.abs(centred) <= scale * np.finfo(np.float32).eps] = 0.0  # equal vectors leave rounding, not a direction
    singular, directions = principal_directions(centred, axes)
    shares = singular**2 / max(np.square(singular).sum(), 1e-300)
    shares = shares[shares > _NOISE]
    return centred, shares, directions[: len(shares)]


def _precise(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors, dtype=np.float64 if vectors.size <= _SMALL else np.float32)
