"""Taking: files that are made to be fetched at once. They have places that nobody can guess, and do not stay."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import gradio as gr

_SECONDS = 600  # after so long a file has been fetched, and goes
_MOST_BYTES = 2**30  # of all files together; the oldest makes room
FETCH = "(file) => { window.fetchFile(file); return []; }"  # a listener's js, whose input is the button


class Taking:
    """Makes files for one hidden download button. One instance serves every person."""

    def __init__(self, button: gr.DownloadButton, seconds: float = _SECONDS, most_bytes: int = _MOST_BYTES):
        self._button = button
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Path, tuple[int, float]] = OrderedDict()  # (bytes, when it goes), the oldest first
        self._lock = threading.Lock()

    def make(self, name: str, write: Callable[[Path], None]) -> str:
        """A file called `name`, written by `write`: the button's value. Raises what writing raises."""
        with tempfile.TemporaryDirectory(prefix="taking-") as folder:
            made = Path(folder) / name
            write(made)
            # Gradio serves files from its own folder only, under a digest of what is in them.
            kept = Path(self._button.move_resource_to_block_cache(made))
        self._keep(kept, kept.stat().st_size)
        return str(kept)

    def _keep(self, path: Path, size: int) -> None:
        with self._lock:
            self._kept.pop(path, None)  # the same file again: it stays from now on
            self._kept[path] = (size, time.monotonic() + self._seconds)
            while sum(size for size, _ in self._kept.values()) > self._most_bytes and len(self._kept) > 1:
                self._forget(next(iter(self._kept)))
        timer = threading.Timer(self._seconds, self._sweep)
        timer.daemon = True
        timer.start()

    def _sweep(self) -> None:
        with self._lock:
            now = time.monotonic()
            for path in [path for path, (_, end) in self._kept.items() if end <= now]:
                self._forget(path)

    def _forget(self, path: Path) -> None:
        del self._kept[path]
        shutil.rmtree(path.parent, ignore_errors=True)
