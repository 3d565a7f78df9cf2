"""The page's public endpoints, `/compare` and `/embed`: the lab for other programs. Everything else stays private.

An answer is JSON; what a person would read as a message comes as `{"error": {"code", "message", "field"}}`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import gradio as gr

from demo.domain.errors import DemoError
from demo.jobs.request_context import request_context
from demo.lab import Lab
from demo.serving.api.arguments import asked_matches, asked_reading, asked_texts, asked_word
from demo.serving.api.embeddings import refuse_too_many_numbers

_log = logging.getLogger(__name__)


def create_api(lab: Lab) -> None:
    """Registers both endpoints on the page that is being built."""

    def compare(
        questions: Any,
        answers: Any,
        model: Any = None,
        prompt: Any = None,
        pooling: Any = None,
        layer: Any = None,
        matches: Any = None,
        eos: Any = None,
        postprocess: Any = None,
        reference: Any = None,
        task: Any = None,
        template: Any = None,
    ) -> dict:
        """Every question against every answer: similarity, metrics, reading. Texts: a list, or a text a line."""
        told = _told(model, prompt, pooling, layer, eos, postprocess, reference, task, template)
        return _safely(
            lambda: lab.compare(
                asked_texts(questions, "questions"),
                asked_texts(answers, "answers"),
                **asked_reading(told),
                matches=asked_matches(matches),
            ).to_dict()
        )

    def embed(
        texts: Any,
        model: Any = None,
        prompt: Any = None,
        pooling: Any = None,
        layer: Any = None,
        role: Any = None,
        eos: Any = None,
        postprocess: Any = None,
        reference: Any = None,
        task: Any = None,
        template: Any = None,
    ) -> dict:
        """Embeddings of texts under a reading. role ("question" or "answer") matters to prompts that differ by it."""

        def answer() -> dict:
            chosen = asked_reading(_told(model, prompt, pooling, layer, eos, postprocess, reference, task, template))
            lines = _lines(asked_texts(texts, "texts"))
            reading = lab.reading(**chosen)
            refuse_too_many_numbers(lab.open(reading.model), reading, len(lines))
            vectors = lab.embed(lines, **chosen, role=asked_word(role, "role"))
            return {"embeddings": vectors.tolist(), "reading": reading.to_dict()}

        return _safely(answer)

    gr.api(compare, api_name="compare")
    gr.api(embed, api_name="embed")


def _safely(answer: Callable[[], dict]) -> dict:
    try:
        with request_context(interactive=False):  # people at the page go first
            return answer()
    except DemoError as error:
        return _error(error.code, str(error), error.field)
    except Exception as error:  # a stranger's program must never see a traceback; the log says where it happened
        _log.error("%s in the API:\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        return _error("Unexpected", "Something went wrong on our side.", None)


def _error(code: str, message: str, field: str | None) -> dict:
    return {"error": {"code": code, "message": message, "field": field}}


def _told(model, prompt, pooling, layer, eos, postprocess, reference, task, template) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": prompt,
        "pooling": pooling,
        "layer": layer,
        "eos": eos,
        "postprocess": postprocess,
        "reference": reference,
        "task": task,
        "template": template,
    }


def _lines(texts: str | list[str]) -> list[str]:
    return texts.split("\n") if isinstance(texts, str) else texts
