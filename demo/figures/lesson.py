"""The lesson's figures: a prediction beside what was measured, first words, layers, and what each reading found.

Tokens are escaped. `words` says what is written on a figure, so that a page can bring its own language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from textwrap import wrap

import plotly.graph_objects as go

from demo.domain.datamodels import Comparison
from demo.figures.explanation import token_label
from demo.figures.story import WORDS as STORY_WORDS
from demo.figures.story import plot_models
from demo.wording.numbers import fine_percent, two_digits

WORDS = {
    **{name: STORY_WORDS[name] for name in ("right", "wrong", "cosine", "text", "token", "chance")},
    "guess": "my prediction",
    "layer": "Layer",
    "auc": "AUC",
    "chance_level": "guessing",
    "best": "best",
    "reading": "Reading",
    "found": "Questions that find their answer first",
}
_WIDEST = 18  # characters of a label in one line: on a phone, too, the points need room
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#8c949d"  # Okabe and Ito's


def plot_prediction(
    names: Sequence[str],
    comparisons: Sequence[Comparison],
    guess: float | None = None,
    words: Mapping[str, str] = WORDS,
) -> go.Figure:
    """A line for each reading: its right pairs as full circles, its wrong pairs as open ones; a prediction across.

    guess: the cosine that was predicted, if one was.
    """
    figure = plot_models([(name, "") for name in names], comparisons, {**words, "model": words["reading"]})
    folded = ["<br>".join(escape(line, quote=False) for line in wrap(name, _WIDEST)) for name in names]
    figure.update_layout(yaxis={"ticktext": folded})
    if guess is not None:
        low, high = figure.layout.xaxis.range
        figure.update_layout(xaxis={"range": [min(low, guess - 0.04), high]})
        figure.add_vline(
            guess,
            line={"dash": "dash", "width": 2, "color": _GREY},
            annotation={
                "text": f"{words['guess']} {two_digits(guess)}",
                "xanchor": "left" if guess < 0.5 else "right",
                "yanchor": "top",
                "showarrow": False,
                "font": {"size": 12},
            },
        )
    return figure


def plot_top_tokens(said: Sequence[tuple[str, str, float]], words: Mapping[str, str] = WORDS) -> go.Figure:
    """A bar for each text: the likeliest next token after it. said: (name of the text, token, probability)."""
    names = [name for name, _, _ in said]
    figure = go.Figure(
        go.Bar(
            x=[chance for _, _, chance in said],
            y=names,
            orientation="h",
            text=[f"{token_label(token)}  {fine_percent(chance)}" for _, token, chance in said],
            textposition="outside",
            textangle=0,
            constraintext="none",
            cliponaxis=False,
            hoverinfo="none",
            marker={"color": [_BLUE if name.startswith("Q") else _ORANGE for name in names]},
        )
    )
    figure.update_layout(
        template="none",
        xaxis={
            "title": {"text": words["chance"]},
            "tickformat": ".0%",
            "range": [0, max(chance for _, _, chance in said) * 1.5],
            "nticks": 4,
            "zeroline": False,
        },
        yaxis={"title": {"text": words["text"], "standoff": 12}, "autorange": "reversed", "showgrid": False},
        margin={"t": 4},
        bargap=0.3,
    )
    return figure


def plot_layer_auc(layers: Sequence[Comparison], best: int, words: Mapping[str, str] = WORDS) -> go.Figure:
    """AUC at every layer, the best one marked, and the height of mere guessing."""
    aucs = [layer.metrics.auc for layer in layers]
    places = list(range(len(layers)))
    figure = go.Figure(
        [
            go.Scatter(
                x=places,
                y=aucs,
                mode="lines+markers",
                showlegend=False,
                line={"color": _BLUE, "width": 2},
                marker={"size": 6},
                hovertemplate="%{x}: %{y:.2f}<extra></extra>",
            ),
            go.Scatter(
                x=[best],
                y=[aucs[best]],
                mode="markers+text",
                showlegend=False,
                text=[f"{words['best']}: {best}"],
                textposition="bottom left" if best > len(layers) / 2 else "bottom right",
                marker={"symbol": "star", "size": 15, "color": _ORANGE},
                hoverinfo="skip",
            ),
        ]
    )
    figure.add_hline(
        0.5,
        line={"dash": "dash", "width": 1.5, "color": _GREY},
        annotation={"text": words["chance_level"], "xanchor": "right", "yanchor": "bottom", "font": {"size": 12}},
    )
    figure.update_layout(
        template="none",
        xaxis={"title": {"text": words["layer"]}, "zeroline": False, "nticks": 8},
        yaxis={
            "title": {"text": words["auc"]},
            "range": [min(0.3, *aucs) - 0.04, 1.05],
            "tickformat": ".1f",
            "zeroline": False,
        },
        margin={"t": 12},
    )
    return figure


def plot_top1(names: Sequence[str], found: Sequence[int], asked: int, words: Mapping[str, str] = WORDS) -> go.Figure:
    """A bar for each reading: how many of the questions find their answer first."""
    figure = go.Figure(
        go.Bar(
            x=list(found),
            y=[escape(name, quote=False) for name in names],
            orientation="h",
            text=[f"{count}" for count in found],
            textposition="outside",
            textangle=0,
            constraintext="none",
            cliponaxis=False,
            hoverinfo="none",
            marker={"color": _BLUE},
        )
    )
    figure.update_layout(
        template="none",
        xaxis={"title": {"text": words["found"]}, "range": [0, asked + 0.5], "dtick": 1, "zeroline": False},
        yaxis={"title": {"text": words["reading"], "standoff": 12}, "autorange": "reversed", "showgrid": False},
        margin={"t": 4},
        bargap=0.34,
    )
    return figure
