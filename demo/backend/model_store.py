"""Model store: checkpoints in memory within a budget of bytes, LRU; each is loaded once, however many ask for it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from demo.backend.loader import Checkpoint, count_parameters, load_checkpoint
from demo.backend.model.device import Placement, memory_budget
from demo.backend.protocol import OnProgress
from demo.backend.scheduler.malloc import release_freed_memory
from demo.backend.weights.locate import cached_unavailable_reason, locate_weights
from demo.domain.catalog import CATALOG, CatalogEntry
from demo.domain.datamodels import Kind, ModelInfo, ModelStatus, Progress
from demo.domain.errors import ModelDoesNotFit
from demo.settings import Settings

# float32 weights of a model that is kept in both precisions: up to 335 million parameters.
_MOST_FULL_BYTES = 1.25 * 2**30

logger = logging.getLogger("demo")


class ModelStore:
    """placement: where models are loaded to. budget: bytes. own_pass: whether our decoder and encoder may run them."""

    def __init__(self, settings: Settings, placement: Placement, own_pass: bool):
        self.placement = placement
        self.own_pass = own_pass
        self.budget = memory_budget(placement.device, settings.memory_gb)
        self._settings = settings
        self._unavailable_reason = cached_unavailable_reason(settings.cache_dir)
        # By model and precision, least recently used first.
        self._checkpoints: OrderedDict[tuple[str, torch.dtype], Checkpoint] = OrderedDict()
        self._loading: dict[tuple[str, torch.dtype], threading.Lock] = {}
        self._lock = threading.Lock()  # guards the two above
        self._load_lock = threading.Lock()  # one model at a time enters memory, so that the budget holds

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

    def status(self, entry: CatalogEntry) -> ModelStatus:
        """Whether a model of the catalogue is loaded or can be, and why not."""
        need = entry.memory_bytes(self.placement.dtype.itemsize)
        with self._lock:
            if any(model == entry.id for model, _ in self._checkpoints):
                return entry.status("loaded")
        if need > self.budget:
            reason = f"needs {_gib(need)}, this machine has {_gib(self.budget)} for models"
        else:
            reason = self._unavailable_reason(entry)
        return entry.status("unavailable" if reason else "available", reason)

    def _place(self, precision: str) -> Placement:
        return self.placement.in_precision(precision) if precision else self.placement

    def _load(self, model: str, place: Placement, on_progress: OnProgress) -> Checkpoint:
        entry, itemsize = CATALOG.get(model), place.dtype.itemsize
        if entry:
            self._require_fit(entry.name, entry.memory_bytes(itemsize))
        on_progress(Progress("locating"))
        weights = locate_weights(model, self._settings.cache_dir, on_progress)
        need = entry.memory_bytes(itemsize) if entry else int(count_parameters(weights.folder) * itemsize * 1.2)
        self._require_fit(entry.name if entry else model, need)
        with self._load_lock:
            self._make_room(need)
            on_progress(Progress("loading"))
            # A thread that ends: idle OpenMP threads of one that stays make the passes' own slower.
            with ThreadPoolExecutor(1) as thread:
                arguments = (model, weights, place, self._settings.max_tokens, self.own_pass)
                checkpoint = thread.submit(load_checkpoint, *arguments).result()
            if self._keeps_full_precision(checkpoint.info, place):
                checkpoint = replace(checkpoint, info=replace(checkpoint.info, full_precision="float32"))
            with self._lock:
                self._checkpoints[model, place.dtype] = checkpoint
            self._make_room(0, keep=1)  # the size of its packed weights is known only now
        logger.info("%s is ready: %s, %s", checkpoint.info.name, checkpoint.info.source, checkpoint.info.precision)
        return checkpoint

    def _keeps_full_precision(self, info: ModelInfo, place: Placement) -> bool:
        """Whether readings that rounding moves are computed in float32: in small GPTs, unless a precision is set."""
        half = place.dtype is not torch.float32 and self._settings.dtype == "auto"
        need = 4 * info.parameters
        return half and info.kind is not Kind.ENCODER and need <= min(_MOST_FULL_BYTES, self.budget // 4)

    def _make_room(self, need: int, keep: int = 0) -> None:
        """Let go of the least recently used models, except the last `keep`, until `need` bytes fit the budget."""
        with self._lock:
            while len(self._checkpoints) > keep and need + self._used() > self.budget:
                name, _ = self._checkpoints.popitem(last=False)[0]
                release_freed_memory()
                logger.info("%s leaves memory", name)

    def _used(self) -> int:
        return sum(checkpoint.info.memory_bytes for checkpoint in self._checkpoints.values())

    def _require_fit(self, name: str, need: int) -> None:
        if need > self.budget:
            precision = self.placement.info.precision
            raise ModelDoesNotFit(model=name, need=_gib(need), precision=precision, have=_gib(self.budget))


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
