"""Save: the fold under the heatmap that gives its comparison as files. Builds only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from demo.export.report import FIGURE_JS
from demo.ui.kit.i18n import translate
from demo.ui.kit.panel import Panel

PICTURES = ("png", "svg")  # drawn in the browser
FILES = ("report", "html", "csv", "npz", "safetensors")  # written by the server
_ORDER = ("report", "html", "png", "svg", "csv", "npz", "safetensors")


def create_save() -> Panel:
    """The fold, closed: a button for each kind of file."""
    panel = Panel("save")
    with panel.create("fold", gr.Accordion, key="save", open=False):
        panel.create_html(  # the hint or an error; its script draws the pictures
            "note",
            value=None,
            elem_classes="note",
            html_template='<p class="hint"></p><p class="alert" role="alert" hidden></p>',
            js_on_load=FIGURE_JS + (Path(__file__).parent / "save.js").read_text(encoding="utf-8"),
        )
        with gr.Row(elem_id="save-kinds", elem_classes="choices-row"):
            for kind in _ORDER:
                panel.create_button(kind)
        panel.create("answered", gr.Textbox, visible=False)  # an input that its event's script fills
        panel.create("file", gr.DownloadButton, label="", visible="hidden")  # its value is the file to download
    return panel


def show_note(language: str, message: str = "") -> dict[str, Any]:
    """The note's payload: the hint, the script's own sentences, and an error if there is one."""
    keys = {"hint": "hint", "failed": "no_picture", "nothing": "nothing"}
    return {"message": message, **{name: translate(language, f"save.{key}") for name, key in keys.items()}}
