"""Worker: a device runs whatever waits when it is free. Texts of one reading share a pass, whoever asks.

No timer and no window: what has come while a pass ran goes into the next one. What a person waits for goes before what
runs for minutes; among equals whoever has had least goes first. A text that two people ask for runs once. A text that
cannot be run is told of to those who asked for it, and to nobody else.

A processor has two lanes: two passes side by side on half of the cores each, wherever there is more to do than one. The
threads of one pass wait for each other at every product, and where others want the cores too, for the one that was
interrupted. Who is alone has all cores.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demo.backend.scheduler.planning import order_for_batching
from demo.domain.errors import Stopped
from demo.jobs.request_context import RequestContext, current_request

if TYPE_CHECKING:
    from demo.backend.scheduler.cpu_lanes import CpuLanes  # imports torch, which a worker without a device lacks

_PATIENCE = 8  # urgent passes in a row, then one of what waits behind them
_LIVELY_SECONDS = 5.0  # after an urgent question, long work comes in smaller portions
_PORTION = 4  # of the token budget, then
_PADDED = 2  # times the budget, padding included
_COMPANY_SECONDS = 1.0  # after two things had to be done at once, the next one gets half of the cores again
_IDLE_SECONDS = 5.0  # until the second lane's thread ends: idle threads of a product make those of others slower

_log = logging.getLogger("demo")

Run = Callable[[Any, list[Any]], list[Any]]


@dataclass(frozen=True)
class WorkItem:
    """One text to run. group: what may share a pass; items of one identity are the same text under the same reading.

    beginning: items that have more of it in common cost less when they share a pass.
    """

    group: Hashable
    identity: Hashable
    content: Any
    length: int
    beginning: tuple[int, ...] = ()


@dataclass(eq=False)
class _Piece:
    """An item in line, and who waits for it."""

    item: WorkItem
    takers: list[tuple[_Request, int]] = field(default_factory=list)
    taken: bool = False  # into a pass


@dataclass(eq=False)
class _Request:
    """One question: its pieces, in the order in which they run, and where the answers go."""

    context: RequestContext
    arrival: int
    line: deque[_Piece] = field(default_factory=deque)
    answers: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)
    served: int = 0  # tokens
    dropped: bool = False  # nobody wants it any more


class Scheduler:
    """run(group, contents) → one result each, in one pass; called from one thread at a time, or from two lanes.

    token_budget: of all passes at a time, padding included. device: whether a pass may run out of memory, and is then
    run in halves. cores: how many lanes there are, and each pass takes its part of them; None: one lane.
    """

    def __init__(
        self, run: Run, token_budget: int, threaded: bool = True, device: bool = True, cores: CpuLanes | None = None
    ):
        self._run = run
        self._cores = cores
        self._lanes = cores.lanes if cores else 1
        self._running: list[bool] = []  # of each pass under way, whether it is urgent
        self._last_company = float("-inf")
        self._device = device
        self._budget = token_budget // self._lanes
        self._threaded = threaded
        self._requests: list[_Request] = []
        self._pieces: dict[Hashable, _Piece] = {}  # in line or running, by identity
        self._calls: deque[tuple[Callable[[], Any], Future]] = deque()
        self._arrivals = itertools.count()
        self._urgent_in_a_row = 0
        self._last_urgent = float("-inf")
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._second: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How many questions are not answered yet."""
        return len(self._requests)

    def results(self, items: Sequence[WorkItem], patience: float | None = None) -> Iterator[tuple[int, Any]]:
        """Yield (index, result) of every item, in the order in which they are done. Raises what an item came to.

        patience: the most seconds to wait in all, None for as long as it takes. Raises TimeoutError after them.
        """
        request = _Request(current_request(), next(self._arrivals))
        end = None if patience is None else time.monotonic() + patience
        self._enter(request, items)
        try:
            for _ in items:
                if not self._threaded:
                    while request.answers.empty():
                        self._pass()
                try:
                    left = None if end is None else max(0.0, end - time.monotonic())
                    index, result, error = request.answers.get(timeout=left)
                except queue.Empty:
                    raise TimeoutError from None
                if error is not None:
                    raise error
                yield index, result
        finally:
            self._leave(request)

    def call(self, act: Callable[[], Any]) -> Any:
        """Anything else that computes on the device, in its first lane before the next pass there: what act() comes to.

        A third thread that computes costs all dearly: OpenMP then lets its threads sleep between two products, and a
        pass over one text takes 80 ms instead of 48 (measured).
        """
        if not self._threaded:
            return act()
        outcome: Future = Future()
        with self._news:
            self._calls.append((act, outcome))
            self._wake()
        return outcome.result()

    def _wake(self) -> None:
        if self._threaded and self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="device", daemon=True)
            self._thread.start()
        if self._lanes > 1 and self._running and self._second is None:
            self._second = threading.Thread(target=self._help, name="device's second lane", daemon=True)
            self._second.start()
        self._news.notify_all()

    def _enter(self, request: _Request, items: Sequence[WorkItem]) -> None:
        groups: dict[Hashable, list[int]] = {}
        for index, item in enumerate(items):
            groups.setdefault(item.group, []).append(index)
        with self._news:
            for members in groups.values():
                lengths = [items[index].length for index in members]
                for place in order_for_batching(lengths, [items[index].beginning for index in members]):
                    index = members[place]
                    piece = self._pieces.get(items[index].identity)
                    if piece is None:
                        piece = self._pieces[items[index].identity] = _Piece(items[index])
                    piece.takers.append((request, index))
                    request.line.append(piece)
            self._requests.append(request)
            if request.context.interactive:
                self._last_urgent = time.monotonic()
            self._wake()

    def _leave(self, request: _Request) -> None:
        """Nobody waits any longer for what is left of it."""
        with self._news:
            self._requests.remove(request)
            for piece in request.line:
                piece.takers = [taker for taker in piece.takers if taker[0] is not request]
                if not piece.takers and not piece.taken:
                    self._pieces.pop(piece.item.identity, None)

    def _serve(self) -> None:
        while True:
            try:
                self._turn()
            except BaseException:  # whoever waits would wait for ever for a thread that has ended
                _log.exception("the device's thread goes on")

    def _help(self) -> None:
        """The second lane: passes beside the first one's, until there are none for a while."""
        try:
            while True:
                with self._news:
                    if not self._news.wait_for(lambda: self._running and self._chosen(), _IDLE_SECONDS):
                        self._second = None
                        return
                self._pass()
        except BaseException:
            with self._news:
                self._second = None  # the next one who comes starts another
            _log.exception("the device's second lane begins anew")

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        with self._news:
            self._news.wait_for(lambda: self._calls or self._chosen())
            calls, self._calls = self._calls, deque()
        for act, outcome in calls:
            try:
                outcome.set_result(act())
            except BaseException as error:
                outcome.set_exception(error)
        self._pass()

    def _pass(self) -> None:
        """One pass: who is first, and whoever fits beside them."""
        with self._news:
            batch, urgent = self._next_batch()
            if not batch:
                return
            alone = self._alone_with(urgent)
            self._running.append(urgent)
            if self._chosen():
                self._wake()
        try:
            if self._cores:
                self._cores.share(alone)
            self._run_batch(batch)
        finally:
            with self._news:
                self._running.remove(urgent)
                self._news.notify_all()

    def _alone_with(self, urgent: bool) -> bool:
        """Whether the pass that begins now has the device for itself."""
        now = time.monotonic()
        if self._running or self._chosen():
            self._last_company = now
        return now - self._last_company > _COMPANY_SECONDS and (urgent or not self._is_lively())

    def _is_lively(self) -> bool:
        """Whether somebody types."""
        return time.monotonic() - self._last_urgent < _LIVELY_SECONDS

    def _run_batch(self, batch: list[_Piece]) -> None:
        done: set[int] = set()

        def run(places: list[int]) -> list[Any]:
            results = self._run(batch[0].item.group, [batch[place].item.content for place in places])
            for place, result in zip(places, results, strict=True):
                done.add(place)
                self._answer(batch[place], result, None)
            return results

        everybody = list(range(len(batch)))
        try:
            self._retreating(run, everybody)
        except BaseException as failure:
            # One by one, so that it is told of to those alone whose text it is.
            for place in everybody:
                if place not in done and self._wanted(batch[place]):
                    self._alone(batch[place], failure if len(batch) == 1 else None)

    def _wanted(self, piece: _Piece) -> bool:
        """Whether anybody waits for it still; if not, whoever asks next begins anew."""
        with self._news:
            if not piece.takers:
                self._pieces.pop(piece.item.identity, None)
            return bool(piece.takers)

    def _retreating(self, run: Callable[[list[int]], list[Any]], places: list[int]) -> None:
        if not self._device:
            run(places)
            return
        from demo.backend.scheduler.batch import (
            run_with_retreat,  # imports torch, which a worker without a device lacks
        )

        run_with_retreat(run, places)

    def _alone(self, piece: _Piece, failure: BaseException | None) -> None:
        try:
            if failure is None:
                [result] = self._run(piece.item.group, [piece.item.content])
                return self._answer(piece, result, None)
        except BaseException as error:
            failure = error
        self._answer(piece, None, failure)

    def _answer(self, piece: _Piece, result: Any, error: BaseException | None) -> None:
        with self._news:
            self._pieces.pop(piece.item.identity, None)
            takers, piece.takers = piece.takers, []
        for request, index in takers:
            request.answers.put((index, result, error))

    def _chosen(self) -> list[_Request]:
        """Those of whom the next pass is: who is urgent, else who is patient; nobody where these must wait."""
        waiting = [request for request in self._requests if self._front(request)]
        urgent = [request for request in waiting if request.context.interactive]
        patient = [request for request in waiting if not request.context.interactive]
        starved = bool(patient) and self._urgent_in_a_row >= _PATIENCE
        # Beside somebody who types, long work gets the gaps: it begins beside nothing, and one lane stays free of it.
        if self._lanes > 1 and self._is_lively() and self._running and (False in self._running or not starved):
            return urgent
        return patient if starved or not urgent else urgent

    def _next_batch(self) -> tuple[list[_Piece], bool]:
        """The pieces of the next pass, taken out of the line, and whether they are urgent."""
        self._drop_unwanted()
        chosen = self._chosen()
        if not chosen:
            return [], False
        is_urgent = chosen[0].context.interactive
        self._urgent_in_a_row = self._urgent_in_a_row + 1 if is_urgent else 0
        budget = self._budget
        if not is_urgent and self._is_lively():
            budget //= _PORTION
        chosen.sort(key=lambda request: (request.served, request.arrival))
        group = self._front(chosen[0]).item.group
        share = self._share(chosen, group) if is_urgent or not self._is_lively() else budget
        batch: list[_Piece] = []
        longest = tokens = 0
        for request in chosen:
            while (piece := self._front(request)) and piece.item.group == group:
                width = max(longest, piece.item.length)
                # Those that begin alike are padded for attention alone.
                room = _PADDED * budget if piece.item.beginning else budget
                full = tokens >= share or tokens + piece.item.length > budget
                if batch and (full or width * (len(batch) + 1) > room):
                    break
                request.line.popleft()
                request.served += piece.item.length
                tokens += piece.item.length
                piece.taken = True
                longest = width
                batch.append(piece)
        return batch, is_urgent

    def _share(self, chosen: list[_Request], group: Hashable) -> int:
        """A lane's part of the tokens that wait, where the other lane is free for the rest: both end together then."""
        room, waiting = self._lanes * self._budget, 0
        for request in chosen:
            for piece in request.line:
                if piece.item.group != group or waiting >= room:
                    break
                waiting += 0 if piece.taken else piece.item.length
        # A short pass gains nothing by being split: each half reads all of the model's weights.
        splits = not self._running and self._budget // 2 < waiting < room
        return -(-waiting // self._lanes) if splits else room

    def _front(self, request: _Request) -> _Piece | None:
        """The first piece of a request that no pass has taken yet."""
        while request.line and request.line[0].taken:
            request.line.popleft()
        return request.line[0] if request.line and not request.dropped else None

    def _drop_unwanted(self) -> None:
        for request in self._requests:
            if not self._front(request):
                continue
            try:
                failure = Stopped() if request.context.is_cancelled() else None
            except Exception as error:  # its asker's alone
                failure = error
            if failure is not None:
                request.dropped = True
                request.answers.put((-1, None, failure))
