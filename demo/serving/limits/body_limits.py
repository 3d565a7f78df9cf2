"""BodyLimits: how much may be sent, how slowly, and how deep, counted before anybody reads it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.domain.errors import RequestTooLarge, RequestTooSlow, RequestUnreadable
from demo.serving.refusal import Translate, in_english, refuse

_MIB = 2**20
_WITHOUT = {"GET", "HEAD", "OPTIONS"}  # no body of theirs is ever read
_SECONDS = 30.0  # for a question; on a slow telephone line (0.4 Mbit/s) a mebibyte takes 20
_UPLOAD_SECONDS = 300.0  # 16 MiB over the same line take 320; a tab accepts less
_SILENCE = 15.0  # between two pieces
_DRAIN, _DRAIN_SECONDS, _DRAIN_SILENCE = 16 * _MIB, 5.0, 0.5  # of what is too large
_DEPTH = 32  # of nesting; the deepest that the page sends is 6
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_MESSAGE_FOR_GRADIO = "The file is larger than the maximum allowed size."  # it answers 413 and removes what came


class BodyLimits:
    """A question is held until it is whole, within `most` bytes; an upload passes piece by piece, within `upload`.

    413 for what is larger, 408 for what comes too slowly, 400 for nesting that no reader should be asked to follow.
    """

    def __init__(
        self,
        app: ASGIApp,
        most: int = _MIB,
        upload: int = 17 * _MIB,
        translate: Translate = in_english,
        seconds: float = _SECONDS,
        silence: float = _SILENCE,
    ):
        self.app = app
        self.most = most
        self.upload = upload
        self.translate = translate
        self.seconds = seconds
        self.silence = silence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _WITHOUT:
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        uploads = headers.get("content-type", "").lower().startswith("multipart/")
        most = self.upload if uploads else self.most
        length = headers.get("content-length", "")
        try:
            if length.isdecimal() and int(length[:20]) > most:
                raise _TooMuch
            deadline = asyncio.get_running_loop().time() + (_UPLOAD_SECONDS if uploads else self.seconds)
            if uploads:
                return await self.app(scope, self._counted(receive, deadline), send)
            body = await self._whole(receive, deadline)
        except _TooMuch:
            error = RequestTooLarge(limit=f"{most / _MIB:g}")
            await self._drain(receive)
            return await self._refuse(scope, receive, send, error, 413)
        except TimeoutError:
            return await self._refuse(scope, receive, send, RequestTooSlow(), 408)
        except _Gone:
            return None
        if too_deep(body):
            return await self._refuse(scope, receive, send, RequestUnreadable(), 400)
        scope["body"] = body
        return await self.app(scope, _replay(body, receive), send)

    async def _refuse(self, scope, receive, send, error, status: int) -> None:
        await refuse(scope, error, status, self.translate, {"Connection": "close"})(scope, receive, send)

    async def _next(self, receive: Receive, deadline: float) -> Message:
        left = deadline - asyncio.get_running_loop().time()
        return await _within(min(self.silence, left), receive)

    async def _whole(self, receive: Receive, deadline: float) -> bytes:
        body = bytearray()
        while True:
            message = await self._next(receive, deadline)
            if message["type"] == "http.disconnect":
                raise _Gone
            body += message.get("body", b"")
            if len(body) > self.most:
                raise _TooMuch
            if not message.get("more_body"):
                return bytes(body)

    async def _drain(self, receive: Receive) -> None:
        """Let go by what is still coming, for a while: whoever is cut off in the middle never reads the answer."""
        count = 0
        deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
        with suppress(TimeoutError):
            while count < _DRAIN:
                left = deadline - asyncio.get_running_loop().time()
                message = await _within(min(_DRAIN_SILENCE, left), receive)
                count += len(message.get("body", b""))
                if not message.get("more_body"):
                    return

    def _counted(self, receive: Receive, deadline: float) -> Receive:
        count = 0
        whole = False

        async def counted() -> Message:
            nonlocal count, whole
            if whole:  # what follows is only whether somebody still waits
                return await receive()
            message = await self._next(receive, deadline)
            count += len(message.get("body", b""))
            whole = not message.get("more_body")
            if count > self.upload:
                raise MultiPartException(_MESSAGE_FOR_GRADIO)
            return message

        return counted


async def _within(seconds: float, receive: Receive) -> Message:
    try:
        return await asyncio.wait_for(receive(), max(0.0, seconds))
    except TimeoutError as error:  # another class until Python 3.11
        raise TimeoutError from error


class _TooMuch(Exception):
    pass


class _Gone(Exception):
    """Whoever was sending has left."""


def too_deep(body: bytes) -> bool:
    """Whether JSON nests deeper than anybody means, or is none: a reader follows nesting by calling itself.

    Every step is one pass in C over the bytes, whatever they are.
    """
    if body.count(b"[") + body.count(b"{") <= _DEPTH:
        return False
    without_escapes = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(without_escapes.split(b'"')[::2]).translate(None, _NO_BRACKET)
    for _ in range(_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body once, and then whether somebody still waits."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        with suppress(IndexError):
            return first.pop()
        return await receive()

    return replayed
