"""The story's figures: what a model receives, what it says next, how far right pairs stand from unrelated texts.

Tokens are escaped. `words` says what is written on a figure, so that a page can bring its own language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from textwrap import wrap

import plotly.graph_objects as go

from demo.domain.datamodels import Comparison
from demo.domain.results import Inspected
from demo.figures.explanation import token_label
from demo.wording.numbers import fine_percent, two_digits

WORDS = {
    "text": "Text",
    "position": "Position of the token",
    "around": "chat template",
    "inside": "the text's own",
    "read": "read as the embedding",
    "token": "Next token",
    "chance": "Probability",
    "reading": "Reading",
    "mean": "Mean cosine",
    "right": "right pairs",
    "wrong": "wrong pairs",
    "unrelated": "unrelated texts",
    "cosine": "Cosine",
    "model": "Model and reading",
}
# Okabe and Ito's colours, told apart by every kind of colour vision; grey for what says nothing of a text.
_RIGHT, _WRONG, _AROUND = "#0072B2", "#D55E00", "#8c949d"
_LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}
_WIDEST = 26  # characters of a label in one line


def plot_positions(inspected: Sequence[Inspected], names: Sequence[str], words: Mapping[str, str] = WORDS) -> go.Figure:
    """A row for each text: which positions are its own, which are written around it, and which one is read.

    The read position is the last of the pooled span, as in last_token and last_token_logits.
    """
    spans: dict[str, list[tuple[str, int, int]]] = {"around": [], "inside": [], "read": []}
    for name, side in zip(names, inspected, strict=True):
        start, end = side.inside
        spans["around"] += [(name, 0, start), (name, end, len(side.tokens))]
        spans["inside"].append((name, start, end))
        spans["read"].append((name, side.pooled[1] - 1, side.pooled[1]))
    figure = go.Figure(
        [
            _strip([span for span in spans[kind] if span[2] > span[1]], words[kind], color, pattern)
            for kind, color, pattern in (("around", _AROUND, ""), ("inside", _RIGHT, "/"), ("read", _WRONG, "x"))
        ]
    )
    figure.update_layout(
        template="none",
        barmode="overlay",
        xaxis={
            "title": {"text": words["position"]},
            "range": [0, max(len(side.tokens) for side in inspected) + 0.5],
            "zeroline": False,
        },
        yaxis={"title": {"text": words["text"]}, "autorange": "reversed", "showgrid": False},
        legend=_LEGEND,
        showlegend=True,
        margin={"t": 30},
    )
    return figure


def plot_next_tokens(says: Sequence[tuple[str, float]], highest: float, words: Mapping[str, str] = WORDS) -> go.Figure:
    """Bars: the likeliest next tokens of one text. highest: the largest probability of all texts, for one axis."""
    places = list(range(len(says)))
    figure = go.Figure(
        go.Bar(
            x=[chance for _, chance in says],
            y=places,
            orientation="h",
            text=[fine_percent(chance) for _, chance in says],
            textposition="outside",
            textangle=0,
            constraintext="none",
            cliponaxis=False,
            hoverinfo="none",
            marker={"color": _RIGHT},
        )
    )
    figure.update_layout(
        template="none",
        xaxis={
            "title": {"text": words["chance"]},
            "tickformat": ".0%",
            "range": [0, highest * 1.22],
            "nticks": 4,
            "zeroline": False,
        },
        yaxis={
            "title": {"text": words["token"], "standoff": 12},
            "autorange": "reversed",
            "tickvals": places,
            "ticktext": [token_label(token) for token, _ in says],
            "showgrid": False,
        },
        margin={"t": 4},
    )
    return figure


def plot_gap(
    names: Sequence[str], unrelated: Sequence[float], right: Sequence[float], words: Mapping[str, str] = WORDS
) -> go.Figure:
    """Two bars for each reading: the mean cosine of unrelated texts, and of right pairs."""
    sides = (("unrelated", unrelated, _WRONG), ("right", right, _RIGHT))
    figure = go.Figure(
        [
            go.Bar(
                x=list(values),
                y=[_folded(name) for name in names],
                orientation="h",
                name=words[kind],
                text=[two_digits(value) for value in values],
                textposition="outside",
                textangle=0,
                constraintext="none",
                cliponaxis=False,
                hoverinfo="none",
                marker={"color": color},
            )
            for kind, values, color in sides
        ]
    )
    figure.update_layout(
        template="none",
        xaxis={
            "title": {"text": words["mean"]},
            "range": [min(0.0, *unrelated, *right), 1.08],
            "tickformat": ".1f",
            "zeroline": False,
        },
        yaxis={"title": {"text": words["reading"], "standoff": 12}, "autorange": "reversed", "showgrid": False},
        legend=_LEGEND,
        bargap=0.34,
        margin={"t": 30},
    )
    return figure


def plot_models(
    names: Sequence[tuple[str, str]], comparisons: Sequence[Comparison], words: Mapping[str, str] = WORDS
) -> go.Figure:
    """A line for each model and reading: its right pairs as full circles, its wrong pairs as open ones around them.

    names: of model and reading; both stand beside the line.
    """
    places = list(range(len(names)))
    traces = []
    for kind, color, symbol, size in (("right", _RIGHT, "circle", 10), ("wrong", _WRONG, "circle-open", 14)):
        spots = [
            (float(value), place, f"Q{row + 1}–A{column + 1}")
            for place, comparison in enumerate(comparisons)
            for row, line in enumerate(comparison.similarity)
            for column, value in enumerate(line)
            if ((row, column) in comparison.pairing.matches) == (kind == "right")
        ]
        traces.append(
            go.Scatter(
                x=[value for value, _, _ in spots],
                y=[place for _, place, _ in spots],
                mode="markers",
                name=words[kind],
                hovertext=[f"{cell} {two_digits(value)}" for value, _, cell in spots],
                hoverinfo="text",
                cliponaxis=False,
                marker={"color": color, "symbol": symbol, "size": size, "line": {"width": 2, "color": color}},
            )
        )
    lowest = min((float(comparison.similarity.min()) for comparison in comparisons), default=0.0)
    figure = go.Figure(traces)
    figure.update_layout(
        template="none",
        xaxis={
            "title": {"text": words["cosine"]},
            "range": [min(0.0, lowest) - 0.02, 1.03],
            "tickformat": ".1f",
            "zeroline": False,
        },
        yaxis={
            "title": {"text": words["model"], "standoff": 12},
            "range": [len(names) - 0.4, -0.6],
            "tickvals": places,
            "ticktext": [f"{_folded(model)}<br><i>{_folded(reading)}</i>" for model, reading in names],
            "zeroline": False,
        },
        legend=_LEGEND,
        margin={"t": 30},
        hovermode="closest",
    )
    return figure


def _strip(spans: Sequence[tuple[str, int, int]], name: str, color: str, pattern: str) -> go.Bar:
    """pattern: what tells it to those who do not tell it by its colour."""
    return go.Bar(
        x=[end - start for _, start, end in spans],
        base=[start for _, start, _ in spans],
        y=[text for text, _, _ in spans],
        orientation="h",
        width=0.62,
        name=name,
        marker={
            "color": color,
            "line": {"width": 0},
            "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "#ffffff", "size": 8, "solidity": 0.2},
        },
        hovertext=[f"{text}: {start + 1}–{end} {escape(name)}" for text, start, end in spans],
        hoverinfo="text",
    )


def _folded(text: str) -> str:
    """A label in lines, escaped: Plotly reads a small subset of HTML."""
    return "<br>".join(escape(line, quote=False) for line in wrap(text, _WIDEST)) or "&nbsp;"
