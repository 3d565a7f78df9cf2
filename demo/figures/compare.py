"""Comparison figures: a small heatmap for each reading, and the difference of two. Axes say Q1 and A1, no texts.

words: the figure's labels in the page's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from demo.domain.datamodels import Comparison
from demo.figures.layout import DARK, LIGHT, axis, outline, widened
from demo.figures.similarity import draw_similarity
from demo.wording.numbers import two_digits
from demo.wording.translate import DEFAULT_LANGUAGE, translate_group

WORDS = translate_group(DEFAULT_LANGUAGE, "compare.figure")
# ColorBrewer's PuOr: orange below zero, purple above; told apart by every kind of colour vision (colorbrewer2.org).
_DIVERGING = ("#b35806", "#f1a340", "#fee0b6", "#f7f7f7", "#d8daeb", "#998ec3", "#542788")
_MOST_WITH_TEXT = 8  # questions, or answers: beyond, values do not fit into the cells of a small heatmap
_MOST_OUTLINES = 2500  # cells
_MOST_TICKS = 9
_MOST_GAPS = 24


def shared_range(comparisons: Sequence[Comparison]) -> tuple[float, float]:
    """The lowest and the highest cosine of all, for one colour scale."""
    lows, highs = zip(*((float(one.similarity.min()), float(one.similarity.max())) for one in comparisons), strict=True)
    return widened(min(lows), max(highs))


def plot_reading(
    comparison: Comparison, colours: tuple[float, float] | None = None, words: Mapping[str, str] = WORDS
) -> go.Figure:
    """A small heatmap of one reading. colours: the cosines at both ends of the scale; None: its own."""
    ends = {"zmin": colours[0], "zmax": colours[1]} if colours else {}
    return _small_heatmap(comparison, words, words["cosine"], **ends)


def plot_difference(
    first: Comparison, second: Comparison, own: bool = False, words: Mapping[str, str] = WORDS
) -> go.Figure:
    """first − second, cell by cell, from orange over white at 0 to purple.

    own: not the cosines themselves, but how many of its own standard deviations each lies above its reading's mean.
    """
    values = subtract_cosines(first, second, own)
    end = max(float(np.abs(values).max()), 0.01)
    return _small_heatmap(
        first,
        words,
        words["deviations" if own else "difference"],
        z=values,
        zmin=-end,
        zmax=end,
        colorscale=[[i / (len(_DIVERGING) - 1), colour] for i, colour in enumerate(_DIVERGING)],
        text=[[two_digits(value, signed=True) for value in row] for row in values],
    )


def subtract_cosines(first: Comparison, second: Comparison, own: bool = False) -> np.ndarray:
    """first − second, float32 (n_questions, n_answers). own: each standardised over its own cells first."""
    a, b = (np.asarray(comparison.similarity, dtype=np.float64) for comparison in (first, second))
    return ((_standardised(a) - _standardised(b)) if own else a - b).astype(np.float32)


def _standardised(values: np.ndarray) -> np.ndarray:
    deviation = values.std()
    return (values - values.mean()) / deviation if deviation > 1e-6 else np.zeros_like(values)


def _small_heatmap(comparison: Comparison, words: Mapping[str, str], scale: str, **trace) -> go.Figure:
    """The lab's heatmap in small. scale: the title of its colour bar; trace: what differs in its cells."""
    rows, columns = comparison.similarity.shape
    longest = max(rows, columns)
    names = {"x": [f"A{i + 1}" for i in range(columns)], "y": [f"Q{i + 1}" for i in range(rows)]}
    bar = {"orientation": "h", "y": -0.09, "yanchor": "top", "thickness": 9, "outlinewidth": 0, "nticks": 5}
    figure = go.Figure(draw_similarity(comparison, "fit")).update_layout(template="none")
    figure.update_traces(
        **names,
        **({"texttemplate": None} if longest > _MOST_WITH_TEXT else {}),
        xgap=int(longest <= _MOST_GAPS),
        ygap=int(longest <= _MOST_GAPS),
        hoverinfo=None,
        hovertemplate="%{y} · %{x}: %{z:.2f}<extra></extra>",
        colorbar={**bar, "title": {"text": scale, "side": "top", "font": {"size": 12}}},
        textfont={"size": 15 if longest <= 3 else 12 if longest <= 6 else 10},
        **trace,
    )
    bare = {"showgrid": False, "ticks": "", "automargin": False, "ticktext": None}
    ticks = {name: labels[:: -(-len(labels) // _MOST_TICKS)] for name, labels in names.items()}
    figure.update_layout(
        xaxis=axis(words["answers"], side="top", tickangle=0, tickvals=ticks["x"], **bare),
        yaxis=axis(words["questions"], **bare, tickvals=ticks["y"], autorange="reversed"),
        margin={"l": 46 if rows < 100 else 56, "r": 8, "t": 44, "b": 74},
    )
    figure.layout.shapes = _outlines(comparison)  # update_layout would only write over the first ones
    return figure


def _outlines(comparison: Comparison) -> list[dict]:
    """A light line on a dark one round each matching cell: seen on every colour."""
    if comparison.similarity.size > _MOST_OUTLINES:
        return []
    few = max(comparison.similarity.shape) <= _MOST_WITH_TEXT
    lines = ((4.5, DARK), (2, LIGHT)) if few else ((2, DARK), (1, LIGHT))
    inset = 0.03 if few else 0.06
    return [
        outline(row, column, width, color, inset)
        for row, column in sorted(comparison.pairing.matches)
        for width, color in lines
    ]
