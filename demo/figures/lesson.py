"""The lesson's figures: a prediction beside the measurement, next tokens, layers, and the readings' top-1 counts.

Tokens are escaped. words: the figure's labels in the page's language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from demo.domain.datamodels import Comparison
from demo.figures.explanation import token_label
from demo.figures.layout import BLUE, GREY, VERMILION, axis, bars, chart, folded
from demo.figures.story import plot_models
from demo.wording.numbers import fine_percent, two_digits
from demo.wording.translate import DEFAULT_LANGUAGE, translate_group

WORDS = translate_group(DEFAULT_LANGUAGE, "lesson.figure")
_WIDEST = 18  # characters of a label in one line: on a phone, too, the points need room


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
    figure.update_layout(yaxis={"ticktext": [folded(name, _WIDEST) for name in names]})
    if guess is not None:
        low, high = figure.layout.xaxis.range
        figure.update_layout(xaxis={"range": [min(low, guess - 0.04), high]})
        figure.add_vline(
            guess,
            line={"dash": "dash", "width": 2, "color": GREY},
            annotation={
                "text": f"{words['guess']} {two_digits(guess)}",
                "xanchor": "left" if guess < 0.5 else "right",
                "yanchor": "top",
                "showarrow": False,
                "font": {"size": 12},
            },
        )
    return figure


def plot_top_tokens(tokens: Sequence[tuple[str, str, float]], words: Mapping[str, str] = WORDS) -> go.Figure:
    """A bar for each text: the likeliest next token after it. tokens: (name of the text, token, probability)."""
    names = [name for name, _, _ in tokens]
    chances = [chance for _, _, chance in tokens]
    texts = [f"{token_label(token)}  {fine_percent(chance)}" for _, token, chance in tokens]
    return chart(
        [bars(chances, names, texts, [BLUE if name.startswith("Q") else VERMILION for name in names])],
        xaxis=axis(words["chance"], tickformat=".0%", range=[0, max(chances) * 1.5], nticks=4),
        yaxis={"title": {"text": words["text"], "standoff": 12}, "autorange": "reversed", "showgrid": False},
        margin={"t": 4},
        bargap=0.3,
    )


def plot_layer_auc(layers: Sequence[Comparison], best: int, words: Mapping[str, str] = WORDS) -> go.Figure:
    """AUC at every layer, the best one marked, and the level of guessing."""
    aucs = [layer.metrics.auc for layer in layers]
    curve = go.Scatter(
        x=list(range(len(layers))),
        y=aucs,
        mode="lines+markers",
        showlegend=False,
        line={"color": BLUE, "width": 2},
        marker={"size": 6},
        hovertemplate="%{x}: %{y:.2f}<extra></extra>",
    )
    star = go.Scatter(
        x=[best],
        y=[aucs[best]],
        mode="markers+text",
        showlegend=False,
        text=[f"{words['best']}: {best}"],
        textposition="bottom left" if best > len(layers) / 2 else "bottom right",
        marker={"symbol": "star", "size": 15, "color": VERMILION},
        hoverinfo="skip",
    )
    figure = chart(
        [curve, star],
        xaxis=axis(words["layer"], nticks=8),
        yaxis=axis(words["auc"], range=[min(0.3, *aucs) - 0.04, 1.05], tickformat=".1f"),
        margin={"t": 12},
    )
    figure.add_hline(
        0.5,
        line={"dash": "dash", "width": 1.5, "color": GREY},
        annotation={"text": words["chance_level"], "xanchor": "right", "yanchor": "bottom", "font": {"size": 12}},
    )
    return figure


def plot_top1(
    names: Sequence[str], counts: Sequence[int], n_questions: int, words: Mapping[str, str] = WORDS
) -> go.Figure:
    """A bar for each reading: how many of the questions find their answer first."""
    labels = [escape(name, quote=False) for name in names]
    return chart(
        [bars(list(counts), labels, [f"{count}" for count in counts], BLUE)],
        xaxis=axis(words["found"], range=[0, n_questions + 0.5], dtick=1),
        yaxis={"title": {"text": words["reading"], "standoff": 12}, "autorange": "reversed", "showgrid": False},
        margin={"t": 4},
        bargap=0.34,
    )
