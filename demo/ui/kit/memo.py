"""What is the same for everybody is computed once in this process, however many ask at the same moment."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Made = TypeVar("Made")


class Once:
    """Results by name. What fails is not kept: the next one who asks tries again."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._locks: dict[Hashable, threading.Lock] = defaultdict(threading.Lock)

    def of(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What is known by this name, else what `make` comes to."""
        if key not in self._kept:
            with self._locks[key]:
                if key not in self._kept:
                    self._kept[key] = make()
        return self._kept[key]

    def known(self, key: Hashable) -> Any | None:
        """What is known by this name by now; None for nothing."""
        return self._kept.get(key)
