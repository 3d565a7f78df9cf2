"""Polling: waits until a condition holds, and fails with the last value when it never does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    condition: Callable[[], T],
    seconds: float = 20.0,
    message: str = "the condition never held",
    *,
    until: Callable[[T], object] = bool,
    catching: type[Exception] | tuple[type[Exception], ...] = (),
    every: float = 0.01,
) -> T:
    """Call `condition` until `until` accepts its value, and return that value.

    catching: exceptions that mean "not yet". Raises AssertionError with the last value or exception after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            last = condition()
            if until(last):
                return last
        except catching as error:
            last = error
        assert time.monotonic() < deadline, f"{message}: {last!r} after {seconds:g} s"
        time.sleep(every)
