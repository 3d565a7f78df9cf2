"""Job queue: runs long work in background threads, with progress, cancellation and a bounded waiting line."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakSet

from demo.domain.datamodels import Progress
from demo.domain.errors import Busy, Stopped
from demo.jobs.pace import Pace
from demo.jobs.request_context import request_context

_NICE = 10

OnProgress = Callable[[Progress], None]
Result = TypeVar("Result")


class Job(Generic[Result]):
    """One piece of work. It stops at its next progress report or request, never in the middle of a forward pass."""

    def __init__(self, run: Callable[[OnProgress], Result], queue: JobQueue, name: str):
        self.progress = Progress("starting", 0.0)
        self.done = threading.Event()
        self._pace = Pace()
        self._stop = threading.Event()
        self._outcome: tuple[Result | None, BaseException | None] = (None, None)
        self._queue = queue
        self._thread = threading.Thread(target=self._run, args=(run,), name=name, daemon=True)

    @property
    def ahead(self) -> int:
        """How many jobs must end before this one begins; 0 once it has begun."""
        return self._queue.count_ahead(self)

    def begin(self) -> None:
        """Called once, by the queue, when a worker is free."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end, or never to begin; `result` raises Stopped then."""
        self._stop.set()
        if self._queue.withdraw(self):
            self._outcome = (None, Stopped())
            self.done.set()

    def result(self) -> Result:
        """Wait for the result. Raises what the work raised."""
        self.done.wait()
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def _run(self, run: Callable[[OnProgress], Result]) -> None:
        try:
            _lower_priority()
            with request_context(interactive=False, is_cancelled=self._stop.is_set):
                self._outcome = (run(self._on_progress), None)
        except BaseException as error:
            # Not swallowed: the caller of `result` gets it, whatever it is.
            self._outcome = (None, error)
        finally:
            self._queue.release(self)
            self.done.set()

    def _on_progress(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped()
        self.progress = self._pace(progress)


class JobQueue:
    """Runs at most `workers` jobs at once; up to `capacity` more wait, first come, first served."""

    def __init__(self, workers: int = 2, capacity: int = 0):
        self.workers = workers
        self.capacity = capacity
        self._lock = threading.Lock()
        self._running: set[Job] = set()
        self._waiting: deque[Job] = deque()
        _queues.add(self)

    def submit(self, run: Callable[[OnProgress], Result], name: str = "job") -> Job[Result]:
        """Begin a job, or let it wait. run receives a function to report progress to. Raises Busy when it is full."""
        job = Job(run, self, name)
        with self._lock:
            if len(self._running) >= self.workers:
                if len(self._waiting) >= self.capacity:
                    raise Busy(count=self.workers)
                self._waiting.append(job)
                return job
            self._running.add(job)
        job.begin()
        return job

    def count_ahead(self, job: Job) -> int:
        """How many jobs must end before a job begins; 0 for one that has begun."""
        with self._lock:
            return 1 + self._waiting.index(job) if job in self._waiting else 0

    def withdraw(self, job: Job) -> bool:
        """Remove a waiting job; False where it does not wait."""
        with self._lock:
            if job not in self._waiting:
                return False
            self._waiting.remove(job)
            return True

    def release(self, job: Job) -> None:
        """A job has ended: the first waiting one begins."""
        with self._lock:
            self._running.remove(job)
            following = self._waiting.popleft() if self._waiting else None
            if following is not None:
                self._running.add(following)
        if following is not None:
            following.begin()

    def stop_all(self) -> None:
        """Ask every job to end, or never to begin."""
        with self._lock:
            jobs = [*self._waiting, *self._running]
        for job in jobs:
            job.stop()

    def count(self) -> tuple[int, int]:
        """How many jobs run, and how many wait."""
        with self._lock:
            return len(self._running), len(self._waiting)


def _lower_priority() -> None:
    """This thread, and those that compute for it, get the processor when nobody else wants it.

    From its beginning: torch starts the threads of a thread with its first product, and they keep the priority that it
    has then. Niceness is the second best: a nice thread still gets a tenth, in slices of milliseconds, and a product
    over two cores waits for the one of its threads that was interrupted. Of thirty people who typed on two cores beside
    a sweep and a training run, half waited 6.8 s with niceness and 3.0 s with this (one run each; runs differ much).
    """
    if sys.platform != "linux":  # elsewhere a thread has no priority of its own
        return
    thread = threading.get_native_id()
    try:
        os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    except OSError:  # a container may forbid it
        os.setpriority(os.PRIO_PROCESS, thread, _NICE)


_queues: WeakSet[JobQueue] = WeakSet()


def stop_jobs() -> None:
    """Ask every job of all queues to end."""
    for queue in list(_queues):
        queue.stop_all()


def count_jobs() -> dict[str, int]:
    """How many jobs of all queues are `running` and `waiting`."""
    running, waiting = zip(*[(0, 0), *(queue.count() for queue in list(_queues))], strict=True)
    return {"running": sum(running), "waiting": sum(waiting)}
