"""Which readings of which models the benchmark measures, and what is known of them already. Knows no widget.

What was measured once in this process is not measured again: the sets are the lab's own, and so are the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Kind, ModelInfo, Pooling, Progress, Prompt, Reading
from demo.domain.errors import DemoError, ModelLoading, ReadingRefused, Stopped
from demo.domain.results import BenchmarkRow, LabelledSet
from demo.jobs.queue import OnProgress
from demo.lab import Lab
from demo.studies.benchmark import ReadingGrid
from demo.ui.kit.page_jobs import PageJob
from demo.ui.kit.presets import OWN, PRESETS

# Well-known readings by name; what one does not say is the model's default. Sources: Prompt's docstring.
READINGS: dict[str, dict[str, Any]] = {
    **{name: PRESETS[name] for name in (OWN, "article", "last_token", "mean")},
    "weighted_mean": {"prompt": Prompt.PLAIN.value, "pooling": Pooling.WEIGHTED_MEAN.value},
    **{name: PRESETS[name] for name in ("prompteol", "prompteol_zscore", "echo")},
    "token_prepending": {"prompt": Prompt.TOKEN_PREPENDING.value, "pooling": Pooling.LAST_TOKEN.value},
}
QUICK = (OWN, "article", "mean", "prompteol", "prompteol_zscore")  # ticked at first: few passes, large differences


@dataclass(eq=False)
class Run(PageJob):
    """One page's benchmark."""

    doing: tuple[str, str, str] = ("", "", "")  # ("loading", model, stage) or ("measuring", model, prompt)
    problems: list[tuple[str, DemoError]] = field(default_factory=list)  # of the last run, by model
    shown: tuple = ()  # what the page was last sent the leaderboard of


@dataclass(frozen=True)
class Standing:
    """A row of the leaderboard, and the names of READINGS that it goes by; none for word overlap."""

    row: BenchmarkRow
    names: tuple[str, ...] = ()


class Known:
    """What was measured in this process, whoever asked for it."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self._rows: dict[tuple[str, Reading | None], BenchmarkRow] = {}  # by set and reading; None: word overlap
        self._readings: dict[tuple[str, str], Reading | ReadingRefused] = {}  # by model and name
        self._passed: dict[tuple[Any, ...], set[str]] = {}  # texts by model, prompt and EOS

    def standings(self, set_name: str, models: Sequence[str], names: Sequence[str]) -> list[Standing]:
        """The known rows of what is chosen, each reading once under all its names; word overlap first."""
        found: dict[Reading, list[str]] = {}
        for model, name in self._chosen(models, names):
            reading = self._readings.get((model, name))
            if isinstance(reading, Reading) and (set_name, reading) in self._rows:
                found.setdefault(reading, []).append(name)
        floor = self._rows.get((set_name, None))
        told = [Standing(floor)] if floor and found else []
        return told + [Standing(self._rows[set_name, reading], tuple(called)) for reading, called in found.items()]

    def missing(self, set_name: str, models: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
        """The names of the readings that are chosen, possible and not yet measured, by model."""
        missing: dict[str, list[str]] = {}
        for model, name in self._chosen(models, names):
            reading = self._readings.get((model, name))
            if reading is None or (isinstance(reading, Reading) and (set_name, reading) not in self._rows):
                missing.setdefault(model, []).append(name)
        return missing

    def refused(self, models: Sequence[str], names: Sequence[str]) -> list[tuple[str, ReadingRefused]]:
        """The readings that are chosen but that a model cannot be read with: their name, and why."""
        asked = [(name, self._readings.get((model, name))) for model, name in self._chosen(models, names)]
        return [(name, error) for name, error in asked if isinstance(error, ReadingRefused)]

    def measure(self, labelled: LabelledSet, missing: dict[str, list[str]], run: Run, report: OnProgress) -> None:
        """Measure what is missing, a model at a time. What one model cannot do is told of; the others go on."""
        for place, (model, names) in enumerate(missing.items()):
            try:
                self._measure(labelled, model, names, run, _part(report, place, len(missing)))
            except Stopped:
                raise
            except DemoError as error:
                run.problems.append((model, error))

    def _measure(self, labelled: LabelledSet, model: str, names: list[str], run: Run, report: OnProgress) -> None:
        info = self._open(model, run, report)
        wishes = self._wishes(info, names)
        for place, wish in enumerate(wishes):
            part = _part(report, place, len(wishes))
            run.doing = ("measuring", info.name, wish.prompts[0])
            part(Progress("", 0.0))
            timed = self._is_new(labelled, wish)
            for row in self.lab.benchmark([labelled], [wish], part):
                known = self._rows.get((row.set_name, row.reading))
                speed = row.texts_per_second if timed else known and known.texts_per_second
                self._rows[row.set_name, row.reading] = replace(row, texts_per_second=speed)

    def _open(self, model: str, run: Run, report: OnProgress) -> ModelInfo:
        def on_wait(loading: ModelLoading) -> None:
            run.doing = ("loading", loading.values["model"], loading.values["stage"])
            report(Progress("", 0.0))

        return self.lab.wait_for_model(lambda: self.lab.open(model, wait=False), on_wait)

    def _wishes(self, info: ModelInfo, names: list[str]) -> list[ReadingGrid]:
        """What to measure, so that the readings under one prompt share their passes."""
        together: dict[tuple[str, bool], list[Reading]] = {}
        for name in names:
            try:
                own = {"eos": info.default_reading.eos} if name == OWN else {}
                reading = self.lab.reading(info.model, **{**own, **READINGS[name]}, wait=False)
            except ReadingRefused as error:
                self._readings[info.model, name] = error
                continue
            self._readings[info.model, name] = reading
            together.setdefault((reading.prompt.value, reading.eos), []).append(reading)
        return [
            ReadingGrid(
                model=info.model,
                prompts=(prompt,),
                poolings=tuple(dict.fromkeys(reading.pooling.value for reading in readings)),
                postprocess=tuple(dict.fromkeys(reading.postprocess.value for reading in readings)),
                eos=eos,
            )
            for (prompt, eos), readings in together.items()
        ]

    def _is_new(self, labelled: LabelledSet, wish: ReadingGrid) -> bool:
        """Whether no text was embedded so before: the engine keeps what it embedded, and speed would be a fiction."""
        passed = self._passed.setdefault((wish.model, wish.prompts, wish.eos), set())
        texts = {*labelled.questions, *labelled.answers}
        new = passed.isdisjoint(texts)
        passed |= texts
        return new

    def _chosen(self, models: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
        """Every model with every name; an encoder, or a model elsewhere, is read in its own way only."""
        ticked = [name for name in READINGS if name in names]
        own = ticked and [OWN]
        return [(model, name) for model in models for name in (own if self._reads_one_way(model) else ticked)]

    def _reads_one_way(self, model: str) -> bool:
        known = CATALOG.get(model) or self.lab.engine.loaded(model)
        known = known or self.lab.status(model)
        return known is not None and known.kind in (Kind.ENCODER, Kind.REMOTE)


def _part(report: OnProgress, place: int, count: int) -> OnProgress:
    """Progress of one of several equal parts as progress of the whole."""
    return lambda progress: report(replace(progress, fraction=(place + (progress.fraction or 0.0)) / count))
