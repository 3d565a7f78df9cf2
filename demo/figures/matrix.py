"""A large similarity matrix: a million cosines as a picture that the browser colours. Holds no person's text.

A Plotly heatmap of a million cells keeps a browser busy for a third of a second, and again at every zoom (measured),
and as numbers in JSON it would weigh 20 MB. So cosines travel as 16-bit steps between the smallest and the largest, and
the page paints them once, as an image within Plotly's axes.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb

from demo.figures.layout import BARE, CLEAR, COLORSCALE, DARK, LIGHT, widened

STEPS = 65_535  # between the smallest cosine and the largest: at most 0.000016 off
_COLOURS = 256
_SHOWN = (0.1, 99.9)  # percentiles between which the colours run: single cells must not decide them all


def quantize(similarity: np.ndarray) -> tuple[np.ndarray, float, float]:
    """(steps, low, high): uint16 (n, m), where 0 stands for low and STEPS for high. similarity: (n, m)."""
    low, high = float(similarity.min()), float(similarity.max())
    steps = (similarity.astype(np.float64) - low) * (STEPS / max(high - low, 1e-9))
    return np.round(steps).astype(np.uint16), low, high


def shown_range(similarity: np.ndarray) -> tuple[float, float]:
    """The cosines that the ends of the colours stand for."""
    return widened(*(float(end) for end in np.percentile(similarity, _SHOWN)))


def palette() -> np.ndarray:
    """The heatmap's colours, uint8 (256, 3), the lowest first."""
    colours = sample_colorscale(COLORSCALE, np.linspace(0, 1, _COLOURS).tolist(), colortype="rgb")
    return np.array([[round(float(part)) for part in unlabel_rgb(colour)] for colour in colours], dtype=np.uint8)


def plot_matrix(rows: int, columns: int) -> go.Figure:
    """The axes, and what the page fills for the part that is looked at: a trace for the values of cells, and two shapes
    for the right pairs, a light one on a dark one, which is seen on every colour.
    """
    figure = go.Figure(
        go.Scatter(x=[], y=[], mode="text", text=[], textfont={"size": 11}, hoverinfo="skip", showlegend=False)
    )
    figure.update_layout(
        template="none",
        hovermode=False,
        shapes=[{"type": "path", "line": {"color": color}, "fillcolor": CLEAR} for color in (DARK, LIGHT)],
        xaxis={"side": "top", "range": [-0.5, columns - 0.5], "minallowed": -0.5, "maxallowed": columns - 0.5, **BARE},
        yaxis={"range": [rows - 0.5, -0.5], "minallowed": -0.5, "maxallowed": rows - 0.5, **BARE},
    )
    return figure
