"""A training run of the page: made and stepped in its job's thread, read by whoever shows it. Knows no widget.

TrainingRun belongs to one thread. What a person asks of it meanwhile (pause, end, keep) is a wish that its own thread
grants between two steps. When it ends it is kept on the disk and let go of, so that no model stays in memory for it.
"""

from __future__ import annotations

import shutil
import threading
import time
from bisect import bisect_right
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.domain.datamodels import Comparison, ModelInfo, Pairing, Progress
from demo.domain.errors import ModelLoading, Stopped
from demo.domain.recipe import EFFORTS, Pair, Recipe, TrainingSet, TrainStep, pairs_of
from demo.jobs.queue import OnProgress
from demo.lab import Lab
from demo.studies.training import HeldOutScores, Snapshot, TrainEvent, TrainingRun, kept_folder

LOADING, PREPARING, TRAINING = "loading", "preparing", "training"  # stages
DONE, STOPPED, LIMIT = "done", "stopped", "limit"  # how a run ends by itself, by its button, by the clock
TEXTS = "texts"  # the name of the pairs that stand in the lab's boxes
_WAIT_SECONDS = 0.2  # between two looks at a pause
_PATIENCE = 300  # seconds for the step under way, before a wish
_MOST_LOOKS = 200  # that can be gone back to; beyond, every other one is let go of


@dataclass(frozen=True)
class Wanted:
    """What a run is asked for when its button is pressed: what is typed meanwhile changes nothing."""

    model: str
    effort: str  # a name of EFFORTS
    reading: Mapping[str, Any]  # as the lab takes it
    sets: tuple[TrainingSet, ...]  # empty: the pairs of the texts below
    questions: str = ""
    answers: str = ""
    matches: str = ""

    @property
    def watches(self) -> bool:
        """Whether there are texts to look at meanwhile."""
        return bool(self.questions.strip() and self.answers.strip())


class Run:
    """One run. Its lists only grow, and are written by its own thread alone."""

    def __init__(self, wanted: Wanted):
        self.wanted = wanted
        self.doing: tuple[str, str] = ("", "")  # model and stage, while it is loaded
        self.info: ModelInfo | None = None  # of the model below, once it is there; so with the next four
        self.recipe: Recipe | None = None
        self.pairing: Pairing | None = None
        self.sets: list[TrainingSet] = []
        self.held_out: list[Pair] = []
        self.steps: list[TrainStep] = []
        self.looks: list[Snapshot] = []
        self.margins: list[tuple[int, float]] = []  # (step, margin of the texts at hand)
        self.aucs: list[tuple[int, float]] = []  # (step, AUC of the held-out pairs)
        self.paused = False  # that it was asked to rest
        self.resting = False  # that it does: the step under way has ended
        self.ended = ""
        self.kept = ""  # the id of the model that was reached, once it has ended
        self.taken: set[str] = set()  # the ids that were asked for
        self.kept_at: tuple[int, str] = (-1, "")  # (step, id) of what was kept last
        self._finishing = self._closed = False
        self._wishes: list[Future[str]] = []
        self._moved = threading.Condition()

    # ---- from the page --------------------------------------------------------------------------------------------

    def pause(self, paused: bool) -> None:
        """Rest after the step under way, or go on."""
        with self._moved:
            self.paused = paused
            self._moved.notify_all()

    def finish(self) -> None:
        """End after the step under way, and keep what was reached."""
        with self._moved:
            self._finishing = True
            self._moved.notify_all()

    @property
    def finishing(self) -> bool:
        """Whether it was asked to end."""
        return self._finishing

    def keep(self) -> str:
        """The model as it is after the step under way, as one that can be chosen: its id. "" where there is none."""
        with self._moved:
            if self._closed:
                return self.kept
            wish: Future[str] = Future()
            self._wishes.append(wish)
            self._moved.notify_all()
        return wish.result(_PATIENCE)

    def discard(self, lab: Lab) -> None:
        """Remove what nobody uses from the disk."""
        if self.kept and self.kept not in self.taken:
            shutil.rmtree(kept_folder(lab, self.kept), ignore_errors=True)

    def look_at(self, step: int | None) -> Snapshot | None:
        """The last look at a step or before it; None for the newest."""
        looks = self.looks
        if not looks:
            return None
        if step is None:
            return looks[-1]
        return looks[max(bisect_right([look.step for look in looks], step) - 1, 0)]

    def held_at(self, look: Snapshot) -> tuple[int, HeldOutScores] | None:
        """The held-out pairs at a look, or where they were last measured before it: (step, what was seen)."""
        seen = [one for one in self.looks if one.held_out is not None and one.step <= look.step]
        return (seen[-1].step, seen[-1].held_out) if seen else None

    def comparison(self, look: Snapshot) -> Comparison | None:
        """The texts at hand at a look, as the lab compares texts; None where there are none."""
        if self.pairing is None:
            return None
        return Comparison(self.pairing, look.similarity, look.metrics, self.recipe.reading, {"model": self.info.name})

    # ---- in the job's thread --------------------------------------------------------------------------------------

    def train(self, lab: Lab, seconds: float, report: OnProgress) -> None:
        """The whole run, for so many seconds at most. Raises what the lab raises, and Stopped where nobody is left."""
        ends = time.monotonic() + seconds
        try:
            live = self._begin(lab, report)
            ended = self._follow(live, ends, report)
            if self.looks[-1].step != live.done:
                self._note(TrainEvent(None, live.evaluate()))
            self.kept = self._keep(live)
            self.ended = ended
        finally:
            self._close()

    def _begin(self, lab: Lab, report: OnProgress) -> TrainingRun:
        wanted = self.wanted
        self.info = self._open(lab, report)
        report(Progress(PREPARING))
        texts = {name: getattr(wanted, name) for name in ("questions", "answers", "matches")}
        sets = wanted.sets
        if not sets:
            # What the lab compares is what is learned: its limits and its sentences are the same.
            sets = (pairs_of(lab.compare(**texts, model=wanted.model, **wanted.reading).pairing, TEXTS),)
        watched = texts if wanted.watches else {}
        live = lab.train(sets, **watched, model=wanted.model, how=EFFORTS[wanted.effort], **wanted.reading)
        self.recipe, self.pairing = live.recipe, live.watched
        self.sets, self.held_out = live.sets, live.held_out
        return live

    def _open(self, lab: Lab, report: OnProgress) -> ModelInfo:
        def on_wait(loading: ModelLoading) -> None:
            if self._finishing:
                raise Stopped() from loading
            self.doing = (loading.values["model"], loading.values["stage"])
            report(Progress(LOADING, loading.values.get("fraction")))

        return lab.wait_for_model(lambda: lab.open(self.wanted.model, wait=False), on_wait)

    def _follow(self, live: TrainingRun, ends: float, report: OnProgress) -> str:
        """Step by step; returns how it ended."""
        for event in live.events():
            self._note(event)
            self._tell(live, report)
            ended = self._rest(live, ends, report)
            if ended:
                return ended
        return DONE

    def _note(self, event: TrainEvent) -> None:
        if event.step is not None:
            self.steps.append(event.step)
        look = event.snapshot
        if look is None:
            return
        if look.metrics.margin is not None:
            self.margins.append((look.step, look.metrics.margin))
        if look.held_out is not None:
            self.aucs.append((look.step, look.held_out.auc))
        looks = [*self.looks, look]
        # A new list: whoever reads the old one goes on with it.
        self.looks = looks if len(looks) <= _MOST_LOOKS else [looks[0], *looks[1:-1][1::2], look]

    def _tell(self, live: TrainingRun, report: OnProgress) -> None:
        report(Progress(TRAINING, live.done / live.recipe.steps))

    def _rest(self, live: TrainingRun, ends: float, report: OnProgress) -> str:
        """Grant wishes, and wait while paused; returns how the run ends if it ends here."""
        while True:
            with self._moved:
                wishes, self._wishes = self._wishes, []
                self.resting = self.paused and not self._finishing and time.monotonic() < ends
                if self.resting and not wishes:
                    self._moved.wait(_WAIT_SECONDS)
                    wishes, self._wishes = self._wishes, []
            for wish in wishes:
                self._grant(wish, live)
            self._tell(live, report)  # raises Stopped, paused or not
            if live.done == live.recipe.steps:
                return ""
            if self._finishing:
                return STOPPED
            if time.monotonic() >= ends:
                return LIMIT
            if not self.paused:
                return ""

    def _grant(self, wish: Future[str], live: TrainingRun) -> None:
        try:
            wish.set_result(self._keep(live))
        except Exception as error:
            # Not swallowed: whoever wished for it gets it, and the run goes on.
            wish.set_exception(error)

    def _keep(self, live: TrainingRun) -> str:
        if self.kept_at[0] != live.done:
            self.kept_at = (live.done, live.keep())
        return self.kept_at[1]

    def _close(self) -> None:
        with self._moved:
            self._closed = True
            wishes, self._wishes = self._wishes, []
        for wish in wishes:
            if self.kept:
                wish.set_result(self.kept)
            else:
                wish.set_exception(Stopped())


def pack(lab: Lab, model: str, folder: Path, name: str) -> Path:
    """A model that was trained here as a zip file of that name in a folder."""
    return Path(shutil.make_archive(str(folder / name), "zip", kept_folder(lab, model)))
