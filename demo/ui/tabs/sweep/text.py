"""The Sweep tab's text: verdict, scores and figures of a sweep, with their text alternatives. Knows no widget."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from demo.domain.choices import LAST_LAYER_ONLY
from demo.domain.datamodels import LAST_LAYER, ModelInfo, Pooling, Postprocess, Progress, Prompt, Reading
from demo.domain.results import Sweep
from demo.figures.sweep import MOST_NAMED, layers_title, plot_layers, plot_sweep, slice_sweep
from demo.ui.kit.i18n import translate, translate_phrase
from demo.ui.kit.text import render_notices, render_takehome
from demo.ui.kit.view import figure_payload
from demo.ui.tabs.sweep.tab import BEST_METHOD
from demo.wording.numbers import bounds, interval, two_digits
from demo.wording.translate import translate_group

_LISTED = 30  # readings in the table
_SCORES = ("auc", "top1", "mrr", "ndcg10")


def figure_words(language: str) -> dict[str, str]:
    """The words of the figures."""
    return translate_group(language, "sweep.figure")


def running_note(language: str, progress: Progress) -> str:
    """What a sweep is doing."""
    if progress.stage in (prompt.value for prompt in Prompt):
        return translate(language, "sweep.running", prompt=progress.stage)
    return translate(language, f"sweep.{'scoring' if progress.stage == 'scoring' else 'starting'}")


def estimate(language: str, info: ModelInfo | None, prompts: list[str]) -> str:
    """How many readings a sweep will compare, at most: few texts leave post-processings out."""
    if info is None or not prompts:
        return ""
    poolings = info.poolings
    at_every_layer = len(set(poolings) - set(LAST_LAYER_ONLY))
    spots = at_every_layer * (info.n_layers + 1) + len(poolings) - at_every_layer
    return translate(
        language,
        "sweep.estimate.logits" if info.has_lm_head else "sweep.estimate",
        count=f"{len(prompts) * spots * len(Postprocess):,}",
        prompts=len(prompts),
        poolings=len(poolings),
        layers=info.n_layers + 1,
        methods=len(Postprocess),
    )


def render_sweep_verdict(language: str, sweep: Sweep) -> str:
    """The best reading, how good it is and how sure that is; of a sweep on its way, the best so far."""
    words = figure_words(language)
    figure = words[sweep.criterion]
    if not sweep.scores:
        return _render_best_so_far(language, sweep, words)
    best = translate(language, "sweep.best", count=f"{sweep.n_readings:,}", reading=sweep.best.label(words, ""))
    sentences = []
    headline = sweep.scores[sweep.best].headline
    if headline is not None:
        unit = "pairs" if sweep.criterion == "spearman" else "questions"
        key, count = ("held_out", sweep.held_out) if sweep.held_out else ("same", sweep.chosen_on)
        value = f"{figure} {interval(headline)}"
        sentences.append(translate(language, f"sweep.score.{key}.{unit}", value=value, count=f"{count:,}"))
    if sweep.best == sweep.default:
        sentences.append(translate(language, "sweep.own.same"))
    elif sweep.lead_over_default is not None:
        lead = sweep.lead_over_default
        own = {"value": two_digits(lead.a), "lead": interval(lead.difference, signed=True)}
        sentences.append(translate(language, "sweep.own", **own))
    if sweep.lead is not None:
        lead = interval(sweep.lead.difference, signed=True)
        noise = "" if sweep.lead.significant else translate(language, "sweep.noise")
        sentences.append(translate(language, "sweep.runner_up", lead=lead, noise=noise))
    notices = render_notices(tuple(translate_phrase(language, notice) for notice in sweep.notices))
    take = f"<p>{render_takehome(language, sweep.best)}</p>"
    return f'<p class="verdict">{escape(best)}</p><p>{escape(" ".join(sentences))}</p>{notices}{take}'


def _render_best_so_far(language: str, sweep: Sweep, words: dict[str, str]) -> str:
    _, value = sweep.ranked()[0]
    unit = "pairs" if sweep.criterion == "spearman" else "questions"
    best = {"count": f"{sweep.n_readings:,}", "reading": sweep.best.label(words, "")}
    chosen = {"value": f"{words[sweep.criterion]} {two_digits(value)}", "count": f"{sweep.chosen_on:,}"}
    said = translate(language, "sweep.so_far", **best), translate(language, f"sweep.score.same.{unit}", **chosen)
    return f'<p class="verdict">{escape(said[0])}</p><p>{escape(said[1])}</p>'


def render_scores(language: str, sweep: Sweep) -> str:
    """Best, runner-up and the model's own reading under every figure, with 95 % intervals; "" before they scored."""
    if not sweep.scores:
        return ""
    words = figure_words(language)
    names = ("spearman",) if sweep.criterion == "spearman" else _SCORES
    head = "".join(f"<th>{escape(translate(language, f'sweep.score.{name}'))}</th>" for name in names)
    rows = ""
    for role, reading in (("best", sweep.best), ("runner_up", sweep.runner_up), ("default", sweep.default)):
        if reading is None:
            continue
        cells = ""
        for name in names:
            score = getattr(sweep.scores[reading], name)
            value = f"<b>{two_digits(score.value)}</b> <small>{bounds(score)}</small>" if score else "–"
            cells += f'<td data-name="{escape(translate(language, f"sweep.score.{name}"))}">{value}</td>'
        role_name = escape(translate(language, f"sweep.role.{role}"))
        rows += f"<tr><th><b>{role_name}</b> {escape(reading.label(words, ''))}</th>{cells}</tr>"
    caption = escape(translate(language, "sweep.scores"))
    return f"<table><caption>{caption}</caption><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def render_hint(language: str, sweep: Sweep) -> str:
    """What a click does, and the order of the columns where they are too many to be named."""
    hint = [translate(language, "sweep.pick")]
    if len(sweep.prompts) * len(sweep.poolings) > MOST_NAMED:
        names = ", ".join(f"{place}\u00a0{pooling.value}" for place, pooling in enumerate(sweep.poolings, 1))
        hint.append(translate(language, "sweep.order", poolings=names))
    if Pooling.LAST_TOKEN_LOGITS in sweep.poolings:
        hint.append(translate(language, "sweep.logits"))
    return f'<p class="hint">{escape(" ".join(hint))}</p>'


def render_picked(language: str, reading: Reading, figure: str, value: float) -> str:
    """The reading of the cell that was clicked."""
    words = figure_words(language)
    said = f"<b>{escape(reading.label(words, ''))}</b> {escape(words[figure])} {two_digits(value)}"
    return f"<p>{said} {render_takehome(language, reading)}</p>"


def sweep_figures(language: str, sweep: Sweep, figure: str, method: str) -> list[dict[str, Any]]:
    """The heatmap and the lines, with their text alternatives and tables."""
    words = figure_words(language)
    postprocess = None if method == BEST_METHOD else Postprocess(method)
    picture = slice_sweep(sweep, figure, postprocess)
    ends = {}
    for name, spot in (("best", picture.best), ("worst", picture.worst)):
        ends[name] = sweep.reading_at(*spot).label(words, "")
        ends[f"{name}_value"] = two_digits(float(sweep.metrics[figure][spot]))
    ends["figure"] = words[figure]
    return [
        figure_payload(
            "sweep-map" if len(sweep.prompts) * len(sweep.poolings) <= MOST_NAMED else "sweep-map-wide",
            plot_sweep(sweep, figure, postprocess, words),
            words["map_title"].format(figure=words[figure]),
            translate(language, "sweep.alt.map", count=f"{int(np.isfinite(picture.values).sum()):,}", **ends),
            height=480,
            table=_best_readings(language, sweep, words),
        ),
        figure_payload(
            "sweep-layers",
            plot_layers(sweep, figure, postprocess, words),
            layers_title(sweep, figure, postprocess, words),
            translate(language, "sweep.alt.layers", **ends),
            height=380,
            table=_layers_table(sweep, figure, picture.best, words),
        ),
    ]


def reading_choices(sweep: Sweep, reading: Reading) -> dict[str, Any]:
    """A reading as the values of the lab's widgets; fields that its prompt does not need are left out."""
    choices = {
        "prompt": reading.prompt.value,
        "eos": reading.eos,
        "pooling": reading.pooling.value,
        "layer": sweep.layers[-1] if reading.layer == LAST_LAYER else reading.layer,
        "postprocess": reading.postprocess.value,
    }
    if reading.postprocess is not Postprocess.NONE:
        choices["reference"] = reading.reference.value
    return choices | {name: getattr(reading, name) for name in ("task", "template") if getattr(reading, name)}


def _best_readings(language: str, sweep: Sweep, words: dict[str, str]) -> dict[str, list]:
    ranked = sorted(sweep.ranked(), key=lambda row: (-row[1], row[0] != sweep.best))[:_LISTED]
    rows = [[str(rank), reading.label(words, ""), f"{value:.4f}"] for rank, (reading, value) in enumerate(ranked, 1)]
    return {"head": ["", translate(language, "sweep.reading"), words[sweep.criterion]], "rows": rows}


def _layers_table(sweep: Sweep, figure: str, best: tuple[int, ...], words: dict[str, str]) -> dict[str, list]:
    values = sweep.metrics[figure][best[0], :, best[2]]
    rows = [
        [str(layer), *(two_digits(float(value)) if np.isfinite(value) else "–" for value in values[:, place])]
        for place, layer in enumerate(sweep.layers)
    ]
    return {"head": [words["layer"], *(pooling.value for pooling in sweep.poolings)], "rows": rows}
