"""The Train tab's text: a run's state in words and numbers, and figures with their text alternatives. No widget."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from itertools import chain, count
from typing import Any

from demo.domain.catalog import CATALOG
from demo.domain.recipe import EFFORTS, Recipe, TrainingSet
from demo.figures.training import (
    BINS,
    chance_loss,
    count_cosines,
    plot_cosines,
    plot_held_points,
    plot_loss,
    plot_progress,
)
from demo.files.bundled import load_training
from demo.studies.training import READING, Snapshot
from demo.ui.kit.i18n import translate, translate_word
from demo.ui.kit.job_tab import note_loading
from demo.ui.kit.page_jobs import JobState
from demo.ui.kit.text import render_facts, render_note
from demo.ui.kit.view import figure_payload
from demo.ui.page_file.bar import TEXTS
from demo.ui.page_file.registry import PageFile
from demo.ui.page_file.text import note_part
from demo.ui.tabs.compare.text import reading_payload
from demo.ui.tabs.train.formula import plain
from demo.ui.tabs.train.runs import LOADING, TRAINING, Run
from demo.ui.tabs.train.tab import READINGS
from demo.wording.numbers import two_digits
from demo.wording.translate import translate_group

LIVE_FIGURES, HELD = "live", "held"  # the views: what follows every step; the held-out pairs
_COLOURS = (0.0, 1.0)  # the same for every snapshot, so that a change of colour is a change of the model
_MOST_ROWS = 60  # of a table by step
_SQUARE, _CURVE = 400, 208  # pixels
Drawing = tuple[tuple, Callable[[], dict[str, Any]]]  # a figure's key, which changes with its content, and the figure


def figure_words(language: str) -> dict[str, str]:
    """The words of the figures."""
    return translate_group(language, "train.figure")


def recipe_note(language: str, effort: str) -> str:
    """What an effort learns, and for how long; "" for no effort that there is."""
    if effort not in EFFORTS:
        return ""
    recipe = Recipe(None, **EFFORTS[effort])
    learns = translate(language, f"train.learns.{recipe.method.value}", rank=recipe.rank, block=recipe.first_block)
    plan = translate(
        language,
        "train.plan",
        steps=f"{recipe.steps:,}",
        batch=recipe.batch_size,
        rate=plain(recipe.learning_rate),
        temperature=plain(recipe.temperature),
    )
    return f"{plan} {learns}"


def base_name(model: str) -> str:
    """A model's name, where it has one."""
    return CATALOG[model].name if model in CATALOG else model


def reading_hint(language: str, choice: str, reading: Mapping[str, Any]) -> str:
    """The reading that is trained. reading: the lab's own."""
    if choice == READINGS[0]:
        return translate(language, "train.reading.recommended")
    eos = " + EOS" if reading["eos"] else ""
    layer = translate(language, "sweep.figure.numbered_layer", layer=reading["layer"])
    name = f"{reading['prompt']}{eos} · {reading['pooling']} · {layer}"
    return translate(language, "train.reading.lab", reading=name)


def set_choices(language: str) -> list[tuple[str, str]]:
    """The bundled sets by subject and number of pairs."""
    return [
        (
            translate(language, "train.set", name=translate_word(language, "train.sets", name), count=len(one.pairs)),
            name,
        )
        for name, one in load_training().items()
    ]


def describe_file(language: str, file: PageFile, pairs: TrainingSet) -> str:
    """The pairs of the page's file, in numbers."""
    negatives = f"{sum(bool(pair.negative) for pair in pairs.pairs):,}"
    said = translate(language, "train.uploaded", name=pairs.name, count=f"{len(pairs.pairs):,}", negatives=negatives)
    return note_part(language, file, pairs.notices, said)


def render_source(language: str, source: str, sets: Sequence[TrainingSet]) -> str:
    """The pairs to learn from that are no file's: how many; a warning where they are a handful."""
    pairs = [pair for one in sets for pair in one.pairs]
    if source == TEXTS:
        return f'<p class="caution">{escape(translate(language, "train.texts"))}</p>'
    with_negative = sum(bool(pair.negative) for pair in pairs)
    values = {"count": f"{len(pairs):,}", "negatives": f"{with_negative:,}"}
    if pairs and with_negative == len(pairs):
        return render_note(translate(language, "train.bundled_all", count=values["count"]))
    return render_note(translate(language, "train.bundled", **values))


def running_note(language: str, run: Run, job: JobState) -> str:
    """What a run is doing."""
    if job.ahead:
        return translate(language, "train.waiting_one" if job.ahead == 1 else "train.waiting", count=job.ahead)
    if run.finishing:
        return translate(language, "train.stopping")
    if job.progress.stage == LOADING:
        return note_loading(language, *run.loading)
    if job.progress.stage != TRAINING:
        return translate(language, "train.reading" if job.progress.stage == READING else "train.preparing")
    if run.paused:
        return translate(language, "train.paused" if run.resting else "train.pausing", step=len(run.steps))
    return translate(language, "train.running")


def ended_note(language: str, run: Run, minutes: int) -> str:
    """How a run ended, and how far it moved AUC and margin."""
    how = run.ended or "away"  # without an end of its own it was stopped with its page
    ended = translate(language, f"train.ended.{how}", step=len(run.steps), minutes=minutes)
    return " ".join([ended, *_changes(language, run, fewest=2)])


def model_name(language: str, run: Run, others: Collection[str]) -> str:
    """The name of the kept model in the lab's list; equal names are numbered."""
    name = translate(language, "train.name", model=run.info.name, steps=run.last_kept[0])
    names = chain([name], (f"{name} · {number}" for number in count(2)))
    return next(one for one in names if one not in others)


def file_name(run: Run) -> str:
    """The name of the kept adapter's file, without its ending."""
    name = re.sub(r"[^a-z0-9]+", "-", run.info.name.lower()).strip("-")
    return f"{name or 'model'}-trained-{run.last_kept[0]}-steps"


def render_state(language: str, run: Run) -> str:
    """The row of numbers: the present state of the run."""
    if run.recipe is None or not run.snapshots:
        return ""
    last = run.steps[-1] if run.steps else None
    step = translate(language, "train.step.value", step=len(run.steps), steps=run.recipe.steps)
    guess = translate(language, "train.figure.guessing", value=f"{_guess(run):.2f}")
    facts = [
        ("step", step, translate(language, f"train.effort.{run.settings.effort}")),
        ("loss", f"{last.loss:.2f}" if last else "–", guess),
        ("rate", plain(last.learning_rate) if last else "–", ""),
        ("speed", f"{last.texts_per_second:,.0f}" if last else "–", ""),
        ("auc", *_then_and_now(language, run.aucs, signed=False)),
        ("margin", *_then_and_now(language, run.margins, signed=True)),
    ]
    return render_facts(
        (f"train-{name}", translate(language, f"train.{name}"), value, "", hint) for name, value, hint in facts
    )


def train_figures(language: str, run: Run, snapshot: Snapshot) -> dict[str, dict[str, Drawing]]:
    """The figures by view and id, in their order."""
    words = figure_words(language)
    live: dict[str, Drawing] = {}
    if run.pairing is not None:
        live["train-heatmap"] = ((snapshot.step,), lambda: _heatmap(language, run, snapshot))
    if run.steps:
        live["train-loss"] = ((len(run.steps),), lambda: _losses(language, run, words))
    if len(run.snapshots) > 1 and (run.aucs or run.margins):
        live["train-progress"] = ((run.snapshots[-1].step,), lambda: _progress(language, run, words))
    held, scores = {}, run.held_out_at(snapshot)
    if scores is not None:
        held["train-points"] = ((scores[0],), lambda: _points(language, run, *scores, words))
        held["train-cosines"] = ((scores[0],), lambda: _cosines(language, *scores, words))
    return {LIVE_FIGURES: live, HELD: held}


# ---- figures --------------------------------------------------------------------------------------------------------


def _heatmap(language: str, run: Run, snapshot: Snapshot) -> dict[str, Any]:
    title = translate(language, "train.heatmap", step=snapshot.step)
    payload = reading_payload(language, "train-heatmap", title, run.comparison(snapshot), _COLOURS)
    return {**payload, "height": _SQUARE}


def _losses(language: str, run: Run, words: dict[str, str]) -> dict[str, Any]:
    losses = [step.loss for step in run.steps]
    figure = plot_loss(losses, run.recipe.steps, _guess(run), words)
    alt = translate(language, "train.alt.loss", first=f"{losses[0]:.2f}", last=f"{losses[-1]:.2f}", step=len(losses))
    rate = translate(language, "train.rate")
    rows = [[f"{step.step}", f"{step.loss:.3f}", plain(step.learning_rate)] for step in _thinned(run.steps)]
    table = {"head": [words["step"], words["loss"], rate], "rows": rows}
    return figure_payload("train-loss", figure, words["loss_title"], alt, height=_CURVE, table=table)


def _progress(language: str, run: Run, words: dict[str, str]) -> dict[str, Any]:
    both = run.aucs and run.margins
    title = words["progress_title" if both else "held_out_title" if run.aucs else "margin_title"]
    figure = plot_progress(run.margins, run.aucs, run.recipe.steps, title, words)
    aucs, margins = dict(run.aucs), dict(run.margins)
    rows = [
        [f"{step}", two_digits(aucs.get(step)), two_digits(margins.get(step), signed=True)]
        for step in _thinned(sorted({*aucs, *margins}))
    ]
    table = {"head": [words["step"], words["auc"], words["margin"]], "rows": rows}
    return figure_payload(
        "train-progress", figure, title, " ".join(_changes(language, run)), height=_CURVE, table=table
    )


def _points(language: str, run: Run, step: int, held: Any, words: dict[str, str]) -> dict[str, Any]:
    questions = [pair.question for pair in run.held_out]
    answers = [pair.answer for pair in run.held_out]
    figure = plot_held_points(held.points, questions, answers, step, words)
    title = words["points_title"].format(step=step)
    labels = [f"{letter}{i + 1}" for letter in "QA" for i in range(len(questions))]
    rows = [
        [label, text, *(f"{value:.2f}".replace("-", "−") for value in point)]
        for label, text, point in zip(labels, [*questions, *answers], held.points, strict=True)
    ]
    table = {"head": ["", translate(language, "space.text"), words["axis_1"], words["axis_2"]], "rows": rows}
    alt = translate(language, "train.alt.points", count=len(questions))
    return figure_payload("train-points", figure, title, alt, height=_SQUARE, square=True, table=table)


def _cosines(language: str, step: int, held: Any, words: dict[str, str]) -> dict[str, Any]:
    figure = plot_cosines(held.matched, held.mismatched, step, words)
    title = words["cosines_title"].format(step=step)
    alt = translate(
        language,
        "train.alt.cosines",
        right=two_digits(float(held.matched.mean())),
        wrong=two_digits(float(held.mismatched.mean())),
        auc=two_digits(held.auc),
    )
    shares = (count_cosines(held.matched), count_cosines(held.mismatched))
    rows = [
        [f"{two_digits(low)} … {two_digits(high)}", f"{right:.0%}", f"{wrong:.0%}"]
        for low, high, right, wrong in zip(BINS[:-1].tolist(), BINS[1:].tolist(), *shares, strict=True)
        if right or wrong
    ]
    table = {"head": [words["cosine"], words["matched"], words["mismatched"]], "rows": rows}
    return figure_payload("train-cosines", figure, title, alt, height=_SQUARE - 20, table=table)


def _changes(language: str, run: Run, fewest: int = 1) -> list[str]:
    """The first and last AUC and margin in words, where there are at least so many."""
    changes = []
    for name, values in (("auc", run.aucs), ("margin", run.margins)):
        if len(values) >= fewest:
            first, last = (two_digits(values[place][1], signed=name == "margin") for place in (0, -1))
            changes.append(translate(language, f"train.went.{name}", first=first, last=last))
    return changes


def _guess(run: Run) -> float:
    """The loss of a full batch whose texts are all alike to the model."""
    largest = max(run.sets, key=lambda one: len(one.pairs))
    count = min(run.recipe.batch_size, len(largest.pairs))
    with_negative = sum(bool(pair.negative) for pair in largest.pairs) / len(largest.pairs)
    return chance_loss(count, round(count * with_negative))


def _then_and_now(language: str, values: list[tuple[int, float]], signed: bool) -> tuple[str, str]:
    if not values:
        return "–", ""
    first, last = (two_digits(values[place][1], signed) for place in (0, -1))
    return last, translate(language, "train.began", value=first) if len(values) > 1 else ""


def _thinned(values: list) -> list:
    """At most _MOST_ROWS of a list, the last always among them."""
    every = -(-len(values) // _MOST_ROWS)
    return values[::-1][::every][::-1] if every > 1 else values
