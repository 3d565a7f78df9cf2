"""The space's figures: texts as points, and the shares of their variance. People's texts stand escaped in the hover.

`words` says what is written on a figure, so that a page can bring its own language.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go

from demo.domain.results import Space
from demo.wording.numbers import percent

WORDS = {
    "title": "Questions and answers in the space of the embeddings",
    "questions": "Questions",
    "answers": "Answers",
    "matching": "Matching pairs",
    "pca": "PC {n} ({share} % of the variance)",
    "pca_3d": "PC {n} ({share} %)",
    "umap": "UMAP {n}",
    "variance_title": "Share of the variance along each principal direction",
    "direction": "Principal direction",
    "share": "Share of the variance",
}
# Two of Okabe and Ito's colours, told apart by every kind of colour vision; the symbols differ as well.
QUESTION_COLOR, ANSWER_COLOR = "#0072B2", "#E69F00"
_LINE_COLOR = "#8c949d"  # opaque: WebGL draws thin transparent lines too pale to see
_CAMERA = {"eye": {"x": 1.58, "y": 1.58, "z": 1.0}, "center": {"x": 0, "y": 0, "z": -0.12}}
_MOST_LABELS = 60  # texts; more labels than that cover each other
_LONGEST_HOVER = 300  # characters


def plot_space_2d(space: Space, words: Mapping[str, str] = WORDS) -> go.Figure:
    """The texts on the first two axes, one unit as long on both, matching pairs joined."""
    figure = go.Figure(_traces(space, words, go.Scatter, "xy"))
    figure.update_layout(
        template="none",
        title={"text": words["title"]},
        xaxis={"title": {"text": _axis_name(space, words, 0)}, "zeroline": False},
        yaxis={"title": {"text": _axis_name(space, words, 1)}, "zeroline": False, "scaleanchor": "x"},
        **_layout(space),
    )
    return figure


def plot_space_3d(space: Space, words: Mapping[str, str] = WORDS) -> go.Figure:
    """The texts on three axes, to be turned by hand."""
    figure = go.Figure(_traces(space, words, go.Scatter3d, "xyz"))
    names = [_axis_name(space, words, axis, "_3d") for axis in range(3)]
    axes = {f"{letter}axis": {"title": {"text": name}, "nticks": 5} for letter, name in zip("xyz", names, strict=True)}
    figure.update_layout(
        template="none",
        title={"text": words["title"]},
        scene={**axes, "aspectmode": "auto", "camera": _CAMERA},
        **{**_layout(space), "margin": {"l": 0, "r": 0, "t": 30, "b": 0}},
    )
    return figure


def plot_variance(space: Space, words: Mapping[str, str] = WORDS) -> go.Figure:
    """Bars: how much of the variance lies along each of the first principal directions."""
    shares = np.asarray(space.variance_shares, dtype=np.float32)
    numbers = list(range(1, len(shares) + 1))
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=numbers,
            orientation="h",
            text=[percent(share) for share in shares],
            textposition="outside",
            textangle=0,
            constraintext="none",
            cliponaxis=False,
            hoverinfo="none",
            marker={"color": QUESTION_COLOR},
        )
    )
    figure.update_layout(
        template="none",
        title={"text": words["variance_title"]},
        xaxis={
            "title": {"text": words["share"]},
            "tickformat": ".0%",
            "range": [0, 1.12],
            "tickvals": [0, 0.5, 1],
        },
        yaxis={"title": {"text": words["direction"]}, "tickvals": numbers, "autorange": "reversed", "showgrid": False},
        bargap=0.35,
    )
    return figure


def _traces(space: Space, words: Mapping[str, str], kind: Any, axes: str) -> list:
    count = len(space.questions)
    labelled = len(space.points) <= _MOST_LABELS
    traces = []
    if space.matches:
        ends = [index for row, column in sorted(space.matches) for index in (row, count + column)]
        lines = _with_gaps(space.points[ends])
        traces.append(
            kind(
                **{axis: lines[:, i] for i, axis in enumerate(axes)},
                mode="lines",
                name=words["matching"],
                line={"color": _LINE_COLOR, "width": 1 if axes == "xy" else 3},
                hoverinfo="skip",
            )
        )
    sides = (
        ("questions", "Q", space.questions, space.points[:count], QUESTION_COLOR, "circle"),
        ("answers", "A", space.answers, space.points[count:], ANSWER_COLOR, "diamond"),
    )
    for name, letter, texts, points, color, symbol in sides:
        traces.append(
            kind(
                **{axis: points[:, i] for i, axis in enumerate(axes)},
                mode="markers+text" if labelled else "markers",
                name=words[name],
                text=[f"{letter}{i + 1}" for i in range(len(texts))],
                textposition="top center",
                hovertext=[f"<b>{letter}{i + 1}</b> {folded(text)}" for i, text in enumerate(texts)],
                hoverinfo="text",
                customdata=[[letter, i] for i in range(len(texts))],
                marker={"color": color, "symbol": symbol, "size": 10 if axes == "xy" else 5, "line": {"width": 0}},
            )
        )
    return traces


def _with_gaps(ends: np.ndarray) -> np.ndarray:
    """Pairs of points, each pair followed by a NaN, so that one trace draws all lines."""
    pairs = ends.reshape(-1, 2, ends.shape[1])
    gaps = np.full((len(pairs), 1, ends.shape[1]), np.nan, dtype=np.float32)
    return np.concatenate([pairs, gaps], axis=1).reshape(-1, ends.shape[1])


def _axis_name(space: Space, words: Mapping[str, str], axis: int, short: str = "") -> str:
    if not space.explained:
        return words["umap"].format(n=axis + 1)
    return words["pca" + short].format(n=axis + 1, share=percent(space.explained[axis]).removesuffix(" %"))


def _layout(space: Space) -> dict:
    return {
        "uirevision": f"{space.method} {len(space.points)}",  # zoom and turn are kept while the texts stay as many
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "margin": {"t": 30},
        "hovermode": "closest",
        "dragmode": "zoom",
    }


def folded(text: str) -> str:
    """A text for Plotly, which reads a small subset of HTML: escaped, in lines, cut where it is very long."""
    short = text if len(text) <= _LONGEST_HOVER else text[: _LONGEST_HOVER - 1].rstrip() + "…"
    return "<br>".join(escape(line, quote=False) for line in wrap(short, 60)) or "&nbsp;"
