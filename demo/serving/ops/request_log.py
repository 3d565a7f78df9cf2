"""Request log: one line and one count for each request, by its route, never by its text or address.

Also the last resort for exceptions. One that Gradio raises over a request it cannot read is the client's fault: 400
with a sentence. One that our rooms raise is ours: 500. A disk that takes no upload is this machine's: 507. No traceback
reaches a client.
"""

from __future__ import annotations

import errno
import logging
import time
import traceback
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.domain.errors import RequestFailed, RequestUnreadable, StorageFailed
from demo.serving.ops.metrics import Metrics
from demo.serving.refusal import Translate, refuse

_DEMO = Path(__file__).parents[2]
_STORAGE = (errno.ENOSPC, errno.EROFS, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))
_MIDDLEWARE = tuple(str(_DEMO / path) for path in ("serving/limits", "serving/ops", "serving/security", "ui/first"))
_log = logging.getLogger(__name__)
_scope: ContextVar[Scope | None] = ContextVar("scope", default=None)


def report_fault(error: BaseException) -> None:
    """Log an exception of the current request: its class and, where it is ours, its stack; never its message."""
    ours = is_ours(error)
    scope = _scope.get()
    if scope is not None and ours:
        scope["our_fault"] = True
    stack = ":\n" + "".join(traceback.format_tb(error.__traceback__)) if ours else ""
    kind = type(error).__name__
    message = "%s while a request was answered%s"
    _log.log(logging.ERROR if ours else logging.INFO, message, kind, stack, extra={"event": "fault", "code": kind})


def is_ours(error: BaseException) -> bool:
    """Whether a room of ours raised it, or called what did. Middleware does not count: it is on every stack."""
    calls = [(frame.filename, frame.name) for frame in traceback.extract_tb(error.__traceback__)]
    inside = [file for file, name in calls if file.startswith(str(_DEMO)) and name != "__call__"]
    return not all(file.startswith(_MIDDLEWARE) for file in inside)


def _storage_reason(error: Exception) -> str:
    """What the operating system says of a disk that cannot be written; "" for any other exception."""
    full = isinstance(error, OSError) and error.errno in _STORAGE
    return error.strerror or "" if full else ""


class RequestLog:
    """The outermost middleware. translate: words every refusal behind it. routes: our own, by whose pattern we log."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, routes: Sequence[BaseRoute] = (), translate: Translate | None = None
    ):
        self.app = app
        self.metrics = metrics
        self.routes = routes
        self.translate = translate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if self.translate is not None:
            scope["translate"] = self.translate
        response = _Response(send)
        started = time.perf_counter()
        token = _scope.set(scope)
        try:
            with self.metrics.in_progress.track_inprogress():
                await self._answer(scope, receive, response)
        finally:
            _scope.reset(token)
            self._record(scope, response.status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, response: _Response) -> None:
        storage = None
        try:
            await self.app(scope, receive, response)
        except Exception as error:  # uvicorn would log its message, which may quote people's texts
            storage = _storage_reason(error)
            if storage:
                _log.error("the disk took no upload or answer: %s", storage, extra={"event": "fault", "code": "disk"})
            else:
                report_fault(error)
            if response.started and scope.get("our_fault"):
                raise _BrokenOff from None  # half of a response is out: the connection must end
            if response.started:  # a stream; Gradio's last event in it names the error
                await response.send({"type": "http.response.body"})
        if not response.started:
            ours = scope.get("our_fault", False)
            error, response.status = (RequestFailed(), 500) if ours else (RequestUnreadable(), 400)
            if storage:
                error, response.status = StorageFailed(reason=storage), 507
            await refuse(scope, error, response.status)(scope, receive, response.send)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method, route, code = scope["method"], self._route(scope), scope.get("refused", "")
        self.metrics.count_request(method, route, status, seconds, code)
        fields = {"event": "request", "method": method, "route": route, "status": status, "duration_s": seconds}
        _log.info("%s %s %s", method, route, status, extra={**fields, **({"code": code} if code else {})})

    def _route(self, scope: Scope) -> str:
        """The pattern of an address, never the address: people's texts may stand in it."""
        route = scope.get("route")
        if route is None:
            route = next((route for route in self.routes if route.matches(scope)[0] is Match.FULL), None)
        return getattr(route, "path", "other")


class _Response:
    """`send` that holds back every response of 500, for RequestLog to send one in words. status 0: none began."""

    def __init__(self, send: Send):
        self.send = send
        self.status = 0
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.started = self.status != 500
        if self.started:
            await self.send(message)


class _BrokenOff(Exception):
    """Ends the connection; has no message."""
