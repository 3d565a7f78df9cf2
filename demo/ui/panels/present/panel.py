"""Present mode: the button at the top, and the payload of its bar. Builds only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo.ui.kit.i18n import translate_group

_HERE = Path(__file__).parent


def create_present() -> gr.HTML:
    """The component."""
    return gr.HTML(
        value=None,
        elem_id="present",
        html_template=(_HERE / "present.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "present.js").read_text(encoding="utf-8"),
        apply_default_css=False,
    )


def show_present(language: str) -> dict[str, Any]:
    """The bar's words."""
    return {"words": translate_group(language, "present")}
