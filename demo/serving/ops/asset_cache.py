"""Asset cache: the page and its fixed files, compressed once and kept for everybody (LRU, single-flight).

A class that opens the page requests the same hundred files thirty times. Gradio compresses each one anew, in chunks
that take turns in a thread, and does not compress the page itself, whose address has no extension.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import brotli
from cachetools import LRUCache
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FIXED = re.compile(r"/(assets|static|svelte)/")
_TEXTUAL = re.compile(r"text/|application/(javascript|json|manifest\+json)|image/svg")
_REFUSED = re.compile(r";\s*q=0(\.0*)?\s*$")
_HANDLED = {b"accept-encoding", b"if-none-match"}  # here, so the app must not see them
_SMALLEST = 400  # bytes; less is not worth compressing
_MOST = 32 * 2**20  # bytes in the cache
_ENCODINGS: dict[str, Callable[[bytes], bytes]] = {  # the best first; browsers accept br over HTTPS and localhost alone
    "br": partial(brotli.compress, quality=6),  # plotly.js: 1.27 MB in .7 s; quality 9 takes 3.4 s for 3 % less
    "gzip": partial(gzip.compress, compresslevel=6, mtime=0),
}


@dataclass(frozen=True)
class _Response:
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    route: object  # the app's, for RequestLog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.route is not None:
            scope["route"] = self.route
        response = Response(self.body, self.status)
        response.raw_headers = [*self.headers]  # a copy: middleware outside may add to it
        etag = response.headers.get("etag")
        if self.status == 200 and etag is not None and etag == Headers(scope=scope).get("if-none-match"):
            # Without content headers: a server closes the connection where fewer bytes come than were announced.
            kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
            response = Response(status_code=304, headers=kept)
        await response(scope, receive, send)


class AssetCache:
    """Around the page and its fixed files; range requests and clients without compression pass through."""

    def __init__(self, app: ASGIApp, most: int = _MOST):
        self.app = app
        self._cache: LRUCache = LRUCache(most, getsizeof=lambda response: len(response.body))
        self._locks: WeakValueDictionary[Hashable, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, encoding = scope.get("path", ""), _choose_encoding(scope)
        if encoding is None or not (path == "/" or _FIXED.match(path)):
            return await self.app(scope, receive, send)
        # The page may differ, so the app renders it each time; equal pages are compressed once.
        page = await self._fetch(scope) if path == "/" else None
        key = (path if page is None else _digest(page), encoding)
        async with self._locks.setdefault(key, asyncio.Lock()):
            response = self._cache.get(key)
            if response is None:
                fetched = page or await self._fetch(scope)
                response = await anyio.to_thread.run_sync(_compress, fetched, encoding)
                if response.status == 200 and len(response.body) <= self._cache.maxsize:
                    self._cache[key] = response
        await response(scope, receive, send)

    async def _fetch(self, scope: Scope) -> _Response:
        """The app's whole response. It is for everybody, so the app does not see that this client disconnects.

        Raises RuntimeError where the app breaks off: half a file must never be cached.
        """
        start: Message = {"type": "http.response.start", "status": 500, "headers": []}  # should none come
        body, complete = bytearray(), False

        async def collect(message: Message) -> None:
            nonlocal complete
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
                complete = not message.get("more_body")

        inner = {**scope, "headers": [header for header in scope["headers"] if header[0] not in _HANDLED]}
        await self.app(inner, _EmptyRequest(), collect)
        if not complete:
            raise RuntimeError("a response broke off")
        scope.update((name, value) for name, value in inner.items() if name != "headers")
        return _Response(start["status"], tuple(start["headers"]), bytes(body), inner.get("route"))


class _EmptyRequest:
    """`receive` of a GET without a body, whose client stays."""

    def __init__(self) -> None:
        self._sent = False

    async def __call__(self) -> Message:
        if self._sent:
            await anyio.sleep_forever()
        self._sent = True
        return {"type": "http.request", "body": b"", "more_body": False}


def _choose_encoding(scope: Scope) -> str | None:
    """The best encoding that the client accepts; None for requests that pass through."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    headers = Headers(scope=scope)
    offers = headers.get("accept-encoding", "").lower().split(",")
    accepted = {offer.split(";")[0].strip() for offer in offers if not _REFUSED.search(offer)}
    return None if "range" in headers else next((name for name in _ENCODINGS if name in accepted), None)


def _compress(response: _Response, encoding: str) -> _Response:
    """Compressed, where it is text and large enough."""
    headers, body = MutableHeaders(raw=[*response.headers]), response.body
    if response.status == 200 and "/assets/" in getattr(response.route, "path", ""):
        headers.setdefault("Cache-Control", "public, max-age=31536000, immutable")  # its name holds a hash of it
    textual = _TEXTUAL.match(headers.get("content-type", ""))
    if len(body) >= _SMALLEST and textual and "content-encoding" not in headers:
        body = _ENCODINGS[encoding](body)
        headers["Content-Encoding"] = encoding
        headers["Content-Length"] = str(len(body))
        headers.add_vary_header("Accept-Encoding")
    return replace(response, headers=tuple(headers.raw), body=body)


def _digest(response: _Response) -> bytes:
    return hashlib.sha256(response.body + repr(sorted(response.headers)).encode()).digest()
