"""AssetCache: what is the same for everybody is compressed once and kept, not again for every page that opens.

A class that comes in asks for the same hundred files thirty times over. Gradio compresses each anew and in pieces, in a
thread's turn each, and the page itself not at all, since its address has no ending.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

import anyio.to_thread
import brotli
from cachetools import LRUCache
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FIXED = re.compile(r"/(assets|static|svelte)/")
_TEXTS = re.compile(r"text/|application/(javascript|json|manifest\+json)|image/svg")
_REFUSED = re.compile(r";\s*q=0(\.0*)?\s*$")
_OURS = {b"accept-encoding", b"if-none-match"}  # seen to here
_LEAST = 400  # bytes; less is not worth it
_KEPT = 32 * 2**20  # bytes, of all that is kept
_ENCODINGS: dict[str, Callable[[bytes], bytes]] = {  # the best first; browsers take br from HTTPS and localhost alone
    "br": partial(brotli.compress, quality=6),  # plotly.js: 1.27 MB in .7 s; quality 9 takes 3.4 s for 3 % less
    "gzip": partial(gzip.compress, compresslevel=6, mtime=0),
}


@dataclass(frozen=True)
class _Answer:
    start: Message
    body: bytes
    route: object = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.route is not None:
            scope["route"] = self.route  # for who counts requests by it
        headers, asked = Headers(raw=self.start["headers"]), Headers(scope=scope)
        if self.start["status"] == 200 and "etag" in headers and asked.get("if-none-match") == headers["etag"]:
            # Without a body nothing may be said of one: a server breaks off where fewer bytes come than were announced.
            kept = {name: value for name, value in headers.items() if not name.startswith("content-")}
            return await Response(status_code=304, headers=kept)(scope, receive, send)
        await send({**self.start, "headers": [*self.start["headers"]]})  # who stands outside may add some
        await send({"type": "http.response.body", "body": self.body})


class AssetCache:
    """Around the page and its fixed files. What is asked for in parts, or not compressed, passes by."""

    def __init__(self, app: ASGIApp, most: int = _KEPT):
        self.app = app
        self._kept: LRUCache = LRUCache(most, getsizeof=lambda answer: len(answer.body))
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, encoding = scope.get("path", ""), _choose(scope)
        if encoding is None:
            return await self.app(scope, receive, send)
        if _FIXED.match(path):
            answer = await self._once((path, encoding), lambda: self._ask(scope, receive), encoding)
        elif path == "/":  # made anew for everybody, of the same bytes
            made = await self._ask(scope, receive)
            answer = await self._once((_digest(made), encoding), lambda: _at_once(made), encoding)
        else:
            return await self.app(scope, receive, send)
        await answer(scope, receive, send)

    async def _once(self, key: Hashable, ask: Callable[[], Awaitable[_Answer]], encoding: str) -> _Answer:
        """The kept answer, or a new one: thirty who ask for it together wait for one."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            answer = self._kept.get(key)
            if answer is None:
                answer = await anyio.to_thread.run_sync(_pack, await ask(), encoding)
                if answer.start["status"] == 200 and len(answer.body) <= self._kept.maxsize:
                    self._kept[key] = answer
            return answer

    async def _ask(self, scope: Scope, receive: Receive) -> _Answer:
        """The whole answer, whose `if-none-match` is ours to see to."""
        start: Message = {"type": "http.response.start", "status": 500, "headers": []}  # should none come
        body = bytearray()

        async def take(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        inner = {**scope, "headers": [said for said in scope["headers"] if said[0] not in _OURS]}
        await self.app(inner, receive, take)
        scope.update((name, value) for name, value in inner.items() if name != "headers")
        return _Answer(start, bytes(body), inner.get("route"))


def _choose(scope: Scope) -> str | None:
    """The best encoding that is taken; None for what is not to be touched."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    headers = Headers(scope=scope)
    words = headers.get("accept-encoding", "").lower().split(",")
    taken = {word.split(";")[0].strip() for word in words if not _REFUSED.search(word)}
    return None if "range" in headers else next((name for name in _ENCODINGS if name in taken), None)


def _pack(answer: _Answer, encoding: str) -> _Answer:
    """AssetCache, if that is worth it."""
    start = {**answer.start, "headers": [*answer.start["headers"]]}
    headers = MutableHeaders(raw=start["headers"])
    if answer.start["status"] == 200 and "/assets/" in getattr(answer.route, "path", ""):
        headers.setdefault("Cache-Control", "public, max-age=31536000, immutable")  # its name names its content
    body = answer.body
    if len(body) >= _LEAST and _TEXTS.match(headers.get("content-type", "")) and "content-encoding" not in headers:
        body = _ENCODINGS[encoding](body)
        headers["Content-Encoding"] = encoding
        headers["Content-Length"] = str(len(body))
        headers.add_vary_header("Accept-Encoding")
    return _Answer(start, body, answer.route)


def _digest(answer: _Answer) -> bytes:
    return hashlib.sha256(answer.body + repr(sorted(answer.start["headers"])).encode()).digest()


async def _at_once(answer: _Answer) -> _Answer:
    return answer
