"""The benchmark's figure: how good readings are against how fast. Holds no person's text, only names and numbers.

`words` says what is written on a figure, so that a page can bring its own language.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from demo.domain.results import BenchmarkRow, Interval

WORDS = {
    "title": "{figure} against speed; the numbers are places in the table",
    "speed": "Texts per second (logarithmic)",
    "per_second": "texts per second",
    "floor": "word overlap, no model",
    "auc": "AUC",
    "top1": "Top-1",
    "mrr": "MRR",
    "ndcg10": "nDCG@10",
}
# Okabe and Ito's colours, told apart by every kind of colour vision; the symbols differ as well.
_STYLES = (
    ("#0072B2", "circle"),
    ("#D55E00", "diamond"),
    ("#009E73", "square"),
    ("#CC79A7", "triangle-up"),
    ("#E69F00", "star"),
    ("#56B4E9", "cross"),
    ("#8c949d", "x"),
)
_FLOOR_COLOR = "#8c949d"
_APART = 0.03  # of the axis: between readings that share their passes, and so their speed
_ROOM = 0.15  # of the axis, on either side
_LEAST_WIDTH = 0.35  # decades


def plot_benchmark(
    rows: Sequence[BenchmarkRow], names: Sequence[str], figure: str = "auc", words: Mapping[str, str] = WORDS
) -> go.Figure:
    """A marker a reading: figure upwards with its 95 % interval, speed to the right; word overlap as a dotted line.

    rows: in the order of the leaderboard, whose places the markers carry; names: of the readings, for the hover. Rows
    without a speed are left out. Readings of one model at one speed shared their passes; they stand side by side, lest
    their intervals cover each other.
    """
    places = np.cumsum([row.reading is not None for row in rows])
    points = [
        _Point(row, name, int(place), getattr(row.scores, figure))
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
        members.sort(key=lambda point: point.told.value)
        for place, point in enumerate(members):
            beside = (place - (len(members) - 1) / 2) * _APART * width
            models[model].append((point, point.row.texts_per_second * 10**beside))
    styles = zip(sorted(models), itertools.cycle(_STYLES), strict=False)  # a model keeps its own, however they rank
    plot = go.Figure(
        [trace for model, style in styles for trace in _traces(model, models[model], style, figure, words)]
    )
    lows, highs = [point.told.low for point in points], [point.told.high for point in points]
    floor = next((getattr(row.scores, figure) for row in rows if row.reading is None), None)
    if floor:
        lows, highs = [*lows, floor.value], [*highs, floor.value]
        plot.add_hline(
            floor.value,
            line={"color": _FLOOR_COLOR, "width": 1.5, "dash": "dot"},
            annotation={"text": escape(words["floor"]), "font": {"size": 11}},
            annotation_position="bottom left",
        )
    ends = min(speeds) - _ROOM * width, min(speeds) + (1 + _ROOM) * width
    ticks = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    ticks = [tick for tick in ticks if ends[0] <= np.log10(tick) <= ends[1]]
    plot.update_layout(
        template="none",
        title={"text": words["title"].format(figure=words[figure])},
        xaxis={
            "type": "log",
            "title": {"text": words["speed"]},
            "range": list(ends),
            "tickvals": ticks,
            "ticktext": [f"{tick:,g}" for tick in ticks],
            "zeroline": False,
        },
        yaxis={
            "title": {"text": words[figure]},
            "range": [min(lows, default=0) - 0.04, max(highs, default=1) + 0.06],
            "tickformat": ".2f",
            "zeroline": False,
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        showlegend=True,
        margin={"t": 8},
        hovermode="closest",
    )
    return plot


@dataclass(frozen=True)
class _Point:
    row: BenchmarkRow
    name: str
    place: int
    told: Interval


def _traces(
    model: str,
    placed: Sequence[tuple[_Point, float]],
    style: tuple[str, str],
    figure: str,
    words: Mapping[str, str],
) -> tuple[go.Scatter, go.Scatter]:
    """A model's markers with their intervals, and the places above them. placed: points and where they stand."""
    color, symbol = style
    points, x = [point for point, _ in placed], [speed for _, speed in placed]
    markers = go.Scatter(
        x=x,
        y=[point.told.value for point in points],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [point.told.high - point.told.value for point in points],
            "arrayminus": [point.told.value - point.told.low for point in points],
            "thickness": 1,
            "width": 3,
            "color": color,
        },
        name=escape(model),
        mode="markers",
        cliponaxis=False,
        marker={"color": color, "symbol": symbol, "size": 10, "line": {"width": 0}},
        hovertext=[
            f"<b>{point.place}. {escape(point.name)}</b><br>{escape(model)}<br>{words[figure]} {point.told.value:.3f} "
            f"[{point.told.low:.3f}, {point.told.high:.3f}]<br>{point.row.texts_per_second:.3g} {words['per_second']}"
            for point in points
        ],
        hoverinfo="text",
    )
    places = go.Scatter(
        x=x,
        y=[point.told.high for point in points],
        mode="text",
        text=[f"<b>{point.place}</b>" for point in points],
        textposition="top center",
        textfont={"size": 12},
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    return markers, places
