"""Error responses: a refusal as one sentence, which the page shows and a program can read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from demo.domain.errors import DemoError

Translate = Callable[[Request, DemoError], str]  # an error's sentence in the language of the request


def refuse(scope: Scope, error: DemoError, status: int, headers: dict[str, str] | None = None) -> Response:
    """The response, in OpenAI's form below /v1. Gradio's client shows `error` or `detail`, so both hold the sentence.

    RequestLog puts `translate` into the scope; without it the sentence is English.
    """
    translate: Translate = scope.get("translate", lambda request, error: str(error))
    sentence = translate(Request(scope), error)
    scope["refused"] = error.code
    if scope["path"].startswith("/v1/"):
        return JSONResponse(openai_error(status, sentence, None, error.code), status, headers)
    return JSONResponse({"error": sentence, "detail": sentence, "code": error.code}, status, headers)


def openai_error(status: int, message: str, param: str | None, code: str | None) -> dict[str, Any]:
    """An error in OpenAI's form. code: a DemoError's class name; ModelNotFound becomes their model_not_found."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", code).lower() if code else None
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
