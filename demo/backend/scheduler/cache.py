"""Cache: embeddings by (checkpoint, reading, text), least recently used leave first. Knows no torch."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from cachetools import LRUCache


@dataclass(frozen=True, eq=False)
class Entry:
    """What is known of one text: its embedding under one reading, or under every layer and several poolings."""

    numbers: np.ndarray  # float32 (dim,), or (n_layers + 1, poolings, dim) with poolings as in pooling.KEPT
    cut: bool = False  # whether the text was too long and lost its end
    count: int = 0  # pooled tokens

    @property
    def nbytes(self) -> int:
        return self.numbers.nbytes


class EmbeddingCache:
    """Entries within a budget of bytes, safe to use from several threads."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self._entries: LRUCache = LRUCache(max_bytes, getsizeof=lambda entry: entry.nbytes)
        self._lock = threading.Lock()
        self.hits = 0  # entries that were found

    def get(self, key: Hashable) -> Entry | None:
        """The entry, or None."""
        with self._lock:
            entry = self._entries.get(key)
            self.hits += entry is not None
            return entry

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._entries

    def put(self, key: Hashable, entry: Entry) -> None:
        """Keep an entry, its numbers read-only from now on; one larger than the whole budget is not kept."""
        entry.numbers.flags.writeable = False
        with self._lock:
            if entry.nbytes <= self._entries.maxsize:
                self._entries[key] = entry

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
