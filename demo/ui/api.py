"""The page's public endpoints, `/compare` and `/embed`: the lab for other programs. Everything else stays private.

An answer is JSON; what a person would read as a message comes as `{"error": {"code", "message", "field"}}`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import gradio as gr

from demo.errors import BadInput, DemoError, UnknownChoice
from demo.lab import Lab

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
        return _safely(
            lambda: lab.compare(
                _texts(questions, "questions"),
                _texts(answers, "answers"),
                **_reading(model, prompt, pooling, layer, eos, postprocess, reference, task, template),
                matches=_matches(matches),
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
            chosen = _reading(model, prompt, pooling, layer, eos, postprocess, reference, task, template)
            vectors = lab.embed(_lines(_texts(texts, "texts")), **chosen, role=_word(role, "role"))
            return {"embeddings": vectors.tolist(), "reading": lab.reading(**chosen).to_dict()}

        return _safely(answer)

    gr.api(compare, api_name="compare")
    gr.api(embed, api_name="embed")


def _safely(answer: Callable[[], dict]) -> dict:
    try:
        return answer()
    except DemoError as error:
        return _error(error.code, str(error), error.field)
    except Exception as error:  # a stranger's program must never see a traceback; the log says where it happened
        _log.error("%s in the API:\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        return _error("Unexpected", "Something went wrong on our side.", None)


def _error(code: str, message: str, field: str | None) -> dict:
    return {"error": {"code": code, "message": message, "field": field}}


def _texts(value: Any, box: str) -> str | list[str]:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    raise BadInput(field=box, problem=f"The {box} are not texts. Accepted: a list of texts, or one with a text a line.")


def _lines(texts: str | list[str]) -> list[str]:
    return texts.split("\n") if isinstance(texts, str) else texts


def _matches(value: Any) -> Any:
    if value is None or isinstance(value, str | list):
        return value
    raise BadInput(field="matches", problem='The matches are not pairs. Accepted: "1-2, 2-1" or [[1, 2], [2, 1]].')


def _reading(model, prompt, pooling, layer, eos, postprocess, reference, task, template) -> dict[str, Any]:
    if isinstance(layer, bool | list | dict):
        raise UnknownChoice(field="layer", value=str(layer)[:80], kind="layer", accepted="a whole number")
    return {
        "model": _word(model, "model"),
        "prompt": _word(prompt, "prompt"),
        "pooling": _word(pooling, "pooling"),
        "layer": layer,
        "eos": eos,
        "postprocess": _word(postprocess, "postprocess"),
        "reference": _word(reference, "reference"),
        "task": _word(task, "task"),
        "template": _word(template, "template"),
    }


def _word(value: Any, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise UnknownChoice(field=field, value=str(value)[:80], kind=field, accepted="a name, as a text")
