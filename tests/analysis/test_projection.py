"""The space of a comparison: its axes, its unrelated pairs, and how far from round its cloud is."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from sklearn.decomposition import PCA

from demo.analysis import projection
from demo.analysis.projection import anisotropy, project, rogue_dimensions, unrelated, variance_shares
from demo.domain.datamodels import Reading
from demo.domain.errors import BadInput, UnknownChoice
from demo.domain.results import Space
from demo.figures.space import plot_space_2d, plot_space_3d, plot_variance

RANDOM = np.random.default_rng(7)


def pairs(mask: np.ndarray) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}


# ---- projection -----------------------------------------------------------------------------------------------


def test_four_corners_lie_where_one_can_see_them():
    """A rectangle of 4 × 2 around (5, 5): the long side is the first axis, four fifths of the variance."""
    corners = np.array([[3, 4], [7, 4], [3, 6], [7, 6]], dtype=np.float32)
    points, explained = project(corners[:2], corners[2:])
    assert points == pytest.approx(np.array([[-2, -1, 0], [2, -1, 0], [-2, 1, 0], [2, 1, 0]]), abs=1e-5)
    assert explained == pytest.approx((0.8, 0.2, 0.0))
    assert points.dtype == np.float32


@pytest.mark.parametrize(("n", "dim"), [(12, 40), (40, 12), (30, 5000)])
def test_the_axes_are_scikit_learns(n, dim):
    vectors = (RANDOM.normal(size=(n, dim)) * np.linspace(3, 0.1, dim) + 5).astype(np.float32)
    points, explained = project(vectors[: n // 2], vectors[n // 2 :])
    oracle = PCA(n_components=3, svd_solver="full").fit(vectors.astype(np.float64))
    expected = oracle.transform(vectors.astype(np.float64))
    signs = np.sign((expected * points).sum(axis=0))
    assert points == pytest.approx(expected * signs, abs=2e-3)
    assert explained == pytest.approx(oracle.explained_variance_ratio_, abs=1e-5)


def test_the_axes_do_not_flip_when_a_text_is_added():
    vectors = RANDOM.normal(size=(20, 6)) * [9, 4, 2, 1, 1, 1]
    before = project(vectors[:10], vectors[10:])[0]
    after = project(vectors[:10], np.concatenate([vectors[10:], vectors[:1] * 1.01]))[0]
    assert (np.sign((before * after[:20]).sum(axis=0)) == 1).all()


@pytest.mark.parametrize("n", [2, 3])
def test_two_or_three_texts_leave_axes_empty(n):
    vectors = RANDOM.normal(size=(n, 50))
    points, explained = project(vectors[:1], vectors[1:])
    assert points.shape == (n, 3)
    assert (np.abs(points).max(axis=0) > 0).tolist() == [True, n == 3, False]
    assert sum(explained) == pytest.approx(1)
    assert len(variance_shares(vectors)) == n - 1


def test_equal_texts_are_one_point():
    same = np.full((4, 30), 0.3, dtype=np.float32)
    points, explained = project(same[:2], same[2:])
    assert not points.any()
    assert explained == (0.0, 0.0, 0.0)
    assert not variance_shares(same).any()


def test_unavailable_methods_are_refused(monkeypatch):
    with pytest.raises(UnknownChoice, match="pca, umap"):
        project(np.eye(3), np.eye(3), "tsne")
    with pytest.raises(BadInput, match="at least 8 texts, and there are 7"):
        project(np.eye(7)[:3], np.eye(7)[3:], "umap")
    monkeypatch.setattr(projection, "umap_available", lambda: False)
    with pytest.raises(BadInput, match="not installed"):
        project(np.eye(9)[:3], np.eye(9)[3:], "umap")


def test_umap_is_asked_for_three_axes_by_cosine_with_a_seed(monkeypatch):
    asked = {}

    class FakeUmap:
        def __init__(self, **options):
            asked.update(options)

        def fit_transform(self, vectors):
            return vectors[:, :3]

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=FakeUmap))
    monkeypatch.setattr(projection, "umap_available", lambda: True)
    points, explained = project(np.eye(9)[:4], np.eye(9)[4:], "umap")
    assert (points.shape, points.dtype, explained) == ((9, 3), np.float32, ())
    assert {"n_components": 3, "metric": "cosine", "random_state": 0, "n_neighbors": 8}.items() <= asked.items()


def test_the_real_umap_keeps_neighbours_together():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    centres = np.eye(3, 20).repeat(6, axis=0) * 5
    vectors = centres + RANDOM.normal(size=centres.shape) * 0.1
    first, again = (project(vectors[:9], vectors[9:], "umap")[0] for _ in range(2))
    assert (first == again).all()
    distances = np.linalg.norm(first[:, None] - first[None], axis=2)
    groups = np.arange(18) // 6
    assert distances[groups[:, None] == groups].max() < distances[groups[:, None] != groups].min()


# ---- unrelated pairs ------------------------------------------------------------------------------------------


def test_all_pairs_but_the_matching_ones_are_unrelated():
    """Q1 Q2 A1 A2, first to first, second to second: Q1–Q2, Q1–A2, Q2–A1, A1–A2."""
    assert pairs(unrelated(["a", "b"], ["c", "d"], {(0, 0), (1, 1)})) == {(0, 1), (0, 3), (1, 2), (2, 3)}


def test_equal_texts_are_no_pair_and_copies_count_once():
    """Q2 is a copy of Q1; A2 says what the questions say; A1 belongs to Q1, so to its copies too."""
    assert pairs(unrelated(["a", "a"], ["c", "a", "d"], {(0, 0)})) == {(0, 4), (2, 4), (3, 4)}


def test_one_question_and_its_answer_leave_no_pair():
    mask = unrelated(["a"], ["b"], {(0, 0)})
    assert anisotropy(np.eye(2), mask) == (None, 0)
    assert rogue_dimensions(np.eye(2), mask) == ()


# ---- how far from round ---------------------------------------------------------------------------------------


def test_the_mean_cosine_of_three_unit_vectors():
    """Angles 0°, 90° and 45° with lengths 1, 2, 3: cosines 0, √½, √½."""
    vectors = np.array([[1, 0], [0, 2], [3 / np.sqrt(2), 3 / np.sqrt(2)]])
    mean, count = anisotropy(vectors, np.triu(np.ones((3, 3), dtype=bool), 1))
    assert (mean, count) == (pytest.approx(2 * np.sqrt(0.5) / 3), 3)


def test_variance_shares_are_scikit_learns_and_of_the_whole():
    vectors = RANDOM.normal(size=(30, 20)) * np.linspace(4, 1, 20) + 100
    oracle = PCA(n_components=19).fit(vectors).explained_variance_ratio_
    assert variance_shares(vectors, 4) == pytest.approx(oracle[:4], abs=1e-6)
    assert variance_shares(vectors, 99).sum() == pytest.approx(1, abs=1e-5)


def test_a_rogue_dimension_carries_what_it_adds_to_the_cosine():
    """(3, 4) and (4, 3) over 5: the cosine is .24 in each share: 12/25 + 12/25. (1, 0) twice: all in dimension 0."""
    mask = np.array([[False, True], [False, False]])
    assert rogue_dimensions(np.array([[3.0, 4.0], [4.0, 3.0]]), mask, 2) == ((0, 0.5), (1, 0.5))
    assert rogue_dimensions(np.array([[0.0, 2.0], [0.0, 7.0]]), mask, 1) == ((1, 1.0),)
    assert rogue_dimensions(np.eye(2) + 0.01, mask) == (), "no shares of next to nothing"


def test_wide_vectors_give_the_same_figures_as_narrow_ones():
    """float32 above four million numbers, float64 below."""
    narrow = RANDOM.normal(size=(40, 1000)).astype(np.float32) + 1
    wide = np.concatenate([narrow, np.zeros((40, 110_000), dtype=np.float32)], axis=1)
    mask = np.triu(np.ones((40, 40), dtype=bool), 1)
    assert anisotropy(wide, mask)[0] == pytest.approx(anisotropy(narrow, mask)[0], abs=1e-5)
    assert variance_shares(wide) == pytest.approx(variance_shares(narrow), abs=1e-5)
    few = (rogue_dimensions(vectors, mask) for vectors in (wide, narrow))
    assert [dimension for dimension, _ in next(few)] == [dimension for dimension, _ in next(few)]


# ---- figures --------------------------------------------------------------------------------------------------


@pytest.fixture
def space() -> Space:
    vectors = RANDOM.normal(size=(5, 9))
    points, explained = project(vectors[:2], vectors[2:])
    questions, answers = ("one?", "<b>two</b> & ${x}"), ("a", "b", "c " * 400)
    mask = unrelated(questions, answers, {(0, 0)})
    mean, count = anisotropy(vectors, mask)
    return Space(
        questions=questions,
        answers=answers,
        matches=frozenset({(0, 0), (1, 2)}),
        method="pca",
        points=points,
        explained=explained,
        mean_cosine=mean,
        n_unrelated=count,
        variance_shares=variance_shares(vectors),
        rogue=rogue_dimensions(vectors, mask),
        reading=Reading("any"),
        provenance={},
    )


@pytest.mark.parametrize("plot", [plot_space_2d, plot_space_3d])
def test_questions_and_answers_differ_in_colour_and_in_symbol(space, plot):
    lines, questions, answers = plot(space).data
    assert questions.marker.color != answers.marker.color
    assert questions.marker.symbol != answers.marker.symbol
    assert list(questions.text) == ["Q1", "Q2"]
    assert [list(each) for each in answers.customdata] == [["A", 0], ["A", 1], ["A", 2]]
    assert len(lines.x) == 6  # two pairs of ends, each with a gap behind it
    assert lines.x[3] == questions.x[1]
    assert lines.x[4] == answers.x[2]


def test_a_persons_text_is_escaped_and_cut(space):
    figure = plot_space_2d(space)
    assert figure.data[1].hovertext[1] == "<b>Q2</b> &lt;b&gt;two&lt;/b&gt; &amp; ${x}"
    assert figure.data[2].hovertext[2].endswith("…")
    assert len(figure.data[2].hovertext[2]) < 400


def test_axes_say_what_they_hold(space):
    named = plot_space_2d(space).layout.xaxis.title.text
    assert named == f"PC 1 ({space.explained[0] * 100:.0f} % of the variance)"
    scene = plot_space_3d(space).layout.scene
    assert scene.zaxis.title.text.startswith("PC 3 (")
    bars = plot_variance(space)
    assert list(bars.data[0].y) == [1, 2, 3, 4]
    assert bars.layout.xaxis.title.text
    assert bars.layout.yaxis.title.text


def test_many_texts_have_no_labels(space):
    from dataclasses import replace

    many = tuple(str(i) for i in range(40))
    crowd = replace(space, questions=many, answers=many, points=np.zeros((80, 3), dtype=np.float32))
    assert {trace.mode for trace in plot_space_2d(crowd).data} == {"lines", "markers"}
