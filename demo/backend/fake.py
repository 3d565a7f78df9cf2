"""FakeEngine: an engine with no weights, for tests of every other room. NumPy only, deterministic.

A text's vector counts its hashed character trigrams, then a fixed random matrix that depends on the reading turns
it a little: like texts are alike, and every choice of a reading changes the numbers.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence

import numpy as np

from demo.backend.protocol import OnProgress
from demo.catalog import CATALOG, CatalogEntry
from demo.datamodels import (
    Device,
    Embedded,
    Kind,
    ModelInfo,
    ModelStatus,
    Pooling,
    Progress,
    Prompt,
    PromptedText,
    Reading,
)
from demo.errors import ModelDoesNotFit, ModelNotFound, ReadingRefused, WeightsUnavailable

DIM = 96
_TOO_LARGE = ("mistral-7b-instruct-v0.1", "e5-mistral-7b-instruct")


class FakeEngine:
    """An Engine that behaves like the local one without any model.

    load_seconds: how long a load takes. seconds_per_text: how long a text takes. unreachable: models whose weights
    "cannot be fetched". Counts what was computed in `embedded_texts` and what was loaded in `loads`.
    """

    def __init__(
        self, load_seconds: float = 0.0, seconds_per_text: float = 0.0, unreachable: Sequence[str] = ("gpt2",)
    ):
        self.load_seconds = load_seconds
        self.seconds_per_text = seconds_per_text
        self.unreachable = set(unreachable)
        self.loads: list[str] = []
        self.embedded_texts = 0
        self._infos: dict[str, ModelInfo] = {}
        self._lock = threading.Lock()
        self._computing = threading.Lock()  # not the load's: what is in memory answers while another model loads

    def device(self) -> Device:
        return Device("no device", "fake", "float32", "The fake engine computes no model.")

    def models(self) -> list[ModelStatus]:
        return [self._status(entry) for entry in CATALOG.values()]

    def loaded(self, model: str) -> ModelInfo | None:
        return self._infos.get(model)

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        with self._lock:
            if model in self._infos:
                return self._infos[model]
            entry = CATALOG.get(model)
            if entry is None:
                raise ModelNotFound(model=model)
            if model in _TOO_LARGE:
                raise ModelDoesNotFit(model=entry.name, need="16.2 GiB", precision="float32", have="8.0 GiB")
            steps = 10
            for step in range(steps):
                if on_progress:
                    on_progress(Progress("downloading", step / steps))
                time.sleep(self.load_seconds / steps)
            if model in self.unreachable:
                raise WeightsUnavailable(model=entry.name, reasons="The Hub cannot be reached from here.")
            self.loads.append(model)
            self._infos[model] = _info(entry)
            return self._infos[model]

    def embed(self, texts: Sequence[PromptedText], reading: Reading) -> Embedded:
        info = self._infos.get(reading.model) or self.load(reading.model)
        if reading.pooling is Pooling.LAST_TOKEN_LOGITS and not info.has_lm_head:
            raise ReadingRefused(
                field="pooling", model=info.name, reason="it has no LM head.", instead=Pooling.LAST_TOKEN.value
            )
        distinct = list(dict.fromkeys(texts))
        with self._computing:
            self.embedded_texts += len(distinct)
            time.sleep(self.seconds_per_text * len(distinct))
        turn = np.random.default_rng(_seed(reading.label())).normal(size=(DIM, DIM)) * 0.15 / np.sqrt(DIM)
        vectors = {text: _count_trigrams(text) @ (np.eye(DIM) + turn) for text in distinct}
        return Embedded(np.stack([vectors[text] for text in texts]).astype(np.float32))

    def _status(self, entry: CatalogEntry) -> ModelStatus:
        state, reason = "available", ""
        if entry.id in _TOO_LARGE:
            state, reason = "unavailable", "needs 16.2 GiB, this machine has 8.0 GiB for models"
        elif entry.id in self._infos:
            state = "loaded"
        return entry.status(state, reason)


def _info(entry: CatalogEntry) -> ModelInfo:
    return ModelInfo(
        model=entry.id,
        name=entry.name,
        kind=entry.kind,
        n_layers=entry.n_layers,
        dim=DIM,
        vocab_size=DIM,
        max_tokens=2048,
        has_lm_head=entry.kind is Kind.GPT,
        has_chat_template=entry.prompt is Prompt.CHAT,
        default_reading=entry.default_reading,
        revision=entry.revision,
        source="the fake engine",
        weights_precision="none",
        precision="float32",
        device="fake",
        parameters=entry.parameters,
        memory_bytes=0,
        query_prompt="query: " if entry.prompt is Prompt.OWN else None,
        document_prompt="" if entry.prompt is Prompt.OWN else None,
    )


def _count_trigrams(prompted: PromptedText) -> np.ndarray:
    """float64 (DIM,): how often each of DIM hashed character trigrams occurs; never all zero."""
    text = f"  {prompted.rendered().lower()}  "
    counts = np.zeros(DIM)
    for start in range(len(text) - 2):
        counts[_seed(text[start : start + 3]) % DIM] += 1
    return counts


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "little")
