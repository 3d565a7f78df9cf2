"""RemoteEngine: an Engine over OpenAI-compatible embeddings servers, one server a model.

A server takes texts and returns vectors; every other call is refused. Each server has a scheduler and so a thread of
its own: callers of one server share its requests, and a slow server delays nobody else. A caller that cannot wait gets
ModelLoading, and finds the vectors in the cache when it calls again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from demo.backend.protocol import Engine, OnProgress
from demo.backend.scheduler.cache import EmbeddingCache, Entry
from demo.backend.scheduler.scheduler import Scheduler, WorkItem
from demo.domain.datamodels import (
    Device,
    Embedded,
    EngineCounts,
    Kind,
    ModelInfo,
    ModelStatus,
    Pooling,
    Progress,
    Prompt,
    PromptedText,
    Reading,
    Served,
)
from demo.domain.errors import ModelLoading, ModelNotAllowed, ReadingRefused, ServerFailed, ServerUnavailable
from demo.domain.server_address import RemoteServer
from demo.jobs.request_context import current_request
from demo.settings import Settings

_MOST_TEXTS = 32  # in a request: the default limit of Text Embeddings Inference
_MOST_CHARACTERS = 64_000
_LONGEST = 600.0  # seconds, with retries and other people's requests; then a server counts as lost
_PROBE = "How long is a vector?"  # the first request holds nobody's text
_CACHE_SHARE = 8  # part of the cache's bytes: one vector a text, not every layer

logger = logging.getLogger("demo")


class RemoteEngine(Engine):
    """The servers of the settings. Their vectors are cached in memory."""

    def __init__(self, settings: Settings):
        self.cache = EmbeddingCache(settings.cache_mb * 2**20 // _CACHE_SHARE)
        self._models = {server.id: _RemoteModel(server, settings, self.cache) for server in settings.servers}

    def device(self) -> Device:
        return Device("elsewhere", "remote", "", "These models run on other machines.")

    def counts(self) -> EngineCounts:
        """texts: those that were sent."""
        models = self._models.values()
        return EngineCounts(
            texts=sum(model.sent for model in models),
            cache_hits=self.cache.hits,
            waiting=sum(model.scheduler.waiting for model in models),
        )

    def models(self) -> list[ModelStatus]:
        return [server_status(model.server, "loaded" if model.info else "available") for model in self._models.values()]

    def loaded(self, model: str) -> ModelInfo | None:
        return self._models[model].info if model in self._models else None

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        return self._model(model).load(on_progress)

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        model = self._model(reading.model)
        if any(text.chat or text.eos or text.pool_text_only or text.placeholder for text in texts):
            self._refuse(reading.model, "its server takes texts only", field="prompt")
        return Embedded(model.embed([text.rendered() for text in texts]))

    def survey(self, texts: Sequence[PromptedText], reading: Reading, poolings: Sequence[Pooling]) -> np.ndarray:
        vectors = self.embed(texts, reading).vectors
        return np.broadcast_to(vectors, (len(poolings), 1, *vectors.shape))

    def count_cached(self, texts: Sequence[PromptedText], reading: Reading) -> int:
        return self._model(reading.model).count_cached([text.rendered() for text in texts])

    def _forward(self, model: str, method: str, *arguments: Any) -> NoReturn:
        """A server gives vectors and nothing else."""
        if method in ("logits_of", "read_tokens"):
            self._refuse(model, "its server gives no logits", field="pooling")
        weights = method in ("export", "train")
        self._refuse(model, "its weights are not here" if weights else "its server alone knows the tokens")

    def _model(self, model: str) -> _RemoteModel:
        if model not in self._models:
            raise ModelNotAllowed(model=model[:200], accepted=", ".join(self._models))
        return self._models[model]

    def _refuse(self, model: str, reason: str, field: str = "model", **values: str) -> NoReturn:
        name = self._model(model).server.name
        raise ReadingRefused(field=field, model=name, reason=f"it runs elsewhere, and {reason}.", **values)


def server_status(server: RemoteServer, state: str = "available") -> ModelStatus:
    """A remote model's entry in the list of models."""
    return ModelStatus(
        model=server.id,
        name=server.name,
        kind=Kind.REMOTE,
        licence="",
        parameters=0,
        n_layers=0,
        state=state,
        default_reading=_served_reading(server),
        host=server.host,
    )


class _RemoteModel:
    """One server's model; info is None until the server has answered. sent: texts."""

    def __init__(self, server: RemoteServer, settings: Settings, cache: EmbeddingCache):
        self.server = server
        self.info: ModelInfo | None = None
        self.sent = 0
        self.scheduler = Scheduler(self._send, _MOST_CHARACTERS, retreat=self._send_in_parts)
        self._settings = settings
        self._cache = cache
        self._client: Any = None
        self._load_lock = threading.Lock()
        self._most_texts = _MOST_TEXTS  # in a request, as far as is known
        self._failure: ServerFailed | None = None
        self._retry_at = 0.0  # time.monotonic(): until then the last failure is raised again without a request

    def load(self, on_progress: OnProgress | None = None) -> ModelInfo:
        """The model's description. Raises ServerUnavailable."""
        with self._load_lock:
            if self.info is None:
                if on_progress:
                    on_progress(Progress("asking its server"))
                try:
                    self.info = self._connect()
                except ServerFailed as failure:
                    raise ServerUnavailable(**failure.values) from None
        return self.info

    def embed(self, texts: list[str]) -> np.ndarray:
        """float32 (n_texts, dim). Raises ServerFailed; ModelLoading where the request's timeout ends first."""
        info = self.load()
        distinct = list(dict.fromkeys(texts))
        vectors = {text: entry.vectors for text in distinct if (entry := self._cache.get(self._key(text))) is not None}
        missing = [text for text in distinct if text not in vectors]
        if missing:
            timeout = current_request().timeout
            items = [self._item(text) for text in missing]
            try:
                for index, vector in self.scheduler.results(items, min(timeout or _LONGEST, _LONGEST)):
                    vectors[missing[index]] = vector
            except TimeoutError:
                if timeout is None:
                    raise self._failed(f"it gave no answer within {_LONGEST:g} seconds") from None
                fraction = len(vectors) / len(distinct)
                raise ModelLoading(model=info.name, stage="waiting for its server", fraction=fraction) from None
        return np.stack([vectors[text] for text in texts])

    def count_cached(self, texts: Sequence[str]) -> int:
        """How many of the texts need not be sent."""
        return sum(self._key(text) in self._cache for text in texts)

    def _connect(self) -> ModelInfo:
        from demo.backend.remote.client import ServerClient  # its imports take half a second

        client = ServerClient(self.server, self._settings.key_of(self.server), self._settings.remote_seconds)
        served = self.server.served or client.only_model()
        dim = client.embed([_PROBE], served).shape[1]
        self._client = client
        host = self.server.host
        logger.info("%s is ready: %s numbers a text, from %s", self.server.name, dim, host)
        return ModelInfo(
            model=self.server.id,
            name=self.server.name,
            kind=Kind.REMOTE,
            dim=dim,
            **dict.fromkeys(("n_layers", "vocab_size", "max_tokens", "parameters", "memory_bytes"), 0),
            **dict.fromkeys(("has_lm_head", "has_chat_template"), False),
            default_reading=_served_reading(self.server),
            revision=served,
            source=host,
            weights_precision="not told",
            precision="not told",
            device=host,
            host=host,
            notices=(
                f"The texts are sent to {host}, where this model runs. What it answers may change there from one day "
                "to the next; answers are kept here for as long as the lab runs.",
                *((f"Every request says {_name_fields(self.server)}.",) if self.server.fields else ()),
            ),
        )

    def _send(self, group: Any, texts: list[str]) -> list[np.ndarray]:
        """One request, in the scheduler's thread. The vectors are cached even if nobody waits for them any more."""
        if self._failure and time.monotonic() < self._retry_at:
            raise ServerFailed(**self._failure.values)
        self.sent += len(texts)
        try:
            vectors = self._client.embed(texts, self.info.revision)
            if vectors.shape[1] != self.info.dim:
                raise self._failed(f"its vectors have {vectors.shape[1]:,} numbers, and had {self.info.dim:,} before")
        except ServerFailed as failure:
            self._failure, self._retry_at = failure, time.monotonic() + failure.values["wait"]
            logger.warning("%s, on %s: %s", self.server.name, self.server.host, failure.values["logged"])
            raise
        for text, vector in zip(texts, vectors, strict=True):
            self._cache.put(self._key(text), Entry(vector.copy()))
        return list(vectors)

    def _send_in_parts(self, run: Callable[[list[int]], list[Any]], rows: list[int]) -> list[Any]:
        """The scheduler's retreat: halves where the server refuses a request for its size, texts or tokens.

        What it took at most is remembered where it took every text in the end: then none of them was at fault.
        """
        failures: list[ServerFailed] = []
        taken: list[int] = []  # texts of each request that was answered
        answers: list[Any] = []
        waiting = [rows[start : start + self._most_texts] for start in range(0, len(rows), self._most_texts)]
        while waiting:
            part = waiting.pop(0)
            try:
                answers += run(part)
                taken.append(len(part))
            except ServerFailed as failure:
                if failure.values["wait"]:
                    raise
                if len(part) == 1:
                    failures.append(failure)
                else:
                    middle = len(part) // 2
                    waiting[:0] = [part[:middle], part[middle:]]
        if failures:
            raise failures[0]
        if len(taken) > -(-len(rows) // self._most_texts):
            self._most_texts = max(taken)
        return answers

    def _item(self, text: str) -> WorkItem:
        """At least as long as a text's share of a request, so that no request has too many texts."""
        return WorkItem(self.server.id, self._key(text), text, max(len(text), _MOST_CHARACTERS // _MOST_TEXTS))

    def _key(self, text: str) -> tuple:
        return self.server.url, self.info.revision, self.server.fields, text

    def _failed(self, reason: str) -> ServerFailed:
        return ServerFailed(model=self.server.name, host=self.server.host, reason=reason, wait=0.0, logged=reason)


def _name_fields(server: RemoteServer) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in server.fields)


def _served_reading(server: RemoteServer) -> Reading:
    return Reading(server.id, Prompt.PLAIN, Served.AS_SERVED)
