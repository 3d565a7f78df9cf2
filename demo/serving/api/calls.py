"""ApiCalls: what other programs ask runs in threads, behind what people wait for, and only while it is waited for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from demo.domain.errors import Busy, ModelLoading
from demo.jobs.request_context import request_context
from demo.lab import Lab

AT_ONCE = 8  # questions under way together
_WAITING = 64  # questions that are taken in, those under way included
_PATIENCE_SECONDS = 20.0  # for a model that is being loaded; then the program is told to come back
_POLL_SECONDS = 0.1
Answer = TypeVar("Answer")


class Gone(Exception):
    """Whoever asked has left."""


class ApiCalls:
    """Everybody who asks without a page."""

    def __init__(self, lab: Lab, patience_seconds: float = _PATIENCE_SECONDS):
        self.lab = lab
        self._patience = patience_seconds
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="programs")
        self._taken = 0
        self._lock = threading.Lock()

    async def ready(self, model: str | None) -> None:
        """Wait for a model without holding a thread. Raises ModelLoading where it takes too long, or ModelError."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                # In a thread all the same: to look at a model may mean to look at a disk.
                await self.run(lambda: self.lab.open(model, wait=False))
            except ModelLoading:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return

    async def run(self, answer: Callable[[], Answer]) -> Answer:
        """answer() in a thread; given up when this task is cancelled. Raises Busy, or what answer() raises."""
        with self._lock:
            if self._taken >= _WAITING:
                raise Busy(count=self._taken)
            self._taken += 1
        left = threading.Event()

        def ask() -> Answer:
            with request_context(interactive=False, is_cancelled=left.is_set):
                return answer()

        future = self._pool.submit(ask)
        future.add_done_callback(self._release)
        try:
            return await asyncio.wrap_future(future)
        finally:
            left.set()

    async def attend(self, request: Request, answering: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer, unless who asked hangs up before; the body must have been read. Raises Gone."""
        answer = asyncio.ensure_future(answering)
        gone = asyncio.ensure_future(_hang_up(request))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Gone
            return answer.result()
        finally:
            answer.cancel()
            gone.cancel()

    def _release(self, future) -> None:
        with self._lock:
            self._taken -= 1


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
