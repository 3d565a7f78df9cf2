"""Request context: the priority, cancellation and timeout of a request, carried in a context variable.

A handler sets it with `request_context(…)`; a scheduler or an engine reads it with `current_request()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


def _never() -> bool:
    return False


@dataclass(frozen=True)
class RequestContext:
    """How a request is served.

    interactive: a person waits for the answer, so it runs before background work.
    is_cancelled: True once nobody waits for the answer any more; may be called from any thread.
    timeout: seconds to wait for another machine or a slow model before the caller asks again; None waits as long as it
    takes. asker: whose request this is: what an older one of theirs still computes after its timeout ends.
    """

    interactive: bool = True
    is_cancelled: Callable[[], bool] = _never
    timeout: float | None = None
    asker: str = ""


_DEFAULT = RequestContext()
_context: ContextVar[RequestContext] = ContextVar("request_context", default=_DEFAULT)


def current_request() -> RequestContext:
    """The context of the request that this thread or task serves."""
    return _context.get()


@contextmanager
def request_context(**changes) -> Iterator[None]:
    """Change fields of the current request's context for the duration of the block."""
    token = _context.set(replace(_context.get(), **changes))
    try:
        yield
    finally:
        _context.reset(token)
