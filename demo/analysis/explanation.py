"""Token attribution: which tokens of two texts carry the cosine of their embeddings. NumPy only.

Two methods, by what the pooling does. Where every token's state enters the embedding by a sum, the cosine is a sum
over the tokens too and falls apart exactly. Where one position stands for all, the others act on it inside the model:
there a token's share is what the cosine loses when the text is read without it. Knows no model and no prompt.
"""

from __future__ import annotations

import numpy as np

from demo.domain.datamodels import Pooling
from demo.domain.results import Inspected
from demo.stages.postprocess import Transform
from demo.stages.similarity import unit_vectors

DECOMPOSITION = "decomposition"
LEAVE_ONE_OUT = "leave_one_out"
_DECOMPOSED = {Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.MEAN_SQRT_LEN, Pooling.MAX}
_TINY = 1e-12


def method_of(pooling: Pooling) -> str:
    """`decomposition` for poolings in which every token's state has its part, else `leave_one_out`."""
    return DECOMPOSITION if pooling in _DECOMPOSED else LEAVE_ONE_OUT


def decompose(own: Inspected, other_vector: np.ndarray, pooling: Pooling, fit: Transform) -> np.ndarray:
    """What each token adds to the cosine of its text with the other: float32 (n_tokens,), 0 outside the pooled.

    other_vector: (dim,), post-processed. fit is applied to this text here. The shares add up to
    cos(fit(own.vector), other_vector): the embedding is Σ sᵢ·tᵢ over its tokens with Σ sᵢ = 1 (`_parts`), all
    post-processing is affine, fit(x) = (x − μ)·A, and such a map commutes with a weighted mean.
    """
    start, end = own.pooled
    weights, parts = _parts(own.states[start:end], pooling, own.before)
    whole = weights @ parts
    # A normalised reading divides its vector by the norm: every part shrinks alike.
    parts *= np.linalg.norm(own.vector) / max(np.linalg.norm(whole), _TINY)
    fitted = np.asarray(fit(parts.astype(np.float32)), dtype=np.float64)
    other = np.asarray(other_vector, dtype=np.float64)
    norms = np.linalg.norm(weights @ fitted) * np.linalg.norm(other)
    shares = np.zeros(len(own.tokens), dtype=np.float32)
    shares[start:end] = weights * (fitted @ other) / max(norms, _TINY)
    return shares


def leave_one_out_shares(cosine: float, without: np.ndarray, other_vector: np.ndarray) -> np.ndarray:
    """What the cosine loses without each token: float32 (n,).

    without: (n, dim), the text's embeddings, each read without one token; other_vector: (dim,); both post-processed.
    The shares need not add up to anything: tokens stand in for one another.
    """
    return (cosine - _unit(without) @ _unit(np.atleast_2d(other_vector))[0]).astype(np.float32)


def token_similarity(a: Inspected, b: Inspected) -> np.ndarray:
    """Cosine of every token's state with every other's, only the person's texts: float32 (n inside a, n inside b)."""
    return (_unit(a.states[slice(*a.inside)]) @ _unit(b.states[slice(*b.inside)]).T).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return unit_vectors(np.asarray(vectors, dtype=np.float64))


def _parts(states: np.ndarray, pooling: Pooling, before: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights sᵢ (n,) that add up to 1 and vectors tᵢ (n, dim) with Σ sᵢ·tᵢ = the pooled vector; float64."""
    states = np.array(states, dtype=np.float64)
    n = len(states)
    weights = np.full(n, 1 / n)
    if pooling is Pooling.WEIGHTED_MEAN:
        weights = np.arange(before + 1, before + n + 1, dtype=np.float64)
        weights /= weights.sum()
    elif pooling is Pooling.MEAN_SQRT_LEN:
        states *= np.sqrt(n)
    elif pooling is Pooling.MAX:
        # Each dimension comes from the one token that has the most of it, the first of equals.
        wins = states.argmax(axis=0) == np.arange(n)[:, None]
        states = np.where(wins, n * states, 0.0)
    elif pooling is not Pooling.MEAN:
        raise ValueError(f"{pooling.value} does not fall apart into its tokens")
    return weights, states
