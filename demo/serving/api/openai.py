"""OpenAI-compatible API: `/v1/embeddings` and `/v1/models`, where a reading of the lab is an embedding model."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import ModelStatus
from demo.domain.errors import (
    Busy,
    DemoError,
    ModelGated,
    ModelLoading,
    ModelNotAllowed,
    ModelNotFound,
    ReadingRefused,
    RequestFailed,
    WeightsUnavailable,
)
from demo.lab import Lab
from demo.serving.api.calls import ApiCalls
from demo.serving.api.embeddings import MOST_NUMBERS, Embeddings, embed_texts
from demo.serving.api.request import Encoding, OpenAIRequest, load_json, split_model
from demo.serving.ops.request_log import report_fault
from demo.serving.refusal import openai_error

_MOST_BYTES = 8 * 2**20  # of a body
_RETRY_AFTER = "5"  # seconds
_STATUS = {  # the first kind that an error is; 503 is asked again by clients
    ModelNotFound: 404,
    ModelNotAllowed: 404,
    ModelGated: 403,
    ModelLoading: 503,
    Busy: 503,
    WeightsUnavailable: 503,
}
_PARAMS = {"texts": "input"}  # a field of the lab → OpenAI's name of it


class _Refused(Exception):
    """A request that the lab never sees."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


def create_openai_routes(calls: ApiCalls) -> list[Route]:
    """Both endpoints; any other address below /v1 answers 404 with the list of them."""
    handlers = {
        "/v1/embeddings": {"POST": partial(_create_embeddings, calls)},
        "/v1/models": {"GET": partial(_list_models, calls)},
        "/v1/models/{model:path}": {"GET": partial(_retrieve_model, calls)},
        "/v1/{rest:path}": {},
    }
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return [Route(path, _endpoint(by_method), methods=methods) for path, by_method in handlers.items()]


def _endpoint(methods: dict[str, Callable[[Request], Awaitable[Response]]]):
    """One address with a handler for each method; every failure becomes an error in OpenAI's form."""

    async def answer(request: Request) -> Response:
        try:
            handler = methods.get("GET" if request.method == "HEAD" else request.method)
            if handler is not None:
                return await handler(request)
            if methods:
                allowed = ", ".join(methods)
                raise _Refused(405, f"{request.method} is not answered here. Accepted: {allowed}.", Allow=allowed)
            raise _Refused(404, "This lab answers POST /v1/embeddings, GET /v1/models and GET /v1/models/MODEL.")
        except _Refused as refused:
            status, headers = refused.status, refused.headers
            return _json(openai_error(status, str(refused), None, refused.code), status, headers)
        except DemoError as error:
            status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)
            headers = {"Retry-After": _RETRY_AFTER} if isinstance(error, ModelLoading | Busy) else {}
            param = _PARAMS.get(error.field, error.field)
            code = ModelNotFound.__name__ if isinstance(error, ModelNotFound) else error.code  # the one OpenAI has
            return _json(openai_error(status, str(error), param, code), status, headers)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except Exception as error:  # the client gets no traceback
            report_fault(error)
            return _json(openai_error(500, str(RequestFailed()), None, "unexpected"), 500)

    return answer


async def _create_embeddings(calls: ApiCalls, request: Request) -> Response:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Refused(415, "The body is not said to be JSON. Accepted: Content-Type: application/json.")
    body = await request.body()  # BodyLimits has read it
    if len(body) > _MOST_BYTES:
        raise _Refused(413, f"The body is too large. At most {_MOST_BYTES:,} bytes are accepted.", "too_large")
    limits = replace(calls.lab.limits, texts=calls.lab.limits.file_texts)

    async def answer() -> bytes:
        sent = await calls.run(lambda: OpenAIRequest.model_validate(load_json(body), context=limits))
        await calls.ready(sent.model)
        return await calls.run(lambda: _answer(calls.lab, sent))

    return Response(await calls.attend(request, answer()), media_type="application/json")


def _answer(lab: Lab, sent: OpenAIRequest) -> bytes:
    truncate = sent.truncate is not False
    embeddings = embed_texts(lab, sent.input, sent.role, sent.reading, MOST_NUMBERS, truncate)
    vectors: Any = _finish(embeddings, sent.dimensions, bool(sent.normalize))
    if sent.encoding_format is Encoding.BASE64:
        vectors = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(vectors)],
        "model": sent.name or embeddings.reading.model,
        "usage": {"prompt_tokens": embeddings.n_tokens, "total_tokens": embeddings.n_tokens},
        # Beside OpenAI's own fields:
        "reading": embeddings.reading.to_dict(),
        "truncated": list(embeddings.truncated),
        "notices": [*sent.notices, *embeddings.notices],
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _finish(embeddings: Embeddings, dimensions: int | None, normalize: bool) -> np.ndarray:
    """Vectors of length 1 and with fewer dimensions, where the request wants them so; float32 (n_texts, dimensions).

    The beginning of a vector is a vector of its own only where the model was trained for it (Matryoshka,
    arXiv 2205.13147) and is read as it was trained. Raises ReadingRefused elsewhere.
    """
    vectors, reading = embeddings.vectors, embeddings.reading
    entry, width = CATALOG.get(reading.model), vectors.shape[1]
    shorter = dimensions is not None and dimensions < width
    states = attrgetter("pooling", "layer", "postprocess")
    nested = entry is not None and entry.nested and states(reading) == states(entry.default_reading)
    if dimensions not in (None, width) and not (nested and shorter):
        why = "this model was not trained for shorter ones" if shorter else "there are no more"
        if nested:
            why = "it was trained for shorter ones, not for longer ones"
        raise ReadingRefused(
            field="dimensions",
            model=entry.name if entry else reading.model,
            reason=f"its vectors have {width:,} dimensions, and {why}.",
            instead=width,
        )
    if shorter:
        vectors = vectors[:, :dimensions]
    if normalize or (shorter and reading.normalize):
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(vectors, dtype=np.float32)


async def _list_models(calls: ApiCalls, request: Request) -> Response:
    """Models of this machine; where the host allows it, a request may name any other id."""
    statuses = await calls.run(calls.lab.models)
    # Without the models that run elsewhere: a program should ask their servers, not go around their owners.
    ours = [status for status in statuses if status.state != "unavailable" and not status.host]
    return _json({"object": "list", "data": [_model(status) for status in ours]})


async def _retrieve_model(calls: ApiCalls, request: Request) -> Response:
    name = request.path_params["model"]
    model, _ = split_model(name)
    for status in await calls.run(calls.lab.models):
        if status.model == model and status.state != "unavailable":
            return _json({**_model(status), "id": name})
        if status.model == model:
            raise _Refused(404, f"{status.name} cannot be chosen here: {status.reason}.", "model_not_found")
    raise ModelNotFound(model=model[:200])


def _model(status: ModelStatus) -> dict[str, Any]:
    reading = status.default_reading.to_dict() if status.default_reading else None
    return {
        "id": status.model,
        "object": "model",
        "created": 0,  # OpenAI's clients expect a number
        "owned_by": "lab",
        "name": status.name,
        "kind": status.kind.value,
        "licence": status.licence,
        "state": status.state,
        "reading": reading,
    }


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    # In ASCII: a sentence may quote half a surrogate pair, which UTF-8 cannot encode.
    body = json.dumps(value, allow_nan=False)
    return Response(body, status_code=status, headers=headers, media_type="application/json")
