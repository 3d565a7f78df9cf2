"""The similarity heatmap. Holds no person's text: axes say Q1 and A1, the page adds the rest."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import plotly.graph_objects as go

from demo.domain.datamodels import Comparison, Postprocess
from demo.wording.numbers import two_digits

SCALES = ("fit", "unit", "relative")
# Cividis: perceptually uniform, and made to look the same with and without colour-vision deficiency
# (Nuñez, Anderton, Renslow 2018, doi 10.1371/journal.pone.0199239).
# Blue to yellow, and a neutral grey in its middle: over −1…1 it diverges from 0.
COLORSCALE = "Cividis"
_MOST_CELLS_WITH_TEXT = 2500
_MOST_TICKS = 40


def plot_similarity(comparison: Comparison, scale: str = "fit") -> go.Figure:
    """`draw_similarity` as a Plotly figure."""
    return go.Figure(draw_similarity(comparison, scale)).update_layout(template="none")


def draw_similarity(comparison: Comparison, scale: str = "fit") -> dict[str, Any]:
    """The heatmap as Plotly's JSON: questions down, answers across, cosine in the cells, matching cells outlined.

    scale: "fit" spreads the colours over the values at hand; "unit" over 0…1, or −1…1 where the reading is
    post-processed (never by the values: pictures of one reading share their colours); "relative" over each
    question's own row (the cells still show the cosine).
    """
    # A dict, not graph objects: checking them takes ten times as long, and the live page draws at every key press.
    values = comparison.similarity
    rows, columns = values.shape
    colours, low, high = _colour_values(values, scale, comparison.reading.postprocess is not Postprocess.NONE)
    readable = values.size <= _MOST_CELLS_WITH_TEXT
    trace = {
        "type": "heatmap",
        "z": pack_numbers(colours),
        "x": list(range(columns)),
        "y": list(range(rows)),
        "zmin": low,
        "zmax": high,
        "colorscale": COLORSCALE,
        "hoverinfo": "none",
        "xgap": int(readable),
        "ygap": int(readable),
        "colorbar": {
            "title": {
                "text": {"fit": "cosine", "unit": "cosine", "relative": "within<br>the row"}[scale],
                "side": "right",
            },
            "thickness": 10,
            "outlinewidth": 0,
            "tickformat": ".2f",
        },
    }
    if readable:
        trace |= {"text": [[two_digits(value) for value in row] for row in values], "texttemplate": "%{text}"}
    layout = {
        "title": {"text": "Cosine similarity of questions and answers"},
        "uirevision": f"{rows}x{columns}",  # zoom is kept across edits and reset when the shape changes
        "shapes": [_outline(row, column) for row, column in sorted(comparison.pairing.matches)] if readable else [],
        "xaxis": {"title": {"text": "Answers"}, "side": "top", **_axis([f"A{i + 1}" for i in range(columns)])},
        "yaxis": {
            "title": {"text": "Questions"},
            "autorange": "reversed",
            **_axis([f"Q{i + 1}" for i in range(rows)]),
        },
        "dragmode": "zoom",
    }
    return {"data": [trace], "layout": layout}


def pack_numbers(values: np.ndarray) -> dict[str, str]:
    """Numbers as Plotly takes them compactly: a float32 array in base64."""
    numbers = np.ascontiguousarray(values, dtype="<f4")
    return {
        "dtype": "f4",
        "bdata": base64.b64encode(numbers.tobytes()).decode("ascii"),
        "shape": ", ".join(map(str, numbers.shape)),
    }


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


def _axis(labels: list[str]) -> dict:
    step = max(1, -(-len(labels) // _MOST_TICKS))
    return {
        "tickvals": list(range(0, len(labels), step)),
        "ticktext": labels[::step],
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
