"""Benchmark figure: the quality of readings against their speed. Holds no person's text, only names and numbers.

words: the figure's labels in the page's language.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from demo.domain.datamodels import Reading
from demo.domain.results import BenchmarkRow, Interval
from demo.figures.layout import (
    BLUE,
    GREEN,
    GREY,
    LEGEND,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    add_level,
    axis,
    chart,
)
from demo.wording.translate import DEFAULT_LANGUAGE, translate_group

WORDS = translate_group(DEFAULT_LANGUAGE, "benchmark.figure")
_COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "star", "cross", "x")
_APART = 0.03  # of the axis: between readings that share their passes, and so their speed
_ROOM = 0.15  # of the axis, on either side
_LEAST_WIDTH = 0.35  # decades


@dataclass(frozen=True)
class _Point:
    row: BenchmarkRow
    name: str
    place: int
    score: Interval


def plot_benchmark(
    rows: Sequence[BenchmarkRow],
    names: Sequence[str],
    metric: str = "auc",
    words: Mapping[str, str] = WORDS,
    front: Sequence[Reading] = (),
) -> go.Figure:
    """A marker for each reading: metric upwards with its 95 % interval, speed to the right; word overlap as a line.

    rows: in the order of the leaderboard, whose places the markers carry; names: of the readings, for the hover. Rows
    without a speed are left out. Readings of one model at one speed shared their passes; they stand side by side, lest
    their intervals cover each other. front: readings that a line joins.
    """
    places = np.cumsum([row.reading is not None for row in rows])
    points = [
        _Point(row, name, int(place), getattr(row.scores, metric))
        for row, name, place in zip(rows, names, places, strict=True)
        if row.reading and row.texts_per_second
    ]
    speeds = [np.log10(point.row.texts_per_second) for point in points] or [0.0]
    width = max(max(speeds) - min(speeds), _LEAST_WIDTH)
    groups: dict[tuple[str, float], list[_Point]] = defaultdict(list)
    for point in points:
        groups[point.row.provenance["model"], point.row.texts_per_second].append(point)
    models: dict[str, list[tuple[_Point, float]]] = defaultdict(list)
    for (model, _), members in groups.items():
        members.sort(key=lambda point: point.score.value)
        for place, point in enumerate(members):
            beside = (place - (len(members) - 1) / 2) * _APART * width
            models[model].append((point, point.row.texts_per_second * 10**beside))
    styles = itertools.cycle(zip(_COLORS, _SYMBOLS, strict=True))  # by name: a model keeps its own, however they rank
    lows, highs = [point.score.low for point in points], [point.score.high for point in points]
    spots = {point.row.reading: (x, point.score.value) for placed in models.values() for point, x in placed}
    floor = next((getattr(row.scores, metric) for row in rows if row.reading is None), None)
    if floor:
        lows, highs = [*lows, floor.value], [*highs, floor.value]
    ends = min(speeds) - _ROOM * width, min(speeds) + (1 + _ROOM) * width
    ticks = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    ticks = [tick for tick in ticks if ends[0] <= np.log10(tick) <= ends[1]]
    speed_axis = {"range": list(ends), "tickvals": ticks, "ticktext": [f"{tick:,g}" for tick in ticks]}
    figure = chart(
        [
            trace
            for model, style in zip(sorted(models), styles, strict=False)
            for trace in _traces(model, models[model], style, metric, words)
        ],
        title=words["title"].format(figure=words[metric]),
        xaxis=axis(words["speed"], type="log", **speed_axis),
        yaxis=axis(words[metric], range=[min(lows, default=0) - 0.04, max(highs, default=1) + 0.06], tickformat=".2f"),
        legend=LEGEND,
        showlegend=True,
        margin={"t": 8},
        hovermode="closest",
    )
    if front:
        x, y = zip(*(spots[reading] for reading in front), strict=True)
        line = {"color": GREY, "width": 2}
        joined = go.Scatter(x=x, y=y, name=escape(words["front"]), mode="lines", line=line, hoverinfo="skip")
        figure.add_trace(joined)
        figure.data = figure.data[-1:] + figure.data[:-1]  # behind the markers
    if floor:
        add_level(figure, floor.value, escape(words["floor"]), "bottom left", width=1.5)
    return figure


def _traces(
    model: str,
    placed: Sequence[tuple[_Point, float]],
    style: tuple[str, str],
    metric: str,
    words: Mapping[str, str],
) -> tuple[go.Scatter, go.Scatter]:
    """A model's markers with their intervals, and the places above them. placed: points and their positions."""
    color, symbol = style
    points, x = [point for point, _ in placed], [speed for _, speed in placed]
    scores = [point.score for point in points]
    markers = go.Scatter(
        x=x,
        y=[score.value for score in scores],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [score.high - score.value for score in scores],
            "arrayminus": [score.value - score.low for score in scores],
            "thickness": 1,
            "width": 3,
            "color": color,
        },
        name=escape(model),
        mode="markers",
        cliponaxis=False,
        marker={"color": color, "symbol": symbol, "size": 10, "line": {"width": 0}},
        hovertext=[
            f"<b>{point.place}. {escape(point.name)}</b><br>{escape(model)}<br>{words[metric]} {score.value:.3f} "
            f"[{score.low:.3f}, {score.high:.3f}]<br>{point.row.texts_per_second:.3g} {words['per_second']}"
            for point, score in zip(points, scores, strict=True)
        ],
        hoverinfo="text",
    )
    places = go.Scatter(
        x=x,
        y=[score.high for score in scores],
        mode="text",
        text=[f"<b>{point.place}</b>" for point in points],
        textposition="top center",
        textfont={"size": 12},
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    return markers, places
