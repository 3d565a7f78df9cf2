"""One open page of the file tab: its comparison, and the cache of all results. Knows no widget."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from cachetools import LRUCache

from demo.domain.datamodels import Pairing
from demo.domain.errors import DemoError
from demo.domain.results import LargeComparison
from demo.ui.kit.page_jobs import PageJob

_MAX_BYTES = 2**30  # of all results


@dataclass(eq=False)
class Run:
    """One comparison: its input, and the part of the matrix that is computed so far."""

    pairing: Pairing
    reading: dict[str, Any]
    part: np.ndarray | None = None  # float32 (n, m), of the first questions and answers
    shown: tuple[int, int] | None = None  # the shape of the part that was sent last


@dataclass(eq=False)
class Page(PageJob):
    """Its job is a comparison."""

    run: Run | None = None  # the present one, or the last one
    result_run: Run | None = None  # the last one that has a result
    failed: DemoError | None = None  # of the last run; shown until its input changes
    stopped: bool = False
    texts: Pairing | None = None  # whose texts the browser has


class ResultCache:
    """The last result of each page, in an LRU cache of bounded size: 1,000 × 1,000 logit vectors take 400 MB."""

    def __init__(self, max_bytes: int = _MAX_BYTES):
        self._results: LRUCache = LRUCache(max_bytes, getsizeof=lambda kept: kept[1].nbytes)
        self._lock = threading.Lock()

    def get(self, session: str) -> LargeComparison | None:
        """A page's last result, unless it was evicted."""
        with self._lock:
            return self._results.get(session, (None, None))[1]

    def run_of(self, session: str) -> Run | None:
        """What a page's last result was computed of: a page that was away may never have seen it end."""
        with self._lock:
            return self._results.get(session, (None, None))[0]

    def put(self, session: str, run: Run, result: LargeComparison) -> None:
        """Replace a page's result. Raises ValueError where it is larger than the cache."""
        with self._lock:
            self._results[session] = run, result
