"""Cache: embeddings by (checkpoint, reading, text), least recently used leave first. Knows no torch."""

from __future__ import annotations

import threading
from collections.abc import Hashable

import numpy as np
from cachetools import LRUCache


class EmbeddingCache:
    """Vectors within a budget of bytes, safe to use from several threads."""

    def __init__(self, max_bytes: int):
        self._vectors: LRUCache = LRUCache(max_bytes, getsizeof=lambda vector: vector.nbytes)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> np.ndarray | None:
        """The vector, read-only, or None."""
        with self._lock:
            return self._vectors.get(key)

    def put(self, key: Hashable, vector: np.ndarray) -> None:
        """Keep a vector; one larger than the whole budget is not kept."""
        vector.flags.writeable = False
        with self._lock:
            if vector.nbytes <= self._vectors.maxsize:
                self._vectors[key] = vector

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._vectors.clear()
