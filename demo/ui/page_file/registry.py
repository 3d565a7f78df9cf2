"""Page files: the one file of each open page, by the page's id, for all its tabs. Knows no widget.

Kept in this process's memory alone, bounded by count, bytes and age; no text of it reaches a log.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from cachetools import TTLCache

from demo.files.columns import Columns, complete_columns, propose_columns
from demo.files.limits import FileLimits
from demo.files.table import Table
from demo.ui.kit.memo import Memo

_MOST, _MAX_BYTES = 64, 512 * 2**20  # files of all pages
_SECONDS = 4 * 3600  # since a file was used last
_serials = count(1)

LIMITS = FileLimits(rows=50_000, bytes=4 * 2**20)  # of a file; what a tab takes of it is less
Part = TypeVar("Part")


@dataclass(frozen=True, eq=False)
class PageFile:
    """A file as it is read now; another choice makes another one."""

    table: Table
    columns: Columns
    sure: bool = True  # whether its names, or its form, say which column holds what; else they were guessed
    drawn: bool = False  # of a file that is too large for a tab: questions drawn at random instead of the first ones
    serial: int = field(default_factory=lambda: next(_serials), init=False)
    _parts: Memo = field(default_factory=Memo, init=False, repr=False)

    @classmethod
    def of(cls, table: Table) -> PageFile:
        """A table under the columns that it seems to have."""
        return cls(table, *propose_columns(table, LIMITS))

    def under(self, question: int, answer: int, label: int | str) -> PageFile:
        """The same rows under other columns."""
        return replace(self, columns=complete_columns(self.table, question, answer, label), sure=True)

    def part(self, name: str, make: Callable[[PageFile], Part]) -> Part:
        """What a tab takes of it, made once. Raises what `make` raises."""
        return self._parts.get(name, lambda: make(self))

    @property
    def nbytes(self) -> int:
        """Memory of its texts; no file counts for less than its parts take."""
        cells = (*self.table.cells, *(texts for column in self.table.lists.values() for texts in column))
        return max(_MAX_BYTES // _MOST, sum(sys.getsizeof(text) for row in cells for text in row))


class PageFiles:
    """Files by page. What does not fit is the one that was used longest ago."""

    def __init__(
        self, max_bytes: int = _MAX_BYTES, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic
    ):
        self._files: TTLCache[str, PageFile] = TTLCache(max_bytes, seconds, clock, lambda file: file.nbytes)
        self._lock = threading.Lock()

    def get(self, page: str) -> PageFile | None:
        """A page's file; its time begins anew."""
        with self._lock:
            file = self._files.pop(page, None)
            if file is not None:
                self._files[page] = file
            return file

    def put(self, page: str, file: PageFile) -> None:
        """Replace a page's file. Raises BadInput where it is larger than all the room there is."""
        with self._lock:
            self._files.pop(page, None)
            try:
                self._files[page] = file
            except ValueError as error:
                raise LIMITS.refuse("The file unpacks to too much.", accepted=False) from error

    def close(self, page: str) -> None:
        """Forget a page's file."""
        with self._lock:
            self._files.pop(page, None)


PAGE_FILES = PageFiles()
