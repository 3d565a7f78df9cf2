"""Engine: the interface of every backend, and what a backend hands on that it does not do itself.

Imports no torch; the lab and the page know a backend only by this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

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
from demo.domain.errors import ReadingRefused
from demo.domain.recipe import PromptedPair, Recipe, TrainStep
from demo.domain.results import Inspected

OnProgress = Callable[[Progress], None]
Guide = Callable[[Sequence[str]], np.ndarray]  # texts → vectors of another model, (n, dim)
Sources = Sequence[tuple[int, float]]  # (pairs, weight) of each data set of a training run
TopTokens = list[tuple[tuple[str, float], ...]]  # of each vector, (token, probability), likeliest first


class Training(Protocol):
    """One training run of one model. Belongs to one thread; nobody else's embeddings change while it lasts."""

    done: int  # steps taken
    trainable: int  # numbers that are trained

    def prepare(self, texts: Sequence[PromptedText], on_done: Callable[[float], None]) -> None:
        """Compute once what the steps, and `embed` of these texts, need of the frozen model, if it is all they need.

        on_done: how much of it is done, 0…1; it may raise to stop.
        """

    def steps(self) -> Iterator[TrainStep]:
        """The steps that are left, one at a time."""

    def embed(self, texts: Sequence[PromptedText]) -> np.ndarray:
        """Embeddings by the model as it is now, float32 (n, dim); without post-processing."""

    def save(self, folder: Path, info: dict[str, Any], card: str = "") -> None:
        """Write the adapter as it is now, `info` and a model card: all of the folder, or nothing."""

    def save_state(self, folder: Path) -> None:
        """Write what an interrupted run needs in order to resume exactly."""

    def load_state(self, folder: Path) -> None:
        """Resume from there. Raises BadInput for the state of another recipe, or an incomplete one."""


class Engine:
    """Loads models and embeds texts. Every method may be called from several threads at once.

    A subclass overrides the methods that it does itself. Every other call goes to `_forward`.
    """

    def _forward(self, model: str, method: str, *arguments: Any) -> Any:
        """Answer a call that this class does not override. model: what it is about; "" for none."""
        raise NotImplementedError(method)

    def _refuse(self, model: str, reason: str, field: str = "model", **values: str) -> NoReturn:
        """Raises ReadingRefused for this model, named as people know it."""
        raise ReadingRefused(field=field, model=self.load(model).name, reason=reason, **values)

    def close(self) -> None:
        """End what would outlive this process. By default there is nothing."""

    def device(self) -> Device:
        """What computes, in which precision, and why."""
        return self._forward("", "device")

    def counts(self) -> EngineCounts:
        """What it has done since it started, and holds now. Never blocks."""
        return self._forward("", "counts")

    def models(self) -> list[ModelStatus]:
        """The catalogue, each with whether it can be chosen here. Never blocks on a download."""
        return self._forward("", "models")

    def loaded(self, model: str) -> ModelInfo | None:
        """The description of a model in memory, else None. Never blocks."""
        return self._forward(model, "loaded", model)

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        """Bring a model into memory, once however many ask at the same moment. Blocks; raises ModelError."""
        return self._forward(model, "load", model, on_progress)

    def permit_download(self, model: str) -> None:
        """Somebody has said yes to BigDownload: the next load of this model fetches its weights."""
        return self._forward(model, "permit_download", model)

    def release(self, model: str) -> None:
        """Let go of a model, if it is in memory; a computation under way keeps it until its end."""
        return self._forward(model, "release", model)

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        """Embeddings, float32 (n_texts, dim), in the order of the texts; loads the model if it must.

        keep=False: these are a part of many texts. Only this reading of each is computed and cached, so that they do
        not evict other people's cached texts.
        A text's vector never depends on its batch mates. Raises ModelError, ReadingRefused, OutOfMemory, NotFinite.
        """
        return self._forward(reading.model, "embed", texts, reading, keep)

    def survey(self, texts: Sequence[PromptedText], reading: Reading, poolings: Sequence[Pooling]) -> np.ndarray:
        """The embeddings of every layer and of several poolings from one forward pass a text.

        float32 (n_poolings, n_layers + 1, n_texts, dim), without logits. The reading's layer and post-processing do
        not matter; its pooling chooses the precision, in which it equals `embed` layer by layer. Raises what `embed`
        raises.
        """
        return self._forward(reading.model, "survey", texts, reading, poolings)

    def count_cached(self, texts: Sequence[PromptedText], reading: Reading) -> int:
        """How many of the texts a survey would not have to run again."""
        return self._forward(reading.model, "count_cached", texts, reading)

    def count_tokens(self, texts: Sequence[PromptedText], model: str) -> list[int]:
        """How many tokens the model reads of each text, with what the prompt adds. Runs no block of the model."""
        return self._forward(model, "count_tokens", texts, model)

    def logits_of(self, model: str, states: np.ndarray, layer: int) -> np.ndarray:
        """The LM head's logits of states of one layer (the logit lens below the last one).

        states: (n, dim). float32 (n, vocabulary). Runs no block of the model. Raises ReadingRefused without a head.
        """
        return self._forward(model, "logits_of", model, states, layer)

    def read_tokens(self, model: str, vectors: np.ndarray, pooling: Pooling, layer: int, count: int) -> TopTokens:
        """The `count` likeliest tokens that the LM head reads from each embedding. vectors: (n, dim).

        Embeddings under last_token_logits, (n, vocabulary), are logits themselves. Raises ReadingRefused where there
        is no head.
        """
        return self._forward(model, "read_tokens", model, vectors, pooling, layer, count)

    def inspect(self, texts: Sequence[PromptedText], reading: Reading) -> list[Inspected]:
        """What the model receives of each text and makes of it, token by token, at the reading's layer.

        `vector` is the text's embedding under the reading, as `embed` gives it.
        """
        return self._forward(reading.model, "inspect", texts, reading)

    def leave_one_out(self, text: PromptedText, reading: Reading) -> tuple[np.ndarray, tuple[int, ...]]:
        """The text's embedding without each of its own tokens in turn: float32 (n, dim), and the tokens' positions.

        A token is removed after tokenization, so that the others stay what they are; what the prompt adds is kept.
        """
        return self._forward(reading.model, "leave_one_out", text, reading)

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> None:
        """Write a folder that `SentenceTransformer(folder)` loads. prompts: what stands before a query and a document.

        Raises BadInput where the folder holds something already, ReadingRefused for what such a folder cannot say.
        """
        return self._forward(reading.model, "export", reading, prompts, out)

    def train(
        self, recipe: Recipe, pairs: Sequence[PromptedPair], sources: Sources, guide: Guide | None = None
    ) -> Training:
        """Begin to train. pairs: those of all sources, one source after the other. Raises ReadingRefused, ModelError.

        A folder that the training saves is a model from then on: `load` takes it, and `trained:NAME` for one in the
        cache folder's `trained/NAME`.
        """
        return self._forward(recipe.reading.model, "train", recipe, pairs, sources, guide)
