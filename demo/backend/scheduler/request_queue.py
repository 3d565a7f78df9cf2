"""Request queue: which texts run next, by continuous batching. No threads, no torch; scheduler.py holds the lock.

No timer and no window: texts that arrive during a pass join the next one. Interactive requests go before background
ones; among equals goes the one with fewest tokens so far. A text of several requests runs once.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from demo.domain.errors import Stopped
from demo.jobs.request_context import RequestContext

_INTERACTIVE_IN_A_ROW = 8  # passes, then one of a background request that waits
_TYPING_SECONDS = 5.0  # after an interactive request, background work comes in smaller portions
_PORTION = 4  # of the token budget, then
_PADDED = 2  # times the budget, padding included
_ALIKE = 4  # lengths within so many tokens count as equal: more padding, which costs attention alone, but more sharing


@dataclass(frozen=True)
class WorkItem:
    """One text to run. group: texts of one group may share a pass. identity: of the text under its reading.

    beginning: its token ids, where texts that begin alike cost less in one pass; length: tokens that have to run.
    """

    group: Hashable
    identity: Hashable
    content: Any
    length: int
    beginning: tuple[int, ...] = ()


@dataclass(eq=False)
class Pending:
    """A work item without a result yet, and (request, index of the item in it) of everyone who waits for it."""

    item: WorkItem
    waiters: list[tuple[Request, int]] = field(default_factory=list)
    scheduled: bool = False


@dataclass(eq=False)
class Request:
    """Texts that one caller waits for. results: (index, result, error) as they come."""

    context: RequestContext
    arrival: int
    unscheduled: deque[Pending] = field(default_factory=deque)
    results: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)
    tokens: int = 0  # scheduled so far
    cancelled: bool = False

    @property
    def head(self) -> Pending | None:
        """The next text to schedule."""
        while self.unscheduled and self.unscheduled[0].scheduled:
            self.unscheduled.popleft()
        return self.unscheduled[0] if self.unscheduled and not self.cancelled else None


@dataclass(eq=False)
class Batch:
    """Texts of one group that share a pass."""

    texts: list[Pending]
    interactive: bool


class RequestQueue:
    """token_budget: of all passes at a time, padding included. lanes: how many passes may run side by side."""

    def __init__(self, token_budget: int, lanes: int):
        self.requests: list[Request] = []
        self.pending: dict[Hashable, Pending] = {}  # by identity
        self.running: list[Batch] = []
        self._budget = token_budget // lanes
        self._lanes = lanes
        self._arrivals = itertools.count()
        self._interactive_in_a_row = 0
        self._last_interactive = float("-inf")

    def add(self, items: Sequence[WorkItem], context: RequestContext) -> Request:
        """Queue the texts of one request."""
        request = Request(context, next(self._arrivals))
        groups: dict[Hashable, list[int]] = {}
        for index, item in enumerate(items):
            groups.setdefault(item.group, []).append(index)
        for indices in groups.values():
            for index in sorted(indices, key=lambda index: _order(items[index])):
                pending = self.pending.setdefault(items[index].identity, Pending(items[index]))
                pending.waiters.append((request, index))
                request.unscheduled.append(pending)
        self.requests.append(request)
        if context.interactive:
            self._last_interactive = time.monotonic()
        return request

    def remove(self, request: Request) -> None:
        """Forget a request, and what only it waits for unless that runs already."""
        self.requests.remove(request)
        for pending in request.unscheduled:
            pending.waiters = [waiter for waiter in pending.waiters if waiter[0] is not request]
            if not pending.waiters and not pending.scheduled:
                self.pending.pop(pending.item.identity, None)

    def finish(self, pending: Pending) -> list[tuple[Request, int]]:
        """Take a text off the queue; whoever asks for it next begins anew. Returns who waits for it."""
        self.pending.pop(pending.item.identity, None)
        waiters, pending.waiters = pending.waiters, []
        return waiters

    def is_typing(self) -> bool:
        """Whether an interactive request came within the last seconds."""
        return time.monotonic() - self._last_interactive < _TYPING_SECONDS

    def ready(self) -> list[Request]:
        """The requests that the next pass serves: all interactive or all background; none where these must wait."""
        waiting = [request for request in self.requests if request.head]
        interactive = [request for request in waiting if request.context.interactive]
        background = [request for request in waiting if not request.context.interactive]
        starved = bool(background) and self._interactive_in_a_row >= _INTERACTIVE_IN_A_ROW
        # While somebody types, background work fills the gaps only: it begins beside no other pass, and leaves one
        # lane free.
        one_lane_is_free = all(batch.interactive for batch in self.running)
        if self._lanes > 1 and self.running and self.is_typing() and not (starved and one_lane_is_free):
            return interactive
        return background if starved or not interactive else interactive

    def schedule(self) -> Batch | None:
        """The next pass: the first request's texts, and those of other requests that fit beside them."""
        self._drop_cancelled()
        requests = sorted(self.ready(), key=lambda request: (request.tokens, request.arrival))
        if not requests:
            return None
        batch = Batch([], requests[0].context.interactive)
        self._interactive_in_a_row = self._interactive_in_a_row + 1 if batch.interactive else 0
        gaps_only = not batch.interactive and self.is_typing()
        budget = self._budget // _PORTION if gaps_only else self._budget
        group = requests[0].head.item.group
        share = budget if gaps_only else self._share(requests, group)
        longest = tokens = 0
        for request in requests:
            while (pending := request.head) and pending.item.group == group:
                item, width = pending.item, max(longest, pending.item.length)
                room = _PADDED * budget if item.beginning else budget  # the decoder pads for attention alone
                full = tokens >= share or tokens + item.length > budget
                if batch.texts and (full or width * (len(batch.texts) + 1) > room):
                    break
                request.unscheduled.popleft()
                pending.scheduled = True
                request.tokens += item.length
                tokens, longest = tokens + item.length, width
                batch.texts.append(pending)
        return batch

    def _share(self, requests: list[Request], group: Hashable) -> int:
        """Tokens of this pass: a lane's part of what waits where the other lane is free, so that both end together."""
        room, waiting = self._lanes * self._budget, 0
        for request in requests:
            for pending in request.unscheduled:
                if pending.item.group != group or waiting >= room:
                    break
                waiting += 0 if pending.scheduled else pending.item.length
        # A short pass gains nothing by being split: each half reads all of the model's weights.
        splits = not self.running and self._budget // 2 < waiting < room
        return -(-waiting // self._lanes) if splits else room

    def _drop_cancelled(self) -> None:
        for request in self.requests:
            if not request.head:
                continue
            try:
                failure = Stopped() if request.context.is_cancelled() else None
            except Exception as error:  # the caller's own
                failure = error
            if failure is not None:
                request.cancelled = True
                request.results.put((-1, None, failure))


def _order(item: WorkItem) -> tuple:
    """The longest first, so that a lack of memory shows at once, and those that begin alike together.

    Of the tokens of a thousand TREC questions, in passes of 512, 16 % need not run then, and 12 % by length alone.
    """
    return -(item.length // _ALIKE), item.beginning, -item.length
