"""Body limits: size, time and nesting of a request's body, checked before any handler reads it."""

from __future__ import annotations

from contextlib import suppress

import anyio
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.domain.errors import DemoError, RequestTooLarge, RequestTooSlow, RequestUnreadable
from demo.serving.refusal import refuse

_MIB = 2**20
_BODILESS = {"GET", "HEAD", "OPTIONS"}  # no handler reads a body of theirs
_SECONDS = 30.0  # for a body; a slow phone line (0.4 Mbit/s) takes 20 for a mebibyte
_UPLOAD_SECONDS = 300.0  # 16 MiB over the same line take 320; a tab accepts less
_IDLE_SECONDS = 15.0  # between two chunks
_DRAIN, _DRAIN_SECONDS, _DRAIN_IDLE_SECONDS = 16 * _MIB, 5.0, 0.5  # of a body that is too large
_DEPTH = 32  # of nesting; the deepest that the page sends is 6
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_MESSAGE_FOR_GRADIO = "The file is larger than the maximum allowed size."  # Gradio answers 413 and removes the file


class BodyLimits:
    """413 above the size, 408 above the time, 400 for nesting that would exhaust a JSON parser's stack.

    Buffers a body of up to `most` bytes and leaves it in scope["body"]; streams an upload of up to `upload` bytes.
    """

    def __init__(
        self,
        app: ASGIApp,
        most: int = _MIB,
        upload: int = 17 * _MIB,
        seconds: float = _SECONDS,
        idle_seconds: float = _IDLE_SECONDS,
    ):
        self.app = app
        self.most, self.upload = most, upload
        self.seconds, self.idle_seconds = seconds, idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _BODILESS:
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        is_upload = headers.get("content-type", "").lower().startswith("multipart/")
        most = self.upload if is_upload else self.most
        length = headers.get("content-length", "")
        too_large = length.isdecimal() and int(length[:20]) > most
        body = b""
        try:
            if is_upload and not too_large:
                return await self.app(scope, self._limited(receive), send)
            if not too_large:
                with anyio.fail_after(self.seconds):
                    body = await self._read(receive)
        except TimeoutError:
            return await _refuse(scope, receive, send, RequestTooSlow(), 408)
        if body is None:  # the client disconnected
            return
        if too_large or len(body) > most:
            await _drain(receive)
            return await _refuse(scope, receive, send, RequestTooLarge(limit=f"{most / _MIB:g}"), 413)
        if too_deep(body):
            return await _refuse(scope, receive, send, RequestUnreadable(), 400)
        scope["body"] = body
        await self.app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body, or a little more than `most` bytes of it; None where the client disconnects."""
        body = bytearray()
        while len(body) <= self.most:
            with anyio.fail_after(self.idle_seconds):
                message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        return bytes(body)

    def _limited(self, receive: Receive) -> Receive:
        """`receive` for an upload: raises MultiPartException above its size, TimeoutError above its time."""
        deadline = anyio.current_time() + _UPLOAD_SECONDS
        count, complete = 0, False

        async def limited() -> Message:
            nonlocal count, complete
            if complete:  # only a disconnect can follow
                return await receive()
            with anyio.fail_after(min(self.idle_seconds, deadline - anyio.current_time())):
                message = await receive()
            count += len(message.get("body", b""))
            complete = not message.get("more_body")
            if count > self.upload:
                raise MultiPartException(_MESSAGE_FOR_GRADIO)
            return message

        return limited


async def _refuse(scope: Scope, receive: Receive, send: Send, error: DemoError, status: int) -> None:
    await refuse(scope, error, status, {"Connection": "close"})(scope, receive, send)


async def _drain(receive: Receive) -> None:
    """Discard the rest of a body for a while: a client whose sending is cut off never reads the response."""
    count, more = 0, True
    with suppress(TimeoutError), anyio.fail_after(_DRAIN_SECONDS):
        while more and count < _DRAIN:
            with anyio.fail_after(_DRAIN_IDLE_SECONDS):
                message = await receive()
            count += len(message.get("body", b""))
            more = message.get("more_body")


def too_deep(body: bytes) -> bool:
    """Whether JSON nests deeper than `_DEPTH`: a parser follows nesting by recursion.

    Each step is one pass in C over the bytes, which need not be JSON.
    """
    if body.count(b"[") + body.count(b"{") <= _DEPTH:
        return False
    without_escapes = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(without_escapes.split(b'"')[::2]).translate(None, _NO_BRACKET)
    for _ in range(_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


def _replay(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives the body once, and then only a disconnect."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed
