"""Similarity: cosines and metrics against numbers done by hand and against torch."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from demo.stages import similarity
from demo.stages.similarity import cos_sim, right_ranks, score_pairs

NO, YES = False, True


def test_two_by_two_by_hand():
    """(3, 4) and (1, 0) have length 5 and 1: 3/5, 4/5, 1, 0."""
    similarity = cos_sim(np.array([[3, 4], [1, 0]]), np.array([[1, 0], [0, 2]]))
    np.testing.assert_allclose(similarity, [[0.6, 0.8], [1.0, 0.0]], atol=1e-7)
    assert similarity.dtype == np.float32


def test_zero_vector_has_cosine_zero():
    similarity = cos_sim(np.zeros((2, 3)), np.array([[0, 0, 0], [1, 2, 3]]))
    assert similarity.tolist() == [[0, 0], [0, 0]]


def test_norm_below_eps_counts_as_eps():
    """(1e-7, 0) over 1e-6 is 0.1: the article's eps shows only below it."""
    assert cos_sim(np.array([[1e-7, 0.0]]), np.array([[5.0, 0.0]]))[0, 0] == pytest.approx(0.1)


def test_equals_the_articles_cosine_similarity():
    """nn.CosineSimilarity(eps=1e-6) pair by pair, short vectors and a zero vector among them."""
    import torch

    a, b = _random(4, 50, seed=2), _random(3, 50, seed=3)
    a[1] *= 1e-9
    b[2] = 0
    b[1] = -a[0]
    theirs = torch.nn.CosineSimilarity(dim=0, eps=1e-6)
    expected = [[theirs(torch.from_numpy(x), torch.from_numpy(y)).item() for y in b] for x in a]
    np.testing.assert_allclose(cos_sim(a, b), expected, atol=1e-6)


def test_large_numbers_do_not_overflow():
    """Logits in float32 near its end: their squares are not float32."""
    a = np.array([[3e30, 4e30]], dtype=np.float32)
    np.testing.assert_allclose(cos_sim(a, a), [[1.0]], rtol=1e-6)


def test_metrics_by_hand():
    metrics = score_pairs(np.array([[0.9, 0.5], [0.6, 0.4]]), np.eye(2, dtype=bool))
    assert metrics.matching_mean == pytest.approx(0.65)  # (.9 + .4) / 2
    assert metrics.other_mean == pytest.approx(0.55)  # (.5 + .6) / 2
    assert metrics.margin == pytest.approx(0.10)
    assert (metrics.found_first, metrics.n_matched) == (1, 2)  # .4 < .6: the second is not found
    assert metrics.auc == pytest.approx(0.5)  # .9 beats both, .4 beats none: 2 of 4


def test_best_of_several_right_answers_counts():
    similarity = np.array([[0.1, 0.9, 0.5]])
    assert score_pairs(similarity, np.array([[YES, YES, NO]])).found_first == 1
    assert score_pairs(similarity, np.array([[YES, NO, NO]])).found_first == 0


def test_question_without_an_answer_is_not_counted():
    metrics = score_pairs(np.array([[0.9, 0.1], [0.2, 0.3]]), np.array([[YES, NO], [NO, NO]]))
    assert (metrics.found_first, metrics.n_matched) == (1, 1)


def test_undefined_metrics_are_none():
    alone = score_pairs(np.array([[0.4]]), np.array([[YES]]))
    assert (alone.other_mean, alone.margin, alone.auc) == (None, None, None)
    assert alone.matching_mean == pytest.approx(0.4)
    nothing = score_pairs(np.array([[0.4, 0.2]]), np.array([[NO, NO]]))
    assert (nothing.matching_mean, nothing.margin, nothing.found_first, nothing.auc) == (None, None, None, None)
    assert nothing.n_matched == 0


MATRICES = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(
        # Tenths, so that ties are common.
        arrays(np.int8, shape, elements=st.integers(-10, 10)).map(lambda tenths: tenths / np.float32(10)),
        arrays(bool, shape),
    )
)


@given(MATRICES)
def test_auc_is_the_share_of_right_pairs_above_wrong_ones(drawn):
    """Counted pair by pair, a tie for a half."""
    similarity, matches = drawn
    right, wrong = similarity[matches], similarity[~matches]
    auc = score_pairs(similarity, matches).auc
    if not (len(right) and len(wrong)):
        assert auc is None
        return
    count = sum(1.0 if r > w else 0.5 if r == w else 0.0 for r, w in product(right, wrong))
    assert auc == pytest.approx(count / (len(right) * len(wrong)))


NUMBERS = st.floats(-1e3, 1e3, width=32)
VECTORS = st.integers(1, 6).flatmap(
    lambda dim: st.tuples(
        arrays(np.float32, (3, dim), elements=NUMBERS), arrays(np.float32, (2, dim), elements=NUMBERS)
    )
)


@given(VECTORS)
def test_cosines_stay_within_one_and_are_finite(drawn):
    similarity = cos_sim(*drawn)
    assert similarity.shape == (3, 2)
    assert np.isfinite(similarity).all()
    assert np.abs(similarity).max() <= 1


@given(VECTORS, st.floats(1e-2, 1e4))
def test_length_does_not_matter(drawn, factor):
    a, b = drawn
    a = np.where(np.linalg.norm(a, axis=1, keepdims=True) > 1e-3, a, 0)  # below eps it does
    np.testing.assert_allclose(cos_sim(a * np.float64(factor), b), cos_sim(a, b), atol=1e-6)


def _random(rows: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


@pytest.mark.parametrize("noise", [0, 3e-8])
def test_ties_up_to_rounding_noise_are_not_finds(noise):
    """Whitening fewer texts than dimensions makes all cosines equal; the last bit of a float32 must not decide."""
    similarity = np.full((3, 3), -1 / 5, dtype=np.float32)
    similarity[~np.eye(3, dtype=bool)] += np.float32(noise)
    metrics = score_pairs(similarity, np.eye(3, dtype=bool))
    assert (metrics.auc, metrics.found_first) == (0.5, 0)
    assert metrics.margin == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("numbers", [1, 64, 200])
def test_block_size_does_not_change_cosines(monkeypatch, numbers):
    a, b = _random(13, 64, seed=0), _random(9, 64, seed=1)
    whole = cos_sim(a, b)
    monkeypatch.setattr(similarity, "_BLOCK", numbers)
    np.testing.assert_allclose(cos_sim(a, b), whole, atol=1e-7)
    assert cos_sim(a[:0], b).shape == (0, 9)


def test_rank_of_the_best_right_answer_by_hand():
    """First; third behind two wrong ones; a tie is no find; the better of two right ones counts; none."""
    similarity = np.array([[9, 1, 1], [2, 3, 1], [5, 5, 0], [1, 2, 3], [1, 2, 3]]) / 10
    right = np.array([[YES, NO, NO], [NO, NO, YES], [YES, NO, NO], [YES, YES, NO], [NO, NO, NO]])
    assert right_ranks(similarity, right).tolist() == [1, 3, 2, 2, 0]


@given(arrays(np.float64, (4, 3), elements=st.sampled_from([-0.5, 0.0, 0.25, 0.25])), arrays(np.bool_, (4, 3)))
def test_found_first_is_rank_one(similarity, right):
    found = score_pairs(similarity, right).found_first
    assert (found or 0) == np.count_nonzero(right_ranks(similarity, right) == 1)
