"""RequestLog: every request is counted and told of, by its route and never by what was asked. Holds nobody's text.

What Gradio's own code raises over a request that it cannot read is the request's fault, not the server's: 400 with a
sentence. What was raised in our rooms stays 500. Either way no traceback leaves the house.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.domain.errors import RequestFailed, RequestUnreadable
from demo.serving.ops.metrics import Metrics
from demo.serving.refusal import Translate, in_english, refuse

_HOUSE = str(Path(__file__).parents[2])
_log = logging.getLogger(__name__)
_asked: ContextVar[Scope | None] = ContextVar("asked", default=None)


def report_fault(error: BaseException) -> None:
    """Something was raised while a request was answered: into the log, with its place and without its words."""
    ours = is_ours(error)
    scope = _asked.get()
    if scope is not None and ours:
        scope["our_fault"] = True
    trace = "".join(traceback.format_tb(error.__traceback__)) if ours else ""
    _log.log(
        logging.ERROR if ours else logging.INFO,
        "%s while a request was answered%s",
        type(error).__name__,
        ":\n" + trace if trace else "",
        extra={"event": "fault", "code": type(error).__name__},
    )


def is_ours(error: BaseException) -> bool:
    """Whether it was raised in one of our rooms, or below: serving's own wrappers stand around everything."""
    here = str(Path(__file__).parents[1])
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return any(name.startswith(_HOUSE) and not name.startswith(here) for name in frames)


class RequestLog:
    """Outermost of all."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, routes: Sequence[BaseRoute] = (), translate: Translate = in_english
    ):
        self.app = app
        self.metrics = metrics
        self.routes = routes
        self.translate = translate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = _Started(send)
        began = time.perf_counter()
        token = _asked.set(scope)
        self.metrics.in_progress.inc()
        try:
            try:
                await self.app(scope, receive, started)
            except Exception as error:  # uvicorn would write it down with every word that it holds
                report_fault(error)
                if started.sent and scope.get("our_fault"):
                    raise _BrokenOff from None  # half of an answer is out: the connection must end
                if started.sent:  # a stream that Gradio ended in words already
                    await send({"type": "http.response.body"})
            if not started.sent:
                ours = scope.get("our_fault", False)
                error, started.status = (RequestFailed(), 500) if ours else (RequestUnreadable(), 400)
                await refuse(scope, error, started.status, self.translate)(scope, receive, send)
        finally:
            _asked.reset(token)
            self.metrics.in_progress.dec()
            self._tell(scope, started.status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route, refused = self._route(scope), scope.get("refused", "")
        self.metrics.count_request(scope["method"], route, status, seconds, refused)
        said = {"event": "request", "method": scope["method"], "route": route, "status": status, "duration_s": seconds}
        said |= {"code": refused} if refused else {}
        _log.info("%s %s %s", scope["method"], route, status, extra=said)

    def _route(self, scope: Scope) -> str:
        """The pattern of an address, never the address: what stands in it was typed by somebody."""
        route = scope.get("route")
        if route is None:
            route = next((route for route in self.routes if route.matches(scope)[0] is Match.FULL), None)
        return getattr(route, "path", "other")


class _Started:
    """`send`, but for an answer of 500: one in words will be given in its place. status 0: nobody waited for it."""

    def __init__(self, send: Send):
        self._send = send
        self.status = 0
        self.sent = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.sent = self.status != 500
        if self.sent:
            await self._send(message)


class _BrokenOff(Exception):
    """Says nothing of what was asked."""
