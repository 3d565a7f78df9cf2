"""Shutdown: a stopped server takes no more connections, answers what it can within seconds, and ends the rest."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.domain.errors import ServerStopping
from demo.serving.refusal import refuse

_SECONDS = 3.5  # for the answers under way
_QUIET_SECONDS = 0.3  # without any: Gradio sends what was computed a moment later
_END_SECONDS = 1.0  # for the server's thread, which has nothing to wait for then
_POLL_SECONDS = 0.05


@dataclass(eq=False)
class _Answer:
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    started: bool = False


class UnderWay:
    """The answers under way of one server."""

    def __init__(self) -> None:
        self._answers: set[_Answer] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> _Answer:
        """An answer, in the server's own thread."""
        self._loop = asyncio.get_running_loop()
        answer = _Answer()
        self._answers.add(answer)
        return answer

    def finish(self, answer: _Answer) -> None:
        self._answers.discard(answer)

    def unanswered(self) -> bool:
        """Whether anybody waits for the beginning of an answer; a page's streams have begun and never end."""
        return any(not answer.started for answer in self._answers.copy())

    def end(self) -> None:
        """Cancel what is left. From any thread."""
        for answer in self._answers.copy():
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(answer.scope.cancel)


class EndWithServer:
    """503 for a request whose answer had not begun when the server ended; a stream just ends."""

    def __init__(self, app: ASGIApp, under_way: UnderWay):
        self.app = app
        self.under_way = under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        answer = self.under_way.begin()

        async def send_noted(message: Message) -> None:
            answer.started = True
            await send(message)

        try:
            with answer.scope:
                return await self.app(scope, receive, send_noted)
            if answer.started:
                await send({"type": "http.response.body"})
            else:
                await refuse(scope, ServerStopping(), 503, {"Retry-After": "5"})(scope, receive, send)
        finally:
            self.under_way.finish(answer)


def stop_server(
    server: uvicorn.Server, thread: threading.Thread, under_way: UnderWay, is_computing: Callable[[], bool]
) -> None:
    """End a server that runs in a thread, within five seconds. is_computing: whether texts wait for the device."""
    server.should_exit = True  # no new connections; idle ones are closed
    end = time.monotonic() + _SECONDS
    quiet_since = time.monotonic()
    while time.monotonic() < min(end, quiet_since + _QUIET_SECONDS):
        if under_way.unanswered() or is_computing():
            quiet_since = time.monotonic()
        time.sleep(_POLL_SECONDS)
    under_way.end()
    thread.join(_END_SECONDS)
