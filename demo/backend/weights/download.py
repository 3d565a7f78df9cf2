"""Download: shared by all sources of weights: result, failure, progress, free space."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from demo.backend.protocol import OnProgress
from demo.domain.datamodels import Progress

logger = logging.getLogger("demo")

Report = Callable[[str, "float | None"], None]  # stage, fraction 0…1 or None
Consent = Callable[[int, Path], None]  # bytes to fetch, where to: raises BigDownload where nobody has said yes
BIG_DOWNLOAD = 2 * 10**9  # bytes: more is fetched after a question only
_RATE_AFTER = 2.0  # seconds of a download after which its rate says something


@dataclass(frozen=True)
class Weights:
    """A checkpoint on this disk, and where it came from."""

    folder: Path  # config.json, safetensors and tokenizer, loadable by transformers offline
    revision: str  # Hub commit; "name version" of a package; "sha256:…" of a folder's files
    source: str  # who served it, in words
    precision: str  # as stored at the source: "float32", "bfloat16", "4-bit (Q4_1)" …
    notices: tuple[str, ...] = ()
    adapter: Path | None = None  # the folder of an adapter over them
    checkpoint: Path | None = None  # the sentence-transformers folder, where `folder` is only its transformer's


class SourceFailed(Exception):
    """One source cannot serve; its text is a sentence for the person. locate.py collects these."""


def reporter(model: str, on_progress: OnProgress | None) -> Report:
    """Reports every step to the page, and each stage and tenth of a download to the log."""
    logged: set[tuple[str, int]] = set()

    def report(stage: str, fraction: float | None) -> None:
        if on_progress:
            on_progress(Progress(stage, fraction))
        step = (stage.partition(",")[0], int((fraction or 0) * 10))
        if step not in logged:
            logged.add(step)
            logger.info("%s: %s%s", model, stage, "" if fraction is None else f" {fraction:.0%}")

    return report


@contextmanager
def download_reported(
    folder: Path, total: int, report: Report, before: int = 0, shards: Mapping[str, int] = MappingProxyType({})
) -> Iterator[None]:
    """While it lasts, report "downloading" with a fraction: `before` plus the bytes in a folder, of `total`.

    A big one is reported in words as well, with the time left. shards: bytes of its larger files, by what their names
    in the folder begin with.
    """
    done = threading.Event()
    started, first = time.monotonic(), folder_size(folder)
    most = before

    def update() -> None:
        nonlocal most
        most = max(most, before + folder_size(folder))  # never backwards, though temporary files vanish
        stage = "downloading"
        if total > BIG_DOWNLOAD:
            passed, fetched = time.monotonic() - started, most - before - first
            left = (total - most) * passed / fetched if passed > _RATE_AFTER and fetched > 0 else None
            stage += _describe(most, total, left, [_size(folder, name) / size for name, size in shards.items()])
        report(stage, min(1.0, most / total) if total > 0 else None)

    def poll() -> None:
        update()
        while not done.wait(0.3):
            update()

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    update()


def _describe(done: int, total: int, left: float | None, shards: Sequence[float]) -> str:
    """`, 3.1 of 14.5 GB (41 %, 22 %), about 9 min left`."""
    parts = f" ({', '.join(f'{share:.0%}'.replace('%', ' %') for share in shards)})" if len(shards) > 1 else ""
    said = f", {done / 1e9:.1f} of {total / 1e9:.1f} GB{parts}"
    if left is None:
        return said
    return f"{said}, about {left / 60:.0f} min left" if left > 90 else f"{said}, about {left:.0f} s left"


def _size(folder: Path, name: str) -> int:
    """Bytes of a file that is whole or still arrives."""
    return max((path.stat().st_size for path in folder.glob(f"{name}*")), default=0)


def folder_size(folder: Path) -> int:
    """Bytes in a folder; files may vanish while it is counted."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return total


def free_space(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_space(folder: Path, needed: int) -> None:
    """Raises OSError where the disk of a folder, which need not exist yet, has too little free space."""
    free = free_space(folder)
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")


def describe_os_error(error: OSError) -> str:
    """Its reason without a path."""
    return error.strerror or type(error).__name__
