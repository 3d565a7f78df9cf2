"""Model store: checkpoints in memory within a budget of bytes, LRU; each is loaded once, however many ask for it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from demo.backend.decoder.fused_linear import UnexpectedArchitecture
from demo.backend.decoder.layer_stream import Compute, compute_here, expected_seconds
from demo.backend.decoder.shards import disk_speed
from demo.backend.loader import Checkpoint, count_parameters, load_checkpoint
from demo.backend.model.device import ROUNDING, Placement, memory_budget
from demo.backend.protocol import OnProgress
from demo.backend.scheduler.malloc import release_freed_memory
from demo.backend.weights.checkpoint_files import weight_files
from demo.backend.weights.download import BIG_DOWNLOAD, free_space
from demo.backend.weights.hub import hub_reachable
from demo.backend.weights.locate import Weights, cached_by_entry, fetched, locate_weights, unavailable_reason
from demo.domain.catalog import CATALOG, CatalogEntry
from demo.domain.datamodels import Kind, ModelStatus, Progress
from demo.domain.errors import BigDownload, BigDownloadRefused, ModelDoesNotFit, ModelNotFetched
from demo.settings import Settings

# float32 weights of a model that is kept in both precisions: up to 335 million parameters.
_MOST_FULL_BYTES = 1.25 * 2**30
_NOT_STREAMED = (
    "Its weights are in memory all the same: only those of GPTs like Llama, Mistral or Qwen3 are read from disk."
)

logger = logging.getLogger("demo")


class ModelStore:
    """placement: where models are loaded to. budget: bytes. own_pass: whether our decoder and encoder may run them."""

    def __init__(self, settings: Settings, placement: Placement, own_pass: bool):
        self.placement = placement
        self.own_pass = own_pass
        self.budget = memory_budget(placement.device, settings.memory_gb)
        self._settings = settings
        self._unavailable_reason = cached_by_entry(lambda entry: unavailable_reason(entry, settings.cache_dir))
        self._fetched = cached_by_entry(fetched)
        self._expected: dict[str, float] = {}
        # By model and precision, least recently used first.
        self._checkpoints: OrderedDict[tuple[str, torch.dtype], Checkpoint] = OrderedDict()
        self._loading: dict[tuple[str, torch.dtype], threading.Lock] = {}
        self._permitted: set[str] = set()  # models whose big download somebody has said yes to
        self._lock = threading.Lock()  # guards the models
        self._load_lock = threading.Lock()  # one model at a time enters memory, so that the budget holds
        self.compute: Compute = compute_here  # runs the steps of a pass whose weights are read from disk

    def find(self, model: str, precision: str = "") -> Checkpoint | None:
        """The model, if it is in memory. precision: by default the placement's. Never blocks on a load."""
        key = model, self._place(precision).dtype
        with self._lock:
            checkpoint = self._checkpoints.get(key)
            if checkpoint:
                self._checkpoints.move_to_end(key)
            return checkpoint

    def get(self, model: str, on_progress: OnProgress | None = None, precision: str = "") -> Checkpoint:
        """The model, loaded if it must be. precision: by default the placement's. Raises ModelError."""
        checkpoint = self.find(model, precision)
        if checkpoint:
            return checkpoint
        place = self._place(precision)
        with self._lock:
            lock = self._loading.setdefault((model, place.dtype), threading.Lock())
        with lock:
            return self.find(model, precision) or self._load(model, place, on_progress or (lambda progress: None))

    def permit_download(self, model: str) -> None:
        """Somebody has said yes."""
        self._permitted.add(model)

    def release(self, model: str) -> None:
        """Let go of a model in every precision; a computation under way keeps it until its end."""
        with self._lock:
            for key in [key for key in self._checkpoints if key[0] == model]:
                del self._checkpoints[key]
        release_freed_memory()

    def memory_use(self) -> tuple[int, int]:
        """(models, bytes) in memory."""
        with self._lock:
            return len({model for model, _ in self._checkpoints}), self._used()

    @property
    def bytes_read(self) -> int:
        """Of the weights that are read from disk for every pass."""
        with self._lock:
            streams = [checkpoint.stream for checkpoint in self._checkpoints.values() if checkpoint.stream]
        return sum(stream.shards.bytes_read for stream in streams)

    def status(self, entry: CatalogEntry) -> ModelStatus:
        """Whether a model of the catalogue is loaded or can be, and why not, or why its weights stay on disk."""
        need = entry.memory_bytes(self.placement.dtype.itemsize)
        with self._lock:
            checkpoint = next((each for (model, _), each in self._checkpoints.items() if model == entry.id), None)
        if checkpoint:
            stream = checkpoint.stream
            return entry.status("loaded", f"{self._why(need)}; {_read_from_disk(stream.seconds)}" if stream else "")
        small = need <= self.budget
        if small and self._settings.weights != "stream":
            reason = self._unavailable_reason(entry)
            return entry.status("unavailable" if reason else "available", reason)
        if not self._may_stream(need):
            return entry.status("unavailable", self._why(need))
        weights = self._fetched(entry)
        if weights:
            return entry.status("available", f"{self._why(need)}; {_read_from_disk(self._expect(entry, weights))}")
        if small:
            reason = self._unavailable_reason(entry)
            return entry.status("unavailable" if reason else "available", reason)
        if not self._may_fetch(entry):
            return entry.status("unavailable", f"{self._why(need)}; {_once_fetched(entry)}")
        size = 2 * entry.parameters  # of bfloat16
        status = entry.status("unavailable", f"{self._why(need)}; {_gb(size)} are fetched first, if you say yes")
        return replace(status, fetch_bytes=size)

    def _place(self, precision: str) -> Placement:
        return self.placement.in_precision(precision) if precision else self.placement

    def _load(self, model: str, place: Placement, on_progress: OnProgress) -> Checkpoint:
        entry, itemsize = CATALOG.get(model), place.dtype.itemsize
        if entry and not (self._may_stream(entry.memory_bytes(itemsize)) and self._is_here_or_comes(entry)):
            self._require_fit(entry, entry.memory_bytes(itemsize))
        on_progress(Progress("locating"))
        folders = self._settings.own_user or model == self._settings.model.strip()
        consent = partial(self._require_consent, model)
        weights = locate_weights(model, self._settings.cache_dir, on_progress, folders, consent)
        need = entry.memory_bytes(itemsize) if entry else int(count_parameters(weights.folder) * itemsize * 1.2)
        stream = self._may_stream(need)
        if not stream:
            self._require_fit(entry or model, need)
        with self._load_lock:
            on_progress(Progress("loading"))
            checkpoint = self._stream(model, weights, place, need) if stream else None
            if checkpoint is None:
                self._require_fit(entry or model, need)
                self._make_room(need)
                checkpoint = self._read(model, weights, place)
                if stream:
                    checkpoint = _with_notice(checkpoint, _NOT_STREAMED)
            checkpoint = self._with_full_precision(checkpoint, place)
            with self._lock:
                self._checkpoints[model, place.dtype] = checkpoint
            self._make_room(0, keep=1)  # the size of its packed weights is known only now
        logger.info("%s is ready: %s, %s", checkpoint.info.name, checkpoint.info.source, checkpoint.info.precision)
        return checkpoint

    def _with_full_precision(self, checkpoint: Checkpoint, place: Placement) -> Checkpoint:
        """Small GPTs compute in float32 what rounding moves, unless a precision is set; of large ones it is said."""
        info = checkpoint.info
        if place.dtype is torch.float32 or self._settings.dtype != "auto" or info.kind is Kind.ENCODER:
            return checkpoint
        if info.streams or 4 * info.parameters > min(_MOST_FULL_BYTES, self.budget // 4):
            return _with_notice(checkpoint, f"{info.precision}: {ROUNDING}")
        return replace(checkpoint, info=replace(info, full_precision="float32"))

    def _may_fetch(self, entry: CatalogEntry) -> bool:
        """Whether its weights can be had from the Hub, perhaps after a question."""
        return self._settings.big_downloads != "never" and not self._unavailable_reason(entry)

    def _is_here_or_comes(self, entry: CatalogEntry) -> bool:
        return bool(self._fetched(entry)) or (self._may_fetch(entry) and hub_reachable())

    def _require_consent(self, model: str, size: int, place: Path) -> None:
        """Raises BigDownload, or BigDownloadRefused, before gigabytes that nobody has said yes to are fetched."""
        rule = self._settings.big_downloads
        if size <= BIG_DOWNLOAD or rule == "always" or model in self._permitted:
            return
        name = CATALOG[model].name if model in CATALOG else model
        if rule == "never":
            raise BigDownloadRefused(model=name, size=_gb(size))
        where = str(place) if self._settings.own_user else "this machine's disk"
        raise BigDownload(model=name, id=model, size=_gb(size), place=where, free=_gb(free_space(place)))

    def _may_stream(self, need: int) -> bool:
        """Whether weights of so many bytes stay on disk, as far as the model allows it."""
        wish, own = self._settings.weights, self.own_pass and self.placement.device.type == "cpu"
        return own and (wish == "stream" or (wish == "auto" and need > self.budget))

    def _stream(self, model: str, weights: Weights, place: Placement, need: int) -> Checkpoint | None:
        """The model, its weights read from disk for every pass; None where its architecture does not allow it."""
        try:
            checkpoint = self._read(model, weights, place, self.compute)
        except UnexpectedArchitecture:
            return None
        self._require_fit(checkpoint.info.name, checkpoint.info.memory_bytes)
        self._make_room(checkpoint.info.memory_bytes)
        reason = f"{_read_from_disk(checkpoint.stream.seconds)}: {self._why(need)}."
        return _with_notice(checkpoint, reason[0].upper() + reason[1:])

    def _read(self, model: str, weights: Weights, place: Placement, stream_by: Compute | None = None) -> Checkpoint:
        # A thread that ends: idle OpenMP threads of one that stays make the passes' own slower.
        with ThreadPoolExecutor(1) as thread:
            arguments = (model, weights, place, self._settings.max_tokens, self.own_pass, stream_by)
            return thread.submit(load_checkpoint, *arguments).result()

    def _expect(self, entry: CatalogEntry, weights: Weights) -> float:
        """Seconds of a pass of a model that is not loaded: from one look at its disk."""
        if entry.id not in self._expected:
            rate, dtype = disk_speed(weights.folder), self.placement.dtype
            size = sum(file.stat().st_size for file in weight_files(weights.folder))
            self._expected[entry.id] = expected_seconds(size, rate, entry.parameters, dtype)
        return self._expected[entry.id]

    def _why(self, need: int) -> str:
        """Why weights stay on disk, or a model cannot be had."""
        if need <= self.budget:
            return "--weights stream was chosen"
        return f"needs {_gib(need)}, this machine has {_gib(self.budget)} for models"

    def _make_room(self, need: int, keep: int = 0) -> None:
        """Let go of the least recently used models, except the last `keep`, until `need` bytes fit the budget."""
        with self._lock:
            while len(self._checkpoints) > keep and need + self._used() > self.budget:
                name, _ = self._checkpoints.popitem(last=False)[0]
                release_freed_memory()
                logger.info("%s leaves memory", name)

    def _used(self) -> int:
        return sum(checkpoint.info.memory_bytes for checkpoint in self._checkpoints.values())

    def _require_fit(self, model: str | CatalogEntry, need: int) -> None:
        if need <= self.budget:
            return
        listed = isinstance(model, CatalogEntry)
        values = {"need": _gib(need), "precision": self.placement.info.precision, "have": _gib(self.budget)}
        if listed and self._may_stream(need) and not self._fetched(model):
            raise ModelNotFetched(model=model.name, hub_id=model.hub_id, **values)
        raise ModelDoesNotFit(model=model.name if listed else model, **values)


def _read_from_disk(seconds: float) -> str:
    return f"its weights are read from disk for every set of texts, about {max(1, round(seconds))} s each"


def _once_fetched(entry: CatalogEntry) -> str:
    return f"once they are on this disk (hf download {entry.hub_id}), its weights are read from there"


def _with_notice(checkpoint: Checkpoint, notice: str) -> Checkpoint:
    return replace(checkpoint, info=replace(checkpoint.info, notices=(*checkpoint.info.notices, notice)))


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
