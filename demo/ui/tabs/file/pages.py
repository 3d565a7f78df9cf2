"""What the server remembers of an open page's file: its columns, its comparison, what was found. Knows no widget."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cachetools import LRUCache

from demo.domain.datamodels import Pairing
from demo.domain.errors import DemoError
from demo.domain.results import LargeComparison
from demo.files.pairing import Columns
from demo.files.table import Table
from demo.ui.kit.page_jobs import PageJob

_MOST_KEPT = 2**30  # bytes of what was found, all people together; who was quiet longest makes room


@dataclass(eq=False)
class Run:
    """One comparison: what it is asked over, and the part of its picture that is there so far."""

    pairing: Pairing
    reading: dict[str, Any]
    part: np.ndarray | None = None  # float32 (n, m), of the first questions and answers
    shown: tuple[int, int] | None = None  # the shape of the part that was sent last


@dataclass(eq=False)
class Page(PageJob):
    """One open page; its job is a comparison."""

    sheet: Table | None = None
    columns: Columns | None = None
    pairing: Pairing | None = None  # of the chosen columns; None where they cannot be used
    run: Run | None = None  # under way, or the last one
    found_run: Run | None = None  # the last one that came to its end
    failed: DemoError | None = None  # what the last one raised; told until something else is asked
    stopped: bool = False
    texts: Pairing | None = None  # whose texts the browser has
    lock: threading.Lock = field(default_factory=threading.Lock)


class Kept:
    """What was found, by page, within a budget of bytes. A result of 1,000 × 1,000 logits is 400 MB."""

    def __init__(self, most: int = _MOST_KEPT):
        self._found: LRUCache = LRUCache(most, getsizeof=lambda found: found.nbytes)
        self._lock = threading.Lock()

    def get(self, session: str) -> LargeComparison | None:
        """A page's last result, while there is room for it."""
        with self._lock:
            return self._found.get(session)

    def put(self, session: str, found: LargeComparison) -> None:
        """In the place of the page's last one."""
        with self._lock:
            self._found[session] = found
