"""LocalEngine: an Engine on this machine's GPU or CPU."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

from demo.backend.batching import out_of_memory, plan_batches, run_with_retreat
from demo.backend.cache import EmbeddingCache
from demo.backend.checkpoint import Checkpoint, count_parameters, load_checkpoint
from demo.backend.device import choose_device, memory_budget
from demo.backend.forward import hidden_states, logits
from demo.backend.pooling import pool
from demo.backend.protocol import OnProgress
from demo.backend.tokenization import TokenizedText, tokenize
from demo.backend.weights import locate_weights, unavailable_reason
from demo.catalog import CATALOG, CatalogEntry
from demo.datamodels import (
    Device,
    Embedded,
    ModelInfo,
    ModelStatus,
    Pooling,
    Progress,
    PromptedText,
    Reading,
)
from demo.errors import ModelDoesNotFit, NotFinite, OutOfMemory, ReadingRefused
from demo.settings import Settings

_CPU_TOKENS = 512  # measured on two cores: larger batches are slower for short texts
_GPU_TOKENS = 16_384

logger = logging.getLogger("demo")


class LocalEngine:
    """Loads checkpoints within a memory budget and embeds each distinct text once, in batches."""

    def __init__(self, settings: Settings):
        if settings.threads:
            torch.set_num_threads(settings.threads)
        transformers_logging.disable_progress_bar()  # the page and the terminal show our own
        self.settings = settings
        self.placement = choose_device(settings.device, settings.dtype)
        self.budget = memory_budget(self.placement.device, settings.memory_gb)
        self.cache = EmbeddingCache(settings.cache_mb * 2**20)
        self.forward_passes = 0
        self._token_budget = _CPU_TOKENS if self.placement.device.type == "cpu" else _GPU_TOKENS
        self._checkpoints: OrderedDict[str, Checkpoint] = OrderedDict()  # least recently used first
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()  # guards the two above
        self._load_lock = threading.Lock()  # one model at a time enters memory, so that the budget holds
        self._device_lock = threading.Lock()  # one forward pass at a time

    def device(self) -> Device:
        return self.placement.info

    def models(self) -> list[ModelStatus]:
        return [self._status(entry) for entry in CATALOG.values()]

    def loaded(self, model: str) -> ModelInfo | None:
        checkpoint = self._find(model)
        return checkpoint.info if checkpoint else None

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        return self._checkpoint(model, on_progress).info

    def embed(self, texts: Sequence[PromptedText], reading: Reading) -> Embedded:
        checkpoint = self._checkpoint(reading.model)
        if reading.pooling is Pooling.LAST_TOKEN_LOGITS and checkpoint.anatomy.head is None:
            raise ReadingRefused(
                field="pooling",
                model=checkpoint.info.name,
                reason="its checkpoint has no LM head, so it has no logits.",
                instead=Pooling.LAST_TOKEN.value,
            )
        if checkpoint.pool_text_only:
            texts = [replace(text, pool_text_only=True) for text in texts]
        how = (checkpoint.key, reading.pooling, reading.layer, reading.normalize)
        keys = {text: (how, text) for text in texts}
        found = {text: self.cache.get(key) for text, key in keys.items()}
        missing = [text for text, entry in found.items() if entry is None]
        if missing:
            for text, vector, cut in self._compute(missing, checkpoint, reading):
                # The flag travels with the vector: a cached text was cut just the same.
                found[text] = np.append(vector, np.float32(cut))
                self.cache.put(keys[text], found[text])
        return Embedded(
            vectors=np.stack([found[text][:-1] for text in texts]),
            cut=tuple(i for i, text in enumerate(texts) if found[text][-1]),
            token_limit=checkpoint.info.max_tokens,
        )

    def _compute(self, texts: list[PromptedText], checkpoint: Checkpoint, reading: Reading):
        """Yield (text, float32 (dim,), whether it was cut) of distinct texts."""
        info = checkpoint.info
        tokenized = tokenize(texts, checkpoint.tokenizer, info.max_tokens, info.name)
        for batch in plan_batches([len(text) for text in tokenized], self._token_budget):
            try:
                vectors = run_with_retreat(
                    lambda rows: self._forward([tokenized[i] for i in rows], checkpoint, reading), batch
                )
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                raise OutOfMemory(model=info.name, tokens=len(tokenized[batch[0]])) from error
            for i, vector in zip(batch, vectors, strict=True):
                if not np.isfinite(vector).all():
                    raise NotFinite(model=info.name, precision=info.precision, device=info.device)
                if reading.normalize:
                    vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
                yield texts[i], vector, tokenized[i].cut

    @torch.inference_mode()
    def _forward(self, texts: list[TokenizedText], checkpoint: Checkpoint, reading: Reading) -> list[np.ndarray]:
        """One forward pass: float32 (dim,) a text."""
        width = max(len(text) for text in texts)
        input_ids = torch.full((len(texts), width), checkpoint.pad_id)
        attention = torch.zeros((len(texts), width), dtype=torch.long)
        pooled = torch.zeros((len(texts), width), dtype=torch.long)
        for row, text in enumerate(texts):
            input_ids[row, : len(text)] = torch.tensor(text.input_ids)
            attention[row, : len(text)] = 1
            pooled[row, slice(*text.pooled)] = 1
        device = self.placement.device
        padded = not bool(attention.all())
        with self._device_lock:
            self.forward_passes += 1
            states = hidden_states(
                checkpoint.anatomy, input_ids.to(device), attention.to(device) if padded else None, reading.layer
            )
            vectors = pool(reading.pooling, states, pooled.to(device))
            if reading.pooling is Pooling.LAST_TOKEN_LOGITS:
                vectors = logits(checkpoint.anatomy, vectors, reading.layer)
            return list(vectors.float().cpu().numpy())

    def _find(self, model: str) -> Checkpoint | None:
        with self._lock:
            checkpoint = self._checkpoints.get(model)
            if checkpoint:
                self._checkpoints.move_to_end(model)
            return checkpoint

    def _checkpoint(self, model: str, on_progress: OnProgress | None = None) -> Checkpoint:
        """The model in memory, loaded once however many ask at the same moment."""
        found = self._find(model)
        if found:
            return found
        with self._lock:
            lock = self._loading.setdefault(model, threading.Lock())
        with lock:
            return self._find(model) or self._load(model, on_progress or _ignore)

    def _load(self, model: str, on_progress: OnProgress) -> Checkpoint:
        entry = CATALOG.get(model)
        if entry:
            self._check_fits(entry.name, entry.memory_bytes(self._itemsize))
        on_progress(Progress("locating"))
        weights = locate_weights(model, self.settings.cache_dir, on_progress)
        need = (
            entry.memory_bytes(self._itemsize)
            if entry
            else int(count_parameters(weights.folder) * self._itemsize * 1.2)
        )
        self._check_fits(entry.name if entry else model, need)
        with self._load_lock:
            self._make_room(need)
            on_progress(Progress("loading"))
            checkpoint = load_checkpoint(model, weights, self.placement, self.settings.max_tokens)
            with self._lock:
                self._checkpoints[model] = checkpoint
        logger.info("%s is ready: %s, %s", checkpoint.info.name, checkpoint.info.source, checkpoint.info.precision)
        return checkpoint

    def _make_room(self, need: int) -> None:
        """Let go of the least recently used models until `need` bytes fit the budget."""
        with self._lock:
            while self._checkpoints and need + self._used() > self.budget:
                name, _ = self._checkpoints.popitem(last=False)
                logger.info("%s leaves memory", name)

    def _used(self) -> int:
        return sum(checkpoint.info.memory_bytes for checkpoint in self._checkpoints.values())

    def _check_fits(self, name: str, need: int) -> None:
        if need > self.budget:
            raise ModelDoesNotFit(
                model=name, need=_gib(need), precision=self.placement.info.precision, have=_gib(self.budget)
            )

    def _status(self, entry: CatalogEntry) -> ModelStatus:
        need = entry.memory_bytes(self._itemsize)
        with self._lock:
            loaded = entry.id in self._checkpoints
        state, reason = ("loaded" if loaded else "available"), ""
        if not loaded and need > self.budget:
            state, reason = "unavailable", f"needs {_gib(need)}, this machine has {_gib(self.budget)} for models"
        elif not loaded and (reason := unavailable_reason(entry, self.settings.cache_dir)):
            state = "unavailable"
        return entry.status(state, reason)

    @property
    def _itemsize(self) -> int:
        return self.placement.dtype.itemsize


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _ignore(progress: Progress) -> None:
    """Nobody asked how far the loading is."""
