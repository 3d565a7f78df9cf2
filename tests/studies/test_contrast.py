"""The contrast of two readings: which separates the matching pairs better, with numbers one can check by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest

from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Comparison, Pairing, Reading
from demo.domain.errors import BadInput
from demo.figures.compare import plot_difference, plot_reading, shared_range, subtract_cosines
from demo.lab import Lab
from demo.settings import Settings
from demo.stages.similarity import score_pairs
from demo.studies.contrast import contrast


def comparison(values, matches=None, model: str = "a") -> Comparison:
    values = np.asarray(values, dtype=np.float32)
    rows, columns = values.shape
    if matches is None:
        matches = {(i, i) for i in range(min(rows, columns))}
    texts = [tuple(f"{side}{i}" for i in range(count)) for side, count in (("q", rows), ("a", columns))]
    pairing = Pairing(*texts, frozenset(matches))
    return Comparison(pairing, values, score_pairs(values, pairing.mask()), Reading(model), {"model": model})


GOOD, FLAT, BAD = np.eye(10), np.full((10, 10), 0.9), 1 - np.eye(10)


def test_a_reading_that_finds_every_answer_leads_one_that_finds_none():
    lead = contrast(comparison(FLAT), comparison(GOOD))
    assert (lead.figure, lead.a, lead.b) == ("auc", 0.5, 1.0)
    assert (lead.difference.value, lead.difference.low, lead.difference.high) == pytest.approx((0.5, 0.5, 0.5))
    assert lead.significant
    back = contrast(comparison(GOOD), comparison(BAD))
    assert back.difference.value == pytest.approx(-1)
    assert back.significant


def test_the_height_of_the_cosines_does_not_count():
    lead = contrast(comparison(GOOD), comparison(GOOD * 0.01 + 0.98))
    assert lead.difference.value == 0
    assert not lead.significant


def test_one_question_that_differs_among_ten_is_not_enough():
    other = GOOD.copy()
    other[0, 0] = -0.1
    lead = contrast(comparison(other), comparison(GOOD))
    assert lead.difference.value > 0
    assert not lead.significant


@pytest.mark.parametrize(("values", "matches"), [([[1, 0]], None), ([[1], [0]], {(0, 0), (1, 0)}), (GOOD, set())])
def test_nothing_to_compare_by(values, matches):
    """One question; no wrong pair; no right pair."""
    assert contrast(comparison(values, matches), comparison(values, matches)) is None


def test_other_texts_and_other_pairs_are_refused():
    with pytest.raises(BadInput, match="same texts"):
        contrast(comparison(GOOD), comparison(GOOD[:5]))
    with pytest.raises(BadInput, match="same texts"):
        contrast(comparison(GOOD), comparison(GOOD, {(0, 1)}))


def test_it_goes_the_same_way_as_the_labs_own_figures():
    lab = Lab(Settings(engine="fake"), FakeEngine())
    texts = [f"what is number {i}" for i in range(9)], [f"number {i} is this" for i in range(9)]
    a, b = (lab.compare(*texts, pooling=pooling) for pooling in ("mean", "last_token"))
    lead = contrast(a, b)
    assert (lead.a, lead.b) == pytest.approx((a.metrics.auc, b.metrics.auc))


def test_many_cells_take_less_than_a_second():
    random = np.random.default_rng(0)
    a, b = (comparison(random.normal(size=(100, 200)) * 0.1) for _ in range(2))
    started = time.process_time()
    contrast(a, b)
    assert time.process_time() - started < 3  # an idle machine needs a tenth of it


# ---- the figures ------------------------------------------------------------------------------------------------


def test_one_scale_spans_all_readings():
    a, b = comparison([[0.9, 0.8], [0.7, 0.95]]), comparison([[0.5, -0.25], [0.0, 0.25]])
    low, high = shared_range([a, b])
    assert (low, high) == pytest.approx((-0.25, 0.95))
    shared, own = plot_reading(a, (low, high)).data[0], plot_reading(a).data[0]
    assert (shared.zmin, shared.zmax) == (low, high)
    assert (own.zmin, own.zmax) == pytest.approx((0.7, 0.95))
    low, high = shared_range([comparison([[0.5]])])
    assert low < 0.5 < high


def test_every_match_is_outlined_light_on_dark():
    shapes = plot_reading(comparison(np.eye(3))).layout.shapes
    assert [shape.line.color for shape in shapes] == ["#101316", "#ffffff"] * 3
    assert [round(shape.x0) for shape in shapes] == [0, 0, 1, 1, 2, 2]


def test_a_difference_is_b_minus_a_round_zero():
    a, b = comparison([[0.5, 0.5], [0.5, 0.5]]), comparison([[0.75, 0.5], [0.25, 0.5]])
    assert subtract_cosines(b, a).tolist() == [[0.25, 0], [-0.25, 0]]
    trace = plot_difference(b, a).data[0]
    assert (trace.zmin, trace.zmax) == (-0.25, 0.25)
    assert trace.text[0][0] == "+.25"
    assert trace.text[1][0] == "−.25"


def test_in_their_own_deviations_readings_of_other_heights_are_the_same():
    """[1, 0, 0, 1] is one deviation above and below its mean, wherever that mean lies."""
    a, b = comparison(np.eye(2)), comparison(np.eye(2) * 0.02 + 0.97)
    assert subtract_cosines(b, a, own=True) == pytest.approx(np.zeros((2, 2)), abs=1e-4)
    flat = comparison(np.full((2, 2), 0.5))
    assert subtract_cosines(a, flat, own=True).tolist() == [[1, -1], [-1, 1]]
    assert "standard deviations" in plot_difference(a, flat, own=True).data[0].colorbar.title.text


def test_values_stand_in_the_cells_while_they_fit():
    assert plot_reading(comparison(np.eye(8))).data[0].texttemplate
    assert not plot_reading(comparison(np.eye(9))).data[0].texttemplate
    assert len(plot_reading(comparison(np.eye(60))).layout.shapes) == 0
