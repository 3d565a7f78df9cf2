"""The page's language: labels by the browser's, answers by the request's. `?lang=ko` in the address wins over both.

What stands still (labels) is translated in the browser, through `gr.I18n`; what is said in answer to something by
`demo/language.py`, whose words stand here too.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo.wording.translate import (
    DEFAULT_LANGUAGE,
    LOCALES,
    placeholders,
    translate,
    translate_error,
    translate_phrase,
    translate_word,
)

__all__ = [
    "DEFAULT_LANGUAGE",
    "LOCALES",
    "choose_language",
    "label",
    "page_i18n",
    "placeholders",
    "translate",
    "translate_error",
    "translate_phrase",
    "translate_word",
]
_LABEL = "label."


def page_i18n() -> gr.I18n:
    """The labels, for `launch(i18n=…)`."""
    return gr.I18n(
        **{
            language: {_browser_key(key): text for key, text in texts.items() if key.startswith(_LABEL)}
            for language, texts in LOCALES.items()
        }
    )


def label(name: str) -> Any:
    """A label that the browser translates."""
    return gr.I18n()(_browser_key(_LABEL + name))


def choose_language(request: gr.Request | None) -> str:
    """The language of an answer: `?lang=`, else the first accepted one that we speak, else English."""
    if request is None:
        return DEFAULT_LANGUAGE
    wished = [str(request.query_params.get("lang", ""))]
    wished += str(request.headers.get("accept-language", "")).split(",")
    for wish in wished:
        language = wish.split(";")[0].strip().lower().split("-")[0]
        if language in LOCALES:
            return language
    return DEFAULT_LANGUAGE


def _browser_key(key: str) -> str:
    """Dots would be read as a path by the browser's translator."""
    return key.replace(".", "_")
