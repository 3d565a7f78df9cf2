"""Jobs: work that takes minutes has a thread of its own, tells how far it is, and can be stopped. Knows no model."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakSet

from demo.domain.datamodels import Progress
from demo.domain.errors import Busy, Stopped
from demo.jobs.request_context import asking

_NICE = 10

OnProgress = Callable[[Progress], None]
Result = TypeVar("Result")


class Job(Generic[Result]):
    """One piece of work. It is stopped at its next report of progress or question, never in the middle of a pass."""

    def __init__(self, run: Callable[[OnProgress], Result], desk: Desk, name: str):
        self.progress = Progress("starting", 0.0)
        self.done = threading.Event()
        self._stop = threading.Event()
        self._outcome: tuple[Result | None, BaseException | None] = (None, None)
        self._desk = desk
        self._thread = threading.Thread(target=self._run, args=(run,), name=name, daemon=True)

    @property
    def before(self) -> int:
        """How many jobs must end before this one begins; 0 once it has begun."""
        return self._desk.count_before(self)

    def begin(self) -> None:
        """Once, by the desk, when there is a place."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end, or never to begin; `result` raises Stopped then."""
        self._stop.set()
        if self._desk.withdraw(self):
            self._outcome = (None, Stopped())
            self.done.set()

    def result(self) -> Result:
        """What it came to, once done. Raises what it raised."""
        self.done.wait()
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def _run(self, run: Callable[[OnProgress], Result]) -> None:
        try:
            _yield_to_others()
            with asking(urgent=False, wanted=lambda: not self._stop.is_set()):
                self._outcome = (run(self._on_progress), None)
        except BaseException as error:
            # Not swallowed: whoever asks for the result gets it, whatever it is.
            self._outcome = (None, error)
        finally:
            self._desk.leave(self)
            self.done.set()

    def _on_progress(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped()
        self.progress = progress


class Desk:
    """Takes jobs, a few at once. Who comes when all places are taken waits in line, if there is room in it.

    waiting: the room in the line. Who finds it full is told so at once, and may ask again.
    """

    def __init__(self, at_once: int = 2, waiting: int = 0):
        self.at_once = at_once
        self.waiting = waiting
        self._lock = threading.Lock()
        self._running: list[Job] = []
        self._line: list[Job] = []
        _desks.add(self)

    def start(self, run: Callable[[OnProgress], Result], name: str = "job") -> Job[Result]:
        """Begin a job, or let it wait. run gets a function to report progress to. Raises Busy."""
        job = Job(run, self, name)
        with self._lock:
            if len(self._running) >= self.at_once:
                if len(self._line) >= self.waiting:
                    raise Busy(count=self.at_once)
                self._line.append(job)
                return job
            self._running.append(job)
        job.begin()
        return job

    def count_before(self, job: Job) -> int:
        """How many jobs must end before a job begins; 0 for one that has a place, or had it."""
        with self._lock:
            return 1 + self._line.index(job) if job in self._line else 0

    def withdraw(self, job: Job) -> bool:
        """Take a job out of the line; False where it does not stand in it."""
        with self._lock:
            if job not in self._line:
                return False
            self._line.remove(job)
            return True

    def leave(self, job: Job) -> None:
        """A job gives its place to the first in line."""
        with self._lock:
            self._running.remove(job)
            following = self._line.pop(0) if self._line else None
            if following is not None:
                self._running.append(following)
        if following is not None:
            following.begin()

    def count(self) -> tuple[int, int]:
        """How many jobs run, and how many wait."""
        with self._lock:
            return len(self._running), len(self._line)


def _yield_to_others() -> None:
    """This thread, and those that compute for it, get the processor when nobody else wants it.

    From its beginning: torch starts the threads of a thread with its first product, and they keep the priority that it
    has then. Niceness is the second best: who is nice still gets a tenth, in slices of milliseconds, and a product over
    two cores waits for the one of its threads that was interrupted. Of thirty people who typed on two cores beside a
    sweep and a training run, half waited 6.8 s with niceness and 3.0 s with this (one run each; such runs differ much).
    """
    if sys.platform != "linux":  # elsewhere a thread has no priority of its own
        return
    thread = threading.get_native_id()
    try:
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    except OSError:  # a container may forbid it
        os.setpriority(os.PRIO_PROCESS, thread, _NICE)


_desks: WeakSet[Desk] = WeakSet()


def count_jobs() -> dict[str, int]:
    """How many jobs of all desks are `running` and `waiting`."""
    running, waiting = zip(*[(0, 0), *(desk.count() for desk in list(_desks))], strict=True)
    return {"running": sum(running), "waiting": sum(waiting)}
