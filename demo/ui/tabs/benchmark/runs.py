"""Benchmark results: measures readings of models, and caches the rows for every page. Knows no widget.

A bundled set is the same for everybody, so each of its rows is measured once in this process. A page's own set has a
key that no other page has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cachetools import LRUCache

from demo.domain.catalog import CATALOG
from demo.domain.choices import Role
from demo.domain.datamodels import Kind, ModelInfo, Pooling, Progress, Prompt, Reading
from demo.domain.errors import ReadingRefused
from demo.domain.results import BenchmarkRow, LabelledSet
from demo.jobs.queue import OnProgress
from demo.lab import Lab
from demo.studies.benchmark import ReadingGrid
from demo.studies.survey import cost_of
from demo.ui.kit.job_tab import ModelsJob, part_of
from demo.ui.kit.presets import OWN, PRESETS

# Well-known readings by name; a missing field is the model's default. Sources: Prompt's docstring.
READINGS: dict[str, dict[str, Any]] = {
    **{name: PRESETS[name] for name in (OWN, "article", "last_token", "mean")},
    "weighted_mean": {"prompt": Prompt.PLAIN.value, "pooling": Pooling.WEIGHTED_MEAN.value},
    **{name: PRESETS[name] for name in ("prompteol", "prompteol_zscore", "echo")},
    "token_prepending": {"prompt": Prompt.TOKEN_PREPENDING.value, "pooling": Pooling.LAST_TOKEN.value},
}
_MOST_ROWS = 5_000
QUICK = (OWN, "article", "mean", "prompteol", "prompteol_zscore")  # ticked at first: few passes, large differences


@dataclass(eq=False)
class Run(ModelsJob):
    """One open page; its job measures rows."""

    shown: tuple = ()  # the key of the leaderboard that was sent last


@dataclass(frozen=True)
class Row:
    """A row of the leaderboard, and its names in READINGS; word overlap has none."""

    result: BenchmarkRow
    names: tuple[str, ...] = ()


class BenchmarkResults:
    """All rows that this process has measured, of every page."""

    def __init__(self, lab: Lab):
        self.lab = lab
        # By the set's key and the reading, of which None is word overlap.
        self._rows: LRUCache[tuple[str, Reading | None], BenchmarkRow] = LRUCache(_MOST_ROWS)
        self._readings: dict[tuple[str, str], Reading | ReadingRefused] = {}  # by model and name
        self._embedded: dict[tuple[Any, ...], set[str]] = {}  # texts by model, prompt and EOS

    def rows(self, key: str, models: Sequence[str], names: Sequence[str]) -> list[Row]:
        """The measured rows of the chosen readings, each reading once under all its names; word overlap first."""
        measured: dict[Reading, list[str]] = {}
        for name, reading in self._readings_of(models, names):
            if isinstance(reading, Reading) and (key, reading) in self._rows:
                measured.setdefault(reading, []).append(name)
        rows = [Row(self._rows[key, reading], tuple(names)) for reading, names in measured.items()]
        overlap = self._rows.get((key, None))
        return [Row(overlap), *rows] if overlap and rows else rows

    def missing(self, key: str, models: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
        """The names of the chosen readings that are possible and not measured yet, by model."""
        missing: dict[str, list[str]] = {}
        for model, name in self._chosen(models, names):
            reading = self._readings.get((model, name))
            if reading is None or (isinstance(reading, Reading) and (key, reading) not in self._rows):
                missing.setdefault(model, []).append(name)
        return missing

    def refused(self, models: Sequence[str], names: Sequence[str]) -> list[tuple[str, ReadingRefused]]:
        """The chosen readings that a model refuses: name and reason."""
        return [pair for pair in self._readings_of(models, names) if isinstance(pair[1], ReadingRefused)]

    def measure(
        self, key: str, labelled: LabelledSet, missing: dict[str, list[str]], run: Run, report: OnProgress
    ) -> None:
        """The job: measure the missing readings of one model after another. key: of the set."""
        run.measure_all(
            list(missing), lambda model, part: self._measure(key, labelled, model, missing[model], run, part), report
        )

    def _measure(
        self, key: str, labelled: LabelledSet, model: str, names: list[str], run: Run, report: OnProgress
    ) -> None:
        info = run.open_model(self.lab, model, lambda progress: report(Progress("", 0.0)))
        grids = self._grids(info, names)
        costs = [self._cost(labelled, grid) for grid in grids]
        for place, grid in enumerate(grids):
            part = part_of(report, place, costs)
            run.doing = ("measuring", info.name, grid.prompts[0])
            part(Progress("", 0.0))
            timed = key != labelled.name or self._is_new(labelled, grid)  # of an own set no text is kept here
            for row in self.lab.benchmark([labelled], [grid], part):
                before = self._rows.get((key, row.reading))
                speed = row.texts_per_second if timed else before and before.texts_per_second
                self._rows[key, row.reading] = replace(row, texts_per_second=speed)

    def _cost(self, labelled: LabelledSet, grid: ReadingGrid) -> float:
        """What the passes of a grid cost beside those of another: a long prompt takes longer."""
        reading = self.lab.reading(grid.model, prompt=grid.prompts[0], wait=False)
        return sum(map(cost_of, self.lab.prompted(labelled.questions, reading, Role.QUESTION)))

    def _grids(self, info: ModelInfo, names: list[str]) -> list[ReadingGrid]:
        """The readings, in groups that share their forward passes: those under one prompt."""
        groups: dict[tuple[str, bool], list[Reading]] = {}
        for name in names:
            try:
                own = {"eos": info.default_reading.eos} if name == OWN else {}
                reading = self.lab.reading(info.model, **{**own, **READINGS[name]}, wait=False)
            except ReadingRefused as error:
                self._readings[info.model, name] = error
                continue
            self._readings[info.model, name] = reading
            groups.setdefault((reading.prompt.value, reading.eos), []).append(reading)
        return [
            ReadingGrid(
                model=info.model,
                prompts=(prompt,),
                poolings=tuple(dict.fromkeys(reading.pooling.value for reading in readings)),
                postprocess=tuple(dict.fromkeys(reading.postprocess.value for reading in readings)),
                eos=eos,
            )
            for (prompt, eos), readings in groups.items()
        ]

    def _is_new(self, labelled: LabelledSet, grid: ReadingGrid) -> bool:
        """Whether the engine has cached none of the texts under this prompt: else a cache's speed would be measured."""
        embedded = self._embedded.setdefault((grid.model, grid.prompts, grid.eos), set())
        texts = {*labelled.questions, *labelled.answers}
        new = embedded.isdisjoint(texts)
        embedded |= texts
        return new

    def _readings_of(self, models: Sequence[str], names: Sequence[str]) -> list[tuple[str, Reading | ReadingRefused]]:
        """The chosen readings that are resolved already, with their names."""
        chosen = ((name, self._readings.get((model, name))) for model, name in self._chosen(models, names))
        return [(name, reading) for name, reading in chosen if reading is not None]

    def _chosen(self, models: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
        """Every model with every name; an encoder, or a model of a server, has its own reading only."""
        ticked = [name for name in READINGS if name in names]
        own = ticked and [OWN]
        return [(model, name) for model in models for name in (own if self._has_one_reading(model) else ticked)]

    def _has_one_reading(self, model: str) -> bool:
        known = CATALOG.get(model) or self.lab.engine.loaded(model)
        known = known or self.lab.status(model)
        return known is not None and known.kind in (Kind.ENCODER, Kind.REMOTE)
