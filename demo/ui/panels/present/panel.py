"""Present mode: the button at the top, and what its bar says of the prepared sets. Builds only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo.ui.kit.i18n import DEFAULT_LANGUAGE, LOCALES, translate
from demo.ui.live.examples import load_examples

_HERE = Path(__file__).parent
_PREFIX = "present."


def create_present() -> gr.HTML:
    """The component. Its `step` event asks for the next set's texts, which the browser already has."""
    return gr.HTML(
        value=None,
        elem_id="present",
        html_template=(_HERE / "present.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "present.js").read_text(encoding="utf-8"),
        apply_default_css=False,
    )


def show_present(language: str) -> dict[str, Any]:
    """The bar's words, and the sets in their order: what fills the boxes, and what to look for."""
    keys = (key for key in LOCALES[DEFAULT_LANGUAGE] if key.startswith(_PREFIX))
    sets = [
        {
            "id": example.id,
            "title": example.title.get(language, example.title[DEFAULT_LANGUAGE]),
            "teaches": example.teaches.get(language, example.teaches[DEFAULT_LANGUAGE]),
            "questions": "\n".join(example.questions),
            "answers": "\n".join(example.answers),
            "matches": example.matches,
        }
        for example in load_examples().values()
    ]
    return {"words": {key.removeprefix(_PREFIX): translate(language, key) for key in keys}, "sets": sets}
