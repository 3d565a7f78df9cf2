"""The similarity heatmap: colours, labels, outlines, size; and no person's text in it."""

from __future__ import annotations

import base64
import json

import numpy as np
import plotly.graph_objects as go
import pytest

from demo.domain.datamodels import Comparison, Pairing, Postprocess, Reading
from demo.figures.layout import COLORSCALE
from demo.figures.similarity import SCALES, draw_similarity
from demo.stages.similarity import score_pairs


def make_comparison(values, matches=None, method=Postprocess.NONE) -> Comparison:
    values = np.asarray(values, dtype=np.float32)
    rows, columns = values.shape
    diagonal = frozenset((i, i) for i in range(min(rows, columns)))
    pairing = Pairing(
        tuple(f"secret question {i}" for i in range(rows)),
        tuple(f"secret answer {i}" for i in range(columns)),
        diagonal if matches is None else frozenset(matches),
    )
    return Comparison(
        pairing, values, score_pairs(values, pairing.mask()), Reading("some-model", postprocess=method), {}
    )


def sent(comparison, scale="fit") -> dict:
    """The figure as Plotly checks it and the browser gets it."""
    return json.loads(go.Figure(draw_similarity(comparison, scale)).to_json())


def colours(figure: dict) -> np.ndarray:
    """The cells' values as the browser decodes them."""
    z = figure["data"][0]["z"]
    if isinstance(z, dict):
        shape = [int(n) for n in z["shape"].split(",")]
        return np.frombuffer(base64.b64decode(z["bdata"]), dtype=z["dtype"]).reshape(shape)
    return np.array(z)


VALUES = [[0.35, 0.24, -0.10], [0.36, 0.26, 0.90]]


@pytest.mark.parametrize("scale", SCALES)
def test_figure_holds_no_text_of_a_person(scale):
    """Labels are set by the page as text; a figure's strings would be read as HTML."""
    assert "secret" not in json.dumps(sent(make_comparison(VALUES), scale))


def test_axes_number_questions_and_answers_from_one():
    layout = sent(make_comparison(VALUES))["layout"]
    assert layout["xaxis"]["ticktext"] == ["A1", "A2", "A3"]
    assert layout["yaxis"]["ticktext"] == ["Q1", "Q2"]
    assert layout["yaxis"]["autorange"] == "reversed", "the first question is on top"


@pytest.mark.parametrize("scale", ["fit", "unit"])
def test_cells_are_the_cosines(scale):
    np.testing.assert_allclose(colours(sent(make_comparison(VALUES), scale)), VALUES, atol=1e-6)


def test_each_scale_has_its_range():
    fitted, unit, relative = (sent(make_comparison(VALUES), scale)["data"][0] for scale in ("fit", "unit", "relative"))
    assert (fitted["zmin"], fitted["zmax"]) == pytest.approx((-0.10, 0.90))
    assert (unit["zmin"], unit["zmax"]) == (0, 1)
    assert (relative["zmin"], relative["zmax"]) == (0, 1)


@pytest.mark.parametrize("method", Postprocess)
def test_unit_scale_goes_below_zero_for_post_processed_readings(method):
    """It follows the reading and never the values: all pictures of a reading share their colours."""
    for values in (VALUES, [[0.1, 0.2]], [[-0.9, -0.8]]):
        trace = sent(make_comparison(values, method=method), "unit")["data"][0]
        assert (trace["zmin"], trace["zmax"]) == (0 if method is Postprocess.NONE else -1, 1)


def test_middle_of_the_colour_scale_is_grey():
    """Over −1…1 the colours diverge from it: 0 belongs to neither side."""
    from plotly.colors import sample_colorscale, unlabel_rgb

    middle = unlabel_rgb(sample_colorscale(COLORSCALE, [0.5])[0])
    assert max(middle) - min(middle) < 12


def test_relative_scale_spreads_colours_over_each_row():
    """The row .2 .3 .6 becomes 0 ¼ 1; a row of equals is in the middle."""
    figure = sent(make_comparison([[0.2, 0.3, 0.6], [0.5, 0.5, 0.5]]), "relative")
    np.testing.assert_allclose(colours(figure), [[0, 0.25, 1], [0.5, 0.5, 0.5]], atol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("values", [[[0.7]], [[0.7, 0.7]], [[0.0], [0.0]]])
def test_equal_values_still_have_a_colour_range(scale, values):
    trace = sent(make_comparison(values), scale)["data"][0]
    assert trace["zmin"] < trace["zmax"]
    assert np.isfinite(colours({"data": [trace]})).all()


@pytest.mark.parametrize("scale", SCALES)
def test_cell_text_is_the_cosine_under_every_scale(scale):
    text = sent(make_comparison([[0.9432, -0.021], [1.0, 0.5]]), scale)["data"][0]["text"]
    shown = [[float(cell.replace("−", "-")) for cell in row] for row in text]
    np.testing.assert_allclose(shown, [[0.94, -0.02], [1.0, 0.5]])


def test_matching_cells_are_outlined():
    assert not sent(make_comparison(VALUES, set()))["layout"].get("shapes")
    matches = {(0, 2), (1, 0), (1, 1)}
    shapes = sent(make_comparison(VALUES, matches))["layout"]["shapes"]
    centres = [((s["y0"] + s["y1"]) / 2, (s["x0"] + s["x1"]) / 2) for s in shapes]
    assert sorted(centres) == sorted(matches)
    assert all(s["x1"] - s["x0"] == 1 and s["y1"] - s["y0"] == 1 for s in shapes)


def test_large_matrix_is_sent_as_binary_and_without_text():
    """200 × 100 float32 are 80 kB, in base64 107 kB; written out in digits they would be 400."""
    figure = sent(make_comparison(np.random.default_rng(0).uniform(size=(200, 100))))
    assert figure["data"][0]["z"]["dtype"] == "f4"
    assert "bdata" in figure["data"][0]["z"]
    assert not figure["data"][0].get("text")
    assert len(json.dumps(figure)) < 150_000


def test_large_matrix_has_few_labels():
    layout = sent(make_comparison(np.zeros((200, 100)) + 0.5))["layout"]
    for axis, letter in (("xaxis", "A"), ("yaxis", "Q")):
        ticks = layout[axis]
        assert 2 <= len(ticks["ticktext"]) <= 50
        assert [f"{letter}{value + 1}" for value in ticks["tickvals"]] == list(ticks["ticktext"])


def test_zoom_is_kept_when_only_values_change():
    """Plotly keeps the zoom while uirevision stays the same."""
    first, edited = sent(make_comparison(VALUES)), sent(make_comparison(np.array(VALUES) / 2))
    assert first["layout"]["uirevision"]
    assert first["layout"]["uirevision"] == edited["layout"]["uirevision"]


def test_unknown_scale_is_an_error():
    with pytest.raises(KeyError, match="rainbow"):
        draw_similarity(make_comparison(VALUES), "rainbow")
