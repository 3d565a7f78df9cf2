"""Training's figures: what a contrastive loss does, step by step. People's texts stand escaped in the hover.

The heatmap of the texts at hand is `plot_reading`'s. `words` says what is written on a figure, so that a page can bring
its own language.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from demo.figures.layout import (
    ANSWER_COLOR,
    QUESTION_COLOR,
    TOP_LEGEND,
    add_level,
    axis,
    chart,
    paired_points,
    pattern,
)
from demo.wording.translate import DEFAULT_LANGUAGE, translate_group

WORDS = translate_group(DEFAULT_LANGUAGE, "train.figure")
BINS = np.linspace(-1.0, 1.0, 41)  # of the cosines; each bin is .05 wide
_PALE = "#b9c0c7"
_LEGEND = {"legend": TOP_LEGEND, "margin": {"t": 26}}
_SMOOTH = 0.15  # how much of a step's own loss the smoothed line takes over


def smooth(values: Sequence[float]) -> list[float]:
    """The exponential running mean, begun at the first value."""
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else smoothed[-1] + _SMOOTH * (value - smoothed[-1]))
    return smoothed


def plot_loss(losses: Sequence[float], steps: int, guessing: float, words: Mapping[str, str] = WORDS) -> go.Figure:
    """The loss of every step so far, and its running mean. steps: of the whole run; guessing: the loss of a coin."""
    taken = list(range(1, len(losses) + 1))
    hover = f"{words['step']} %{{x}}: %{{y:.3f}}<extra></extra>"
    # Small circles: a run of hundreds of steps is a cloud, and the line through it says where it goes.
    raw = {"size": 4, "color": _PALE}
    points = go.Scatter(
        x=taken, y=list(losses), mode="markers", name=words["each_step"], marker=raw, hovertemplate=hover
    )
    mean = go.Scatter(
        x=taken,
        y=smooth(losses),
        mode="lines",
        name=words["smoothed"],
        line={"color": QUESTION_COLOR, "width": 2.5},
        hoverinfo="skip",
    )
    top = max([guessing, *losses]) * 1.06
    figure = _by_step([points, mean], steps, words["loss_title"], axis(words["loss"], range=[0, top]), words)
    add_level(figure, guessing, words["guessing"].format(value=f"{guessing:.2f}"), "bottom left")
    return figure


def plot_progress(
    margins: Sequence[tuple[int, float]],
    aucs: Sequence[tuple[int, float]],
    steps: int,
    title: str,
    words: Mapping[str, str] = WORDS,
) -> go.Figure:
    """What the loss is for: (step, value) of the held-out AUC, and of the margin of the texts at hand."""
    lines = (
        ("auc", aucs, QUESTION_COLOR, "solid", "circle"),
        ("margin", margins, ANSWER_COLOR, "dash", "square"),
    )
    traces = [
        go.Scatter(
            x=[step for step, _ in values],
            y=[value for _, value in values],
            mode="lines+markers",
            name=words[name],
            line={"color": color, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 6, "color": color},
            hovertemplate=f"{words[name]}<br>{words['step']} %{{x}}: %{{y:.3f}}<extra></extra>",
        )
        for name, values, color, dash, symbol in lines
        if values
    ]
    low = min([0.0, *(value for _, value in margins)])
    values = axis(words["value"], range=[low - 0.04, 1.04], tickformat=".1f")
    figure = _by_step(traces, steps, title, values, words)
    if aucs:
        add_level(figure, 0.5, words["chance"], "bottom right")
    return figure


def count_cosines(values: np.ndarray) -> np.ndarray:
    """float (40,): the share of the cosines in each bin of BINS."""
    counts, _ = np.histogram(np.clip(values, -1.0, 1.0), BINS)
    return counts / max(len(values), 1)


def plot_cosines(matched: np.ndarray, mismatched: np.ndarray, step: int, words: Mapping[str, str] = WORDS) -> go.Figure:
    """Two histograms over each other, as shares, since wrong pairs are many times as many. Axes stand still."""
    centers = (BINS[:-1] + BINS[1:]) / 2
    sides = (("mismatched", mismatched, ANSWER_COLOR, "/"), ("matched", matched, QUESTION_COLOR, ""))
    traces = [
        go.Bar(
            x=centers,
            y=count_cosines(values),
            width=BINS[1] - BINS[0],
            name=words[name],
            marker={"color": color, "opacity": 0.72, "line": {"width": 0}, "pattern": pattern(shape, 6, 0.3)},
            hovertemplate=f"{words[name]}<br>%{{x:.2f}}: %{{y:.0%}}<extra></extra>",
        )
        for name, values, color, shape in sides
    ]
    return chart(
        traces,
        title=words["cosines_title"].format(step=step),
        uirevision="cosines",
        barmode="overlay",
        xaxis=axis(words["cosine"], range=[-1, 1], tickformat=".1f"),
        yaxis=axis(words["share"], tickformat=".0%", rangemode="tozero"),
        **_LEGEND,
    )


def plot_held_points(
    points: np.ndarray, questions: Sequence[str], answers: Sequence[str], step: int, words: Mapping[str, str] = WORDS
) -> go.Figure:
    """Held-out pairs in the plane, each joined by a line. points: (2n, 2), questions first. The scale stands still.

    The vectors have length one: none of their projections is outside −1…1.
    """
    pairs = [(i, i) for i in range(len(questions))]
    names = words["questions"], words["answers"], words["pairs"]
    scale = {"range": [-1.02, 1.02], "tickvals": [-1, -0.5, 0, 0.5, 1], "tickformat": ".1f", "constrain": "domain"}
    return chart(
        paired_points(points, (questions, answers), pairs, names, size=8),
        title=words["points_title"].format(step=step),
        uirevision="points",
        xaxis=axis(words["axis_1"], **scale),
        yaxis=axis(words["axis_2"], **scale, scaleanchor="x"),
        hovermode="closest",
        **_LEGEND,
    )


def chance_loss(pairs: int, negatives: int = 0) -> float:
    """The symmetric loss of a model to which all texts of a batch of so many pairs and hard negatives are alike."""
    return (math.log(max(pairs + negatives, 1)) + math.log(max(pairs, 1))) / 2


def _by_step(traces: list, steps: int, title: str, values: dict, words: Mapping[str, str]) -> go.Figure:
    """Curves over the whole run, so that what is still to come can be seen. values: the upward axis."""
    return chart(
        traces,
        title=title,
        uirevision=f"{steps}",
        xaxis=axis(words["step"], range=[0, steps * 1.01]),
        yaxis=values,
        hovermode="closest",
        **_LEGEND,
    )
