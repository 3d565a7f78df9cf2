"""The benchmark's figure: how good readings are against how fast. Holds no person's text, only names and numbers.

`words` says what is written on a figure, so that a page can bring its own language.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from demo.results import BenchmarkRow

WORDS = {
    "title": "{figure} against speed",
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
_APART = 0.022  # of the axis: between readings that share their passes, and so their speed
_ROOM = 0.3  # of the axis on either side, for the labels
_LEAST_WIDTH = 0.35  # decades


def plot_benchmark(
    rows: Sequence[BenchmarkRow], names: Sequence[str], figure: str = "auc", words: Mapping[str, str] = WORDS
) -> go.Figure:
    """A marker a reading: figure upwards with its 95 % interval, speed to the right; word overlap as a dotted line.

    names: a short label for each row. Rows without a speed are left out. Readings of one model at one speed shared
    their passes; they stand side by side, lest their intervals cover each other.
    """
    floor = next((getattr(row.scores, figure) for row in rows if row.reading is None), None)
    drawn = [(row, name) for row, name in zip(rows, names, strict=True) if row.reading and row.texts_per_second]
    speeds = np.log10([row.texts_per_second for row, _ in drawn]) if drawn else np.zeros(1)
    width = max(float(np.ptp(speeds)), _LEAST_WIDTH)
    middle = float(speeds.min() + speeds.max()) / 2
    groups: dict[tuple[str, float], list[tuple[BenchmarkRow, str]]] = defaultdict(list)
    for row, name in drawn:
        groups[row.provenance["model"], row.texts_per_second].append((row, name))
    models: dict[str, list] = defaultdict(list)
    for (model, _), members in groups.items():
        members.sort(key=lambda member: getattr(member[0].scores, figure).value)
        for place, (row, name) in enumerate(members):
            beside = (place - (len(members) - 1) / 2) * _APART * width
            # Alone: towards the middle. Else outwards, where no neighbour stands.
            right = np.log10(row.texts_per_second) <= middle if len(members) == 1 else 2 * place >= len(members)
            models[model].append((row, name, 10**beside, "middle right" if right else "middle left"))
    figure_name = words[figure]
    plot = go.Figure(
        [_trace(model, points, figure, style, words) for (model, points), style in zip(models.items(), _styles())]
    )
    told = [getattr(row.scores, figure) for row, _ in drawn]
    lows, highs = [each.low for each in told], [each.high for each in told]
    if floor:
        lows, highs = [*lows, floor.value], [*highs, floor.value]
        plot.add_hline(
            floor.value,
            line={"color": _FLOOR_COLOR, "width": 1.5, "dash": "dot"},
            annotation={"text": escape(words["floor"]), "font": {"size": 11}},
            annotation_position="bottom left",
        )
    plot.update_layout(
        template="none",
        title={"text": words["title"].format(figure=figure_name)},
        xaxis={
            "type": "log",
            "title": {"text": words["speed"]},
            "range": [middle - width * (0.5 + _ROOM), middle + width * (0.5 + _ROOM)],
            "dtick": "D2" if width < 1.5 else 1,
            "zeroline": False,
        },
        yaxis={
            "title": {"text": figure_name},
            "range": [min(lows, default=0) - 0.04, max(highs, default=1) + 0.03],
            "tickformat": ".2f",
            "zeroline": False,
        },
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        showlegend=True,
        margin={"t": 8},
        hovermode="closest",
    )
    return plot


def _styles():
    while True:
        yield from _STYLES


def _trace(model: str, points: list, figure: str, style: tuple[str, str], words: Mapping[str, str]) -> go.Scatter:
    color, symbol = style
    told = [getattr(row.scores, figure) for row, *_ in points]
    return go.Scatter(
        x=[row.texts_per_second * beside for row, _, beside, _ in points],
        y=[each.value for each in told],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.value for each in told],
            "arrayminus": [each.value - each.low for each in told],
            "thickness": 1,
            "width": 3,
            "color": color,
        },
        name=escape(model),
        mode="markers+text",
        text=[f"\u2002{escape(name)}\u2002" for _, name, *_ in points],
        textposition=[side for *_, side in points],
        textfont={"size": 11},
        cliponaxis=False,
        marker={"color": color, "symbol": symbol, "size": 10, "line": {"width": 0}},
        hovertext=[
            f"<b>{escape(name)}</b>, {escape(model)}<br>{words[figure]} {each.value:.3f} "
            f"[{each.low:.3f}, {each.high:.3f}]<br>{row.texts_per_second:.3g} {words['per_second']}"
            for (row, name, *_), each in zip(points, told, strict=True)
        ],
        hoverinfo="text",
    )
