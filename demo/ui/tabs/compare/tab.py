"""The Compare tab's widgets: two to four readings side by side over the same texts. Builds only.

Reading A stands in the lab's own widgets and has a note only (`note_a`); the others (B, C, D) have `box_b`, `model_b`,
`reading_b`, `remove_b` and `note_b`, and so on.
"""

from __future__ import annotations

import gradio as gr

from demo.settings import Settings
from demo.ui.kit.panel import Panel
from demo.ui.kit.presets import LETTERS
from demo.ui.kit.view import create_view
from demo.ui.page_file.bar import create_source

SCALES = ("shared", "own")
_IDS = [letter.lower() for letter in LETTERS]
# What changes with the slots, apart from what it computes; and what an answer changes.
CHOSEN = (*(f"{part}_{id}" for id in _IDS for part in ("box", "model", "reading", "remove")), "add", "keep", "pair")
ANSWERED = ("view", "source_note", "note_a", *(f"note_{id}" for id in _IDS), "verdict", "scale_note", "figures")


def create_compare_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built. Their choices are filled in when the tab opens."""
    panel = Panel("compare")
    create_source(panel)
    with gr.Row(elem_id="compare-slots"):
        with gr.Column(elem_id="compare-a", elem_classes="compare-slot"):
            panel.create_html("note_a", elem_classes="compare-note")
        for id in _IDS:
            _create_slot(panel, id)
    with gr.Row(elem_id="compare-buttons"):
        panel.create_button("add", min_width=None)
        panel.create_button("keep", min_width=None)
    panel.create_html("verdict")
    with gr.Row(elem_id="compare-choices", elem_classes="choices-row"):
        panel.create_choice("scale", SCALES)
        panel.create(
            "pair",
            gr.Dropdown,
            choices=[("B − A", "BA")],
            value="BA",
            filterable=False,
            interactive=True,
            visible=False,
        )
        panel.create_html("scale_note", elem_classes="note")
    panel.put("view", create_view("compare", follow=True))
    panel.create_html("figures")
    panel.put("linked", gr.Textbox(visible=False))  # an input that its event's script fills: the slots of the link
    return panel


def _create_slot(panel: Panel, id: str) -> None:
    with panel.create(f"box_{id}", gr.Column, key=f"compare_{id}", elem_classes="compare-slot", visible=id == _IDS[0]):
        panel.create_html(f"note_{id}", elem_classes="compare-note")  # the reading in words, or why it cannot be shown
        with gr.Row(elem_classes="compare-choice"):
            # The lab refuses, in words, a model that this host does not offer.
            panel.create(f"model_{id}", gr.Dropdown, allow_custom_value=True, interactive=True)
            panel.create(f"reading_{id}", gr.Dropdown, filterable=False, interactive=True)
        panel.create_button(f"remove_{id}", min_width=None, elem_classes="compare-remove", visible=False)
