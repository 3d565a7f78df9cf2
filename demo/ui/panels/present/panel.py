"""Present mode: the button at the top, and the payload of its bar. Builds only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo.ui.kit.i18n import DEFAULT_LANGUAGE, translate_group
from demo.ui.live.examples import load_examples

_HERE = Path(__file__).parent


def create_present() -> gr.HTML:
    """The component. Its `step` event fills the boxes with another set's texts, which the browser already has."""
    return gr.HTML(
        value=None,
        elem_id="present",
        html_template=(_HERE / "present.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "present.js").read_text(encoding="utf-8"),
        apply_default_css=False,
    )


def show_present(language: str) -> dict[str, Any]:
    """The bar's words, and the prepared sets in their order, each with its texts and its lesson."""
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
    return {"words": translate_group(language, "present"), "sets": sets}
