"""Gradio API endpoints `/compare` and `/embed`: the lab for other programs. Every other event of the page is private.

A result is JSON; an error is a result too: `{"error": {"code", "message", "field"}}`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import gradio as gr

from demo.domain.errors import DemoError, RequestFailed
from demo.domain.whitespace import normalize_whitespace
from demo.jobs.request_context import request_context
from demo.lab import Lab
from demo.serving.api.embeddings import MOST_NUMBERS
from demo.serving.api.request import CompareRequest, EmbedRequest, Request
from demo.serving.ops.request_log import report_fault
from demo.stages.resolve_reading import refuse_too_many_numbers
from demo.stages.texts import cut_notice, normalized_notice, parse_texts

_COMPARE = "questions answers model prompt pooling layer matches eos postprocess reference task template"
_EMBED = "texts model prompt pooling layer role eos postprocess reference task template"


def create_api(lab: Lab) -> None:
    """Registers both endpoints on the page that is being built."""

    def compare(request: CompareRequest) -> dict:
        """Every question against every answer: similarity, metrics, reading. Texts: a list, or a text a line."""
        return lab.compare(request.questions, request.answers, matches=request.matches, **request.reading).to_dict()

    def embed(request: EmbedRequest) -> dict:
        """Embeddings of texts under a reading. role ("question" or "answer") matters to prompts that differ by it."""
        lines = isinstance(request.texts, str)
        given = normalize_whitespace(request.texts).rstrip("\n").split("\n") if lines else request.texts
        texts = parse_texts(given, "texts", lab.limits)
        reading = lab.reading(**request.reading)
        refuse_too_many_numbers(lab.open(reading.model), reading, len(texts), MOST_NUMBERS)
        embedded = lab.embed_texts(texts, reading, request.role)
        return {
            "embeddings": embedded.vectors.tolist(),
            "reading": reading.to_dict(),
            "truncated": list(embedded.cut),
            "notices": [*normalized_notice(given, "texts"), *cut_notice(embedded, "texts")],
        }

    gr.api(_endpoint(compare, CompareRequest, _COMPARE.split()), api_name="compare")
    gr.api(_endpoint(embed, EmbedRequest, _EMBED.split()), api_name="embed")


def _endpoint(answer: Callable[[Any], dict], kind: type[Request], fields: list[str]) -> Callable[..., dict]:
    """`answer` with a parameter for each field, in the order in which clients send them: Gradio reads the signature."""

    def endpoint(*values: Any) -> dict:
        try:
            with request_context(interactive=False):  # people at the page go first
                return answer(kind.model_validate(dict(zip(fields, values, strict=False))))
        except DemoError as error:
            return {"error": {"code": error.code, "message": str(error), "field": error.field}}
        except Exception as error:  # the client gets no traceback
            report_fault(error)
            return {"error": {"code": "Unexpected", "message": str(RequestFailed()), "field": None}}

    named = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = {name: inspect.Parameter.empty if kind.model_fields[name].is_required() else None for name in fields}
    parameters = [inspect.Parameter(name, named, default=default) for name, default in defaults.items()]
    endpoint.__signature__ = inspect.Signature(parameters, return_annotation="dict")
    endpoint.__annotations__ = dict.fromkeys(fields, Any)
    endpoint.__doc__ = answer.__doc__
    return endpoint
