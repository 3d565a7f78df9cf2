"""Concurrency of API calls: threads of their own, behind people's requests, cancelled when the client disconnects."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request

from demo.domain.errors import Busy, ModelLoading
from demo.jobs.request_context import request_context
from demo.lab import Lab

_THREADS = 8
_MOST_CALLS = 64  # running and queued
_PATIENCE_SECONDS = 20.0  # for a model that is being loaded; then the client must retry
_POLL_SECONDS = 0.1
Result = TypeVar("Result")


class ApiCalls:
    """A few threads behind a bounded queue (backpressure: Busy when it is full)."""

    def __init__(self, lab: Lab, patience_seconds: float = _PATIENCE_SECONDS):
        self.lab = lab
        self._patience = patience_seconds
        self._threads = CapacityLimiter(_THREADS)

    async def ready(self, model: str | None) -> None:
        """Wait for a model without holding a thread. Raises ModelLoading after the patience, or ModelError."""
        deadline = time.monotonic() + self._patience
        while True:
            try:  # in a thread all the same: looking for a model may read the disk
                await self.run(lambda: self.lab.open(model, wait=False))
                return
            except ModelLoading:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_POLL_SECONDS)

    async def run(self, function: Callable[[], Result]) -> Result:
        """function() in a thread; cancelled with this task. Raises Busy, or what function() raises."""
        threads = self._threads.statistics()
        count = threads.borrowed_tokens + threads.tasks_waiting
        if count >= _MOST_CALLS:
            raise Busy(count=count)
        cancelled = threading.Event()

        def run_behind_people() -> Result:
            with request_context(interactive=False, is_cancelled=cancelled.is_set):
                return function()

        try:
            return await to_thread.run_sync(run_behind_people, limiter=self._threads, abandon_on_cancel=True)
        finally:
            cancelled.set()

    async def attend(self, request: Request, response: Coroutine[Any, Any, Result]) -> Result:
        """The response, cancelled when the client goes; the body must have been read. Raises ClientDisconnect."""
        task = asyncio.ensure_future(response)
        disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
        try:
            await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientDisconnect
            return task.result()
        finally:
            task.cancel()
            disconnect.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
