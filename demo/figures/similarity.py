"""The similarity heatmap. Holds no person's text: axes say Q1 and A1, the page adds the rest."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from demo.datamodels import Comparison, Postprocess

SCALES = ("fit", "unit", "relative")
# Cividis: perceptually uniform, and made to look the same with and without colour-vision deficiency
# (Nuñez, Anderton, Renslow 2018, doi 10.1371/journal.pone.0199239).
# Blue to yellow, and a neutral grey in its middle: over −1…1 it diverges from 0.
COLORSCALE = "Cividis"
_MOST_CELLS_WITH_TEXT = 2500
_MOST_TICKS = 40


def plot_similarity(comparison: Comparison, scale: str = "fit") -> go.Figure:
    """The heatmap: questions down, answers across, cosine in the cells, matching cells outlined.

    scale: "fit" spreads the colours over the values at hand; "unit" over 0…1, or −1…1 where the reading is
    post-processed (never by the values: pictures of one reading share their colours); "relative" over each
    question's own row (the cells still show the cosine).
    """
    values = comparison.similarity
    rows, columns = values.shape
    colours, low, high = _colour_values(values, scale, comparison.reading.postprocess is not Postprocess.NONE)
    labels_x = [f"A{i + 1}" for i in range(columns)]
    labels_y = [f"Q{i + 1}" for i in range(rows)]
    title = {"fit": "cosine", "unit": "cosine", "relative": "within<br>the row"}[scale]
    figure = go.Figure(
        go.Heatmap(
            z=colours,
            x=list(range(columns)),
            y=list(range(rows)),
            zmin=low,
            zmax=high,
            colorscale=COLORSCALE,
            text=[[two_digits(value) for value in row] for row in values]
            if values.size <= _MOST_CELLS_WITH_TEXT
            else None,
            texttemplate="%{text}" if values.size <= _MOST_CELLS_WITH_TEXT else None,
            hoverinfo="none",
            xgap=1 if values.size <= _MOST_CELLS_WITH_TEXT else 0,
            ygap=1 if values.size <= _MOST_CELLS_WITH_TEXT else 0,
            colorbar={
                "title": {"text": title, "side": "right"},
                "thickness": 10,
                "outlinewidth": 0,
                "tickformat": ".2f",
            },
        )
    )
    figure.update_layout(
        template="none",
        title={"text": "Cosine similarity of questions and answers"},
        uirevision=f"{rows}x{columns}",  # zoom is kept across edits and reset when the shape changes
        shapes=[_outline(row, column) for row, column in sorted(comparison.pairing.matches)]
        if values.size <= 2500
        else [],
        xaxis={"title": {"text": "Answers"}, "side": "top", **_axis(labels_x)},
        yaxis={"title": {"text": "Questions"}, "autorange": "reversed", **_axis(labels_y)},
        dragmode="zoom",
    )
    return figure


def _colour_values(values: np.ndarray, scale: str, signed: bool) -> tuple[np.ndarray, float, float]:
    """What the colours stand for, and their range. Float32, because Plotly sends float32 compactly."""
    values = values.astype(np.float32)
    if scale == "unit":
        return values, -1.0 if signed else 0.0, 1.0
    if scale == "relative":
        low = values.min(axis=1, keepdims=True)
        span = values.max(axis=1, keepdims=True) - low
        return np.where(span > 0, (values - low) / np.maximum(span, 1e-9), 0.5).astype(np.float32), 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-4:
        low, high = low - 0.01, high + 0.01
    return values, low, high


def two_digits(value: float, signed: bool = False) -> str:
    """.94 as the article prints it; −.02; 1.00; signed: +.94."""
    text = f"{abs(value):.2f}"
    sign = "" if text == "0.00" else "−" if value < 0 else "+" if signed else ""
    return sign + text.removeprefix("0")


def _axis(labels: list[str]) -> dict:
    step = max(1, -(-len(labels) // _MOST_TICKS))
    return {
        "tickvals": list(range(0, len(labels), step)),
        "ticktext": labels[::step],
        "range": None,
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
        "constrain": "domain",
    }


def _outline(row: int, column: int) -> dict:
    return {
        "type": "rect",
        "x0": column - 0.5,
        "x1": column + 0.5,
        "y0": row - 0.5,
        "y1": row + 0.5,
        "line": {"width": 3},
        "fillcolor": "rgba(0,0,0,0)",
    }
