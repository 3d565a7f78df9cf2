"""The sweep's figures: a metric by layer, prompt and pooling. Holds no person's text, only readings and numbers.

words: the figure's labels in the page's language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Reading, Served
from demo.domain.results import Sweep
from demo.figures.layout import (
    BARE,
    BLUE,
    BROWN,
    COLORSCALE,
    DARK,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    PURPLE,
    SKY,
    TOP_LEGEND,
    VERMILION,
    add_level,
    axis,
    chart,
    colorbar,
)
from demo.wording.numbers import two_digits
from demo.wording.translate import DEFAULT_LANGUAGE, translate_group

WORDS = translate_group(DEFAULT_LANGUAGE, "sweep.figure")
Spot = tuple[int, int, int, int]  # prompt, pooling, post-processing, layer: a place in the sweep's metrics
_CHANCE = {"auc": 0.5, "spearman": 0.0, "margin": 0.0}  # what is no better is as dark
_STEP = 0.05  # the brightest colour is the best value, rounded up to this
MOST_NAMED = 14  # columns that are named on the axis, on a phone too; more are numbered within their group
_MOST_LEVEL = 2  # prompts whose names stand level
_STYLES = {
    Pooling.LAST_TOKEN_LOGITS: (GREY, "solid", "x"),
    Pooling.LAST_TOKEN: (BLUE, "solid", "circle"),
    Pooling.MEAN: (ORANGE, "dash", "square"),
    Pooling.WEIGHTED_MEAN: (VERMILION, "dot", "diamond"),
    Pooling.MAX: (GREEN, "dashdot", "triangle-up"),
    Pooling.MEAN_SQRT_LEN: (PURPLE, "longdash", "cross"),
    Pooling.FIRST_TOKEN: (SKY, "longdashdot", "star"),
    Pooling.OWN: (BROWN, "dash", "diamond-open"),
    Served.AS_SERVED: (BLUE, "solid", "circle"),
}


@dataclass(frozen=True, eq=False)
class SweepSlice:
    """One number a layer, prompt and pooling: of one post-processing, or of the best of them."""

    values: np.ndarray  # float32 (n_prompts, n_poolings, n_layers), NaN where a reading was left out
    methods: np.ndarray  # int, the same shape: which post-processing the value is of
    best: Spot
    worst: Spot


def slice_sweep(sweep: Sweep, metric: str, method: Postprocess | None = None) -> SweepSlice:
    """The drawn values of a sweep. metric: one of its metrics; method: None for the best of all in each cell."""
    values = sweep.metrics[metric]
    if method is None:
        methods = np.argmax(np.where(np.isnan(values), -np.inf, values), axis=2)
    else:
        methods = np.full(values[:, :, 0].shape, sweep.postprocess.index(method))
    values = np.take_along_axis(values, methods[:, :, None], axis=2)[:, :, 0]
    best, worst = (_spot(find(values), methods) for find in (np.nanargmax, np.nanargmin))
    chosen = find_spot(sweep, sweep.best)
    if metric == sweep.criterion and method in (None, sweep.best.postprocess):
        best = chosen  # of equals, the one that the sweep chose
        methods[chosen[0], chosen[1], chosen[3]] = chosen[2]
    return SweepSlice(values, methods, best, worst)


def find_spot(sweep: Sweep, reading: Reading) -> Spot:
    """Where a reading stands in the sweep's metrics."""
    layer = len(sweep.layers) - 1 if reading.layer == LAST_LAYER else sweep.layers.index(reading.layer)
    places = sweep.prompts, sweep.poolings, sweep.postprocess
    names = reading.prompt, reading.pooling, reading.postprocess
    return *(place.index(name) for place, name in zip(places, names, strict=True)), layer


def plot_sweep(
    sweep: Sweep, metric: str, method: Postprocess | None = None, words: Mapping[str, str] = WORDS
) -> go.Figure:
    """The heatmap: layers upwards, poolings across in a group for each prompt, the best cell marked with a star.

    Colours run from chance to the best value. A point's customdata is its Spot.
    """
    picture = slice_sweep(sweep, metric, method)
    n_prompts, n_poolings, n_layers = picture.values.shape
    columns = [(i, j) for i in range(n_prompts) for j in range(n_poolings)]
    x = {(i, j): i * (n_poolings + 1) + j for i, j in columns}  # an empty column between two groups
    width = n_prompts * (n_poolings + 1) - 1
    z = np.full((n_layers, width), np.nan, dtype=np.float32)
    spots: list[list[Spot | None]] = [[None] * width for _ in range(n_layers)]
    names = [[""] * width for _ in range(n_layers)]
    for i, j in columns:
        for layer, value in enumerate(picture.values[i, j]):
            if np.isfinite(value):
                spot = (i, j, int(picture.methods[i, j, layer]), layer)
                z[layer, x[i, j]] = value
                spots[layer][x[i, j]] = spot
                names[layer][x[i, j]] = sweep.reading_at(*spot).label(words, "")
    low = _CHANCE[metric]
    high = max(np.ceil(float(np.nanmax(z)) / _STEP - 1e-6) * _STEP, low + _STEP)
    best = picture.best
    metric_name = words[metric]
    heatmap = go.Heatmap(
        z=z,
        x=list(range(width)),
        y=list(range(n_layers)),
        zmin=low,
        zmax=high,
        colorscale=COLORSCALE,
        customdata=spots,
        text=names,
        hovertemplate=f"%{{text}}<br>{metric_name} %{{z:.3f}}<extra></extra>",
        hoverongaps=False,
        colorbar=colorbar(metric_name),
    )
    star = go.Scatter(
        x=[x[best[:2]]],
        y=[best[3]],
        xaxis="x2",
        name=words["best"],
        mode="markers",
        marker={"symbol": "star", "size": 13, "color": LIGHT, "line": {"color": DARK, "width": 1.5}},
        hoverinfo="skip",
        showlegend=False,
    )
    across = {"range": [-0.5, width - 0.5], **BARE}
    named = len(columns) <= MOST_NAMED
    return chart(
        [heatmap, star],
        title=words["map_title"].format(figure=metric_name),
        uirevision=f"{metric} {n_prompts}x{n_poolings}x{n_layers}",
        margin={"t": 8, "b": 8},
        xaxis={
            **across,
            "title": {"text": words["columns"], "standoff": 10},
            "tickvals": list(x.values()),
            "ticktext": [sweep.poolings[j].value if named else str(j + 1) for _, j in columns],
            "tickangle": -90 if named else 0,
            "tickfont": {"size": 10 if named else 8},
        },
        xaxis2={
            **across,
            "overlaying": "x",
            "matches": "x",
            "side": "top",
            "tickvals": [i * (n_poolings + 1) + (n_poolings - 1) / 2 for i in range(n_prompts)],
            "ticktext": [prompt.value for prompt in sweep.prompts],
            "tickangle": 0 if n_prompts <= _MOST_LEVEL else -40,
            "ticklabeloverflow": "allow",
        },
        yaxis={"title": {"text": words["layer"]}, **BARE, **_layer_range(n_layers)},
    )


def plot_layers(
    sweep: Sweep, metric: str, method: Postprocess | None = None, words: Mapping[str, str] = WORDS
) -> go.Figure:
    """The metric by layer under the best cell's prompt and post-processing, a line a pooling. customdata: the Spot."""
    prompt, _, done, _ = slice_sweep(sweep, metric, method).best
    traces = []
    for j, pooling in enumerate(sweep.poolings):
        values = sweep.metrics[metric][prompt, j, done]
        layers = [layer for layer, value in enumerate(values) if np.isfinite(value)]
        color, dash, symbol = _STYLES[pooling]
        traces.append(
            go.Scatter(
                x=layers,
                y=values[layers],
                name=pooling.value,
                mode="lines+markers" if len(layers) > 1 else "markers",
                line={"color": color, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 6 if len(layers) > 1 else 10, "color": color},
                customdata=[(prompt, j, done, layer) for layer in layers],
                hovertemplate=f"{pooling.value}<br>{words['layer']} %{{x}}: %{{y:.3f}}<extra></extra>",
            )
        )
    drawn = chart(
        traces,
        title=layers_title(sweep, metric, method, words),
        uirevision=f"{metric} {len(sweep.layers)}",
        margin={"t": 8},
        xaxis=axis(words["layer"], **_layer_range(len(sweep.layers))),
        yaxis=axis(words[metric], tickformat=".2f"),
        legend=TOP_LEGEND,
        hovermode="closest",
    )
    chance = _CHANCE[metric]
    add_level(drawn, chance, f"{words['chance']} {two_digits(chance)}", "bottom right")
    return drawn


def layers_title(sweep: Sweep, metric: str, method: Postprocess | None = None, words: Mapping[str, str] = WORDS) -> str:
    """The title of `plot_layers`."""
    prompt, _, done, _ = slice_sweep(sweep, metric, method).best
    names = {"prompt": sweep.prompts[prompt].value, "method": sweep.postprocess[done].value}
    return words["layers_title"].format(figure=words[metric], **names)


def _spot(index: np.intp, methods: np.ndarray) -> Spot:
    prompt, pooling, layer = (int(place) for place in np.unravel_index(int(index), methods.shape))
    return prompt, pooling, int(methods[prompt, pooling, layer]), layer


def _layer_range(count: int) -> dict:
    """The range of a layer axis; ticks at the token embeddings, the last layer, and round numbers between."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if count / step <= 9)
    ticks = [*range(0, max(count - step // 2 - 1, 1), step), count - 1] if count > 1 else [0]
    return {"range": [-0.5, count - 0.5], "tickvals": ticks}
