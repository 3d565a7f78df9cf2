"""Colours: even steps, the same order for every kind of colour vision, text that can be read. Computed."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from plotly.colors import sample_colorscale

from demo.figures import sweep
from demo.figures.compare import _DIVERGING
from demo.figures.layout import COLORSCALE
from tests import ROOT

# Full deficiency, on linear RGB: Machado, Oliveira, Fernandes 2009, doi 10.1109/TVCG.2009.113.
EYES = {
    "usual": np.eye(3),
    "protan": np.reshape(
        [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998], (3, 3)
    ),
    "deutan": np.reshape(
        [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881], (3, 3)
    ),
    "tritan": np.reshape(
        [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039], (3, 3)
    ),
}
_TO_XYZ = np.reshape(
    [0.4124564, 0.3575761, 0.180437, 0.2126729, 0.7151522, 0.072175, 0.0193339, 0.119192, 0.9503041], (3, 3)
)
_JUST_SEEN = 2.3  # CIELAB: Mahy, Van Eycken, Oosterlinck 1994
STYLES = ROOT / "demo" / "ui"


def linear(colours) -> np.ndarray:
    """sRGB, 0…1 (n, 3) or hex → linear RGB."""
    if isinstance(colours[0], str):
        colours = [[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours]
    colours = np.asarray(colours)
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def lab(colours, eye: str) -> np.ndarray:
    """CIELAB of what an eye sees, (n, 3): lightness 0…100 first."""
    xyz = np.clip(linear(colours) @ EYES[eye].T, 0, 1) @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def steps(scale, count: int) -> list:
    return sample_colorscale(scale, np.linspace(0, 1, count).tolist(), colortype="tuple")


def contrast(first: str, second: str) -> float:
    """As WCAG 2 counts it: 1…21."""
    light, dark = sorted((linear([colour]) @ _TO_XYZ[1])[0] for colour in (first, second))[::-1]
    return (light + 0.05) / (dark + 0.05)


def test_the_eyes_see_what_is_published():
    assert lab(["#ffffff"], "usual")[0] == pytest.approx([100, 0, 0], abs=0.02)
    assert lab(["#ff0000"], "usual")[0] == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    grey = lab(["#808080"], "usual")
    for eye in EYES:
        assert lab(["#808080"], eye) == pytest.approx(grey, abs=0.1), "a grey stays as it is"
    red_and_green = ["#b00000", "#006a00"]
    assert np.linalg.norm(np.diff(lab(red_and_green, "deutan"), axis=0)) < 40
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


@pytest.mark.parametrize("eye", EYES)
def test_the_heatmaps_scale_grows_lighter_evenly_for_every_eye(eye):
    """So that an equal difference of cosines looks equal wherever it lies, and never the other way round."""
    lightness = lab(steps(COLORSCALE, 65), eye)[:, 0]
    assert (np.diff(lightness) > 0.5).all()
    straight = np.polyval(np.polyfit(np.arange(65), lightness, 1), np.arange(65))
    assert np.abs(lightness - straight).max() < _JUST_SEEN
    apart = np.linalg.norm(np.diff(lab(steps(COLORSCALE, 11), eye), axis=0), axis=1)
    assert apart.min() > 2 * _JUST_SEEN, "a tenth of the scale is a step to be seen"


@pytest.mark.parametrize("eye", EYES)
def test_the_scale_of_differences_has_two_sides_for_every_eye(eye):
    colours = lab(list(_DIVERGING), eye)
    middle = len(colours) // 2
    assert (np.diff(colours[: middle + 1, 0]) > 5).all(), "lighter towards no difference"
    assert (np.diff(colours[middle:, 0]) < -5).all(), "and darker after it"
    across = np.linalg.norm(colours - colours[::-1], axis=1)[:middle]
    assert across.min() > 5 * _JUST_SEEN, "more is not taken for less"
    assert np.linalg.norm(np.diff(colours, axis=0), axis=1).min() > 4 * _JUST_SEEN


@pytest.mark.parametrize("eye", EYES)
def test_what_raises_is_not_taken_for_what_lowers(eye):
    """The tints of the tokens' shares; their numbers can be shown as well."""
    css = (STYLES / "panels" / "explain" / "style.css").read_text(encoding="utf-8")
    pairs = re.findall(r"--plus: (#\w{6}); --minus: (#\w{6})", css)
    assert len(pairs) == 2, "light and dark"
    for pair in pairs:
        assert np.linalg.norm(np.diff(lab(pair, eye), axis=0)) > 20 * _JUST_SEEN


def test_a_series_is_told_by_more_than_its_colour():
    styles = {name: style for name, style in sweep._STYLES.items() if name != sweep.Served.AS_SERVED}
    for (_, first), (_, second) in combinations(styles.items(), 2):
        assert first[0] != second[0]
        assert first[2] != second[2], "another marker, whatever the colour"


def test_the_pages_own_greys_can_be_read():
    """What is said in small letters, on the page, on white, and on the tinted rows of tables; in dark as well."""
    import gradio as gr

    from demo.ui.gradio import theme

    accent, neutral = (gr.themes.Color(*ramp.split()) for ramp in (theme._ACCENT, theme._NEUTRAL))
    for paper in ("#ffffff", neutral.c50, neutral.c100):
        assert contrast(neutral.c500, paper) > 4.5
        assert contrast(accent.c600, paper) > 4.5
    for paper in (neutral.c950, neutral.c900, neutral.c800):
        assert contrast(neutral.c400, paper) > 4.5
        assert contrast(accent.c300, paper) > 4.5
