"""The story's figures: token positions, next tokens, mean cosines, and the cosines of several models.

Tokens are escaped. words: the figure's labels in the page's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from demo.domain.datamodels import Comparison
from demo.domain.results import Inspected
from demo.figures.explanation import token_label
from demo.figures.layout import BLUE, GREY, LEGEND, VERMILION, axis, bars, chart, folded, pattern
from demo.wording.numbers import fine_percent, two_digits
from demo.wording.translate import DEFAULT_LANGUAGE, translate_group

WORDS = translate_group(DEFAULT_LANGUAGE, "story.figure")
_WIDEST = 26  # characters of a label in one line
_UPSIDE_DOWN = {"autorange": "reversed", "showgrid": False}  # the first bar on top


def plot_positions(inspected: Sequence[Inspected], names: Sequence[str], words: Mapping[str, str] = WORDS) -> go.Figure:
    """A row for each text: its own positions, those of the template around it, and the one that is pooled.

    That one is the last of the pooled span, as in last_token and last_token_logits.
    """
    spans: dict[str, list[tuple[str, int, int]]] = {"around": [], "inside": [], "read": []}
    for name, side in zip(names, inspected, strict=True):
        start, end = side.inside
        spans["around"] += [(name, 0, start), (name, end, len(side.tokens))]
        spans["inside"].append((name, start, end))
        spans["read"].append((name, side.pooled[1] - 1, side.pooled[1]))
    kinds = (("around", GREY, ""), ("inside", BLUE, "/"), ("read", VERMILION, "x"))
    return chart(
        [
            _strip([span for span in spans[kind] if span[2] > span[1]], words[kind], color, shape)
            for kind, color, shape in kinds
        ],
        barmode="overlay",
        xaxis=axis(words["position"], range=[0, max(len(side.tokens) for side in inspected) + 0.5]),
        yaxis={"title": {"text": words["text"]}, **_UPSIDE_DOWN},
        legend=LEGEND,
        showlegend=True,
        margin={"t": 30},
    )


def plot_next_tokens(
    tokens: Sequence[tuple[str, float]], highest: float, words: Mapping[str, str] = WORDS
) -> go.Figure:
    """Bars: the likeliest next tokens of one text. highest: the largest probability of all texts, for one axis."""
    places, chances = list(range(len(tokens))), [chance for _, chance in tokens]
    labels = {"tickvals": places, "ticktext": [token_label(token) for token, _ in tokens]}
    return chart(
        [bars(chances, places, [fine_percent(chance) for chance in chances], BLUE)],
        xaxis=axis(words["chance"], tickformat=".0%", range=[0, highest * 1.22], nticks=4),
        yaxis={"title": {"text": words["token"], "standoff": 12}, **labels, **_UPSIDE_DOWN},
        margin={"t": 4},
    )


def plot_gap(
    names: Sequence[str], unrelated: Sequence[float], right: Sequence[float], words: Mapping[str, str] = WORDS
) -> go.Figure:
    """Two bars for each reading: the mean cosine of unrelated texts, and of right pairs."""
    labels = [folded(name, _WIDEST) for name in names]
    sides = (("unrelated", unrelated, VERMILION), ("right", right, BLUE))
    return chart(
        [
            bars(list(values), labels, [two_digits(value) for value in values], color, name=words[kind])
            for kind, values, color in sides
        ],
        xaxis=axis(words["mean"], range=[min(0.0, *unrelated, *right), 1.08], tickformat=".1f"),
        yaxis={"title": {"text": words["reading"], "standoff": 12}, **_UPSIDE_DOWN},
        legend=LEGEND,
        bargap=0.34,
        margin={"t": 30},
    )


def plot_models(
    names: Sequence[tuple[str, str]], comparisons: Sequence[Comparison], words: Mapping[str, str] = WORDS
) -> go.Figure:
    """A line for each model and reading: its right pairs as full circles, its wrong pairs as open ones around them.

    names: of model and reading; both stand beside the line.
    """
    lowest = min((float(comparison.similarity.min()) for comparison in comparisons), default=0.0)
    labels = [f"{folded(model, _WIDEST)}<br><i>{folded(reading, _WIDEST)}</i>" for model, reading in names]
    rows = {"range": [len(names) - 0.4, -0.6], "tickvals": list(range(len(names))), "ticktext": labels}
    return chart(
        [
            _circles(comparisons, True, words["right"], BLUE, "circle", 10),
            _circles(comparisons, False, words["wrong"], VERMILION, "circle-open", 14),
        ],
        xaxis=axis(words["cosine"], range=[min(0.0, lowest) - 0.02, 1.03], tickformat=".1f"),
        yaxis=axis(words["model"], standoff=12, **rows),
        legend=LEGEND,
        margin={"t": 30},
        hovermode="closest",
    )


def _circles(
    comparisons: Sequence[Comparison], right: bool, name: str, color: str, symbol: str, size: int
) -> go.Scatter:
    """The right or the wrong pairs of all comparisons, a row each."""
    points = [
        (float(value), place, f"Q{row + 1}–A{column + 1} {two_digits(value)}")
        for place, comparison in enumerate(comparisons)
        for row, cosines in enumerate(comparison.similarity)
        for column, value in enumerate(cosines)
        if ((row, column) in comparison.pairing.matches) == right
    ]
    return go.Scatter(
        x=[value for value, _, _ in points],
        y=[place for _, place, _ in points],
        mode="markers",
        name=name,
        hovertext=[text for _, _, text in points],
        hoverinfo="text",
        cliponaxis=False,
        marker={"color": color, "symbol": symbol, "size": size, "line": {"width": 2, "color": color}},
    )


def _strip(spans: Sequence[tuple[str, int, int]], name: str, color: str, shape: str) -> go.Bar:
    """Spans of token positions: (name of the text, first, end)."""
    return go.Bar(
        x=[end - start for _, start, end in spans],
        base=[start for _, start, _ in spans],
        y=[text for text, _, _ in spans],
        orientation="h",
        width=0.62,
        name=name,
        marker={"color": color, "line": {"width": 0}, "pattern": pattern(shape, 8, 0.2)},
        hovertext=[f"{text}: {start + 1}–{end} {escape(name)}" for text, start, end in spans],
        hoverinfo="text",
    )
