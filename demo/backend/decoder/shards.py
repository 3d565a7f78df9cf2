"""Shards: a checkpoint's safetensors files, read piece by piece into memory that is already there.

Nothing is mapped: a file that is cut off while it is read is a short read here, and would kill the process else.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from demo.backend.weights.checkpoint_files import read_header, weight_files
from demo.domain.errors import StreamBroken, UnsupportedModel

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_PIECE = 8 * 2**20  # bytes between two looks at whether to go on, and of a conversion
_LOOK = 32 * 2**20  # bytes


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies."""

    file: Path
    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        return math.prod(self.shape)


class Shards:
    """The tensors of a folder, by name. bytes_read: so far. Several threads may read, each with its own `open`."""

    def __init__(self, folder: Path, model: str):
        """Raises UnsupportedModel for weights of another kind than float32, float16 and bfloat16."""
        self.model = model
        self.bytes_read = 0
        self._counting = threading.Lock()
        self._stamps: dict[Path, tuple[int, int]] = {}
        self.tensors: dict[str, Stored] = {}
        for file in weight_files(folder):
            self._stamps[file] = _stamp(file)
            with file.open("rb") as stream:
                data = 8 + int.from_bytes(stream.read(8), "little")
            for name, tensor in read_header(file).items():
                if tensor["dtype"] not in _DTYPES:
                    reason = f"its weights are stored as {tensor['dtype']}, and are too large to be read whole."
                    raise UnsupportedModel(model=model, reason=reason)
                at = data + tensor["data_offsets"][0]
                self.tensors[name] = Stored(file, at, _DTYPES[tensor["dtype"]], tuple(tensor["shape"]))

    @property
    def nbytes(self) -> int:
        """Size of the files."""
        return sum(size for size, _ in self._stamps.values())

    @contextmanager
    def open(self) -> Iterator[ShardReader]:
        """The files, opened as they are needed and closed at the end."""
        with ExitStack() as files:
            yield ShardReader(self, files)

    def count(self, size: int) -> None:
        """Count bytes that were read."""
        with self._counting:
            self.bytes_read += size

    def broken(self, file: Path, reason: str) -> StreamBroken:
        """The error of a file that cannot be read any more."""
        return StreamBroken(model=self.model, file=file.name, reason=reason)

    def open_file(self, file: Path):
        """A file as it was when the model was loaded. Raises StreamBroken."""
        try:
            changed = _stamp(file) != self._stamps[file]
            opened = file.open("rb", buffering=0)
        except OSError as error:
            raise self.broken(file, (error.strerror or str(error)).lower()) from error
        if changed:
            opened.close()
            raise self.broken(file, "it has changed since the model was loaded")
        return opened


class ShardReader:
    """One thread's way to the files."""

    def __init__(self, shards: Shards, files: ExitStack):
        self._shards = shards
        self._files = files
        self._opened: dict[Path, object] = {}
        self._staging: Tensor | None = None
        self.stopped = False

    def read(self, stored: Stored, target: Tensor, first: int = 0) -> None:
        """Rows of a tensor from `first` on into `target`, contiguous, in its dtype. Raises StreamBroken; Stopped."""
        width = stored.dtype.itemsize * (target[0].numel() if target.ndim else 1)
        offset, flat = stored.offset + first * width, target.view(-1)
        if stored.dtype is target.dtype:
            self._read_bytes(stored.file, offset, flat.view(torch.uint8))
            return
        if self._staging is None:
            self._staging = torch.empty(_PIECE, dtype=torch.uint8)
        piece = _PIECE // stored.dtype.itemsize
        for start in range(0, len(flat), piece):
            part = flat[start : start + piece]
            staged = self._staging[: len(part) * stored.dtype.itemsize]
            self._read_bytes(stored.file, offset + start * stored.dtype.itemsize, staged)
            part.copy_(staged.view(stored.dtype))

    def _read_bytes(self, path: Path, offset: int, target: Tensor) -> None:
        file = self._opened.get(path)
        if file is None:
            file = self._opened[path] = self._files.enter_context(self._shards.open_file(path))
        view = memoryview(target.numpy())
        try:
            file.seek(offset)
            done = 0
            while done < len(view) and not self.stopped:
                size = file.readinto(view[done : done + _PIECE])
                if not size:
                    raise self._shards.broken(path, "it ends too early")
                done += size
                self._shards.count(size)
        except OSError as error:
            raise self._shards.broken(path, (error.strerror or str(error)).lower()) from error


def disk_speed(folder: Path) -> float:
    """Bytes a second, from one look at the middle of a checkpoint's first file."""
    file = weight_files(folder)[0]
    started = time.perf_counter()
    with file.open("rb", buffering=0) as stream:
        stream.seek(file.stat().st_size // 2)
        size = len(stream.read(_LOOK))
    return max(1, size) / max(time.perf_counter() - started, 1e-9)


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
