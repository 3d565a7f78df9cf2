"""Projection: the vectors of a comparison as points that can be drawn, and how far their cloud is from round.

NumPy only; umap-learn where it is installed. Knows no model. Vectors are float (n, dim), questions first, answers after
them; dim may be a whole vocabulary (49,152 and more) while n is a few hundred, so everything goes by the (n, n) Gram
matrix, never by (dim, dim).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence

import numpy as np

from demo.domain.errors import BadInput, UnknownChoice

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
    variances, _ = _principal(_centred(vectors))
    kept = max(1, min(k, len(vectors) - 1, vectors.shape[1]))
    return _shares(variances)[:kept].astype(np.float32)


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
    units = _units(vectors)
    return float((units @ units.T)[pairs].mean(dtype=np.float64)), count


def rogue_dimensions(vectors: np.ndarray, pairs: np.ndarray, k: int = 3) -> tuple[tuple[int, float], ...]:
    """The k dimensions that carry most of the pairs' mean cosine, with their shares of it, largest first.

    With unit vectors u, v a cosine is the sum of u_i · v_i over the dimensions: dimension i carries the mean of
    u_i · v_i (Timkey & van Schijndel 2021, arXiv 2109.04404). Empty where the mean cosine is below .05.
    """
    count = int(pairs.sum())
    if not count:
        return ()
    units = _units(vectors)
    carried = np.einsum("nd,nd->d", pairs.astype(units.dtype) @ units, units, dtype=np.float64) / count
    mean = carried.sum()
    if mean < _ROUND:
        return ()
    most = np.argsort(-carried, kind="stable")[:k]
    return tuple((int(dimension), float(carried[dimension] / mean)) for dimension in most)


def _pca(vectors: np.ndarray) -> tuple[np.ndarray, tuple[float, ...]]:
    centred = _centred(vectors)
    variances, directions = _principal(centred)
    shares = _shares(variances)
    points = np.zeros((len(vectors), _AXES))
    explained = [0.0] * _AXES
    for axis in range(min(_AXES, len(variances))):
        if shares[axis] <= 0:
            break
        loadings = directions[:, axis].astype(centred.dtype) @ centred  # the axis in the vectors' own dimensions
        sign = 1.0 if loadings[np.abs(loadings).argmax()] >= 0 else -1.0
        points[:, axis] = sign * directions[:, axis] * np.sqrt(variances[axis])
        explained[axis] = float(shares[axis])
    return points.astype(np.float32), tuple(explained)


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
    start = _pca(_units(vectors))[0]  # the spectral start fails on a handful of texts
    spread = np.abs(start).max() or 1.0
    reducer = UMAP(
        n_components=_AXES,
        n_neighbors=neighbours,
        metric="cosine",
        init=(10 * start / spread).astype(np.float32),
        random_state=0,
        n_jobs=1,
    )
    return np.asarray(reducer.fit_transform(_units(vectors).astype(np.float32)), dtype=np.float32)


def _principal(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of squares along the principal axes, largest first, and each text's place on them as unit columns (n, n)."""
    gram = (centred @ centred.T).astype(np.float64)
    variances, directions = np.linalg.eigh(gram)
    return variances[::-1], directions[:, ::-1]


def _shares(variances: np.ndarray) -> np.ndarray:
    whole = variances.sum()
    shares = variances / whole if whole > 0 else np.zeros_like(variances)
    return np.where(shares > _NOISE, shares, 0.0)


def _centred(vectors: np.ndarray) -> np.ndarray:
    vectors = _precise(vectors)
    centred = vectors - vectors.mean(axis=0)
    scale = np.abs(vectors).max(initial=0.0)
    centred[np.abs(centred) <= scale * np.finfo(np.float32).eps] = 0.0  # equal vectors leave rounding, not a direction
    return centred


def _units(vectors: np.ndarray) -> np.ndarray:
    vectors = _precise(vectors)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _precise(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors, dtype=np.float64 if vectors.size <= _SMALL else np.float32)
