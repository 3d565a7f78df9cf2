"""Engine: what any backend must offer. Imports no torch; the lab and the page know a backend only by this."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from demo.domain.datamodels import (
    Device,
    Embedded,
    EngineCounts,
    ModelInfo,
    ModelStatus,
    Pooling,
    Progress,
    PromptedText,
    Reading,
)
from demo.domain.recipe import PromptedPair, Recipe, TrainStep
from demo.domain.results import Inspected

OnProgress = Callable[[Progress], None]
Guide = Callable[[Sequence[str]], np.ndarray]  # texts → vectors of another model, (n, dim)


class Training(Protocol):
    """One training run of one model. Belongs to one thread; nobody else's embeddings change while it lasts."""

    done: int  # steps taken
    trainable: int  # numbers that learn

    def steps(self) -> Iterator[TrainStep]:
        """The steps that are left, one at a time."""

    def embed(self, texts: Sequence[PromptedText]) -> np.ndarray:
        """Embeddings as the model is now, float32 (n, dim); without post-processing."""

    def save(self, folder: Path, info: dict[str, Any], card: str = "") -> None:
        """Write the adapter as it is now, what is known of it and a card: all of the folder, or nothing."""

    def save_state(self, folder: Path) -> None:
        """Write what an interrupted run needs to go on as if nothing had happened."""

    def load_state(self, folder: Path) -> None:
        """Go on from there. Raises BadInput where it belongs to another recipe, or is not whole."""


class Engine(Protocol):
    """Loads models and embeds texts. Every method may be called from several threads at once."""

    def device(self) -> Device:
        """What computes, in which precision, and why."""

    def counts(self) -> EngineCounts:
        """What it has done since it started, and holds now. Never blocks."""

    def models(self) -> list[ModelStatus]:
        """The catalogue, each with whether it can be chosen here. Never blocks on a download."""

    def loaded(self, model: str) -> ModelInfo | None:
        """What is known of a model that is in memory, else None. Never blocks."""

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        """Bring a model into memory, once however many ask at the same moment. Blocks; raises ModelError."""

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        """Embeddings, float32 (n_texts, dim), in the order of the texts; loads the model if it must.

        keep=False: these are a part of many texts. Of each no more is computed and kept than this reading needs, so
        that they do not drive out what other people's next answers come from.
        A text's vector never depends on its batch mates. Raises ModelError, ReadingRefused, OutOfMemory, NotFinite.
        """

    def survey(self, texts: Sequence[PromptedText], reading: Reading, poolings: Sequence[Pooling]) -> np.ndarray:
        """The embeddings of every layer and of several poolings from one forward pass a text.

        float32 (n_poolings, n_layers + 1, n_texts, dim), without logits; the reading's own layer, pooling and
        post-processing do not matter. Equal to `embed` layer by layer. Raises what `embed` raises.
        """

    def count_cached(self, texts: Sequence[PromptedText], model: str) -> int:
        """How many of the texts a survey would not have to run again."""

    def count_tokens(self, texts: Sequence[PromptedText], model: str) -> list[int]:
        """How many tokens the model reads of each text, with what the prompt adds. Runs no block of the model."""

    def logits_of(self, model: str, states: np.ndarray, layer: int) -> np.ndarray:
        """What the LM head says of states of one layer (the logit lens below the last one).

        states: (n, dim). float32 (n, vocabulary). Runs no block of the model. Raises ReadingRefused without a head.
        """

    def inspect(self, texts: Sequence[PromptedText], reading: Reading) -> list[Inspected]:
        """What the model receives of each text and makes of it, token by token, at the reading's layer.

        `vector` is the text's embedding under the reading, as `embed` gives it.
        """

    def leave_one_out(self, text: PromptedText, reading: Reading) -> tuple[np.ndarray, tuple[int, ...]]:
        """The text's embedding without each of its own tokens in turn: float32 (n, dim), and the tokens' positions.

        A token is removed after tokenization, so that the others stay what they are; what the prompt adds is kept.
        """

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> None:
        """Write a folder that `SentenceTransformer(folder)` loads. prompts: what stands before a query and a document.

        Raises BadInput where the folder holds something already, ReadingRefused for what such a folder cannot say.
        """

    def read_tokens(
        self, model: str, vectors: np.ndarray, pooling: Pooling, layer: int, count: int
    ) -> list[tuple[tuple[str, float], ...]]:
        """The likeliest tokens that the LM head reads from each embedding: (token, probability), likeliest first.

        Embeddings under last_token_logits are logits themselves. Raises ReadingRefused where there is no head.
        """

    def train(
        self,
        recipe: Recipe,
        pairs: Sequence[PromptedPair],
        sources: Sequence[tuple[int, float]],
        guide: Guide | None = None,
    ) -> Training:
        """Begin to train. sources: (pairs, weight) of each, in the order of `pairs`. Raises ReadingRefused, ModelError.

        A folder that the training saves is a model from then on: `load` takes it, and `trained:NAME` for one in the
        cache folder's `trained/NAME`.
        """
