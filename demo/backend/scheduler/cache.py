"""Embedding cache: embeddings by (checkpoint, reading, text), LRU within a budget of bytes. Imports no torch."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from cachetools import LRUCache

from demo.domain.datamodels import Embedded


@dataclass(frozen=True, eq=False)
class Entry:
    """One text's embedding under one reading, or under every layer and all kept poolings."""

    vectors: np.ndarray  # float32 (dim,), or (n_layers + 1, poolings, dim), poolings as in pooling.KEPT_POOLINGS
    cut: bool = False  # whether the text was too long and lost its end
    count: int = 0  # pooled tokens

    @property
    def nbytes(self) -> int:
        return self.vectors.nbytes


class EmbeddingCache:
    """Safe to use from several threads. hits: how many entries `get` has found."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.hits = 0
        self._entries: LRUCache = LRUCache(max_bytes, getsizeof=lambda entry: entry.nbytes)
        self._lock = threading.Lock()

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
        """Keep an entry, its vectors read-only from now on; one larger than the whole budget is not kept."""
        entry.vectors.flags.writeable = False
        with self._lock:
            if entry.nbytes <= self._entries.maxsize:
                self._entries[key] = entry

    def clear(self) -> None:
        """Remove every entry."""
        with self._lock:
            self._entries.clear()


def join_entries(entries: Sequence[Entry], token_limit: int) -> Embedded:
    """Entries of one reading as one answer, in their order."""
    cut = tuple(i for i, entry in enumerate(entries) if entry.cut)
    return Embedded(np.stack([entry.vectors for entry in entries]), cut, token_limit)
