"""The token × token heatmap: the cosines of two texts' token states. Every token is escaped: it is people's text."""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go

from demo.domain.results import Explanation
from demo.figures.layout import COLORSCALE, chart, colorbar, label_axis
from demo.wording.numbers import two_digits

MOST_TOKENS = 60  # of each text; more would be stripes without names
_MOST_CELLS_WITH_TEXT = 200
_LONGEST_LABEL = 14
_MARKS = str.maketrans({" ": "␣", "\n": "↵", "\r": "↵", "\t": "⇥"})


def plot_token_similarity(explanation: Explanation) -> go.Figure:
    """Question tokens down, answer tokens across, the cosine of their states in the cells.

    Colours run from the smallest to the largest value, as in the lab's heatmap. Tokens may occur twice, so the axes
    count positions and only their labels name tokens.
    """
    values = np.asarray(explanation.token_similarity, dtype=np.float32)[:MOST_TOKENS, :MOST_TOKENS]
    rows, columns = values.shape
    down, across = (
        label_axis([token_label(token) for token in side.tokens[slice(*side.inside)][:count]])
        for side, count in ((explanation.question, rows), (explanation.answer, columns))
    )
    with_text = values.size <= _MOST_CELLS_WITH_TEXT
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    heatmap = go.Heatmap(
        z=values,
        x=list(range(columns)),
        y=list(range(rows)),
        zmin=low,
        zmax=high if high - low > 1e-4 else low + 0.01,
        colorscale=COLORSCALE,
        text=[[two_digits(value) for value in row] for row in values] if with_text else None,
        texttemplate="%{text}" if with_text else None,
        hovertemplate="%{y} × %{x}: %{z:.2f}<extra></extra>",  # the axes' labels, which are escaped
        xgap=1,
        ygap=1,
        colorbar=colorbar("cosine"),
    )
    return chart(
        [heatmap],
        title="Cosine similarity of the tokens' states",
        uirevision=f"{rows}x{columns}",
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"title": {"text": "Answer tokens", "standoff": 8}, "side": "top", "tickangle": -60, **across},
        yaxis={"title": {"text": "Question tokens", "standoff": 8}, "autorange": "reversed", **down},
    )


def spell_token(token: str) -> str:
    """A token in plain text, cut where it is long: white space is only marked where it is all there is."""
    visible = token.strip() or token.translate(_MARKS) or "∅"
    return visible if len(visible) <= _LONGEST_LABEL else visible[: _LONGEST_LABEL - 1] + "…"


def token_label(token: str) -> str:
    """A token on an axis, never read as HTML by Plotly."""
    return escape(spell_token(token), quote=False)
