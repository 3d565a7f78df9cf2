"""Rate limit and concurrency limit of a public host, by open page and by address. Knows neither texts nor models.

Arithmetic: thirty students behind one school address who edit every 2 s make 15 edits a second. An edit sends up to
three requests (the heatmap, its explanation, the open tab): 2,700 a minute, which must pass; an address may send twice
that. A person who types sends a request with nearly every key, 5 to 8 a second in a burst, at most twice each: 900 a
minute never stop a person, and stop a script. The window is ten seconds, and a
minute for uploads and page loads.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.domain.errors import TooManyRequests
from demo.serving.limits.client_address import address_of, page_of
from demo.serving.refusal import refuse

_WINDOW = 10  # seconds
_KIB = 1024
_KIB_OF_PERSON = 20 * 1024  # a minute: 22 kB, some 400 lines of text, with every one of the 900 questions
_KIB_OF_ADDRESS = 10 * _KIB_OF_PERSON
_UPLOADS = 120  # a minute and address: four for each of the thirty
_KIB_OF_UPLOADS = 128 * 1024  # of these: the largest file that a tab takes, 4 MiB, for each of the thirty
_PAGES = 120  # a minute and address: the page, opened four times by each of the thirty
_MOST_RESPONSES = 300  # under way to one address: a browser keeps at most six open, those of the thirty 180
_UNKNOWN_KIB = 16 * 1024  # of an upload without Content-Length: the largest one that is accepted
_UPLOAD = "/gradio_api/upload"
_EXPENSIVE = re.compile(r"/|/config/?|/gradio_api/(info|openapi\.json)/?|/assets/plotly-.*")  # to render, or to send


class ConcurrencyLimit:
    """Concurrency limit by address: 429 while `most` of its responses, open streams included, are under way."""

    def __init__(self, app: ASGIApp, most: int = _MOST_RESPONSES, behind_proxy: bool = False):
        self.app = app
        self.most = most
        self.behind_proxy = behind_proxy
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        address = address_of(scope, self.behind_proxy)
        if self._open[address] >= self.most:
            return await _too_many(scope, _WINDOW)(scope, receive, send)
        self._open[address] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]


class RateLimit:
    """Rate limit by page and by address, over a sliding window: 429 with `Retry-After`.

    Stands behind BodyLimits, which leaves the body in the scope. person, address: requests a minute.
    """

    def __init__(self, app: ASGIApp, person: int, address: int, behind_proxy: bool = False):
        self.app = app
        self.behind_proxy = behind_proxy
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._person, self._kib_of_person = _in_window(person), _in_window(_KIB_OF_PERSON)
        self._address, self._kib_of_address = _in_window(address), _in_window(_KIB_OF_ADDRESS)
        self._uploads, self._pages = RateLimitItemPerMinute(_UPLOADS), RateLimitItemPerMinute(_PAGES)
        self._kib_of_uploads = RateLimitItemPerMinute(_KIB_OF_UPLOADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = self._wait(scope) if scope["type"] == "http" else 0
        if wait:
            return await _too_many(scope, wait)(scope, receive, send)
        return await self.app(scope, receive, send)

    def _wait(self, scope: Scope) -> int:
        """Count the request; seconds until the client may retry, or 0 where it is within every limit."""
        address, path = address_of(scope, self.behind_proxy), scope["path"]
        if scope["method"] != "POST":
            return self._take(self._pages, "page", path, address) if _EXPENSIVE.fullmatch(path) else 0
        if path.startswith(_UPLOAD):
            length = Headers(scope=scope).get("content-length", "")
            kib = 1 + (int(length) // _KIB if length.isdecimal() else _UNKNOWN_KIB)
            return self._take(self._uploads, "upload", address) or self._take(
                self._kib_of_uploads, "upload bytes", address, cost=kib
            )
        body = scope.get("body", b"")
        person, kib = (address, page_of(scope)), max(1, len(body) // _KIB)
        return (
            self._take(self._person, "requests", *person)
            or self._take(self._address, "requests", address)
            or self._take(self._kib_of_person, "bytes", *person, cost=kib)
            or self._take(self._kib_of_address, "bytes", address, cost=kib)
        )

    def _take(self, item: RateLimitItem, *key: str, cost: int = 1) -> int:
        if self._limiter.hit(item, *key, cost=cost):
            return 0
        reset = self._limiter.get_window_stats(item, *key).reset_time
        return max(1, min(math.ceil(reset - time.time()), item.get_expiry()))


def _in_window(a_minute: int) -> RateLimitItem:
    return RateLimitItemPerSecond(max(1, a_minute * _WINDOW // 60), _WINDOW)


def _too_many(scope: Scope, seconds: int) -> Response:
    return refuse(scope, TooManyRequests(seconds=seconds), 429, {"Retry-After": str(seconds)})
