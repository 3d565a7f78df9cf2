"""`/v1/embeddings` and `/v1/models`: a reading of the lab as the embedding model of any tool that speaks OpenAI's."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import numpy as np
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import ModelStatus
from demo.domain.errors import Busy, DemoError, ModelLoading, ModelNotAllowed, ModelNotFound, WeightsUnavailable
from demo.lab import Lab
from demo.serving.api.calls import ApiCalls, Gone
from demo.serving.api.embeddings import MOST_NUMBERS, Embeddings, embed_texts
from demo.serving.api.openai_request import EmbeddingRequest, load_json, parse_request, refuse_dimensions, split_model
from demo.serving.ops.request_log import report_fault
from demo.serving.refusal import openai_error
from demo.stages.texts import Limits

_MOST_BYTES = 8 * 2**20  # of a body
_COME_BACK = "5"  # seconds, for Retry-After
_STATUS = {ModelNotFound: 404, ModelNotAllowed: 404, ModelLoading: 503, Busy: 503, WeightsUnavailable: 503}
_PARAMS = {"texts": "input"}  # what the lab calls otherwise


class _Refused(Exception):
    """A request that does not get as far as the lab."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str):
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


def create_openai_routes(calls: ApiCalls) -> list[Route]:
    """The two endpoints; whatever else is asked below /v1 is told what there is."""
    every = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    embeddings = {"POST": partial(_create_embeddings, calls)}
    models, model = {"GET": partial(_list_models, calls)}, {"GET": partial(_retrieve_model, calls)}
    return [
        Route("/v1/embeddings", _endpoint(embeddings), methods=every),
        Route("/v1/models", _endpoint(models), methods=every),
        Route("/v1/models/{model:path}", _endpoint(model), methods=every),
        Route("/v1/{rest:path}", _endpoint({}), methods=every),
    ]


def _endpoint(methods: dict[str, Callable[[Request], Awaitable[Response]]]):
    """Answers of one address by method; every failure in OpenAI's form, in one place."""

    async def answer(request: Request) -> Response:
        try:
            act = methods.get("GET" if request.method == "HEAD" else request.method)
            if act is not None:
                return await act(request)
            if methods:
                allowed = ", ".join(methods)
                raise _Refused(405, f"{request.method} is not answered here. Accepted: {allowed}.", Allow=allowed)
            raise _Refused(404, "This lab answers POST /v1/embeddings, GET /v1/models and GET /v1/models/MODEL.")
        except _Refused as refused:
            return _error(refused.status, str(refused), None, refused.code, refused.headers)
        except DemoError as error:
            status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)
            headers = {"Retry-After": _COME_BACK} if isinstance(error, ModelLoading | Busy) else {}
            return _error(status, str(error), _PARAMS.get(error.field, error.field), error.code, headers)
        except (Gone, ClientDisconnect):
            return Response(status_code=499)  # nobody reads it
        except Exception as error:  # never a traceback to a stranger
            report_fault(error)
            return _error(500, "Something went wrong on our side.", None, "unexpected", {})

    return answer


async def _create_embeddings(calls: ApiCalls, request: Request) -> Response:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Refused(415, "The body is not said to be JSON. Accepted: Content-Type: application/json.")
    body = await _read_body(request)
    settings = calls.lab.settings
    limits = Limits(settings.max_file_texts, settings.max_characters, settings.max_cells)

    async def answer() -> bytes:
        asked = await calls.run(lambda: parse_request(load_json(body), limits))
        await calls.ready(asked.model)
        return await calls.run(lambda: _answer(calls.lab, asked))

    return Response(await calls.attend(request, answer()), media_type="application/json")


def _answer(lab: Lab, asked: EmbeddingRequest) -> bytes:
    embeddings = embed_texts(lab, asked.texts, asked.role, asked.chosen, MOST_NUMBERS)
    vectors = _finish(embeddings, asked)
    if asked.base64:
        numbers: list[Any] = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    else:
        numbers = list(vectors)
    answer = {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(numbers)],
        "model": asked.name or embeddings.reading.model,
        "usage": {"prompt_tokens": embeddings.n_tokens, "total_tokens": embeddings.n_tokens},
        "reading": embeddings.reading.to_dict(),  # beside OpenAI's own fields: what these vectors are
    }
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _finish(embeddings: Embeddings, asked: EmbeddingRequest) -> np.ndarray:
    """The vectors in the length and with the dimensions that were asked for. Raises ReadingRefused."""
    vectors, reading = embeddings.vectors, embeddings.reading
    entry = CATALOG.get(reading.model)
    trained = entry is not None and entry.nested
    nested = trained and (reading.pooling, reading.layer, reading.postprocess) == (
        entry.default_reading.pooling,
        entry.default_reading.layer,
        entry.default_reading.postprocess,
    )
    refuse_dimensions(asked, vectors.shape[1], nested, entry.name if entry else reading.model)
    shorter = asked.dimensions is not None and asked.dimensions < vectors.shape[1]
    if shorter:
        vectors = vectors[:, : asked.dimensions]
    if asked.normalize or (shorter and reading.normalize):
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(vectors, dtype=np.float32)


async def _list_models(calls: ApiCalls, request: Request) -> Response:
    """What can be chosen here; any other id may still be asked for where the host allows it."""
    statuses = await calls.run(calls.lab.models)
    # What runs elsewhere is asked there: this is no way around its owner.
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


async def _read_body(request: Request) -> bytes:
    """The body, as long as it is not too large. Raises _Refused."""
    too_large = _Refused(413, f"The body is too large. At most {_MOST_BYTES:,} bytes are accepted.", "too_large")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise too_large
    return bytes(body)


def _error(status: int, message: str, param: str | None, code: str | None, headers: dict[str, str]) -> Response:
    return _json(openai_error(status, message, param, code), status, headers)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    # In ASCII: what was typed may hold half a character, which no UTF-8 can carry.
    body = json.dumps(value, allow_nan=False)
    return Response(body, status_code=status, headers=headers, media_type="application/json")
