"""RemoteEngine: an Engine over OpenAI-compatible embeddings servers, one of the host's choosing for each model.

Texts go in, vectors come back; nothing else is to be had, and what else an Engine offers is refused in words. Each
server has a worker and so a thread of its own: whoever asks the same server shares its requests, and a server that is
slow keeps nobody else waiting. Whoever cannot wait is told to ask again, and finds by then what has arrived.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from demo.backend.protocol import Guide, OnProgress
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
from demo.domain.recipe import PromptedPair, Recipe
from demo.domain.results import Inspected
from demo.domain.server_address import RemoteServer
from demo.jobs.request_context import current_request
from demo.settings import Settings

_MOST_TEXTS = 32  # of a request: Text Embeddings Inference takes no more as it comes
_MOST_CHARACTERS = 64_000
_LONGEST = 600.0  # seconds, retries and the questions of others included; then a server counts as lost
_PROBE = "How long is a vector?"  # what a server is asked first: nobody's text
_SHARE = 8  # of the memory for embeddings: one vector a text, and no profile of every layer

logger = logging.getLogger("demo")


class RemoteEngine:
    """Asks the servers of the settings. Their answers are kept in memory, for as long as the process runs."""

    def __init__(self, settings: Settings):
        self.cache = EmbeddingCache(settings.cache_mb * 2**20 // _SHARE)
        self._models = {server.id: _RemoteModel(server, settings, self.cache) for server in settings.servers}

    def device(self) -> Device:
        return Device("elsewhere", "remote", "", "These models run on other machines.")

    def counts(self) -> EngineCounts:
        """Texts: those that were sent."""
        models = self._models.values()
        sent, waiting = sum(model.sent for model in models), sum(model.waiting for model in models)
        return EngineCounts(texts=sent, cache_hits=self.cache.hits, waiting=waiting)

    def models(self) -> list[ModelStatus]:
        return [server_status(model.server, "loaded" if model.info else "available") for model in self._models.values()]

    def loaded(self, model: str) -> ModelInfo | None:
        found = self._models.get(model)
        return found and found.info

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

    def count_cached(self, texts: Sequence[PromptedText], model: str) -> int:
        return self._model(model).count_cached([text.rendered() for text in texts])

    def count_tokens(self, texts: Sequence[PromptedText], model: str) -> NoReturn:
        self._refuse(model, "its server alone knows the tokens")

    def logits_of(self, model: str, states: np.ndarray, layer: int) -> NoReturn:
        self._refuse(model, "its server gives no logits", field="pooling")

    def inspect(self, texts: Sequence[PromptedText], reading: Reading) -> list[Inspected]:
        self._refuse(reading.model, "its server alone knows the tokens")

    def leave_one_out(self, text: PromptedText, reading: Reading) -> NoReturn:
        self._refuse(reading.model, "its server alone knows the tokens")

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> NoReturn:
        self._refuse(reading.model, "its weights are not here")

    def read_tokens(self, model: str, vectors: np.ndarray, pooling: Pooling, layer: int, count: int) -> NoReturn:
        self._refuse(model, "its server gives no logits", field="pooling")

    def train(
        self,
        recipe: Recipe,
        pairs: Sequence[PromptedPair],
        sources: Sequence[tuple[int, float]],
        guide: Guide | None = None,
    ) -> NoReturn:
        self._refuse(recipe.reading.model, "its weights are not here")

    def _model(self, model: str) -> _RemoteModel:
        if model not in self._models:
            raise ModelNotAllowed(model=model[:200], accepted=", ".join(self._models))
        return self._models[model]

    def _refuse(self, model: str, why: str, field: str = "model") -> NoReturn:
        name = self._model(model).server.name
        raise ReadingRefused(field=field, model=name, reason=f"it runs elsewhere, and {why}.")


def server_status(server: RemoteServer, state: str = "available") -> ModelStatus:
    """A model that runs elsewhere, as the list has it."""
    return ModelStatus(
        model=server.id,
        name=server.name,
        kind=Kind.REMOTE,
        licence="",
        parameters=0,
        n_layers=0,
        state=state,
        default_reading=_own_reading(server),
        host=server.host,
    )


class _RemoteModel:
    """One server's model: known once it has answered, and asked by one thread."""

    def __init__(self, server: RemoteServer, settings: Settings, cache: EmbeddingCache):
        self.server = server
        self.info: ModelInfo | None = None
        self.sent = 0  # texts
        self._settings = settings
        self._cache = cache
        self._client: Any = None
        self._load_lock = threading.Lock()
        self._scheduler = Scheduler(self._ask, _MOST_CHARACTERS, device=False)
        self._failure: ServerFailed | None = None
        self._quiet_until = 0.0  # time.monotonic(): until then a failure is repeated, not tried again

    @property
    def waiting(self) -> int:
        """Questions that wait for the server."""
        return self._scheduler.waiting

    def load(self, on_progress: OnProgress | None = None) -> ModelInfo:
        """What is known of it. Raises ServerUnavailable."""
        with self._load_lock:
            if self.info is None:
                if on_progress:
                    on_progress(Progress("asking its server"))
                try:
                    self.info = self._meet()
                except ServerFailed as failure:
                    raise ServerUnavailable(**failure.values) from None
        return self.info

    def embed(self, texts: list[str]) -> np.ndarray:
        """float32 (n_texts, dim). Raises ServerFailed; ModelLoading where whoever asks cannot wait so long."""
        info = self.load()
        distinct = list(dict.fromkeys(texts))
        found = {text: entry.numbers for text in distinct if (entry := self._cache.get(self._key(text))) is not None}
        missing = [text for text in distinct if text not in found]
        if missing:
            timeout = current_request().timeout
            items = [self._item(text) for text in missing]
            try:
                for place, vector in self._scheduler.results(items, min(timeout or _LONGEST, _LONGEST)):
                    found[missing[place]] = vector
            except TimeoutError:
                if timeout is None:
                    raise self._failed(f"it gave no answer within {_LONGEST:g} seconds") from None
                fraction = len(found) / len(distinct)
                raise ModelLoading(model=info.name, stage="waiting for its server", fraction=fraction) from None
        return np.stack([found[text] for text in texts])

    def count_cached(self, texts: Sequence[str]) -> int:
        """How many of the texts need not be sent."""
        return sum(self._key(text) in self._cache for text in texts)

    def _meet(self) -> ModelInfo:
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
            n_layers=0,
            dim=dim,
            vocab_size=0,
            max_tokens=0,
            has_lm_head=False,
            has_chat_template=False,
            default_reading=_own_reading(self.server),
            revision=served,
            source=host,
            weights_precision="not told",
            precision="not told",
            device=host,
            parameters=0,
            memory_bytes=0,
            host=host,
            notices=(
                f"The texts are sent to {host}, where this model runs. What it answers may change there from one day "
                "to the next; answers are kept here for as long as the lab runs.",
            ),
        )

    def _ask(self, group: Any, texts: list[str]) -> list[np.ndarray]:
        """One request, in the worker's thread; what arrives is kept, even if nobody waits for it any more."""
        if self._failure and time.monotonic() < self._quiet_until:
            raise ServerFailed(**self._failure.values)
        self.sent += len(texts)
        try:
            vectors = self._client.embed(texts, self.info.revision)
            if vectors.shape[1] != self.info.dim:
                raise self._failed(f"its vectors have {vectors.shape[1]:,} numbers, and had {self.info.dim:,} before")
        except ServerFailed as failure:
            self._failure, self._quiet_until = failure, time.monotonic() + failure.values["wait"]
            logger.warning("%s", failure)
            raise
        for text, vector in zip(texts, vectors, strict=True):
            self._cache.put(self._key(text), Entry(vector.copy()))
        return list(vectors)

    def _item(self, text: str) -> WorkItem:
        """As long as its share of a request at least, so that no request has too many texts."""
        return WorkItem(self.server.id, self._key(text), text, max(len(text), _MOST_CHARACTERS // _MOST_TEXTS))

    def _key(self, text: str) -> tuple[str, str, str]:
        return self.server.url, self.info.revision, text

    def _failed(self, reason: str) -> ServerFailed:
        return ServerFailed(model=self.server.name, host=self.server.host, reason=reason, wait=0.0)


def _own_reading(server: RemoteServer) -> Reading:
    return Reading(server.id, Prompt.PLAIN, Served.AS_SERVED)
