"""Seriation: orders are permutations, the same every time, and bring out what is known to be there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from demo.analysis.seriation import ORDERS, by_best_match, clustered

EVERY = pytest.mark.parametrize("name", list(ORDERS))
MATRICES = arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([-1.0, -0.25, 0.0, 0.5, 0.5, 1.0]),  # with ties
)


def blocks(n_questions: int, n_answers: int, groups: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines of shuffled texts of so many topics, and everybody's topic. Answers share a direction besides."""
    random = np.random.default_rng(seed)
    topics = random.normal(size=(groups, 96))
    asked, answered = np.arange(n_questions) % groups, np.arange(n_answers) % groups
    random.shuffle(asked)
    random.shuffle(answered)
    questions = topics[asked] + random.normal(size=(n_questions, 96))
    answers = topics[answered] + random.normal(size=(n_answers, 96)) + 2 * random.normal(size=96)
    questions /= np.linalg.norm(questions, axis=1, keepdims=True)
    answers /= np.linalg.norm(answers, axis=1, keepdims=True)
    return (questions @ answers.T).astype(np.float32), asked, answered


@EVERY
@settings(deadline=None)  # SciPy is imported by the first
@given(MATRICES)
def test_every_order_is_a_permutation_and_the_same_again(name, similarity):
    rows, columns = ORDERS[name](similarity)
    assert sorted(rows) == list(range(similarity.shape[0]))
    assert sorted(columns) == list(range(similarity.shape[1]))
    for one, other in zip(ORDERS[name](similarity.copy()), (rows, columns), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(60, 60), (300, 120), (20, 200)])
def test_topics_stand_side_by_side_and_in_blocks_on_the_diagonal(shape):
    """Each topic is one run of rows and one run of columns, and both sides have the topics in the same order."""
    similarity, asked, answered = blocks(*shape, groups=5)
    rows, columns = clustered(similarity)
    runs = []
    for topics in (asked[rows], answered[columns]):
        starts = np.flatnonzero(np.diff(topics, prepend=-1))
        assert len(starts) == 5
        runs.append(topics[starts].tolist())
    assert runs[0] == runs[1]


def test_above_the_optimal_size_topics_are_found_as_well():
    similarity, asked, _ = blocks(320, 40, groups=4)
    assert np.count_nonzero(np.diff(asked[clustered(similarity)[0]])) == 3


@settings(deadline=None)
@given(MATRICES)
def test_the_best_matches_fall_along_the_diagonal(similarity):
    rows, columns = by_best_match(similarity)
    diagonal = np.diagonal(similarity[np.ix_(rows, columns)])
    assert (np.diff(diagonal) <= 0).all()
    assert diagonal[0] == similarity.max()
    # Greedy: what is left when a pair is taken is no better than the pair.
    for place, best in enumerate(diagonal):
        assert similarity[np.ix_(rows[place:], columns[place:])].max() == best


def test_who_has_no_partner_comes_last_by_the_best_it_has():
    similarity = np.array([[0.1, 0.9], [0.8, 0.7], [0.2, 0.3], [0.5, 0.6]], dtype=np.float32)
    rows, columns = by_best_match(similarity)
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 3, 2], [1, 0])
