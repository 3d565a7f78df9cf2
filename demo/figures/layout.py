"""Figure layout: the colours, axes, legends and traces that the figures share.

Texts of people and tokens stand escaped in labels and hovers: Plotly reads a small subset of HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import get_colorscale, sample_colorscale

# Okabe and Ito's colours, told apart by every kind of colour vision; symbols, dashes and patterns differ as well.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, GREY, BROWN = "#E69F00", "#56B4E9", "#8c949d", "#7f4f24"
DARK, LIGHT, CLEAR = "#101316", "#ffffff", "rgba(0,0,0,0)"
QUESTION_COLOR, ANSWER_COLOR = BLUE, ORANGE
# Cividis: perceptually uniform, and made to look the same with and without colour-vision deficiency
# (Nuñez, Anderton, Renslow 2018, doi 10.1371/journal.pone.0199239).
# Blue to yellow, and a neutral grey in its middle: over −1…1 it diverges from 0.
# Its stops, since Plotly.js has others under the same name, as "rgb(…)", which is_dark reads.
_SHARES = [share for share, _ in get_colorscale("Cividis")]
COLORSCALE = [list(stop) for stop in zip(_SHARES, sample_colorscale("Cividis", _SHARES), strict=True)]
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
TOP_LEGEND = {"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"}
BARE = {"showgrid": False, "zeroline": False, "ticks": ""}


def is_dark(paint: str) -> bool:
    """Whether white is read better on a colour "rgb(r, g, b)" than ink: by WCAG 2.2's relative luminance."""
    shares = [float(part) / 255 for part in paint.strip("rgb() ").split(",")]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.194


def chart(traces: Iterable[Any], **layout: Any) -> go.Figure:
    """Traces and their layout as a figure, without Plotly's template. A string as title is its text."""
    if isinstance(layout.get("title"), str):
        layout["title"] = {"text": layout["title"]}
    return go.Figure(list(traces)).update_layout(template="none", **layout)


def axis(title: str, standoff: int | None = None, **more: Any) -> dict[str, Any]:
    """An axis with a title and without a zero line."""
    return {"title": {"text": title} | ({"standoff": standoff} if standoff else {}), "zeroline": False, **more}


def label_axis(labels: Sequence[str], most: int | None = None) -> dict[str, Any]:
    """A bare axis of positions, named by labels; at most `most` of them, evenly spaced."""
    step = max(1, -(-len(labels) // most)) if most else 1
    ticks = {"tickvals": list(range(0, len(labels), step)), "ticktext": list(labels[::step])}
    return {**ticks, **BARE, "constrain": "domain"}


def colorbar(title: str) -> dict[str, Any]:
    """The bar beside a heatmap."""
    return {"title": {"text": title, "side": "right"}, "thickness": 10, "outlinewidth": 0, "tickformat": ".2f"}


def widened(low: float, high: float) -> tuple[float, float]:
    """A range of colours, widened where all values are equal."""
    return (low, high) if high - low >= 1e-4 else (low - 0.01, high + 0.01)


def outline(row: int, column: int, width: float, color: str | None = None, inset: float = 0.0) -> dict[str, Any]:
    """A rectangle around a cell of a heatmap."""
    return {
        "type": "rect",
        "x0": column - 0.5 + inset,
        "x1": column + 0.5 - inset,
        "y0": row - 0.5 + inset,
        "y1": row + 0.5 - inset,
        "fillcolor": CLEAR,
        "line": {"width": width} | ({"color": color} if color else {}),
    }


def bars(values: Sequence[float], labels: Sequence, texts: Sequence[str], color: Any, **more: Any) -> go.Bar:
    """Horizontal bars with their values written beside them."""
    return go.Bar(
        x=values,
        y=labels,
        orientation="h",
        text=texts,
        textposition="outside",
        textangle=0,
        constraintext="none",
        cliponaxis=False,
        hoverinfo="none",
        marker={"color": color},
        **more,
    )


def pattern(shape: str, size: int, solidity: float) -> dict[str, Any]:
    """White hatching, which tells bars apart where colours do not."""
    return {"shape": shape, "fillmode": "overlay", "fgcolor": LIGHT, "size": size, "solidity": solidity}


def add_level(figure: go.Figure, value: float, text: str, position: str, width: float = 1) -> None:
    """A dotted horizontal line with its name."""
    figure.add_hline(
        value,
        line={"color": GREY, "width": width, "dash": "dot"},
        annotation={"text": text, "font": {"size": 11}},
        annotation_position=position,
    )


def paired_points(
    points: np.ndarray,
    texts: tuple[Sequence[str], Sequence[str]],
    pairs: Sequence[tuple[int, int]],
    names: tuple[str, str, str],
    size: int,
    labelled: bool | None = None,
) -> list[go.Scatter | go.Scatter3d]:
    """Questions and answers as points with their texts in the hover, each pair joined by a line.

    points: (n_questions + n_answers, 2 or 3), questions first. names: of questions, answers and pairs. labelled:
    whether Q1, A1 … stand beside the points; None for points that carry no number at all.
    """
    axes, count = "xyz"[: points.shape[1]], len(texts[0])
    kind, width = (go.Scatter, 1) if axes == "xy" else (go.Scatter3d, 3)
    traces = []
    if pairs:
        ends = points[[index for row, column in pairs for index in (row, count + column)]].reshape(len(pairs), 2, -1)
        gaps = np.full((len(pairs), 1, len(axes)), np.nan, dtype=np.float32)  # so that one trace draws all lines
        lines = np.concatenate([ends, gaps], axis=1).reshape(-1, len(axes))
        traces.append(
            kind(
                **{name: lines[:, i] for i, name in enumerate(axes)},
                mode="lines",
                name=names[2],
                line={"color": GREY, "width": width},  # opaque: WebGL draws thin transparent lines too pale to see
                hoverinfo="skip",
            )
        )
    sides = (("Q", points[:count], QUESTION_COLOR, "circle"), ("A", points[count:], ANSWER_COLOR, "diamond"))
    for (letter, places, color, symbol), side, name in zip(sides, texts, names[:2], strict=True):
        numbers = [f"{letter}{i + 1}" for i in range(len(side))]
        shown = {"text": numbers, "textposition": "top center", "customdata": [[letter, i] for i in range(len(side))]}
        traces.append(
            kind(
                **{axis: places[:, i] for i, axis in enumerate(axes)},
                mode="markers+text" if labelled else "markers",
                name=name,
                hovertext=[f"<b>{number}</b> {folded(text)}" for number, text in zip(numbers, side, strict=True)],
                hoverinfo="text",
                marker={"color": color, "symbol": symbol, "size": size, "line": {"width": 0}},
                **({} if labelled is None else shown),
            )
        )
    return traces


def folded(text: str, width: int = 60, longest: int = 300) -> str:
    """An escaped text in lines of `width` characters, cut where it is very long."""
    short = text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
    return "<br>".join(escape(line, quote=False) for line in wrap(short, width)) or "&nbsp;"
