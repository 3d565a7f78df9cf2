"""Which tokens carry a cosine: shares that add up, numbers one can check by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.analysis.explanation import decompose, leave_one_out_shares, method_of, token_similarity
from demo.domain.datamodels import Pooling, Postprocess
from demo.domain.results import Inspected
from demo.stages.postprocess import fit_postprocess

DECOMPOSED = [Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.MEAN_SQRT_LEN, Pooling.MAX]


def pooled_vector(states: np.ndarray, pooling: Pooling) -> np.ndarray:
    """Pooling as its definition says it, one line each."""
    ranks = np.arange(1, len(states) + 1)[:, None]
    return {
        Pooling.MEAN: states.mean(axis=0),
        Pooling.WEIGHTED_MEAN: (ranks * states).sum(axis=0) / ranks.sum(),
        Pooling.MEAN_SQRT_LEN: states.sum(axis=0) / np.sqrt(len(states)),
        Pooling.MAX: states.max(axis=0),
    }[pooling]


def inspected(states, pooling=Pooling.MEAN, pooled=None, inside=None, normalize=False) -> Inspected:
    states = np.asarray(states, dtype=np.float32)
    n = len(states)
    pooled = pooled or (0, n)
    vector = pooled_vector(states[slice(*pooled)].astype(np.float64), pooling)
    vector = vector / np.linalg.norm(vector) if normalize else vector
    return Inspected(
        text="t",
        prompted="t",
        tokens=tuple(f"t{i}" for i in range(n)),
        token_ids=tuple(range(n)),
        pooled=pooled,
        inside=inside or pooled,
        states=states,
        vector=vector.astype(np.float32),
    )


def nothing(vectors):
    return vectors


def cosine(a, b) -> float:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_two_tokens_by_hand():
    """States (3, 0) and (0, 4), mean (1.5, 2), norm 2.5; the other text points along x: .6, all from the first."""
    text = inspected([[3, 0], [0, 4]])
    assert decompose(text, np.array([1.0, 0.0]), Pooling.MEAN, nothing) == pytest.approx([0.6, 0.0])
    # Along y: .8, all from the second. Along (1, 1)/√2: 3/(5√2) and 4/(5√2).
    assert decompose(text, np.array([0.0, 7.0]), Pooling.MEAN, nothing) == pytest.approx([0.0, 0.8])
    shares = decompose(text, np.array([1.0, 1.0]), Pooling.MEAN, nothing)
    assert shares == pytest.approx([3 / (5 * np.sqrt(2)), 4 / (5 * np.sqrt(2))])


def test_weighted_mean_by_hand():
    """(1·(3, 0) + 2·(0, 2)) / 3 = (1, 4/3), norm 5/3: along (1, 1)/√2 the second token has 4 parts of 7."""
    text = inspected([[3, 0], [0, 2]], Pooling.WEIGHTED_MEAN)
    shares = decompose(text, np.array([1.0, 1.0]), Pooling.WEIGHTED_MEAN, nothing)
    assert shares == pytest.approx([3 / (5 * np.sqrt(2)), 4 / (5 * np.sqrt(2))])


def test_max_gives_each_dimension_to_the_token_that_has_the_most():
    """max of (3, 1) and (2, 4) is (3, 4); along x that is .6 of the first token, along y .8 of the second."""
    text = inspected([[3, 1], [2, 4]], Pooling.MAX)
    assert decompose(text, np.array([1.0, 0.0]), Pooling.MAX, nothing) == pytest.approx([0.6, 0.0])
    assert decompose(text, np.array([0.0, 1.0]), Pooling.MAX, nothing) == pytest.approx([0.0, 0.8])


def test_a_token_against_the_rest_takes_away():
    shares = decompose(inspected([[2, 1], [-1, 1]]), np.array([1.0, 0.0]), Pooling.MEAN, nothing)
    assert shares[0] > 0 > shares[1]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", list(Postprocess))
@pytest.mark.parametrize("pooling", DECOMPOSED)
def test_the_shares_add_up_to_the_cosine(pooling, method, normalize):
    random = np.random.default_rng(7)
    common = 3 * random.normal(size=40)  # what all states share: real models' vectors point the same way
    reference = np.stack(
        [
            inspected(random.normal(size=(9, 40)) + common, pooling, normalize=normalize).vector
            for _ in range(100 if method is Postprocess.WHITENING else 12)
        ]
    )
    text = inspected(random.normal(size=(17, 40)) + common, pooling, pooled=(3, 14), normalize=normalize)

    def fit(vectors):
        return fit_postprocess(reference, method)(vectors)

    other = fit(reference[:1])[0]
    shares = decompose(text, other, pooling, fit)
    assert shares.dtype == np.float32
    assert shares.shape == (17,)
    assert not shares[:3].any()
    assert not shares[14:].any()
    assert shares.sum() == pytest.approx(cosine(fit(text.vector[None])[0], other), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    pooling=st.sampled_from(DECOMPOSED),
    method=st.sampled_from([Postprocess.NONE, Postprocess.CENTER]),
    n=st.integers(1, 30),
    dim=st.integers(2, 24),
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-3, 1.0, 300.0]),
)
def test_the_shares_add_up_whatever_the_states(pooling, method, n, dim, seed, scale):
    random = np.random.default_rng(seed)
    text = inspected(scale * random.normal(size=(n, dim)), pooling)
    reference = scale * random.normal(size=(8, dim)).astype(np.float32)

    def fit(vectors):
        return fit_postprocess(reference, method)(vectors)

    other = fit(reference[:1])[0]
    expected = cosine(fit(text.vector[None])[0], other)
    assert decompose(text, other, pooling, fit).sum() == pytest.approx(expected, abs=1e-5)


def test_leave_one_out_is_what_the_cosine_loses():
    """.8 with all tokens; without the first the texts are at right angles, without the second they agree wholly."""
    shares = leave_one_out_shares(0.8, np.array([[0.0, 5.0], [2.0, 0.0]]), np.array([1.0, 0.0]))
    assert shares == pytest.approx([0.8, -0.2])


def test_an_embedding_of_nothing_has_no_direction():
    assert decompose(inspected(np.zeros((3, 2))), np.ones(2), Pooling.MEAN, nothing) == pytest.approx([0, 0, 0])
    assert leave_one_out_shares(0.5, np.zeros((2, 3)), np.ones(3)) == pytest.approx([0.5, 0.5])


def test_tokens_are_compared_within_the_persons_texts():
    a = inspected([[9, 9], [1, 0], [0, 1]], inside=(1, 3))
    b = inspected([[2, 0], [-1, 0], [1, 1], [9, 9]], inside=(0, 3))
    expected = [[1, -1, np.sqrt(0.5)], [0, 0, np.sqrt(0.5)]]
    assert token_similarity(a, b) == pytest.approx(np.array(expected), abs=1e-6)
    assert token_similarity(a, b).dtype == np.float32


@pytest.mark.parametrize("pooling", list(Pooling))
def test_every_pooling_has_its_method(pooling):
    assert method_of(pooling) == ("decomposition" if pooling in DECOMPOSED else "leave_one_out")
    if pooling not in DECOMPOSED:
        with pytest.raises(ValueError, match=pooling.value):
            decompose(inspected([[1, 0]]), np.ones(2), pooling, nothing)
