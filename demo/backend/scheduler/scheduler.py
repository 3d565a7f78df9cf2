"""Scheduler: runs queued texts on a device whenever it is free: schedule, run, deliver. Imports no torch.

A text that fails is reported to its own requests alone. A CPU has two lanes: two passes side by side on half of the
cores each, whenever there is more than one to run. The threads of one pass wait for each other at every product, and
for any that the system has interrupted; a second pass fills these gaps. A pass that runs alone has all cores.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from demo.backend.scheduler.request_queue import Batch, Pending, Request, RequestQueue, WorkItem
from demo.domain.errors import DemoError, Stopped
from demo.jobs.request_context import current_request, request_context

if TYPE_CHECKING:
    from demo.backend.scheduler.cpu_lanes import CpuLanes  # imports torch

_SHARED_SECONDS = 1.0  # after two passes had to run at once, the next one gets half of the cores again
_IDLE_SECONDS = 5.0  # until the second lane's thread ends: idle threads of a product make those of others slower

_log = logging.getLogger("demo")

Run = Callable[[Any, list[Any]], list[Any]]
Retreat = Callable[[Callable[[list[int]], list[Any]], list[int]], list[Any]]


class Scheduler:
    """run(group, contents) → one result each, in one pass; called from one thread at a time, or from two lanes.

    token_budget: of all passes at a time, padding included. retreat: runs a batch in parts where it does not fit whole.
    cpu_lanes: how many lanes there are, and each pass takes its part of the cores; None: one lane.
    """

    def __init__(
        self,
        run: Run,
        token_budget: int,
        threaded: bool = True,
        retreat: Retreat = lambda run, rows: run(rows),
        cpu_lanes: CpuLanes | None = None,
    ):
        self._run = run
        self._retreat = retreat
        self._threaded = threaded
        self._cpu_lanes = cpu_lanes
        self._lanes = cpu_lanes.count if cpu_lanes else 1
        self._queue = RequestQueue(token_budget, self._lanes)
        self._calls: deque[tuple[Callable[[], Any], Future]] = deque()
        self._last_shared = float("-inf")
        self._changed = threading.Condition()  # guards all of the above
        self._thread: threading.Thread | None = None
        self._second: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many requests are not answered yet."""
        return len(self._queue.requests)

    def results(self, items: Sequence[WorkItem], timeout: float | None = None) -> Iterator[tuple[int, Any]]:
        """Yield (index, result) of every item, in the order in which they finish. Raises an item's own error.

        timeout: the most seconds to wait in all, None for as long as it takes. Raises TimeoutError after them.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            request = self._queue.add(items, current_request())
            self._wake()
        try:
            for _ in items:
                while not self._threaded and request.results.empty():
                    self._run_next()
                try:
                    left = None if end is None else max(0.0, end - time.monotonic())
                    index, result, error = request.results.get(timeout=left)
                except queue.Empty:
                    raise TimeoutError from None
                if error is not None:
                    raise error
                yield index, result
        finally:
            with self._changed:
                self._queue.remove(request)

    def call(self, act: Callable[[], Any]) -> Any:
        """act(), run in the first lane before its next pass: any other computation on the device.

        A third thread that computes costs all dearly: OpenMP then lets its threads sleep between two products, and a
        pass over one text takes 80 ms instead of 48 (measured).
        """
        if not self._threaded:
            return act()
        outcome: Future = Future()
        with self._changed:
            self._calls.append((act, outcome))
            self._wake()
        return outcome.result()

    def run_steps(self, steps: Sequence[Callable[[], Any]]) -> None:
        """Run steps of a longer computation as background work, whose group each of them is. Raises a step's error."""
        with request_context(interactive=False):
            for _ in self.results([WorkItem(step, step, None, 1) for step in steps]):
                pass

    def is_awaited(self) -> bool:
        """Whether anybody still waits for a text of a pass that runs; True where none does."""
        with self._changed:
            running = self._queue.running
            waiters = [waiter for batch in running for text in batch.texts for waiter in text.waiters]
        return not running or any(not request.context.is_cancelled() for request, _ in waiters)

    def _wake(self) -> None:
        if self._threaded and self._thread is None:
            self._thread = threading.Thread(target=self._first_lane, name="device", daemon=True)
            self._thread.start()
        if self._lanes > 1 and self._queue.running and self._second is None:
            self._second = threading.Thread(target=self._second_lane, name="device's second lane", daemon=True)
            self._second.start()
        self._changed.notify_all()

    def _first_lane(self) -> None:
        while True:
            try:
                with self._changed:
                    self._changed.wait_for(lambda: self._calls or self._queue.ready())
                    calls, self._calls = self._calls, deque()
                for act, outcome in calls:
                    try:
                        outcome.set_result(act())
                    except BaseException as error:
                        outcome.set_exception(error)
                self._run_next()
            except BaseException:  # callers would wait for ever for a thread that has ended
                _log.exception("the device's thread goes on")

    def _second_lane(self) -> None:
        """Passes beside the first lane's, until there are none for a while."""
        try:
            while True:
                with self._changed:
                    if not self._changed.wait_for(lambda: self._queue.running and self._queue.ready(), _IDLE_SECONDS):
                        self._second = None
                        return
                self._run_next()
        except BaseException:
            with self._changed:
                self._second = None  # the next request starts another
            _log.exception("the device's second lane begins anew")

    def _run_next(self) -> None:
        """Schedule one pass, run it, and deliver its results."""
        with self._changed:
            batch = self._queue.schedule()
            if batch is None:
                return
            exclusive = self._gets_all_cores(batch)
            self._queue.running.append(batch)
            if self._queue.ready():
                self._wake()
        try:
            if self._cpu_lanes:
                self._cpu_lanes.use_cores(exclusive)
            self._run_batch(batch.texts)
        finally:
            with self._changed:
                self._queue.running.remove(batch)
                self._changed.notify_all()

    def _gets_all_cores(self, batch: Batch) -> bool:
        """Whether nothing runs or waits beside a pass, nor did a moment ago."""
        now = time.monotonic()
        if self._queue.running or self._queue.ready():
            self._last_shared = now
        return now - self._last_shared > _SHARED_SECONDS and (batch.interactive or not self._queue.is_typing())

    def _run_batch(self, texts: list[Pending]) -> None:
        done: set[int] = set()

        def run(rows: list[int]) -> list[Any]:
            results = self._run(texts[0].item.group, [texts[row].item.content for row in rows])
            for row, result in zip(rows, results, strict=True):
                done.add(row)
                self._deliver(texts[row], result)
            return results

        try:
            self._retreat(run, list(range(len(texts))))
        except BaseException as failure:
            # One by one, so that an error reaches those requests alone whose text it is; a DemoError is the model's.
            final = len(texts) == 1 or isinstance(failure, DemoError)
            for row, pending in enumerate(texts):
                if isinstance(failure, Stopped):
                    self._give_up(pending)
                elif row not in done and self._is_awaited(pending):
                    self._run_alone(pending, failure if final else None)

    def _give_up(self, pending: Pending) -> None:
        """A pass has ended because nobody waited any more; a request that came since begins anew."""
        with self._changed:
            gone = [waiter for waiter in pending.waiters if waiter[0].context.is_cancelled()]
            pending.waiters = [waiter for waiter in pending.waiters if waiter not in gone]
            pending.scheduled = False
            for request, _ in pending.waiters:
                request.unscheduled.append(pending)
            if not pending.waiters:
                self._queue.finish(pending)
        for request, index in gone:
            request.results.put((index, None, Stopped()))

    def _is_awaited(self, pending: Pending) -> bool:
        with self._changed:
            return bool(pending.waiters or self._queue.finish(pending))

    def _run_alone(self, pending: Pending, failure: BaseException | None) -> None:
        result = None
        if failure is None:
            try:
                [result] = self._run(pending.item.group, [pending.item.content])
            except BaseException as error:
                failure = error
        self._deliver(pending, result, failure)

    def _deliver(self, pending: Pending, result: Any, error: BaseException | None = None) -> None:
        with self._changed:
            waiters: list[tuple[Request, int]] = self._queue.finish(pending)
        for request, index in waiters:
            request.results.put((index, result, error))
