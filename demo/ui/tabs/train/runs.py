"""Training job: runs a TrainingRun in its own thread, and records it for the page. Knows no widget.

A TrainingRun belongs to one thread. The page's requests (pause, finish, keep) are therefore carried out by the job's
thread between two steps. At its end the adapter is saved to the disk, and no model stays in memory for it.
"""

from __future__ import annotations

import shutil
import threading
import time
from bisect import bisect_right
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from demo.domain.datamodels import Comparison, ModelInfo, Pairing, Progress
from demo.domain.errors import ModelLoading, Stopped
from demo.domain.recipe import EFFORTS, Pair, Recipe, TrainingSet, TrainStep, pairs_of
from demo.jobs.queue import OnProgress
from demo.lab import Lab
from demo.studies.training import HeldOutScores, Snapshot, TrainEvent, TrainingRun, kept_folder

LOADING, PREPARING, TRAINING = "loading", "preparing", "training"  # stages, beside READING
DONE, STOPPED, LIMIT = "done", "stopped", "limit"  # a run ends by itself, by its button, by the clock
TEXTS = "texts"  # the name of the pairs of the lab's boxes
_WAIT_SECONDS = 0.2  # between two checks of a paused run
_KEEP_TIMEOUT = 300  # seconds until the present step has ended
_MAX_SNAPSHOTS = 200  # to look back at; beyond, every other one is dropped


@dataclass(frozen=True)
class RunSettings:
    """The form at the moment when the run was started: later edits change nothing."""

    model: str
    effort: str  # a name of EFFORTS
    reading: Mapping[str, Any]  # as the lab takes it
    sets: tuple[TrainingSet, ...]  # empty: the pairs of the texts below
    questions: str = ""
    answers: str = ""
    matches: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """The texts of the lab's boxes, as the lab takes them."""
        return {"questions": self.questions, "answers": self.answers, "matches": self.matches}


class Run:
    """One run. Its lists only grow, and only its own thread writes them."""

    def __init__(self, settings: RunSettings):
        self.settings = settings
        self.loading: tuple[str, str] = ("", "")  # model and stage, while it is loaded
        self.info: ModelInfo | None = None  # of the base model, once it is loaded; so with the next four
        self.recipe: Recipe | None = None
        self.pairing: Pairing | None = None  # the texts of the boxes, compared at every snapshot; None without texts
        self.sets: list[TrainingSet] = []
        self.held_out: list[Pair] = []
        self.steps: list[TrainStep] = []
        self.snapshots: list[Snapshot] = []
        self.margins: list[tuple[int, float]] = []  # (step, margin of the texts of the boxes)
        self.aucs: list[tuple[int, float]] = []  # (step, AUC of the held-out pairs)
        self.paused = False  # on request
        self.resting = False  # in fact: the present step has ended
        self.finishing = False
        self.ended = ""
        self.kept = ""  # the id of the model that was reached, once the run has ended
        self.last_kept: tuple[int, str] = (-1, "")  # step and id of the last model that was kept
        self.used: set[str] = set()  # the ids in somebody's list of models
        self._closed = False
        self._requests: list[Future[str]] = []  # to keep the present model
        self._changed = threading.Condition()

    # ---- from the page --------------------------------------------------------------------------------------------

    def pause(self, paused: bool) -> None:
        """Pause after the present step, or go on."""
        with self._changed:
            self.paused = paused
            self._changed.notify_all()

    def finish(self) -> None:
        """End after the present step, and keep what was reached."""
        with self._changed:
            self.finishing = True
            self._changed.notify_all()

    def keep(self) -> str:
        """Keep the model of the present step: its id, "" where there is none. Raises Stopped, TimeoutError."""
        with self._changed:
            if self._closed:
                return self.kept
            request: Future[str] = Future()
            self._requests.append(request)
            self._changed.notify_all()
        return request.result(_KEEP_TIMEOUT)

    def discard(self, lab: Lab) -> None:
        """Remove the kept model from the disk, unless it is in somebody's list."""
        if self.kept and self.kept not in self.used:
            shutil.rmtree(kept_folder(lab, self.kept), ignore_errors=True)

    def snapshot_at(self, step: int | None) -> Snapshot | None:
        """The last snapshot at a step or before it; None for the newest step."""
        snapshots = self.snapshots
        if not snapshots or step is None:
            return snapshots[-1] if snapshots else None
        return snapshots[max(bisect_right([snapshot.step for snapshot in snapshots], step) - 1, 0)]

    def held_out_at(self, snapshot: Snapshot) -> tuple[int, HeldOutScores] | None:
        """The last scores of the held-out pairs at a snapshot or before it, and their step."""
        scored = [one for one in self.snapshots if one.held_out is not None and one.step <= snapshot.step]
        return (scored[-1].step, scored[-1].held_out) if scored else None

    def comparison(self, snapshot: Snapshot) -> Comparison | None:
        """The texts of the boxes at a snapshot, as the lab compares texts; None where there are none."""
        if self.pairing is None:
            return None
        model = {"model": self.info.name}
        return Comparison(self.pairing, snapshot.similarity, snapshot.metrics, self.recipe.reading, model)

    # ---- in the job's thread --------------------------------------------------------------------------------------

    def train(self, lab: Lab, seconds: float, report: OnProgress) -> None:
        """The whole run, for so many seconds at most. Raises what the lab raises; Stopped without a page."""
        deadline = time.monotonic() + seconds
        try:
            training = self._begin(lab, report)
            ended = self._follow(training, deadline, report)
            if self.snapshots[-1].step != training.done:
                self._record(TrainEvent(None, training.evaluate()))
            self.kept = self._keep(training)
            self.ended = ended
        finally:
            self._close()

    def _begin(self, lab: Lab, report: OnProgress) -> TrainingRun:
        settings, texts = self.settings, self.settings.texts
        self.info = lab.wait_for_model(
            lambda: lab.open(settings.model, wait=False), lambda loading: self._report_loading(loading, report)
        )
        report(Progress(PREPARING))
        sets = settings.sets
        if not sets:
            # `compare` reads the texts: its limits and sentences hold here too.
            sets = (pairs_of(lab.compare(**texts, model=settings.model, **settings.reading).pairing, TEXTS),)
        watched = texts if settings.questions.strip() and settings.answers.strip() else {}
        training = lab.train(sets, **watched, model=settings.model, how=EFFORTS[settings.effort], **settings.reading)
        self.recipe, self.pairing = training.recipe, training.watched
        self.sets, self.held_out = training.sets, training.held_out
        return training

    def _report_loading(self, loading: ModelLoading, report: OnProgress) -> None:
        if self.finishing:
            raise Stopped() from loading
        self.loading = (loading.values["model"], loading.values["stage"])
        report(Progress(LOADING, loading.values.get("fraction")))

    def _follow(self, training: TrainingRun, deadline: float, report: OnProgress) -> str:
        """Step by step; returns how it ended."""
        for event in training.events(on_progress=self._stoppable(report)):
            self._report(training, report)  # before its figures are there, so that these never show less than it says
            self._record(event)
            ended = self._between_steps(training, deadline, report)
            if ended:
                return ended
        return DONE

    def _stoppable(self, report: OnProgress) -> OnProgress:
        def on_progress(progress: Progress) -> None:
            report(progress)
            if self.finishing:  # before the first step there is nothing to keep
                raise Stopped()

        return on_progress

    def _record(self, event: TrainEvent) -> None:
        if event.step is not None:
            self.steps.append(event.step)
        snapshot = event.snapshot
        if snapshot is None:
            return
        if snapshot.metrics.margin is not None:
            self.margins.append((snapshot.step, snapshot.metrics.margin))
        if snapshot.held_out is not None:
            self.aucs.append((snapshot.step, snapshot.held_out.auc))
        kept = self.snapshots
        if len(kept) >= _MAX_SNAPSHOTS:
            kept = [kept[0], *kept[1:][1::2]]
        self.snapshots = [*kept, snapshot]  # a new list: a reader of the old one goes on with it

    def _report(self, training: TrainingRun, report: OnProgress) -> None:
        report(Progress(TRAINING, training.done / training.recipe.steps))

    def _between_steps(self, training: TrainingRun, deadline: float, report: OnProgress) -> str:
        """Keep the model where that was requested, and wait while paused; returns how the run ends if it ends here."""
        while True:
            rested = self.resting
            with self._changed:
                self.resting = self.paused and not self.finishing and time.monotonic() < deadline
                if self.resting and not self._requests:
                    self._changed.wait(_WAIT_SECONDS)
                requests, self._requests = self._requests, []
            for request in requests:
                try:
                    request.set_result(self._keep(training))
                except Exception as error:
                    request.set_exception(error)  # for the one who asked; the run goes on
            if rested and not self.resting:
                report(Progress(TRAINING))  # a rest is no part of what steps take
            self._report(training, report)  # raises Stopped, paused or not
            if training.done == training.recipe.steps:
                return ""
            if self.finishing:
                return STOPPED
            if time.monotonic() >= deadline:
                return LIMIT
            if not self.paused:
                return ""

    def _keep(self, training: TrainingRun) -> str:
        if self.last_kept[0] != training.done:
            self.last_kept = (training.done, training.keep())
        return self.last_kept[1]

    def _close(self) -> None:
        with self._changed:
            self._closed = True
            requests, self._requests = self._requests, []
        for request in requests:
            if self.kept:
                request.set_result(self.kept)
            else:
                request.set_exception(Stopped())
