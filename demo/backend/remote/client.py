"""ServerClient: one OpenAI-compatible server through the `openai` client, every failure as a sentence.

The client retries by itself. The server is not trusted: the size, time and every number of an answer are checked. The
key goes into one header and nowhere else: the client's errors, which may quote it, are never chained, shown or logged.
Import this only for a server: the client takes half a second.
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
_LONGEST_WAIT = 10.0  # seconds of Retry-After that the client waits for; a longer one fails at once
_MOST_BYTES = 32 * 2**20  # of one answer: 32 vectors of 8,192 numbers in words are a fifth of that
_MOST_NAMED = 5  # models in a sentence
_MOST_QUOTED = 200  # characters of a server's own sentence
_HOLD = 5.0  # seconds until a failed server gets the next request
_MOST_HOLD = 60.0
_SENT_HEADERS = {"accept", "connection", "content-length", "content-type", "host", "transfer-encoding", "user-agent"}
_SENT_HEADERS |= {"x-stainless-raw-response"}  # the client reads it from the request again


class ServerClient:
    """seconds: timeout of one answer. Every method blocks, and raises ServerFailed.

    The failure's `wait`: seconds until the next request makes sense; 0 where other texts may succeed.
    """

    def __init__(self, server: RemoteServer, key: str, seconds: float):
        self._server, self._seconds = server, seconds
        self._key = key = key.strip()
        if not (key.isascii() and key.isprintable()):
            raise self._failed(f"its key in {server.key_variable} holds what no key can hold", _HOLD)
        self._client = openai.OpenAI(
            base_url=server.url,
            api_key=key or "none",  # the client needs one; the header is written below
            max_retries=_RETRIES,
            http_client=openai.DefaultHttpxClient(
                follow_redirects=False,  # texts go to the configured address only
                timeout=httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
                event_hooks={"request": [_strip_headers(key)], "response": [self._bound]},
            ),
        )

    def models(self) -> list[str]:
        """The names of the served models."""
        answer = self._send(lambda: self._client.models.with_raw_response.list())
        try:
            return [str(model["id"]) for model in answer["data"]]
        except (KeyError, TypeError) as error:
            raise self._failed("its answer is no list of models", _HOLD) from error

    def only_model(self) -> str:
        """The name of the one served model."""
        names = self.models()
        if len(names) == 1:
            return names[0]
        listed = ", ".join(name[:60] for name in names[:_MOST_NAMED]) + ", …" * (len(names) > _MOST_NAMED)
        reason = f"it serves several models ({listed})" if names else "it serves no model"
        raise self._failed(f"{reason}; whoever runs this lab names one after # in --remote", _HOLD)

    def embed(self, texts: Sequence[str], served: str) -> np.ndarray:
        """Vectors, float32 (n_texts, dim), finite, in the order of the texts. served: the model's name there."""
        fields = dict(self._server.fields)
        # Nearly every server knows "float", unlike the client's default "base64". The answer may be either.
        encoding = fields.pop("encoding_format", "float")
        request = {"input": list(texts), "model": served, "encoding_format": encoding, "extra_body": fields}
        answer = self._send(lambda: self._client.embeddings.with_raw_response.create(**request))
        try:
            rows = {row.get("index", i): row["embedding"] for i, row in enumerate(answer["data"])}
        except (AttributeError, KeyError, TypeError) as error:
            raise self._failed("its answer holds no vectors", _HOLD) from error
        if set(rows) != set(range(len(texts))) or len(answer["data"]) != len(texts):
            raise self._failed(f"it answered {len(answer['data'])} vectors for {len(texts)} texts", _HOLD)
        vectors = [self._parse_vector(rows[i]) for i in range(len(texts))]
        if len({len(vector) for vector in vectors}) > 1:
            raise self._failed("its vectors are not of one length", _HOLD)
        stacked = np.stack(vectors)
        if not np.isfinite(stacked).all():
            raise self._failed("its vectors hold numbers that are not finite", 0.0)
        return stacked

    def _parse_vector(self, value: Any) -> np.ndarray:
        try:
            if isinstance(value, str):
                vector = np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
            else:
                vector = np.asarray(value, dtype=np.float64)  # null becomes NaN
        except (TypeError, ValueError) as error:
            raise self._failed("its answer holds no vectors", _HOLD) from error
        if vector.ndim == 2:
            raise self._failed("it answers a vector for every token; whoever runs it starts it with a pooling", _HOLD)
        if vector.ndim != 1 or not len(vector):
            raise self._failed("its answer holds no vectors", _HOLD)
        with np.errstate(over="ignore"):  # numbers too large become infinite, which `embed` refuses
            return vector.astype(np.float32)

    def _send(self, request: Callable[[], Any]) -> Any:
        """The JSON body of request()'s answer."""
        try:
            body = request().content
        except _Refused as refused:
            raise self._failed(str(refused), _HOLD) from None
        except openai.APITimeoutError:
            raise self._failed(f"it gave no answer within {self._seconds:g} seconds", _HOLD) from None
        except openai.APIConnectionError as error:
            broken = isinstance(error.__cause__, httpx2.ReadError | httpx2.RemoteProtocolError)
            reason = "the connection broke off before its answer was whole" if broken else "it cannot be reached"
            raise self._failed(reason, _HOLD) from None
        except openai.APIStatusError as error:
            raise self._status(error.status_code, _seconds_to_wait(error.response), error.body) from None
        except openai.OpenAIError:
            raise self._failed("its answer cannot be read", _HOLD) from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise self._failed("its answer is not JSON", _HOLD) from None

    def _status(self, status: int, wait: float | None, body: Any) -> ServerFailed:
        """The failure behind an HTTP status. wait: seconds that it asks to wait; body: what it answered."""
        variable = self._server.key_variable
        reasons = {
            401: f"it refuses the key (HTTP 401); whoever runs this lab sets it in {variable}",
            403: f"it refuses the key (HTTP 403); whoever runs this lab sets it in {variable}",
            404: "it knows no such address or model (HTTP 404); whoever runs this lab names both in --remote",
        }
        if status == 429:
            asks = f"; it asks to wait {wait:,.0f} seconds" if wait else ""
            return self._failed(f"it takes no more questions for now (HTTP 429){asks}", min(wait or _HOLD, _MOST_HOLD))
        said = self._quote(body)
        if status in (400, 413, 422):
            guess = "" if said else "; one of them may be too long for its model"
            return self._failed(f"it does not accept this request (HTTP {status}){guess}", 0.0, said)
        if 300 <= status < 400:
            reason = f"it sends questions to another address (HTTP {status}), which nobody follows"
        else:
            reason = reasons.get(status, f"it answered with an error (HTTP {status})")
        return self._failed(reason, _HOLD, "" if status in (401, 403) else said)  # those may quote a part of the key

    def _quote(self, body: Any) -> str:
        """The server's own sentence, in OpenAI's, FastAPI's or any plain form; "" where it says none."""
        if isinstance(body, str) and body.lstrip().startswith("<"):  # a page for browsers
            return ""
        for name in ("error", "message", "detail", "msg"):
            if isinstance(body, list):
                body = body[0] if body else ""
            if isinstance(body, dict) and name in body:
                body = body[name]
        if not isinstance(body, str):
            return ""
        said = " ".join("".join(c if c.isprintable() else " " for c in body).split())
        if self._key:
            said = said.replace(self._key, "…")
        return said if len(said) <= _MOST_QUOTED else said[: _MOST_QUOTED - 1] + "…"

    def _failed(self, reason: str, wait: float, said: str = "") -> ServerFailed:
        """said: the server's own sentence, which may quote a text and so stays out of the log."""
        quoted = f"{reason}: “{said}”" if said else reason
        return ServerFailed(model=self._server.name, host=self._server.host, reason=quoted, wait=wait, logged=reason)

    def _bound(self, response: httpx2.Response) -> None:
        """Bound an answer before it is read: size, time, no compression."""
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise _Refused("its answer is packed, which nobody asked for")
        if (_seconds_to_wait(response) or 0.0) > _LONGEST_WAIT:
            response.headers["x-should-retry"] = "false"  # the client's own retries obey it
        response.stream = _BoundedStream(response, time.monotonic() + self._seconds)


class _Refused(openai.OpenAIError):
    """An answer that is not read to its end; one of the client's own errors, so that it does not retry."""


class _BoundedStream(httpx2.SyncByteStream):
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


def _strip_headers(key: str) -> Callable[[httpx2.Request], None]:
    """Removes all but the needed headers: the environment adds those of other services, the client this machine's."""

    def strip(request: httpx2.Request) -> None:
        for name in list(request.headers):
            if name.lower() not in _SENT_HEADERS:
                del request.headers[name]
        request.headers["accept-encoding"] = "identity"  # a compressed answer may be a bomb
        if key:
            request.headers["authorization"] = f"Bearer {key}"

    return strip


def _seconds_to_wait(response: httpx2.Response) -> float | None:
    """An answer's Retry-After, if it is a number."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() and len(value) < 9 else None
