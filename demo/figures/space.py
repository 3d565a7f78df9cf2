"""The space's figures: texts as points, and the shares of their variance. People's texts stand escaped in the hover.

words: the figure's labels in the page's language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from demo.domain.results import Space
from demo.figures.layout import BLUE, axis, bars, chart, paired_points
from demo.wording.numbers import percent
from demo.wording.translate import DEFAULT_LANGUAGE, translate_group

WORDS = translate_group(DEFAULT_LANGUAGE, "space.figure")
_CAMERA = {"eye": {"x": 2.2, "y": 2.2, "z": 1.3}, "center": {"x": 0, "y": 0, "z": -0.12}}  # as far as axis titles need
_MOST_LABELS = 60  # texts; more labels than that cover each other


def plot_space_2d(space: Space, words: Mapping[str, str] = WORDS) -> go.Figure:
    """The texts on the first two axes, one unit as long on both, matching pairs joined."""
    return _plot_points(
        space,
        words,
        n_axes=2,
        xaxis=axis(_axis_name(space, words, 0)),
        yaxis=axis(_axis_name(space, words, 1), scaleanchor="x"),
    )


def plot_space_3d(space: Space, words: Mapping[str, str] = WORDS) -> go.Figure:
    """The texts on three axes, to be turned by hand."""
    names = [_axis_name(space, words, number, "_3d") for number in range(3)]
    axes = {f"{letter}axis": {"title": {"text": name}, "nticks": 5} for letter, name in zip("xyz", names, strict=True)}
    scene = {**axes, "aspectmode": "auto", "camera": _CAMERA}
    return _plot_points(space, words, n_axes=3, scene=scene, margin={"l": 0, "r": 0, "t": 30, "b": 0})


def plot_variance(space: Space, words: Mapping[str, str] = WORDS) -> go.Figure:
    """Bars: how much of the variance lies along each of the first principal directions."""
    shares = np.asarray(space.variance_shares, dtype=np.float32)
    numbers = list(range(1, len(shares) + 1))
    return chart(
        [bars(shares, numbers, [percent(share) for share in shares], BLUE)],
        title=words["variance_title"],
        xaxis={"title": {"text": words["share"]}, "tickformat": ".0%", "range": [0, 1.12], "tickvals": [0, 0.5, 1]},
        yaxis={"title": {"text": words["direction"]}, "tickvals": numbers, "autorange": "reversed", "showgrid": False},
        bargap=0.35,
    )


def _plot_points(space: Space, words: Mapping[str, str], n_axes: int, **layout: Any) -> go.Figure:
    traces = paired_points(
        space.points[:, :n_axes],
        (space.questions, space.answers),
        sorted(space.matches),
        (words["questions"], words["answers"], words["matching"]),
        size=10 if n_axes == 2 else 5,
        labelled=len(space.points) <= _MOST_LABELS,
    )
    shared = {
        "title": words["title"],
        "uirevision": f"{space.method} {len(space.points)}",  # zoom and turn are kept while the texts stay as many
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "margin": {"t": 30},
        "hovermode": "closest",
        "dragmode": "zoom",
    }
    return chart(traces, **shared | layout)


def _axis_name(space: Space, words: Mapping[str, str], number: int, short: str = "") -> str:
    if not space.explained:
        return words["umap"].format(n=number + 1)
    return words["pca" + short].format(n=number + 1, share=percent(space.explained[number]).removesuffix(" %"))
