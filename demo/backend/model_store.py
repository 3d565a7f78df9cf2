"""Model store: checkpoints in memory within a budget of bytes, LRU; each is loaded once, however many ask for it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from demo.backend.loader import Checkpoint, count_parameters, load_checkpoint
from demo.backend.model.device import Placement, memory_budget
from demo.backend.protocol import OnProgress
from demo.backend.scheduler.malloc import release_freed_memory
from demo.backend.weights.locate import cached_unavailable_reason, locate_weights
from demo.domain.catalog import CATALOG, CatalogEntry
from demo.domain.datamodels import ModelStatus, Progress
from demo.domain.errors import ModelDoesNotFit
from demo.settings import Settings

logger = logging.getLogger("demo")


class ModelStore:
    """placement: where models are loaded to. budget: bytes. own_pass: whether our decoder and encoder may run them."""

    def __init__(self, settings: Settings, placement: Placement, own_pass: bool):
        self.placement = placement
        self.own_pass = own_pass
        self.budget = memory_budget(placement.device, settings.memory_gb)
        self._settings = settings
        self._unavailable_reason = cached_unavailable_reason(settings.cache_dir)
        self._checkpoints: OrderedDict[str, Checkpoint] = OrderedDict()  # least recently used first
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()  # guards the two above
        self._load_lock = threading.Lock()  # one model at a time enters memory, so that the budget holds

    def find(self, model: str) -> Checkpoint | None:
        """The model, if it is in memory. Never blocks on a load."""
        with self._lock:
            checkpoint = self._checkpoints.get(model)
            if checkpoint:
                self._checkpoints.move_to_end(model)
            return checkpoint

    def get(self, model: str, on_progress: OnProgress | None = None) -> Checkpoint:
        """The model, loaded if it must be. Raises ModelError."""
        checkpoint = self.find(model)
        if checkpoint:
            return checkpoint
        with self._lock:
            lock = self._loading.setdefault(model, threading.Lock())
        with lock:
            return self.find(model) or self._load(model, on_progress or (lambda progress: None))

    def release(self, model: str) -> None:
        """Let go of a model; a computation under way keeps it until its end."""
        with self._lock:
            self._checkpoints.pop(model, None)
        release_freed_memory()

    def memory_use(self) -> tuple[int, int]:
        """(models, bytes) in memory."""
        with self._lock:
            return len(self._checkpoints), self._used()

    def status(self, entry: CatalogEntry) -> ModelStatus:
        """Whether a model of the catalogue is loaded or can be, and why not."""
        need = entry.memory_bytes(self.placement.dtype.itemsize)
        with self._lock:
            if entry.id in self._checkpoints:
                return entry.status("loaded")
        if need > self.budget:
            reason = f"needs {_gib(need)}, this machine has {_gib(self.budget)} for models"
        else:
            reason = self._unavailable_reason(entry)
        return entry.status("unavailable" if reason else "available", reason)

    def _load(self, model: str, on_progress: OnProgress) -> Checkpoint:
        entry, itemsize = CATALOG.get(model), self.placement.dtype.itemsize
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
                arguments = (model, weights, self.placement, self._settings.max_tokens, self.own_pass)
                checkpoint = thread.submit(load_checkpoint, *arguments).result()
            with self._lock:
                self._checkpoints[model] = checkpoint
            self._make_room(0, keep=1)  # the size of its packed weights is known only now
        logger.info("%s is ready: %s, %s", checkpoint.info.name, checkpoint.info.source, checkpoint.info.precision)
        return checkpoint

    def _make_room(self, need: int, keep: int = 0) -> None:
        """Let go of the least recently used models, except the last `keep`, until `need` bytes fit the budget."""
        with self._lock:
            while len(self._checkpoints) > keep and need + self._used() > self.budget:
                name = self._checkpoints.popitem(last=False)[0]
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
