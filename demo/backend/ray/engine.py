"""ClusterEngine: an Engine over Ray Serve. The page's side: it holds no weights and imports no torch.

Every question goes to a replica (replica.py), on this machine or another one; Serve chooses among those that hold the
question's model. What a replica was asked when it died is asked again: embedding changes nothing, so asking twice does
no harm. Embeddings that were answered are kept here, in front of all replicas.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from ray.exceptions import ObjectLostError, RayActorError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentResponse

from demo.backend.protocol import Guide, OnProgress
from demo.backend.ray.deployment import connect, deploy, disconnect
from demo.backend.ray.replica import KeepingEngine
from demo.backend.scheduler.cache import EmbeddingCache, Entry
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
from demo.domain.errors import ClusterBusy, ClusterFailed, DemoError, ReadingRefused, Stopped
from demo.domain.recipe import PromptedPair, Recipe
from demo.domain.results import Inspected
from demo.jobs.request_context import current_request
from demo.settings import Settings

_TRIES = 5  # replicas that may die under one question
_LOOK_SECONDS = 0.2  # between two looks at whether anybody still waits
_BUSY_SECONDS = 0.5  # until long work, which may wait, tries again
_PART = 64  # texts that go to one replica together
_AT_ONCE = 4  # parts of one question that are under way
_DIED = (RayActorError, ObjectLostError)  # the replica did, whatever it was asked


class RayEngine:
    """Starts or joins a Ray cluster, puts replicas on it, and asks them.

    create: makes a replica's engine, in the replica, from the replica's settings.
    """

    def __init__(self, settings: Settings, create: Callable[[Settings], KeepingEngine]):
        self.settings = settings
        self.cache = EmbeddingCache(settings.cache_mb * 2**20)
        self._infos: dict[str, ModelInfo] = {}
        self._texts = self._under_way = 0
        self._lock = threading.Lock()  # guards the two above
        connect(settings)
        try:
            self._replicas = deploy(settings, create)
            found = self._ask("", "device")
            self._catalogue: list[ModelStatus] = self._ask("", "models")
        except BaseException:
            disconnect()
            raise
        low, high = settings.ray_min_replicas, max(settings.ray_min_replicas, settings.ray_max_replicas)
        self._device = replace(found, reason=f"{low} to {high} replicas on Ray. {found.reason}")

    def close(self) -> None:
        """Leave the cluster; one that was started here ends, with all its processes."""
        self._replicas.shutdown()
        disconnect()

    def counts(self) -> EngineCounts:
        """As the page sees it: texts that went to replicas, and models that any of them has had in memory."""
        infos = list(self._infos.values())
        return EngineCounts(
            texts=self._texts,
            cache_hits=self.cache.hits,
            waiting=self._under_way,
            models=len(infos),
            model_bytes=sum(info.memory_bytes for info in infos),
        )

    def device(self) -> Device:
        return self._device

    def models(self) -> list[ModelStatus]:
        with suppress(ClusterBusy):  # then as they were last
            self._catalogue = self._ask("", "models")
        return [replace(one, state="loaded") if one.model in self._infos else one for one in self._catalogue]

    def loaded(self, model: str) -> ModelInfo | None:
        """What is known of a model that a replica has had in memory; one that lost it since loads it again."""
        return self._infos.get(model)

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        def listen() -> ModelInfo | DemoError:
            for told in self._replicas.options(multiplexed_model_id=model, stream=True).load.remote():
                if not isinstance(told, Progress):
                    return told
                if on_progress:
                    on_progress(told)
            raise ClusterFailed(reason="a replica left while it loaded a model")

        if model not in self._infos:
            self._infos[model] = self._again_where_one_died(listen)
        return self._infos[model]

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        info = self._info(reading.model)
        found = {text: self.cache.get((info.revision, reading, text)) for text in texts}
        missing = [text for text, entry in found.items() if entry is None]
        parts = [missing[start : start + _PART] for start in range(0, len(missing), _PART)]
        # Logits are as wide as the vocabulary: a thousand of them would fill the cache.
        keep_here = keep or reading.pooling is not Pooling.LAST_TOKEN_LOGITS
        answers = self._ask_for_each(parts, reading.model, "embed", reading, keep)
        with self._lock:
            self._texts += len(missing)
        for part, embedded in zip(parts, answers, strict=True):
            for place, text in enumerate(part):
                # A copy: what came from Ray lies in its store for as long as anybody looks at a row of it.
                found[text] = Entry(embedded.vectors[place].copy(), place in embedded.cut)
                if keep_here:
                    self.cache.put((info.revision, reading, text), found[text])
        return Embedded(
            vectors=np.stack([found[text].numbers for text in texts]),
            cut=tuple(i for i, text in enumerate(texts) if found[text].cut),
            token_limit=info.max_tokens,
        )

    def survey(self, texts: Sequence[PromptedText], reading: Reading, poolings: Sequence[Pooling]) -> np.ndarray:
        return self._ask(reading.model, "survey", texts, reading, poolings)

    def count_cached(self, texts: Sequence[PromptedText], model: str) -> int:
        """As one replica answers it; another one may have kept others."""
        return self._ask(model, "count_kept", texts, model)

    def count_tokens(self, texts: Sequence[PromptedText], model: str) -> list[int]:
        return self._ask(model, "count_tokens", texts, model)

    def logits_of(self, model: str, states: np.ndarray, layer: int) -> np.ndarray:
        return self._ask(model, "logits_of", model, states, layer)

    def inspect(self, texts: Sequence[PromptedText], reading: Reading) -> list[Inspected]:
        return self._ask(reading.model, "inspect", texts, reading)

    def leave_one_out(self, text: PromptedText, reading: Reading) -> tuple[np.ndarray, tuple[int, ...]]:
        return self._ask(reading.model, "leave_one_out", text, reading)

    def read_tokens(
        self, model: str, vectors: np.ndarray, pooling: Pooling, layer: int, count: int
    ) -> list[tuple[tuple[str, float], ...]]:
        return self._ask(model, "read_tokens", model, vectors, pooling, layer, count)

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> None:
        self._refuse(reading.model, "its weights are on the cluster. Export it on a machine that has them.")

    def train(
        self,
        recipe: Recipe,
        pairs: Sequence[PromptedPair],
        sources: Sequence[tuple[int, float]],
        guide: Guide | None = None,
    ) -> NoReturn:
        """Refused: replicas come and go, and a training run must stay where its state is."""
        self._refuse(recipe.reading.model, "replicas do not train. Train on one machine, with the local engine.")

    def _refuse(self, model: str, reason: str) -> NoReturn:
        raise ReadingRefused(field="model", model=self._info(model).name, reason=reason)

    def _info(self, model: str) -> ModelInfo:
        return self._infos.get(model) or self.load(model)

    def _ask_for_each(self, parts: Sequence[Any], model: str, method: str, *more: Any) -> list[Any]:
        """What replicas answer to each part. A few are under way at once, so that others get in between."""
        if len(parts) < 2:
            return [self._ask(model, method, part, *more) for part in parts]
        turns = [copy_context() for _ in parts]  # whose question it is goes along into the threads
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(lambda turn, part: turn.run(self._ask, model, method, part, *more), turns, parts))

    def _ask(self, model: str, method: str, *arguments: Any) -> Any:
        """What a replica answers. Raises the DemoError that its engine raises, and ClusterBusy."""
        replicas, urgent = self._replicas.options(multiplexed_model_id=model), current_request().interactive
        with self._counting():
            return self._again_where_one_died(lambda: _wait(replicas.ask.remote(urgent, method, *arguments)))

    @contextmanager
    def _counting(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def _again_where_one_died(self, ask: Callable[[], Any]) -> Any:
        died = 0
        while died < _TRIES:
            try:
                answer = ask()
            except BackPressureError as error:
                if current_request().interactive:
                    raise ClusterBusy(count=self.settings.ray_queue) from error
                time.sleep(_BUSY_SECONDS)
            except _DIED:
                died += 1
            else:
                if isinstance(answer, DemoError):
                    raise answer
                return answer
            if current_request().is_cancelled():
                raise Stopped
        raise ClusterFailed(reason=f"{died} replicas died, one after the other, while they were asked this")


def _wait(response: DeploymentResponse) -> Any:
    """The answer; gives up when nobody wants it any more, and tells the replica so."""
    is_cancelled = current_request().is_cancelled
    while True:
        try:
            return response.result(timeout_s=_LOOK_SECONDS)
        except TimeoutError as error:
            if isinstance(error, RayTaskError):  # the replica's own
                raise
        if is_cancelled():
            _drop(response)
            raise Stopped


def _drop(response: DeploymentResponse) -> None:
    with suppress(BackPressureError, RayError):  # what has failed by itself need not be cancelled
        response.cancel()
