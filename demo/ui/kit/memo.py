"""Memo: memoized results of this process, single-flight: concurrent requests for a key share one computation."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any, TypeVar

Result = TypeVar("Result")


class Memo:
    """Results by key. A failed computation is not kept: the next request tries again."""

    def __init__(self) -> None:
        self._results: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, threading.Lock] = defaultdict(threading.Lock)

    def get(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """The cached result, else the one of `compute`."""
        if key not in self._results:
            with self._locks[key]:
                if key not in self._results:
                    self._results[key] = compute()
        return self._results[key]

    def cached(self, key: Hashable) -> Any | None:
        """The cached result, or None; computes nothing."""
        return self._results.get(key)


def memoized(method: Callable[..., Result]) -> Callable[..., Result]:
    """A method whose results are kept in its object's `memo`, by the method's name and arguments."""

    @wraps(method)
    def call(self, *args: Hashable) -> Result:
        return self.memo.get((method.__name__, *args), lambda: method(self, *args))

    return call
