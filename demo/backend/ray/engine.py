"""RayEngine: an Engine over Ray Serve. The page's side: it holds no weights and imports no torch.

Every call goes to a replica (replica.py), on this machine or another one; Serve chooses among those that hold the
model. A call whose replica dies is sent again: embedding changes no state, so a second try does no harm. Embeddings are
cached here, in front of all replicas.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from ray.exceptions import ObjectLostError, RayActorError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentResponse

from demo.backend.protocol import Engine, Guide, OnProgress, Sources
from demo.backend.ray.deployment import connect, deploy, disconnect
from demo.backend.scheduler.cache import EmbeddingCache, Entry, join_entries
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
from demo.domain.errors import ClusterBusy, ClusterFailed, DemoError, Stopped
from demo.domain.recipe import PromptedPair, Recipe
from demo.jobs.request_context import current_request
from demo.settings import Settings

_TRIES = 5  # replicas that may die during one call
_POLL_SECONDS = 0.2  # between two checks for cancellation
_BUSY_SECONDS = 0.5  # until background work tries again
_PART = 64  # texts in one call
_PARTS_AT_ONCE = 4  # of one request
_DIED = (RayActorError, ObjectLostError)


class RayEngine(Engine):
    """Starts or joins a Ray cluster, deploys replicas on it, and calls them.

    create: creates a replica's engine, in the replica, from the replica's settings.
    """

    def __init__(self, settings: Settings, create: Callable[[Settings], Engine]):
        self.settings = settings
        self.cache = EmbeddingCache(settings.cache_mb * 2**20)
        self._infos: dict[str, ModelInfo] = {}
        self._texts = self._waiting = 0
        self._lock = threading.Lock()  # guards the two above
        connect(settings)
        try:
            self._replicas = deploy(settings, create)
            device = self._forward("", "device")
            self._catalogue: list[ModelStatus] = self._forward("", "models")
        except BaseException:
            disconnect()
            raise
        low, high = settings.ray_min_replicas, max(settings.ray_min_replicas, settings.ray_max_replicas)
        self._device = replace(device, reason=f"{low} to {high} replicas on Ray. {device.reason}")

    def close(self) -> None:
        """Leave the cluster; one that was started here ends, with all its processes."""
        self._replicas.shutdown()
        disconnect()

    def counts(self) -> EngineCounts:
        """As the page sees it: texts that were sent to replicas, and models that any of them has had in memory."""
        infos = list(self._infos.values())
        return EngineCounts(
            texts=self._texts,
            cache_hits=self.cache.hits,
            waiting=self._waiting,
            models=len(infos),
            model_bytes=sum(info.memory_bytes for info in infos),
        )

    def device(self) -> Device:
        return self._device

    def models(self) -> list[ModelStatus]:
        with suppress(ClusterBusy):  # then the last answer stands
            self._catalogue = super().models()
        return [replace(each, state="loaded") if each.model in self._infos else each for each in self._catalogue]

    def loaded(self, model: str) -> ModelInfo | None:
        """A model that any replica has had in memory; a replica that has lost it since loads it again."""
        return self._infos.get(model)

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        def follow() -> ModelInfo | DemoError:
            for update in self._replicas.options(multiplexed_model_id=model, stream=True).load.remote():
                if not isinstance(update, Progress):
                    return update
                if on_progress:
                    on_progress(update)
            raise ClusterFailed(reason="a replica left while it loaded a model")

        if model not in self._infos:
            self._infos[model] = self._retry(follow)
        return self._infos[model]

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        info = self.load(reading.model)
        entries = {text: self.cache.get((info.revision, reading, text)) for text in texts}
        missing = [text for text, entry in entries.items() if entry is None]
        parts = [missing[start : start + _PART] for start in range(0, len(missing), _PART)]
        # Logits are as wide as the vocabulary: a thousand of them would fill the cache.
        cacheable = keep or reading.pooling is not Pooling.LAST_TOKEN_LOGITS
        answers = self._embed_parts(parts, reading, keep)
        with self._lock:
            self._texts += len(missing)
        for part, embedded in zip(parts, answers, strict=True):
            for row, text in enumerate(part):
                # A copy: a view would hold the whole answer in Ray's object store.
                entries[text] = Entry(embedded.vectors[row].copy(), row in embedded.cut)
                if cacheable:
                    self.cache.put((info.revision, reading, text), entries[text])
        return join_entries([entries[text] for text in texts], info.max_tokens)

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> NoReturn:
        self._refuse(reading.model, "its weights are on the cluster. Export it on a machine that has them.")

    def train(
        self, recipe: Recipe, pairs: Sequence[PromptedPair], sources: Sources, guide: Guide | None = None
    ) -> NoReturn:
        """Refused: replicas come and go, and a training run must stay where its state is."""
        self._refuse(recipe.reading.model, "replicas do not train. Train on one machine, with the local engine.")

    def _embed_parts(self, parts: list[list[PromptedText]], reading: Reading, keep: bool) -> list[Embedded]:
        """Each part's embeddings. A few parts run at once, so that other requests get in between."""

        def embed(context: Context, part: list[PromptedText]) -> Embedded:
            return context.run(self._forward, reading.model, "embed", part, reading, keep)

        contexts = [copy_context() for _ in parts]  # the threads work for the same request
        if len(parts) < 2:
            return list(map(embed, contexts, parts))
        with ThreadPoolExecutor(_PARTS_AT_ONCE) as threads:
            return list(threads.map(embed, contexts, parts))

    def _forward(self, model: str, method: str, *arguments: Any) -> Any:
        """A replica's answer. Raises the DemoError that its engine raises, and ClusterBusy."""
        replicas, urgent = self._replicas.options(multiplexed_model_id=model), current_request().interactive
        with self._lock:
            self._waiting += 1
        try:
            return self._retry(lambda: _wait_for(replicas.ask.remote(urgent, method, *arguments)))
        finally:
            with self._lock:
                self._waiting -= 1

    def _retry(self, send: Callable[[], Any]) -> Any:
        """send()'s answer, sent again when its replica dies, and by background work when all replicas are full."""
        died = 0
        while died < _TRIES:
            try:
                answer = send()
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


def _wait_for(response: DeploymentResponse) -> Any:
    """The answer. Raises Stopped, and cancels the call, once the request is cancelled."""
    is_cancelled = current_request().is_cancelled
    while True:
        try:
            return response.result(timeout_s=_POLL_SECONDS)
        except TimeoutError as error:
            if isinstance(error, RayTaskError):  # the replica's own
                raise
        if is_cancelled():
            cancel(response)
            raise Stopped


def cancel(response: DeploymentResponse) -> None:
    """Tell the replica that nobody waits; a call that failed by itself need not be cancelled."""
    with suppress(BackPressureError, RayError):
        response.cancel()
