"""FakeEngine: an Engine without weights, deterministic and fast, for tests of every other room. NumPy only.

A text's vector counts its hashed character trigrams; a fixed random matrix that depends on the reading rotates it a
little: similar texts have similar vectors, and every choice of a reading changes the numbers.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from demo.backend.protocol import Engine, Guide, OnProgress, Sources, TopTokens
from demo.domain.catalog import CATALOG, CatalogEntry
from demo.domain.datamodels import (
    LAST_LAYER,
    Device,
    Embedded,
    EngineCounts,
    Kind,
    ModelInfo,
    ModelStatus,
    Pooling,
    Postprocess,
    Progress,
    Prompt,
    PromptedText,
    Reading,
)
from demo.domain.errors import BigDownload, ModelDoesNotFit, ModelNotFound, WeightsUnavailable
from demo.domain.recipe import TRAINED, PromptedPair, Recipe, TrainStep
from demo.domain.results import Inspected

DIM = 96
_TOO_LARGE = ("mistral-7b-instruct-v0.1", "e5-mistral-7b-instruct")


class FakeEngine(Engine):
    """load_seconds, seconds_per_text, seconds_per_step: durations of a load, a text, a training step.

    unreachable: models whose weights "cannot be fetched". unfetched: those that are fetched once somebody says yes.
    embedded_texts, loads: what was computed and loaded.
    """

    def __init__(
        self,
        load_seconds: float = 0.0,
        seconds_per_text: float = 0.0,
        unreachable: Sequence[str] = ("gpt2",),
        seconds_per_step: float = 0.0,
    ):
        self.load_seconds = load_seconds
        self.seconds_per_text = seconds_per_text
        self.unreachable = set(unreachable)
        self.unfetched: set[str] = set()
        self.loads: list[str] = []
        self.seconds_per_step = seconds_per_step
        self.trained: dict[str, Path] = {}  # folders of trained models, by id
        self.embedded_texts = 0
        self._infos: dict[str, ModelInfo] = {}
        self._lock = threading.Lock()
        self._computing = threading.Lock()  # not the load's: loaded models answer while another one loads

    def counts(self) -> EngineCounts:
        models = list(self._infos.values())
        size = sum(info.memory_bytes for info in models)
        return EngineCounts(texts=self.embedded_texts, models=len(models), model_bytes=size)

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
            if model in self.trained:
                self._infos[model] = _trained_info(model, self.trained[model])
                return self._infos[model]
            entry = CATALOG.get(model)
            if entry is None:
                raise ModelNotFound(model=model)
            if model in self.unfetched:
                raise BigDownload(model=entry.name, id=model, size="14.5 GB", place="/home/me/hub", free="31.0 GB")
            if model in _TOO_LARGE:
                raise ModelDoesNotFit(model=entry.name, need="16.2 GiB", precision="float32", have="8.0 GiB")
            for step in range(10):
                if on_progress:
                    on_progress(Progress("downloading", step / 10))
                time.sleep(self.load_seconds / 10)
            if model in self.unreachable:
                raise WeightsUnavailable(model=entry.name, reasons="The Hub cannot be reached from here.")
            self.loads.append(model)
            self._infos[model] = _info(entry)
            return self._infos[model]

    def permit_download(self, model: str) -> None:
        self.unfetched.discard(model)

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        if reading.pooling is Pooling.LAST_TOKEN_LOGITS:
            self._require_head(reading.model)
        elif reading.model not in self._infos:
            self.load(reading.model)
        distinct = list(dict.fromkeys(texts))
        with self._computing:
            self.embedded_texts += len(distinct)
            time.sleep(self.seconds_per_text * len(distinct))
        rotation = _rotation(reading)
        vectors = {text: _count_trigrams(text.rendered()).sum(axis=0) @ rotation for text in distinct}
        return Embedded(np.stack([vectors[text] for text in texts]).astype(np.float32))

    def survey(self, texts: Sequence[PromptedText], reading: Reading, poolings: Sequence[Pooling]) -> np.ndarray:
        layers = [*range(self.load(reading.model).n_layers), LAST_LAYER]
        before = self.embedded_texts
        out = np.stack(
            [
                [self.embed(texts, replace(reading, pooling=pooling, layer=layer)).vectors for layer in layers]
                for pooling in poolings
            ]
        )
        self.embedded_texts = before + len(set(texts))
        return out

    def count_cached(self, texts: Sequence[PromptedText], reading: Reading) -> int:
        return 0

    def count_tokens(self, texts: Sequence[PromptedText], model: str) -> list[int]:
        return [len(_split(text.rendered())) for text in texts]

    def logits_of(self, model: str, states: np.ndarray, layer: int) -> np.ndarray:
        self._require_head(model)
        return (np.asarray(states) @ _near_identity(f"head {layer}")).astype(np.float32)

    def inspect(self, texts: Sequence[PromptedText], reading: Reading) -> list[Inspected]:
        vectors = self.embed(texts, reading).vectors
        return [_inspect(text, vector, reading) for text, vector in zip(texts, vectors, strict=True)]

    def leave_one_out(self, text: PromptedText, reading: Reading) -> tuple[np.ndarray, tuple[int, ...]]:
        [whole] = self.inspect([text], reading)
        positions = tuple(range(*whole.inside))
        counts = _count_trigrams(text.rendered())
        without = [(counts.sum(axis=0) - counts[position]) @ _rotation(reading) for position in positions]
        return np.array(without, dtype=np.float32).reshape(len(positions), DIM), positions

    def release(self, model: str) -> None:
        self._infos.pop(model, None)

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> NoReturn:
        self._refuse(reading.model, "it has no weights to write.")

    def train(
        self, recipe: Recipe, pairs: Sequence[PromptedPair], sources: Sources, guide: Guide | None = None
    ) -> FakeTraining:
        if self.load(recipe.reading.model).base:
            self._refuse(recipe.reading.model, "it carries an adapter already. Train the model below it.")
        return FakeTraining(self, recipe, pairs)

    def read_tokens(self, model: str, vectors: np.ndarray, pooling: Pooling, layer: int, count: int) -> TopTokens:
        values = vectors if pooling is Pooling.LAST_TOKEN_LOGITS else self.logits_of(model, vectors, layer)
        probabilities = np.exp(values - values.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        top = np.argsort(-probabilities, axis=1)[:, :count]
        return [
            tuple((f" word{token}", float(row[token])) for token in tokens)
            for row, tokens in zip(probabilities, top, strict=True)
        ]

    def _require_head(self, model: str) -> None:
        if not (self._infos.get(model) or self.load(model)).has_lm_head:
            self._refuse(model, "it has no LM head.", field="pooling", instead=Pooling.LAST_TOKEN.value)

    def _status(self, entry: CatalogEntry) -> ModelStatus:
        state, reason = "available", ""
        if entry.id in self.unfetched:
            return replace(
                entry.status("unavailable", "14.5 GB are fetched first, if you say yes"), fetch_bytes=14_500_000_000
            )
        if entry.id in _TOO_LARGE:
            state, reason = "unavailable", "needs 16.2 GiB, this machine has 8.0 GiB for models"
        elif entry.id in self._infos:
            state = "loaded"
        return entry.status(state, reason)


class FakeTraining:
    """A Training that subtracts, step by step, the mean of all texts of the pairs."""

    trainable = DIM

    def __init__(self, engine: FakeEngine, recipe: Recipe, pairs: Sequence[PromptedPair]):
        self.done = 0
        self._engine, self._recipe, self._pairs = engine, recipe, pairs
        texts = [text for pair in pairs for text in (pair.question, pair.answer)]
        self._mean = engine.embed(texts, recipe.reading).vectors.mean(axis=0)

    def prepare(self, texts: Sequence[PromptedText], on_done: Callable[[float], None]) -> None:
        on_done(1.0)

    def steps(self) -> Iterator[TrainStep]:
        while self.done < self._recipe.steps:
            time.sleep(self._engine.seconds_per_step)
            self.done += 1
            rate = self._recipe.learning_rate
            batch = self._pairs[: self._recipe.batch_size]
            question, answers = self.embed([batch[0].question]), self.embed([pair.answer for pair in batch])
            example = (question @ answers.T)[0] / np.linalg.norm(question) / np.linalg.norm(answers, axis=1)
            scores = example / self._recipe.temperature
            loss = float(np.log(np.exp(scores - scores[0]).sum()))
            yield TrainStep(self.done, loss, rate, 2.0 * len(batch), example.astype(np.float32), 1.0)

    def embed(self, texts: Sequence[PromptedText]) -> np.ndarray:
        learned = self.done / self._recipe.steps
        vectors = self._engine.embed(texts, self._recipe.reading).vectors
        return (vectors - 0.9 * learned * self._mean).astype(np.float32)

    def save(self, folder: Path, info: dict[str, Any], card: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "training.json").write_text(json.dumps(info))
        (folder / "README.md").write_text(card)
        self._engine.trained[f"{TRAINED}{folder.name}"] = folder

    def save_state(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state.json").write_text(json.dumps({"done": self.done}))

    def load_state(self, folder: Path) -> None:
        self.done = json.loads((folder / "state.json").read_text())["done"]


def _info(entry: CatalogEntry) -> ModelInfo:
    return ModelInfo(
        model=entry.id,
        name=entry.name,
        kind=entry.kind,
        n_layers=entry.n_layers,
        dim=DIM,
        vocab_size=DIM,
        max_tokens=2048,
        has_lm_head=CATALOG.get(entry.base, entry).kind is Kind.GPT,
        has_chat_template=CATALOG.get(entry.base, entry).prompt is Prompt.CHAT,
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
        base=entry.base,
        has_eos=entry.kind is not Kind.ENCODER,
    )


def _trained_info(model: str, folder: Path) -> ModelInfo:
    training = json.loads((folder / "training.json").read_text())
    info = _info(CATALOG[training["base"]])
    reading = replace(Reading.from_dict(training["reading"]), model=model)
    name = f"{info.name}, trained {training['steps']} steps"
    return replace(info, model=model, name=name, kind=Kind.TUNED_GPT, default_reading=reading, base=training["base"])


def _rotation(reading: Reading) -> np.ndarray:
    """(DIM, DIM): the reading's effect on every text's counts."""
    return _near_identity(replace(reading, postprocess=Postprocess.NONE).label())


@lru_cache(maxsize=4096)
def _near_identity(label: str) -> np.ndarray:
    """(DIM, DIM): the same for the same label."""
    return np.eye(DIM) + np.random.default_rng(_seed(label)).normal(size=(DIM, DIM)) * 0.15 / np.sqrt(DIM)


def _split(text: str) -> list[str]:
    """The fake's tokens: words with the space before them."""
    return re.findall(r"\s*\S+", text) or [text]


@lru_cache(maxsize=4096)
def _count_trigrams(text: str) -> np.ndarray:
    """float64 (n_tokens, DIM): how often each of DIM hashed character trigrams begins in each token; never all zero."""
    padded = f"  {text.lower()}  "
    ends = np.cumsum([len(token) for token in _split(text)])
    counts = np.zeros((len(ends), DIM))
    for start in range(len(padded) - 2):
        token = min(int(np.searchsorted(ends, start, side="right")), len(ends) - 1)
        counts[token, _seed(padded[start : start + 3]) % DIM] += 1
    return counts


def _inspect(text: PromptedText, vector: np.ndarray, reading: Reading) -> Inspected:
    """States, (n_tokens, DIM), whose mean, weighted mean or mean_sqrt_len is the text's vector."""
    tokens = _split(text.rendered())
    n = len(tokens)
    weights = {
        Pooling.WEIGHTED_MEAN: np.arange(1, n + 1) / (n * (n + 1) / 2),
        Pooling.MEAN_SQRT_LEN: np.full(n, n**-0.5),
    }.get(reading.pooling, np.full(n, 1 / n))
    states = _count_trigrams(text.rendered()) @ _rotation(reading) / weights[:, None]
    start, end = text.text_span()
    ends = np.cumsum([len(token) for token in tokens])
    own = [i for i, right in enumerate(ends) if right > start and right - len(tokens[i]) < end]
    inside = (own[0], own[-1] + 1) if own else (0, n)
    return Inspected(
        text=text.text,
        prompted=text.rendered(),
        tokens=tuple(tokens),
        token_ids=tuple(_seed(token) % 10_000 for token in tokens),
        pooled=inside if text.pool_text_only else (0, n),
        inside=inside,
        states=states.astype(np.float32),
        vector=vector,
    )


def _seed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "little")
