"""The time that long work still takes, in words."""

from __future__ import annotations

import math

from demo.wording.translate import translate

_STEPS = (("seconds", 5, 90), ("minutes", 60, 90 * 60), ("hours", 3600, math.inf))  # (unit, its seconds, up to)


def describe_left(language: str, seconds: float | None) -> str:
    """`about 40 s left`, rounded up: it is an estimate. "" where it is not known."""
    if seconds is None:
        return ""
    unit, step, _ = next(each for each in _STEPS if seconds <= each[2])
    count = max(1, math.ceil(seconds / step))
    return translate(language, f"left.{unit}", count=count * 5 if unit == "seconds" else count)
