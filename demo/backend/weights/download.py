"""Download: shared by all sources of weights: result, failure, progress, free space."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
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
) -> Iterator[Callable[[], None]]:
    """While it lasts, report "downloading" with a fraction: `before` plus the bytes in a folder, of `total`.

    A big one is reported in words as well. shards: bytes of its larger files, by what their names in the folder begin
    with. report may raise to stop: what it raised is raised at the end, and by the function that this yields.
    """
    done, raised = threading.Event(), []
    most = before

    def update() -> None:
        nonlocal most
        most = max(most, before + folder_size(folder))  # never backwards, though temporary files vanish
        stage = "downloading"
        if total > BIG_DOWNLOAD:
            stage += _describe(most, total, [_size(folder, name) / size for name, size in shards.items()])
        report(stage, min(1.0, most / total) if total > 0 else None)

    def poll() -> None:
        try:
            update()
            while not done.wait(0.3):
                update()
        except Exception as error:
            raised.append(error)

    def check() -> None:
        if raised:
            raise raised[0]

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield check
    finally:
        done.set()
        watcher.join()
    check()
    update()


def _describe(done: int, total: int, shards: Sequence[float]) -> str:
    """`, 3.1 of 14.5 GB (41 %, 22 %)`."""
    parts = f" ({', '.join(f'{share:.0%}'.replace('%', ' %') for share in shards)})" if len(shards) > 1 else ""
    return f", {done / 1e9:.1f} of {total / 1e9:.1f} GB{parts}"


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
