"""The page's words in every language it speaks. Knows no lab and no widget.

What stands still (labels) is translated by the browser's language through `gr.I18n`; what is said in answer to
something (verdict, messages, hints) by the request's, here. `?lang=ko` in the address wins over both.
"""

from __future__ import annotations

import json
from pathlib import Path
from string import Formatter
from typing import Any

import gradio as gr

from demo.errors import DemoError

DEFAULT_LANGUAGE = "en"
LOCALES: dict[str, dict[str, str]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(Path(__file__).parent.glob("locales/*.json"))
}
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


def translate(language: str, key: str, **values: Any) -> str:
    """A sentence in a language; English where that language lacks it."""
    text = LOCALES.get(language, {}).get(key) or LOCALES[DEFAULT_LANGUAGE][key]
    return text.format(**values) if values else text


def translate_word(language: str, group: str, word: str) -> str:
    """A word that may have a translation under `group.word`; itself where it has none."""
    return LOCALES.get(language, {}).get(f"{group}.{word}", word)


def translate_error(language: str, error: DemoError) -> str:
    """An error's sentence. English is the class's own template; other languages may differ by field."""
    texts = LOCALES.get(language, {})
    template = texts.get(f"errors.{error.code}.{error.field}") or texts.get(f"errors.{error.code}")
    if template is None:
        return str(error)
    values = dict(error.values)
    for name, group in (("box", "box"), ("stage", "stage"), ("kind", "choice")):
        if name in values:
            values[name] = translate_word(language, group, str(values[name]))
    return template.format(**values)


def placeholders(template: str) -> set[str]:
    """The names a template wants filled."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def _browser_key(key: str) -> str:
    """Dots would be read as a path by the browser's translator."""
    return key.replace(".", "_")
