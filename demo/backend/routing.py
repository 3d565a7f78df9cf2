"""RoutingEngine: this machine's engine and the servers elsewhere as one. A model's id says who answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from demo.backend.protocol import Engine, Guide, OnProgress, Training
from demo.domain.datamodels import (
    Device,
    Embedded,
    EngineCounts,
    ModelInfo,
    ModelStatus,
    Pooling,
    PromptedText,
    Reading,
)
from demo.domain.recipe import PromptedPair, Recipe
from demo.domain.results import Inspected
from demo.domain.server_address import REMOTE


class RoutingEngine:
    """An Engine. here: asked for every model but those that run elsewhere."""

    def __init__(self, here: Engine, elsewhere: Engine):
        self.here, self.elsewhere = here, elsewhere

    def device(self) -> Device:
        return self.here.device()

    def counts(self) -> EngineCounts:
        both = zip(astuple(self.here.counts()), astuple(self.elsewhere.counts()), strict=True)
        return EngineCounts(*map(sum, both))

    def models(self) -> list[ModelStatus]:
        return [*self.here.models(), *self.elsewhere.models()]

    def loaded(self, model: str) -> ModelInfo | None:
        return self._engine(model).loaded(model)

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        return self._engine(model).load(model, on_progress)

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        return self._engine(reading.model).embed(texts, reading, keep)

    def survey(self, texts: Sequence[PromptedText], reading: Reading, poolings: Sequence[Pooling]) -> np.ndarray:
        return self._engine(reading.model).survey(texts, reading, poolings)

    def count_cached(self, texts: Sequence[PromptedText], model: str) -> int:
        return self._engine(model).count_cached(texts, model)

    def count_tokens(self, texts: Sequence[PromptedText], model: str) -> list[int]:
        return self._engine(model).count_tokens(texts, model)

    def logits_of(self, model: str, states: np.ndarray, layer: int) -> np.ndarray:
        return self._engine(model).logits_of(model, states, layer)

    def inspect(self, texts: Sequence[PromptedText], reading: Reading) -> list[Inspected]:
        return self._engine(reading.model).inspect(texts, reading)

    def leave_one_out(self, text: PromptedText, reading: Reading) -> tuple[np.ndarray, tuple[int, ...]]:
        return self._engine(reading.model).leave_one_out(text, reading)

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> None:
        self._engine(reading.model).export(reading, prompts, out)

    def read_tokens(
        self, model: str, vectors: np.ndarray, pooling: Pooling, layer: int, count: int
    ) -> list[tuple[tuple[str, float], ...]]:
        return self._engine(model).read_tokens(model, vectors, pooling, layer, count)

    def train(
        self,
        recipe: Recipe,
        pairs: Sequence[PromptedPair],
        sources: Sequence[tuple[int, float]],
        guide: Guide | None = None,
    ) -> Training:
        return self._engine(recipe.reading.model).train(recipe, pairs, sources, guide)

    def _engine(self, model: str) -> Engine:
        return self.elsewhere if model.startswith(REMOTE) else self.here
