"""Benchmark: scores and throughput of readings of several models on labelled sets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from demo.analysis.evaluation import quick_metrics, score, word_overlap
from demo.domain.choices import LAST_LAYER_ONLY
from demo.domain.datamodels import LAST_LAYER, ModelInfo, Progress, Prompt, Reading, Reference
from demo.domain.errors import BadInput, ReadingRefused, UnknownChoice
from demo.domain.results import BenchmarkRow, LabelledSet
from demo.pipeline import Pipeline
from demo.stages.resolve_reading import resolve_reading
from demo.studies.mixture import Mixture, run_mixture
from demo.studies.survey import Survey

OnProgress = Callable[[Progress], None]
FLOOR = "word overlap (no model)"
BEST_LAYER = "best"
LAST = "last"
_MOST_BYTES = 8 * 2**30  # of vectors held at once


@dataclass(frozen=True)
class ReadingGrid:
    """Which readings of one model are measured: every combination of what is named; its own where nothing is."""

    model: str
    prompts: tuple[str, ...] = ()
    poolings: tuple[str, ...] = ()
    postprocess: tuple[str, ...] = ()
    layers: tuple[str, ...] = (LAST,)  # "last", "best" (chosen on the set itself) or numbers
    eos: bool = False
    reference: str = Reference.TEXTS.value
    task: str = ""
    template: str = ""


def run_benchmark(
    pipeline: Pipeline,
    sets: Sequence[LabelledSet],
    wanted: Sequence[ReadingGrid],
    on_progress: OnProgress | None = None,
    mixtures: Sequence[Mixture] = (),
    on_refused: Callable[[ReadingRefused], None] | None = None,
) -> Iterator[BenchmarkRow]:
    """One row a set and reading, as soon as it is known; the floor that needs no model first. Raises DemoError.

    on_refused: receives the readings that a model refuses, which are left out; without it, they are raised.
    """
    report = on_progress or (lambda progress: None)
    for labelled in sets:
        yield BenchmarkRow(labelled.name, None, FLOOR, score(word_overlap(labelled), labelled), None, {})
        for wish in wanted:
            info = pipeline.open(wish.model)
            for readings in _by_prompt(pipeline, info, wish, on_refused):
                stage = f"{labelled.name}: {info.name}, {readings[0].prompt.value}"
                yield from _rows(pipeline, labelled, info, readings, wish.layers, stage, report)
        for mixture in mixtures:
            yield run_mixture(pipeline, labelled, mixture, report)


def list_readings(pipeline: Pipeline, wanted: Iterable[ReadingGrid]) -> Iterator[Reading]:
    """Every single reading that is wanted, its layer settled. Raises UnknownChoice where a layer depends on a set."""
    for wish in wanted:
        info = pipeline.open(wish.model)
        for readings in _by_prompt(pipeline, info, wish):
            for reading in readings:
                for wished in wish.layers:
                    layer = _layer(wished, info)
                    if layer is None:
                        raise UnknownChoice(field="layer", value=wished, kind="layer", accepted="last, or a number")
                    yield replace(reading, layer=LAST_LAYER if layer == info.n_layers else layer)


def _by_prompt(
    pipeline: Pipeline,
    info: ModelInfo,
    wish: ReadingGrid,
    on_refused: Callable[[ReadingRefused], None] | None = None,
) -> Iterator[list[Reading]]:
    """The readings that share a forward pass, layers left open; what this model cannot do is left out of `all`."""
    default = info.default_reading
    prompts = wish.prompts or (default.prompt.value,)
    if "all" in prompts:
        prompts = tuple(prompt.value for prompt in info.prompts if prompt is not Prompt.CUSTOM)
    poolings = wish.poolings or (default.pooling.value,)
    methods = wish.postprocess or (default.postprocess.value,)
    for prompt in dict.fromkeys(prompts):
        words = {"task": wish.task or None, "template": wish.template or None}
        readings = []
        for pooling, method in product(dict.fromkeys(poolings), dict.fromkeys(methods)):
            choices = prompt, pooling, None, wish.eos, method, wish.reference
            try:
                readings.append(resolve_reading(info, pipeline.limits, *choices, **words))
            except ReadingRefused as error:
                if on_refused is None:
                    raise
                on_refused(error)
        for precision in dict.fromkeys(map(info.precision_of, readings)):
            yield [reading for reading in readings if info.precision_of(reading) == precision]


def _rows(
    pipeline: Pipeline,
    labelled: LabelledSet,
    info: ModelInfo,
    readings: list[Reading],
    layers: Sequence[str],
    stage: str,
    report: OnProgress,
) -> Iterator[BenchmarkRow]:
    _check_size(labelled, info, readings)
    started = time.perf_counter()
    poolings = list(dict.fromkeys(reading.pooling for reading in readings))
    survey = Survey(pipeline, labelled, readings[0], poolings, lambda done: report(Progress(stage, done)))
    seconds = max(time.perf_counter() - started, 1e-9)
    speed = survey.n_texts / seconds if survey.n_new == survey.n_texts else None  # what is kept already costs nothing
    criterion = "spearman" if labelled.graded else "auc"
    for reading in readings:
        cosines: dict[int, np.ndarray] = {}

        def at(layer: int, reading=reading, cosines=cosines) -> np.ndarray:
            if layer not in cosines:
                cosines[layer] = survey.cosines(reading.pooling, layer, [reading.postprocess])[0]
            return cosines[layer]

        for wished in layers:
            layer = _layer(wished, info)
            if layer is None:
                first = info.n_layers if reading.pooling in LAST_LAYER_ONLY else 0
                depths = range(first, info.n_layers + 1)
                figures = quick_metrics(np.stack([at(depth) for depth in depths]), labelled)[criterion]
                layer = depths[int(np.nanargmax(figures))] if np.isfinite(figures).any() else info.n_layers
            settled = replace(reading, layer=LAST_LAYER if layer == info.n_layers else layer)
            label = settled.label() + (" (best)" if wished == BEST_LAYER else "")
            yield BenchmarkRow(
                labelled.name, settled, label, score(at(layer), labelled), speed, pipeline.provenance(info, settled)
            )


def _layer(wished: str, info: ModelInfo) -> int | None:
    """0 … n, or None for the best one. Raises UnknownChoice."""
    if wished == BEST_LAYER:
        return None
    if wished == LAST:
        return info.n_layers
    try:
        layer = int(wished)
    except ValueError:
        layer = info.n_layers + 1
    layer += info.n_layers + 1 if layer < 0 else 0
    if not 0 <= layer <= info.n_layers:
        accepted = f"last, best, or 0 to {info.n_layers}"
        raise UnknownChoice(field="layer", value=wished[:80], kind="layer", accepted=accepted)
    return layer


def _check_size(labelled: LabelledSet, info: ModelInfo, readings: list[Reading]) -> None:
    texts = len(labelled.questions) + len(labelled.answers)
    poolings = len({reading.pooling for reading in readings})
    need = texts * poolings * (info.n_layers + 1) * info.dim * 4
    if need > _MOST_BYTES:
        raise BadInput(
            problem=f"{texts:,} texts under {poolings} poolings need {need / 2**30:.1f} GiB for their vectors; "
            f"{_MOST_BYTES / 2**30:.0f} GiB is the limit. Take fewer poolings at once, or a smaller set."
        )
