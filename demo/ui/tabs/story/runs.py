"""What the story asks the lab, and what is known of it already. Knows no widget.

The story has its own four texts and readings, the same for everybody: what was computed once in this process is not
computed again. Nothing here waits for a model, except the job that measures every model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from demo.domain.catalog import CATALOG, DEFAULT_MODEL
from demo.domain.datamodels import (
    LAST_LAYER,
    Comparison,
    ModelInfo,
    ModelStatus,
    Pairing,
    Postprocess,
    Progress,
    Prompt,
    Reading,
    Role,
)
from demo.domain.errors import DemoError, ModelLoading, ReadingRefused, Stopped
from demo.domain.results import Inspected, Space
from demo.files.bundled import load_reference
from demo.jobs.queue import OnProgress
from demo.lab import Lab
from demo.stages.article import PRINTED, printed, procedure
from demo.ui.kit.memo import Memo
from demo.ui.kit.page_jobs import PageJob
from demo.ui.kit.presets import PRESETS, YARDSTICK
from demo.ui.live.examples import load_examples

TUNED = "smollm2-135m-instruct-contrastive"
ARTICLE, OWN, LAST_TOKEN, PROMPTEOL = "article", "own", "last_token", "prompteol"
UNTUNED = "untuned"  # a GPT in the reading that is the tuned one's own
SAMPLED = (ARTICLE, LAST_TOKEN, PROMPTEOL)  # whose cosines of unrelated texts are shown
_SAMPLE = 12  # question–answer pairs beside the article's four texts
_MOST_SAID = 6  # next tokens


@dataclass(frozen=True)
class Told:
    """One of the four texts under one reading: what the model receives, and what it would say next."""

    name: str  # Q1 … A2
    inspected: Inspected
    says: tuple[tuple[str, float], ...]  # (token, probability), likeliest first; none without an LM head


@dataclass(frozen=True)
class Gap:
    """Pairs about other things under one reading: the cosines of what belongs together and of what does not."""

    how: str
    space: Space
    comparison: Comparison


@dataclass(frozen=True)
class BoardRow:
    """One line of the table of models."""

    model: str
    name: str
    how: str  # printed, article, own or both (the article's procedure is the model's own reading)
    comparison: Comparison | None = None
    state: str = "known"  # known, waiting, unavailable or failed
    reason: str = ""  # for "unavailable": in words; empty where this host does not offer the model
    error: DemoError | None = None  # for "failed"


@dataclass(eq=False)
class Run(PageJob):
    """One page's measuring of every model."""

    doing: tuple[str, str, str] = ("", "", "")  # ("loading", model, stage) or ("measuring", model, "")
    problems: dict[str, DemoError] = field(default_factory=dict)  # of the last run, by model


class StoryRuns:
    """The story's questions to the lab. One instance serves every person."""

    def __init__(self, lab: Lab):
        self.lab = lab
        article = load_examples()["article"]
        self.questions, self.answers = article.questions, article.answers
        diagonal = frozenset((place, place) for place in range(len(article.questions)))
        self.pairing = Pairing(article.questions, article.answers, diagonal)
        self._memo = Memo()

    @property
    def gpt(self) -> str:
        """The pure GPT that the story is told with."""
        return offered(self.lab, DEFAULT_MODEL, self.lab.settings.model)

    @property
    def tuned(self) -> str:
        """The same GPT after contrastive training; where it cannot be had, a model trained with the same loss."""
        return offered(self.lab, TUNED, YARDSTICK)

    def told(self, how: str) -> tuple[Told, ...]:
        """The four texts as the GPT receives them under a reading, questions first. Raises ModelLoading."""
        return self._memo.get(("told", self.gpt, how), lambda: self._tell(self.gpt, how))

    def compare(self, model: str, how: str) -> Comparison:
        """The article's four texts. Raises ModelLoading."""
        return self._memo.get(("compared", model, how), lambda: self._compare(self.questions, self.answers, model, how))

    def gap(self, how: str) -> Gap:
        """Pairs about other things, read by the GPT. Raises ModelLoading."""
        return self._memo.get(("gap", self.gpt, how), lambda: self._gap(self.gpt, how))

    def printed(self, model: str) -> Comparison:
        """The article's own figures for a model."""
        return printed(model, self.pairing)

    def reading(self, step: str) -> Reading | None:
        """The reading that a step shows last, once it is known: what to try in the lab."""
        shown = {"result": (self.gpt, ARTICLE), "why": (self.gpt, PROMPTEOL), "loss": (self.tuned, OWN)}
        known = self._memo.cached(("compared", *shown[step])) if step in shown else None
        return known.reading if known else None

    def board(self, run: Run) -> list[BoardRow]:
        """The article's figures and this machine's, model by model; what the article measured comes first."""
        statuses = {status.model: status for status in self.lab.models()}
        rows: list[BoardRow] = []
        for model in PRINTED:
            rows.append(BoardRow(model, CATALOG[model].name, "printed", self.printed(model)))
            absent = BoardRow(model, CATALOG[model].name, ARTICLE, state="unavailable")
            rows += self._rows(statuses[model], run) if model in statuses else [absent]
        for model, status in statuses.items():
            if model not in PRINTED and _runs_here(status):
                rows += self._rows(status, run)
        return rows

    def missing(self) -> list[str]:
        """The models that can run here and are not measured yet."""
        offered = [status.model for status in self.lab.models() if _runs_here(status)]
        return [model for model in offered if not self._measured(model)]

    def measure_loaded(self) -> None:
        """Measure what is in memory already. What cannot be measured there waits for the job, which says why."""
        for model in self.missing():
            if self.lab.engine.loaded(model) is not None:
                try:
                    self._measure(model)
                except DemoError:
                    continue

    def measure(self, models: list[str], run: Run, report: OnProgress) -> None:
        """The job: fetch and measure models one by one. What one cannot do is told of; the others go on."""
        for place, model in enumerate(models):
            try:
                self._open(model, run, lambda part, place=place: report(_part(part, place, len(models))))
                run.doing = ("measuring", CATALOG[model].name, "")
                report(_part(Progress("", 1.0), place, len(models)))
                self._measure(model)
            except Stopped:
                raise
            except DemoError as error:
                run.problems[model] = error

    # ---- asking the lab -------------------------------------------------------------------------------------------

    def _compare(self, questions, answers, model: str, how: str) -> Comparison:
        info = self.lab.open(model, wait=False)
        try:
            return self.lab.compare(questions, answers, model, wait=False, **self._options(info, how))
        except ReadingRefused:
            if how != UNTUNED:
                raise
            return self.compare(model, ARTICLE)  # the tuned one's own reading needs what this model has not

    def _tell(self, model: str, how: str) -> tuple[Told, ...]:
        info = self.lab.open(model, wait=False)
        reading = self.lab.reading(model, wait=False, **self._options(info, how))
        sides = ((Role.QUESTION, "Q", self.questions), (Role.ANSWER, "A", self.answers))
        names, inspected = [], []
        for role, letter, texts in sides:
            names += [f"{letter}{place}" for place in range(1, len(texts) + 1)]
            inspected += self.lab.engine.inspect(self.lab.prompted(texts, reading, role), reading)
        says: list[tuple] = [()] * len(names)
        if info.has_lm_head:
            vectors = np.stack([side.vector for side in inspected])
            says = self.lab.engine.read_tokens(model, vectors, reading.pooling, reading.layer, _MOST_SAID)
        return tuple(Told(*each) for each in zip(names, inspected, says, strict=True))

    def _gap(self, model: str, how: str) -> Gap:
        options = self._options(self.lab.open(model, wait=False), how)
        count = 2 * min(_SAMPLE, self.lab.limits.texts)
        texts = load_reference()[:count]  # a question, its answer, the next question, …
        questions, answers = texts[::2], texts[1::2]
        space = self.lab.space(questions, answers, model=model, wait=False, **options)
        return Gap(how, space, self.lab.compare(questions, answers, model, wait=False, **options))

    def _options(self, info: ModelInfo, how: str) -> dict[str, Any]:
        """A reading as the lab takes it."""
        if how == ARTICLE:
            return procedure(info)
        if how == OWN:
            return {"eos": info.default_reading.eos}
        if how == UNTUNED:
            return _options_of(self.compare(self.tuned, OWN).reading)
        return {"layer": LAST_LAYER, "eos": False, "postprocess": Postprocess.NONE.value, **PRESETS[how]}

    # ---- every model ----------------------------------------------------------------------------------------------

    def _measure(self, model: str) -> None:
        for how in (ARTICLE, OWN):
            self.compare(model, how)

    def _measured(self, model: str) -> bool:
        return all(self._memo.cached(("compared", model, how)) for how in (ARTICLE, OWN))

    def _rows(self, status: ModelStatus, run: Run) -> list[BoardRow]:
        row = BoardRow(status.model, status.name, ARTICLE)
        if self._measured(status.model):
            article, own = (self.compare(status.model, how) for how in (ARTICLE, OWN))
            if article.reading == own.reading:
                return [replace(row, how="both", comparison=article)]
            return [replace(row, comparison=article), replace(row, how=OWN, comparison=own)]
        if status.state == "unavailable":
            return [replace(row, state="unavailable", reason=status.reason)]
        if status.model in run.problems:
            return [replace(row, state="failed", error=run.problems[status.model])]
        return [replace(row, state="waiting")]

    def _open(self, model: str, run: Run, report: OnProgress) -> ModelInfo:
        def on_wait(loading: ModelLoading) -> None:
            run.doing = ("loading", loading.values["model"], loading.values["stage"])
            report(Progress("", loading.values.get("fraction")))

        return self.lab.wait_for_model(lambda: self.lab.open(model, wait=False), on_wait)


def _runs_here(status: ModelStatus) -> bool:
    """Nothing is sent to a server elsewhere without being asked to."""
    return status.state != "unavailable" and not status.host


def offered(lab: Lab, wished: str, instead: str) -> str:
    """The wished model where it is in the list and can be had here."""
    return wished if wished in {status.model for status in lab.models() if status.state != "unavailable"} else instead


def _options_of(reading: Reading) -> dict[str, Any]:
    """A reading as the lab takes it; another model has no prompts of the checkpoint's own."""
    options = reading.choices()
    if reading.prompt is Prompt.OWN:
        options["prompt"] = Prompt.PLAIN.value
    return options


def _part(progress: Progress, place: int, count: int) -> Progress:
    """Progress of one of several equal parts as progress of the whole."""
    return replace(progress, fraction=(place + (progress.fraction or 0.0)) / count)
