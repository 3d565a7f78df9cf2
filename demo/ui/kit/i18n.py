"""Localization of the page: labels are translated in the browser (`gr.I18n`), answers here, by the request's language.

`?lang=ko` in the address overrides both.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo.wording.translate import DEFAULT_LANGUAGE as DEFAULT_LANGUAGE
from demo.wording.translate import LOCALES as LOCALES
from demo.wording.translate import translate as translate
from demo.wording.translate import translate_error as translate_error
from demo.wording.translate import translate_group as translate_group
from demo.wording.translate import translate_phrase as translate_phrase
from demo.wording.translate import translate_word as translate_word

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
    """The language of an answer: `?lang=`, else the first accepted one that the lab speaks, else English."""
    if request is None:
        return DEFAULT_LANGUAGE
    accepted = str(request.headers.get("accept-language", "")).split(",")
    for candidate in [str(request.query_params.get("lang", "")), *accepted]:
        language = candidate.split(";")[0].strip().lower().split("-")[0]
        if language in LOCALES:
            return language
    return DEFAULT_LANGUAGE


def _browser_key(key: str) -> str:
    """The browser's translator would read dots as a path."""
    return key.replace(".", "_")
