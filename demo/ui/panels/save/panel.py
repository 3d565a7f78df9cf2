"""Save: the fold under the heatmap that gives what it shows as files. Builds only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.export.report import FIGURE_JS
from demo.ui.kit.i18n import label, translate

PICTURES = ("png", "svg")  # made in the browser
FILES = ("report", "html", "csv", "npz", "safetensors")  # made here
_ORDER = ("report", "html", "png", "svg", "csv", "npz", "safetensors")


@dataclass(frozen=True)
class SaveWidgets:
    """What the fold can read and write."""

    fold: gr.Accordion
    note: gr.HTML  # what is saved, or why it cannot be; makes the pictures
    buttons: dict[str, gr.Button]  # by kind
    file: gr.DownloadButton  # never seen: what was made is fetched through it

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        return {"save": self.fold} | {f"save_{name}": button for name, button in self.buttons.items()}


def create_save() -> SaveWidgets:
    """The fold, closed."""
    with gr.Accordion(label("save"), open=False, elem_id="save") as fold:
        note = gr.HTML(
            value=None,
            elem_id="save-note",
            elem_classes="note",
            html_template='<p class="hint"></p><p class="alert" role="alert" hidden></p>',
            js_on_load=FIGURE_JS + (Path(__file__).parent / "save.js").read_text(encoding="utf-8"),
            apply_default_css=False,
        )
        with gr.Row(elem_id="save-kinds", elem_classes="choices-row"):
            buttons = {
                name: gr.Button(label(f"save_{name}"), size="sm", elem_id=f"save-{name}", min_width=0)
                for name in _ORDER
            }
        file = gr.DownloadButton("", elem_id="save-file", visible="hidden")
    return SaveWidgets(fold, note, buttons, file)


def show_note(language: str, message: str = "") -> dict[str, Any]:
    """The fold's note: what is saved, and what went wrong, if anything did."""
    failed = translate(language, "save.no_picture")
    nothing = translate(language, "save.nothing")
    hint = translate(language, "save.hint")
    return {"hint": hint, "message": message, "failed": failed, "nothing": nothing}
