"""The similarity heatmap. Holds no person's text: axes say Q1 and A1, the page adds the rest."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from demo.domain.datamodels import Comparison, Postprocess
from demo.figures.layout import COLORSCALE, colorbar, label_axis, outline, widened
from demo.wording.numbers import two_digits

_COLORBAR = {"fit": "cosine", "unit": "cosine", "relative": "within<br>the row"}  # by scale
SCALES = tuple(_COLORBAR)
_MOST_CELLS_WITH_TEXT = 2500
_MOST_TICKS = 40


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
        "colorbar": colorbar(_COLORBAR[scale]),
    }
    if readable:
        trace |= {"text": [[two_digits(value) for value in row] for row in values], "texttemplate": "%{text}"}
    layout = {
        "title": {"text": "Cosine similarity of questions and answers"},
        "uirevision": f"{rows}x{columns}",  # zoom is kept across edits and reset when the shape changes
        "shapes": [outline(row, column, 3) for row, column in sorted(comparison.pairing.matches)] if readable else [],
        "xaxis": {
            "title": {"text": "Answers"},
            "side": "top",
            **label_axis([f"A{i + 1}" for i in range(columns)], _MOST_TICKS),
        },
        "yaxis": {
            "title": {"text": "Questions"},
            "autorange": "reversed",
            **label_axis([f"Q{i + 1}" for i in range(rows)], _MOST_TICKS),
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
    return values, *widened(float(values.min()), float(values.max()))
