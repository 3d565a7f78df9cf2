"""Engine: what any backend must offer. Imports no torch; the lab and the page know a backend only by this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from demo.datamodels import Device, Embedded, ModelInfo, ModelStatus, Progress, PromptedText, Reading

OnProgress = Callable[[Progress], None]


class Engine(Protocol):
    """Loads models and embeds texts. Every method may be called from several threads at once."""

    def device(self) -> Device:
        """What computes, in which precision, and why."""

    def models(self) -> list[ModelStatus]:
        """The catalogue, each with whether it can be chosen here. Never blocks on a download."""

    def loaded(self, model: str) -> ModelInfo | None:
        """What is known of a model that is in memory, else None. Never blocks."""

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        """Bring a model into memory, once however many ask at the same moment. Blocks; raises ModelError."""

    def embed(self, texts: Sequence[PromptedText], reading: Reading) -> Embedded:
        """Embeddings, float32 (n_texts, dim), in the order of the texts; loads the model if it must.

        A text's vector never depends on its batch mates. Raises ModelError, ReadingRefused, OutOfMemory, NotFinite.
        """
