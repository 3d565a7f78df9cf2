"""Jobs: work that takes minutes has a thread of its own, tells how far it is, and can be stopped. Knows no model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from demo.datamodels import Progress
from demo.errors import Busy, Stopped

OnProgress = Callable[[Progress], None]
Result = TypeVar("Result")


class Job(Generic[Result]):
    """One piece of work. It is stopped at its next report of progress, never in the middle of a forward pass."""

    def __init__(self, run: Callable[[OnProgress], Result], on_end: Callable[[], None], name: str):
        self.progress = Progress("starting", 0.0)
        self.done = threading.Event()
        self._stop = threading.Event()
        self._outcome: tuple[Result | None, BaseException | None] = (None, None)
        self._on_end = on_end
        threading.Thread(target=self._run, args=(run,), name=name, daemon=True).start()

    def stop(self) -> None:
        """Ask it to end; `result` raises Stopped then."""
        self._stop.set()

    def result(self) -> Result:
        """What it came to, once done. Raises what it raised."""
        self.done.wait()
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def _run(self, run: Callable[[OnProgress], Result]) -> None:
        try:
            self._outcome = (run(self._on_progress), None)
        except BaseException as error:
            # Not swallowed: whoever asks for the result gets it, whatever it is.
            self._outcome = (None, error)
        finally:
            self._on_end()
            self.done.set()

    def _on_progress(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped()
        self.progress = progress


class Desk:
    """Takes jobs, a few at once. Who comes when all places are taken is told so at once, and may ask again."""

    def __init__(self, at_once: int = 2):
        self.at_once = at_once
        self._places = threading.BoundedSemaphore(at_once)

    def start(self, run: Callable[[OnProgress], Result], name: str = "job") -> Job[Result]:
        """Begin a job. run gets a function to report progress to. Raises Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy(count=self.at_once)
        return Job(run, self._places.release, name)
