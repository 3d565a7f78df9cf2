"""Disk cache: embeddings that outlive the process, in one SQLite file, LRU within a budget of bytes.

Texts are not in it: the key is a digest of checkpoint, reading and text. A file that cannot be used is an empty cache;
no request fails for it.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path

import numpy as np

from demo.backend.scheduler.cache import Entry

_FILE = "embeddings.sqlite"
_TABLE = "CREATE TABLE IF NOT EXISTS entries (name BLOB PRIMARY KEY, numbers BLOB, cut INTEGER, used REAL)"
_DIGEST = 8  # bytes before the numbers of an entry
_AT_ONCE = 500  # names in one query
_ROOM = 0.9  # of the budget that stays in use after an eviction
_log = logging.getLogger("demo")


class DiskCache:
    """Entries by any key with a complete `repr`. Several threads, and processes, may use one file."""

    def __init__(self, folder: Path, max_bytes: int):
        self._path = folder / _FILE
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._last = 0.0
        self._db = self._open()

    def get(self, keys: Iterable[Hashable]) -> dict[Hashable, Entry]:
        """The cached entries."""
        names = {_name(key): key for key in keys}
        entries: dict[Hashable, Entry] = {}

        def read(db: sqlite3.Connection) -> None:
            every_name = list(names)
            for start in range(0, len(every_name), _AT_ONCE):
                part = every_name[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = db.execute(f"SELECT name, numbers, cut FROM entries WHERE name IN ({marks})", part).fetchall()
                for name, numbers, cut in rows:
                    if numbers[:_DIGEST] == _digest(name, numbers[_DIGEST:]):  # SQLite itself checks no content
                        vectors = np.frombuffer(numbers, dtype=np.float32, offset=_DIGEST)
                        entries[names[name]] = Entry(vectors, bool(cut))
                db.execute(f"UPDATE entries SET used = ? WHERE name IN ({marks})", [self._now(), *part])

        return entries if self._try(read) else {}

    def put(self, entries: Mapping[Hashable, Entry]) -> None:
        """Keep entries; the least recently used make room."""
        now = self._now()
        rows = []
        for key, entry in entries.items():
            name, numbers = _name(key), np.ascontiguousarray(entry.vectors, dtype=np.float32).tobytes()
            rows.append((name, _digest(name, numbers) + numbers, entry.cut, now))

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", rows)
            if _size(db) > self._max_bytes:
                _evict(db, int(self._max_bytes * _ROOM))

        self._try(write)

    def _open(self, anew: bool = False) -> sqlite3.Connection | None:
        """anew: replace a damaged database: a cache may be lost."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if anew:
                for end in ("", "-wal", "-shm"):  # an old log would be read into the new file
                    self._path.with_name(_FILE + end).unlink(missing_ok=True)
            return self._connect()
        except (OSError, sqlite3.Error) as error:
            damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            if damaged and not anew:
                return self._open(anew=True)
            _log.warning("embeddings are not kept on disk: %s", error)
            return None

    def _now(self) -> float:
        """The time, which never goes back: after a clock was set back, new entries would be evicted first."""
        self._last = max(self._last, time.time())
        return self._last

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=2, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(_TABLE)
        return db

    def _try(self, act: Callable[[sqlite3.Connection], None]) -> bool:
        """Whether it succeeded. A damaged file is replaced; if that fails, too, the disk is left alone."""
        with self._lock:
            if self._db is None:
                return False
            try:
                with self._db:
                    act(self._db)
                return True
            except sqlite3.OperationalError as error:  # full, read-only or locked
                _log.warning("embeddings on disk: %s", error)
            except sqlite3.Error as error:
                _log.warning("embeddings on disk are forgotten: %s", error)
                self._db.close()
                self._db = self._open(anew=True)
            return False


def _name(key: Hashable) -> bytes:
    return hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).digest()


def _digest(name: bytes, numbers: bytes) -> bytes:
    return hashlib.blake2b(numbers, digest_size=_DIGEST, key=name).digest()


def _size(db: sqlite3.Connection) -> int:
    pages, free = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
    return (pages - free) * db.execute("PRAGMA page_size").fetchone()[0]


def _evict(db: sqlite3.Connection, max_bytes: int) -> None:
    count = db.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
    excess = count - int(count * max_bytes / max(_size(db), 1))
    db.execute("DELETE FROM entries WHERE name IN (SELECT name FROM entries ORDER BY used LIMIT ?)", [excess])
