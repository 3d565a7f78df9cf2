"""Sweep: every layer × pooling × prompt × post-processing of one model over the same texts, and the best of them.

One forward pass a text and prompt; everything else is arithmetic on its states. Logits are read at the last
layer only: below it they are a logit lens, not an embedding. The winner is chosen on half of the questions and scored
on the other half, where there are enough of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from demo.analysis.evaluation import pair_cosines, paired_bootstrap, quick_metrics, score
from demo.analysis.labelled_sets import split, subset
from demo.domain.choices import LAST_LAYER_ONLY, Role
from demo.domain.datamodels import (
    ModelInfo,
    Pooling,
    Postprocess,
    Progress,
    Prompt,
    Reading,
    Reference,
    Served,
)
from demo.domain.errors import BadInput, ReadingRefused
from demo.domain.results import LabelledSet, Lead, Sweep
from demo.files.bundled import load_reference
from demo.jobs.pace import Parts
from demo.pipeline import Pipeline
from demo.stages.postprocess import fewest_texts
from demo.stages.resolve_reading import parse_choice, resolve_reading
from demo.studies.survey import Survey, cost_of

OnProgress = Callable[[Progress], None]
OnPart = Callable[[Sweep], None]

_PASS_SECONDS, _SCORE_SECONDS = 1e-3, 1.0  # a character, a prompt: until they have been measured


@dataclass(frozen=True, eq=False)
class Axes:
    """The readings of one model that are scored: every combination."""

    prompts: tuple[Prompt, ...]
    poolings: tuple[Pooling | Served, ...]
    methods: tuple[Postprocess, ...]
    layers: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.prompts), len(self.poolings), len(self.methods), len(self.layers)


def run_sweep(
    pipeline: Pipeline,
    labelled: LabelledSet,
    model: str | None = None,
    prompts: Sequence[str] | None = None,
    eos: bool = False,
    reference: str | None = None,
    on_progress: OnProgress | None = None,
    task: str | None = None,
    template: str | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_part: OnPart | None = None,
) -> Sweep:
    """Score every reading of a model over a set. prompts: which of them; by default all but `custom`.

    task, template: as in Reading. on_progress may raise to stop the sweep. clock: of the progress. on_part gets the
    sweep of the prompts that are done, which nothing was held out for yet. Raises DemoError.
    """
    started = time.perf_counter()
    report = on_progress or (lambda progress: None)
    info = pipeline.open(model)
    resolve = partial(resolve_reading, info, pipeline.limits, task=task, template=template)
    base = replace(
        resolve(prompt=Prompt.PLAIN.value, eos=eos),
        reference=parse_choice(Reference, reference or Reference.TEXTS.value, "reference"),
    )
    axes, notices = _plan(info, labelled, base, prompts)
    choosing, scoring = split(labelled)
    readings = []
    for prompt in axes.prompts:
        settled = resolve(prompt=prompt.value)
        readings.append(replace(base, prompt=prompt, task=settled.task, template=settled.template))
    found = Sweep(
        model=info.model,
        prompts=axes.prompts,
        poolings=axes.poolings,
        postprocess=axes.methods,
        layers=axes.layers,
        base=base,
        words={each.prompt: (each.task, each.template) for each in readings if each.task or each.template},
        metrics={},
        criterion="spearman" if labelled.graded else "auc",
        best=base,
        runner_up=None,
        default=info.default_reading,
        scores={},
        lead=None,
        lead_over_default=None,
        held_out=count_units(labelled, scoring),
        chosen_on=count_units(labelled, choosing),
        n_readings=0,
        seconds=0.0,
        provenance=pipeline.provenance(info),
        notices=notices,
    )
    parts = _parts(pipeline, labelled, readings, axes, clock)
    for index, reading in enumerate(readings):

        def on_done(part: int, done: float, index=index, prompt=reading.prompt) -> None:
            report(Progress(prompt.value, parts.at(2 * index + part, done)))

        for spot, block in _score_prompt(pipeline, labelled, reading, axes, choosing, on_done):
            for name, values in block.items():
                empty = np.full(axes.shape, np.nan, dtype=np.float32)
                found.metrics.setdefault(name, empty)[(index, *spot)] = values
        found = replace(found, n_readings=int(np.isfinite(found.metrics[found.criterion]).sum()))
        if on_part is not None and found.n_readings and index < len(readings) - 1:
            on_part(_best_so_far(found))
    if not found.n_readings:
        raise BadInput(field="matches", problem="There is no wrong pair to compare with, so no reading can be scored.")
    report(Progress("scoring", 1.0))
    found = _scored(pipeline, labelled, found, scoring if len(scoring) else choosing)
    doubts = _doubts(found)
    return replace(found, notices=notices + doubts, seconds=time.perf_counter() - started)


def _plan(
    info: ModelInfo, labelled: LabelledSet, base: Reading, prompts: Sequence[str] | None
) -> tuple[Axes, tuple[str, ...]]:
    """What can be swept with this model and so many texts, and what is left out."""
    wished = {parse_choice(Prompt, prompt, "prompt") for prompt in prompts or ()} or set(Prompt) - {Prompt.CUSTOM}
    possible = tuple(prompt for prompt in info.prompts if prompt in wished)
    if not possible:
        raise ReadingRefused(field="prompt", model=info.name, reason="it can be read with none of these prompts.")
    if base.reference is Reference.CORPUS:
        n_texts = len(load_reference())
    else:
        n_texts = len(set(labelled.questions) | set(labelled.answers))
    methods = tuple(method for method in Postprocess if fewest_texts(method, info.dim) <= n_texts)
    left_out = [method.value for method in Postprocess if method not in methods]
    notices = ()
    if left_out:
        notices = (f"Left out, because {n_texts:,} texts are too few to fit them on: {', '.join(left_out)}.",)
    impossible = [prompt.value for prompt in Prompt if prompt in wished - set(possible)]
    if impossible:
        notices += (f"Left out, because {info.name} cannot be given them: {', '.join(impossible)}.",)
    return Axes(possible, info.poolings, methods, tuple(range(info.n_layers + 1))), notices


def _best_so_far(found: Sweep) -> Sweep:
    """A copy of a sweep on its way, with the best reading of the questions that choose."""
    first, _ = find_winners(found.metrics, found.criterion)
    metrics = {name: values.copy() for name, values in found.metrics.items()}
    return replace(found, metrics=metrics, best=found.reading_at(*first))


def _parts(
    pipeline: Pipeline, labelled: LabelledSet, readings: Sequence[Reading], axes: Axes, clock: Callable[[], float]
) -> Parts:
    """The passes and the scores of each prompt by turns: passes by the characters that are not embedded yet."""
    sides = ((labelled.questions, Role.QUESTION), (labelled.answers, Role.ANSWER))
    parts = []
    for reading in readings:
        texts = list({text for side, role in sides for text in pipeline.prompted(side, reading, role)})
        kept = pipeline.engine.count_cached(texts, reading) / len(texts)
        parts += [("pass", (1.02 - kept) * sum(map(cost_of, texts))), ("score", 1)]
    return Parts(parts, {"pass": _PASS_SECONDS, "score": _SCORE_SECONDS}, clock)


def _score_prompt(
    pipeline: Pipeline,
    labelled: LabelledSet,
    reading: Reading,
    axes: Axes,
    pairs: np.ndarray,
    on_done: Callable[[int, float], None],
) -> Iterator[tuple[tuple[int, slice, int], dict[str, np.ndarray]]]:
    """((pooling, every method, layer), metric → (n_methods,)) of one prompt, over the pairs that choose.

    on_done: 0 for the passes or 1 for the scores, and how much of them is done.
    """
    if Pooling.MEAN in axes.poolings:  # one pass for all poolings, in the model's own precision: it ranks readings
        reading = replace(reading, pooling=Pooling.MEAN)
    survey = Survey(pipeline, labelled, reading, axes.poolings, partial(on_done, 0))
    yield from score_survey(survey, axes, labelled, pairs, partial(on_done, 1))


def score_survey(
    survey: Survey, axes: Axes, labelled: LabelledSet, pairs: np.ndarray | None, on_done: Callable[[float], None]
) -> Iterator[tuple[tuple[int, slice, int], dict[str, np.ndarray]]]:
    """As `_score_prompt`, of passes that are done. pairs: those that count; None for all."""
    spots = [
        (i, j)
        for i, pooling in enumerate(axes.poolings)
        for j, layer in enumerate(axes.layers)
        if pooling not in LAST_LAYER_ONLY or layer == axes.layers[-1]
    ]
    for n, (i, j) in enumerate(spots):
        on_done(n / len(spots))
        cosines = survey.cosines(axes.poolings[i], axes.layers[j], axes.methods)
        yield (i, slice(None), j), quick_metrics(cosines, labelled, pairs)


def find_winners(metrics: dict[str, np.ndarray], criterion: str) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Where the best reading stands, and the best one that differs from it by more than the layer.

    Among equals (a few pairs leave many) the one that is good at other layers too wins, then the larger margin.
    """
    values = metrics[criterion].astype(np.float64)
    scored = np.isfinite(values)
    over_layers = np.where(scored, values, 0.0).sum(axis=3) / np.maximum(scored.sum(axis=3), 1)
    margins = metrics.get("margin", values)
    spots = np.argwhere(scored)[::-1]  # reversed, since of complete equals the last one stands on top below
    at = tuple(spots.T)
    order = np.lexsort((margins[at], over_layers[at[:3]], np.round(values[at], 6)))[::-1]  # the last key counts most
    first = tuple(spots[order[0]])
    others = (tuple(spots[i]) for i in order)
    return first, next((spot for spot in others if spot[:3] != first[:3]), None)


def measure_reading(pipeline: Pipeline, labelled: LabelledSet, reading: Reading) -> np.ndarray:
    """Cosine of each pair of a set under one reading, float64 (n_pairs,)."""
    asked, answered = (side.vectors for side in pipeline.embed_both(labelled.questions, labelled.answers, reading))
    fit = pipeline.fit(reading, asked, answered)
    return pair_cosines(fit(asked), fit(answered), labelled)


def _scored(pipeline: Pipeline, labelled: LabelledSet, found: Sweep, pairs: np.ndarray) -> Sweep:
    """The sweep with its winners, and their scores and leads over the pairs that score."""
    part = subset(labelled, pairs)
    first, second = find_winners(found.metrics, found.criterion)
    best, default = found.reading_at(*first), found.default
    runner_up = found.reading_at(*second) if second is not None else None
    readings = dict.fromkeys(reading for reading in (best, runner_up, default) if reading is not None)
    cosines = {reading: measure_reading(pipeline, labelled, reading)[pairs] for reading in readings}

    def lead(other: Reading | None) -> Lead | None:
        return paired_bootstrap(cosines[other], cosines[best], part) if other not in (None, best) else None

    scores = {reading: score(values, part) for reading, values in cosines.items()}
    leads = {"lead": lead(runner_up), "lead_over_default": lead(default)}
    return replace(found, best=best, runner_up=runner_up, scores=scores, **leads)


def _doubts(found: Sweep) -> tuple[str, ...]:
    """What keeps the winner from being the best reading for other texts too."""
    notices = []
    if not found.held_out:
        notices.append("The winner was picked on the very texts that score it: with so few, some reading always wins.")
    if found.lead is not None and not found.lead.significant:
        notices.append("The winner's lead over the runner-up is within noise: other texts may turn it round.")
    return tuple(notices)


def count_units(labelled: LabelledSet, pairs: np.ndarray) -> int:
    """Questions behind the pairs; for grades, the pairs themselves."""
    return len(pairs) if labelled.graded else len({labelled.pairs[pair][0] for pair in pairs})
