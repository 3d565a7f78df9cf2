"""Downloads: temporary files behind one hidden download button, at addresses that nobody can guess."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import gradio as gr

from demo.ui.gradio.private import publish_file

_SECONDS = 600  # by then the browser has fetched the file
_MAX_BYTES = 2**30  # of all files together; the oldest makes room
FETCH = "(file) => { window.lab.fetchFile(file); return []; }"  # a listener's js, whose input is the button


class Downloads:
    """Files for one hidden download button. One instance serves every page."""

    def __init__(self, button: gr.DownloadButton, seconds: float = _SECONDS, max_bytes: int = _MAX_BYTES):
        self._button = button
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._files: OrderedDict[Path, tuple[int, float]] = OrderedDict()  # (bytes, expiry), the oldest first
        self._lock = threading.Lock()

    def create(self, name: str, write: Callable[[Path], None]) -> str:
        """A file called `name` with what `write` puts there: the button's value. Raises what writing raises."""
        with tempfile.TemporaryDirectory(prefix="download-") as folder:
            written = Path(folder) / name
            write(written)
            served = publish_file(self._button, written)
        self._register(served, served.stat().st_size)
        return str(served)

    def _register(self, path: Path, size: int) -> None:
        with self._lock:
            self._files.pop(path, None)  # the same content again: its time begins anew
            self._files[path] = (size, time.monotonic() + self._seconds)
            while sum(size for size, _ in self._files.values()) > self._max_bytes and len(self._files) > 1:
                self._remove(next(iter(self._files)))
        timer = threading.Timer(self._seconds, self._remove_expired)
        timer.daemon = True
        timer.start()

    def _remove_expired(self) -> None:
        with self._lock:
            now = time.monotonic()
            for path in [path for path, (_, expiry) in self._files.items() if expiry <= now]:
                self._remove(path)

    def _remove(self, path: Path) -> None:
        del self._files[path]
        shutil.rmtree(path.parent, ignore_errors=True)
