"""Integrity: files on this disk against the SHA-256 with which they came, also where their length is right.

A file is hashed once, and again after any change of its size, time or inode; a stamp in the cache folder remembers it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from demo.backend.weights.checkpoint_files import file_sha256

_STAMPS, _SUMS = "verified", "SHA256SUMS"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def find_damage(folder: Path, digests: Mapping[str, str], cache_dir: Path) -> str:
    """The first file of a folder whose SHA-256 is not the one in `digests`; "" where all are intact."""
    return next((name for name, digest in digests.items() if not _is_intact(folder / name, digest, cache_dir)), "")


def cached_digests(snapshot: Path) -> dict[str, str]:
    """The SHA-256 of the large files of a Hub snapshot, after which the local Hub cache names their blobs."""
    files = (path for path in snapshot.rglob("*") if path.is_file())
    blobs = {path.relative_to(snapshot).as_posix(): path.resolve().name for path in files}
    return {name: blob for name, blob in blobs.items() if _SHA256.fullmatch(blob)}


def write_digests(folder: Path) -> None:
    """The SHA-256 of a folder's weights, beside them, as `sha256sum -c` reads it."""
    lines = [f"{file_sha256(path)}  {path.name}\n" for path in sorted(folder.glob("*.safetensors"))]
    (folder / _SUMS).write_text("".join(lines), "utf-8")


def written_digests(folder: Path) -> dict[str, str]:
    """What `write_digests` wrote; {} for a folder of another tool's."""
    try:
        lines = (folder / _SUMS).read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("  ") for line in lines)
    return {name: digest for digest, _, name in pairs if _SHA256.fullmatch(digest) and (folder / name).is_file()}


def sync_folder(folder: Path) -> None:
    """Write a folder's files to the disk itself, so that a power cut after its renaming leaves no file of zeros."""
    for path in [*folder.rglob("*"), folder]:
        with suppress(PermissionError):  # Windows syncs no folder
            handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _is_intact(file: Path, digest: str, cache_dir: Path) -> bool:
    file = file.resolve()
    stat = file.stat()
    state = f"{digest} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
    stamp = cache_dir / _STAMPS / hashlib.sha256(str(file).encode("utf-8", "surrogatepass")).hexdigest()
    with suppress(OSError, ValueError):
        if stamp.read_text("utf-8") == state:
            return True
    if file_sha256(file) != digest:
        return False
    with suppress(OSError):  # a read-only cache: it is hashed again by the next process
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(state, "utf-8")
    return True
