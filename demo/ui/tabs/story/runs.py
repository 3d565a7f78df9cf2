"""Memoized results of the story: its own four texts under its own readings, the same for every person. Knows no widget.

No method waits for a model, except the job that measures every model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from demo.domain.catalog import CATALOG, DEFAULT_MODEL
from demo.domain.choices import Role
from demo.domain.datamodels import Comparison, ModelInfo, ModelStatus, Pairing, Progress, Prompt, Reading
from demo.domain.errors import DemoError, ModelLoading, ReadingRefused
from demo.domain.results import Inspected, Space
from demo.files.bundled import load_reference
from demo.jobs.queue import OnProgress
from demo.lab import Lab
from demo.stages.article import PRINTED, printed, procedure
from demo.ui.kit.job_tab import ModelsJob
from demo.ui.kit.memo import Memo, memoized
from demo.ui.kit.presets import BASELINE_MODEL, preset_options
from demo.ui.live.examples import load_examples

TUNED = "smollm2-135m-instruct-contrastive"
ARTICLE, OWN, LAST_TOKEN, PROMPTEOL = "article", "own", "last_token", "prompteol"
UNTUNED = "untuned"  # a GPT under the own reading of the tuned one
SAMPLED = (ARTICLE, LAST_TOKEN, PROMPTEOL)  # readings whose cosines of unrelated texts are shown
_SAMPLE = 12  # question–answer pairs beside the article's four texts
_TOP_TOKENS = 6  # next tokens of a text


@dataclass(frozen=True)
class Readout:
    """One of the four texts under one reading: the tokens that the model receives, and its next tokens."""

    name: str  # Q1 … A2
    inspected: Inspected
    next_tokens: tuple[tuple[str, float], ...]  # (token, probability), likeliest first; none without an LM head


@dataclass(frozen=True)
class Gap:
    """Pairs about other things under one reading: the cosines of unrelated texts and of right pairs."""

    preset: str
    space: Space
    comparison: Comparison


@dataclass(frozen=True)
class BoardRow:
    """One line of the table of models."""

    model: str
    name: str
    preset: str  # printed, article, own or both (the article's procedure is the model's own reading)
    comparison: Comparison | None = None
    state: str = "known"  # known, waiting, unavailable or failed
    reason: str = ""  # for "unavailable": in words; empty if this host does not offer the model
    error: DemoError | None = None  # for "failed"


class StoryRuns:
    """The story's results. One instance serves every person."""

    def __init__(self, lab: Lab):
        self.lab = lab
        article = load_examples()["article"]
        self.questions, self.answers = article.questions, article.answers
        diagonal = frozenset((place, place) for place in range(len(article.questions)))
        self.pairing = Pairing(article.questions, article.answers, diagonal)
        self.memo = Memo()

    @property
    def gpt(self) -> str:
        """The pure GPT that the story is told with."""
        return choose_available(self.lab, DEFAULT_MODEL, self.lab.settings.model)

    @property
    def tuned(self) -> str:
        """The same GPT after contrastive training; if it is unavailable, a model trained with the same loss."""
        return choose_available(self.lab, TUNED, BASELINE_MODEL)

    @memoized
    def compare(self, model: str, preset: str) -> Comparison:
        """The article's four texts. Raises ModelLoading."""
        info = self.lab.open(model, wait=False)
        try:
            return self.lab.compare(self.questions, self.answers, model, wait=False, **self._options(info, preset))
        except ReadingRefused:
            if preset != UNTUNED:
                raise
            return self.compare(model, ARTICLE)  # the pure GPT lacks something that the tuned one's reading needs

    @memoized
    def readouts(self, model: str, preset: str) -> tuple[Readout, ...]:
        """The four texts as a model receives them under a reading, questions first. Raises ModelLoading."""
        info = self.lab.open(model, wait=False)
        reading = self.lab.reading(model, wait=False, **self._options(info, preset))
        names, inspected = [], []
        for role, letter, texts in ((Role.QUESTION, "Q", self.questions), (Role.ANSWER, "A", self.answers)):
            names += [f"{letter}{place}" for place in range(1, len(texts) + 1)]
            inspected += self.lab.engine.inspect(self.lab.prompted(texts, reading, role), reading)
        next_tokens: list[tuple] = [()] * len(names)
        if info.has_lm_head:
            vectors = np.stack([side.vector for side in inspected])
            next_tokens = self.lab.engine.read_tokens(model, vectors, reading.pooling, reading.layer, _TOP_TOKENS)
        return tuple(Readout(*each) for each in zip(names, inspected, next_tokens, strict=True))

    @memoized
    def gap(self, model: str, preset: str) -> Gap:
        """Pairs about other things under a reading. Raises ModelLoading."""
        options = self._options(self.lab.open(model, wait=False), preset)
        count = 2 * min(_SAMPLE, self.lab.limits.texts)
        texts = load_reference()[:count]  # a question, its answer, the next question, …
        questions, answers = texts[::2], texts[1::2]
        space = self.lab.space(questions, answers, model=model, wait=False, **options)
        return Gap(preset, space, self.lab.compare(questions, answers, model, wait=False, **options))

    def printed(self, model: str) -> Comparison:
        """The article's own figures for a model."""
        return printed(model, self.pairing)

    def reading(self, step: str) -> Reading | None:
        """The last reading of a step, to open in the lab; None until it is computed."""
        shown = {"result": (self.gpt, ARTICLE), "why": (self.gpt, PROMPTEOL), "loss": (self.tuned, OWN)}
        cached = self.memo.cached(("compare", *shown[step])) if step in shown else None
        return cached.reading if cached else None

    def board(self, job: ModelsJob) -> list[BoardRow]:
        """The article's figures and this machine's, model by model; the article's two models come first."""
        statuses = {status.model: status for status in self.lab.models()}
        rows: list[BoardRow] = []
        for model in PRINTED:
            rows.append(BoardRow(model, CATALOG[model].name, "printed", self.printed(model)))
            absent = BoardRow(model, CATALOG[model].name, ARTICLE, state="unavailable")
            rows += self._rows(statuses[model], job) if model in statuses else [absent]
        for model, status in statuses.items():
            if model not in PRINTED and _runs_here(status):
                rows += self._rows(status, job)
        return rows

    def missing(self) -> list[str]:
        """The models that can run here and are not measured yet."""
        offered = [status.model for status in self.lab.models() if _runs_here(status)]
        return [model for model in offered if not self._measured(model)]

    def measure_loaded(self) -> None:
        """Measure the models that are in memory already. One that fails is left to the job, which reports the error."""
        for model in self.missing():
            if self.lab.engine.loaded(model) is not None:
                try:
                    self._measure(model)
                except DemoError:
                    continue

    def measure(self, models: list[str], job: ModelsJob, report: OnProgress) -> None:
        """The job: load and measure models one by one."""

        def measure_one(model: str, report: OnProgress) -> None:
            def on_loading(loading: ModelLoading) -> None:
                job.doing = ("loading", loading.values["model"], loading.values["stage"])
                report(Progress("", loading.values.get("fraction")))

            self.lab.wait_for_model(lambda: self.lab.open(model, wait=False), on_loading)
            job.doing = ("measuring", CATALOG[model].name, "")
            report(Progress("", 1.0))
            self.lab.wait_for_model(lambda: self._measure(model), on_loading)

        job.measure_all(models, measure_one, report)

    def _options(self, info: ModelInfo, preset: str) -> dict[str, Any]:
        """A reading as the lab takes it."""
        if preset == ARTICLE:
            return procedure(info)
        return self._untuned_options() if preset == UNTUNED else preset_options(preset, info)

    def _untuned_options(self) -> dict[str, Any]:
        """The tuned model's reading for the pure GPT, which has no prompts of the checkpoint's own."""
        options = self.compare(self.tuned, OWN).reading.choices()
        return {**options, "prompt": Prompt.PLAIN.value} if options["prompt"] == Prompt.OWN.value else options

    def _measure(self, model: str) -> None:
        for preset in (ARTICLE, OWN):
            self.compare(model, preset)

    def _measured(self, model: str) -> bool:
        return all(self.memo.cached(("compare", model, preset)) for preset in (ARTICLE, OWN))

    def _rows(self, status: ModelStatus, job: ModelsJob) -> list[BoardRow]:
        row = BoardRow(status.model, status.name, ARTICLE)
        if self._measured(status.model):
            article, own = (self.compare(status.model, preset) for preset in (ARTICLE, OWN))
            if article.reading == own.reading:
                return [replace(row, preset="both", comparison=article)]
            return [replace(row, comparison=article), replace(row, preset=OWN, comparison=own)]
        if status.state == "unavailable":
            return [replace(row, state="unavailable", reason=status.reason)]
        if status.model in job.problems:
            return [replace(row, state="failed", error=job.problems[status.model])]
        return [replace(row, state="waiting")]


def choose_available(lab: Lab, preferred: str, fallback: str) -> str:
    """The preferred model if it is in the list and can run here."""
    status = lab.status(preferred)
    return preferred if status and status.state != "unavailable" else fallback


def _runs_here(status: ModelStatus) -> bool:
    """Texts are sent to another server only when a person chooses its model."""
    return status.state != "unavailable" and not status.host
