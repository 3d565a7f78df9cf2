"""ServerClient: one OpenAI-compatible server, asked with the `openai` client; every way it may fail, in words.

Retries are the client's own. What comes back is a stranger's: its size, its time and every number of it are checked.
Knows no cache, no reading and no other server. The key goes into one header and nowhere else: errors of the client,
which may quote it, are never chained, shown or logged. Imported where there is a server to ask, and no sooner: the
client takes half a second.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx2
import numpy as np
import openai

from demo.domain.errors import ServerFailed
from demo.domain.server_address import RemoteServer

_CONNECT_SECONDS = 5.0
_RETRIES = 2
_LONGEST_WAIT = 10.0  # seconds that a server may ask to wait before the next try; a longer wait is told instead
_MOST_BYTES = 32 * 2**20  # of one answer: 32 vectors of 8,192 numbers in words are a fifth of that
_MOST_NAMED = 5  # models in a sentence
_HOLD = 5.0  # seconds for which a server that failed is not asked again
_MOST_HOLD = 60.0
_SENT = {"accept", "connection", "content-length", "content-type", "host", "transfer-encoding", "user-agent"}
_SENT |= {"x-stainless-raw-response"}  # the client looks for it when the answer is there


class ServerClient:
    """Asks a server. seconds: for one answer. Every method blocks, and raises ServerFailed.

    The failure's `wait` says for how many seconds there is no use in asking again; 0 where other texts may do.
    """

    def __init__(self, server: RemoteServer, key: str, seconds: float):
        self._server, self._seconds = server, seconds
        key = key.strip()
        if not (key.isascii() and key.isprintable()):
            raise self._failed(f"its key in {server.key_variable} holds what no key can hold", _HOLD)
        self._client = openai.OpenAI(
            base_url=server.url,
            api_key=key or "none",  # the client wants one; the header is written below
            max_retries=_RETRIES,
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False,  # texts go where the host has said, and nowhere else
                timeout=httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
                event_hooks={"request": [_only_what_is_needed(key)], "response": [self._bound]},
            ),
        )

    def models(self) -> list[str]:
        """The names of the models that it serves."""
        told = self._ask(lambda: self._client.models.with_raw_response.list())
        try:
            return [str(model["id"]) for model in told["data"]]
        except (KeyError, TypeError) as error:
            raise self._failed("its answer is no list of models", _HOLD) from error

    def only_model(self) -> str:
        """The name of the one model that it serves."""
        names = self.models()
        if len(names) == 1:
            return names[0]
        listed = ", ".join(name[:60] for name in names[:_MOST_NAMED]) + ", …" * (len(names) > _MOST_NAMED)
        said = f"it serves several models ({listed})" if names else "it serves no model"
        raise self._failed(f"{said}; whoever runs this lab names one after # in --remote", _HOLD)

    def embed(self, texts: Sequence[str], served: str) -> np.ndarray:
        """Vectors of texts, float32 (n_texts, dim), finite, in the order of the texts. served: the model's name."""
        # "float", not the client's own "base64": every server knows it. What comes back may be either.
        asked = {"input": list(texts), "model": served, "encoding_format": "float"}
        told = self._ask(lambda: self._client.embeddings.with_raw_response.create(**asked))
        try:
            rows = {row.get("index", place): row["embedding"] for place, row in enumerate(told["data"])}
        except (AttributeError, KeyError, TypeError) as error:
            raise self._failed("its answer holds no vectors", _HOLD) from error
        if set(rows) != set(range(len(texts))) or len(told["data"]) != len(texts):
            raise self._failed(f"it answered {len(told['data'])} vectors for {len(texts)} texts", _HOLD)
        vectors = [self._vector(rows[place]) for place in range(len(texts))]
        if len({len(vector) for vector in vectors}) > 1:
            raise self._failed("its vectors are not of one length", _HOLD)
        together = np.stack(vectors)
        if not np.isfinite(together).all():
            raise self._failed("its vectors hold numbers that are not finite", 0.0)
        return together

    def _vector(self, told: Any) -> np.ndarray:
        try:
            if isinstance(told, str):
                vector = np.frombuffer(base64.b64decode(told, validate=True), dtype="<f4")
            else:
                vector = np.asarray(told, dtype=np.float64)  # null becomes NaN
        except (TypeError, ValueError) as error:
            raise self._failed("its answer holds no vectors", _HOLD) from error
        if vector.ndim == 2:
            raise self._failed("it answers a vector for every token; whoever runs it starts it with a pooling", _HOLD)
        if vector.ndim != 1 or not len(vector):
            raise self._failed("its answer holds no vectors", _HOLD)
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is told of as such
            return vector.astype(np.float32)

    def _ask(self, act: Callable[[], Any]) -> Any:
        """What act() answers, as JSON."""
        try:
            body = act().content
        except _Refused as refused:
            raise self._failed(str(refused), _HOLD) from None
        except openai.APITimeoutError:
            raise self._failed(f"it gave no answer within {self._seconds:g} seconds", _HOLD) from None
        except openai.APIConnectionError as error:
            broken = isinstance(error.__cause__, httpx2.ReadError | httpx2.RemoteProtocolError)
            reason = "the connection broke off before its answer was whole" if broken else "it cannot be reached"
            raise self._failed(reason, _HOLD) from None
        except openai.APIStatusError as error:
            raise self._status(error.status_code, _seconds_to_wait(error.response)) from None
        except openai.OpenAIError:
            raise self._failed("its answer cannot be read", _HOLD) from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise self._failed("its answer is not JSON", _HOLD) from None

    def _status(self, status: int, wait: float | None) -> ServerFailed:
        """The failure behind an HTTP status. wait: seconds that it asks to wait."""
        variable = self._server.key_variable
        reasons = {
            401: f"it refuses the key (HTTP 401); whoever runs this lab sets it in {variable}",
            403: f"it refuses the key (HTTP 403); whoever runs this lab sets it in {variable}",
            404: "it knows no such address or model (HTTP 404); whoever runs this lab names both in --remote",
        }
        if status == 429:
            asks = f"; it asks to wait {wait:,.0f} seconds" if wait else ""
            return self._failed(f"it takes no more questions for now (HTTP 429){asks}", min(wait or _HOLD, _MOST_HOLD))
        if status in (400, 413, 422):
            reason = f"it does not accept these texts (HTTP {status}); one of them may be too long for its model"
            return self._failed(reason, 0.0)
        if 300 <= status < 400:
            reason = f"it sends questions to another address (HTTP {status}), which nobody follows"
        else:
            reason = reasons.get(status, f"it answered with an error (HTTP {status})")
        return self._failed(reason, _HOLD)

    def _failed(self, reason: str, wait: float) -> ServerFailed:
        return ServerFailed(model=self._server.name, host=self._server.host, reason=reason, wait=wait)

    def _bound(self, response: httpx2.Response) -> None:
        """Before an answer is read: no more of it than fits, no longer than its time, and nothing packed."""
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _Refused("its answer is packed, which nobody asked for")
        if (_seconds_to_wait(response) or 0.0) > _LONGEST_WAIT:
            response.headers["x-should-retry"] = "false"  # the client's own retries obey it
        response.stream = _Bounded(response, time.monotonic() + self._seconds)


class _Refused(openai.OpenAIError):
    """An answer that is not read to its end; one of the client's own errors, so that it does not ask again."""


class _Bounded(httpx2.SyncByteStream):
    """An answer's bytes. Raises _Refused for too many of them, ReadTimeout once the time is up."""

    def __init__(self, response: httpx2.Response, end: float):
        self._inner, self._request, self._end = response.stream, response.request, end

    def __iter__(self) -> Iterator[bytes]:
        left = _MOST_BYTES
        for part in self._inner:
            left -= len(part)
            if left < 0:
                raise _Refused(f"its answer is longer than {_MOST_BYTES // 2**20} MiB")
            if time.monotonic() > self._end:
                raise httpx2.ReadTimeout("The answer takes too long.", request=self._request)
            yield part

    def close(self) -> None:
        self._inner.close()


def _only_what_is_needed(key: str) -> Callable[[httpx2.Request], None]:
    """Takes every other header off a request: what the environment tells of other services, what the client tells of
    this machine."""

    def tidy(request: httpx2.Request) -> None:
        for name in list(request.headers):
            if name.lower() not in _SENT:
                del request.headers[name]
        request.headers["accept-encoding"] = "identity"  # a packed answer may be a bomb
        if key:
            request.headers["authorization"] = f"Bearer {key}"

    return tidy


def _seconds_to_wait(response: httpx2.Response) -> float | None:
    """What an answer's Retry-After says, if it is a number."""
    said = response.headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdecimal() and len(said) < 9 else None
