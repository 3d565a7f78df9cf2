"""The Compare tab's widgets: two to four readings side by side over the same texts. Builds only."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.presets import LETTERS
from demo.ui.kit.view import create_view

SCALES = ("shared", "own")


@dataclass(frozen=True)
class SlotWidgets:
    """One reading beside the current one. `note` says it in words, or why it cannot be shown."""

    box: gr.Column
    model: gr.Dropdown
    reading: gr.Dropdown
    remove: gr.Button
    note: gr.HTML


@dataclass(frozen=True)
class CompareWidgets:
    """What the tab can read and write."""

    current: gr.HTML  # the note of A, the reading in the lab's own widgets
    slots: dict[str, SlotWidgets]
    add: gr.Button
    keep: gr.Button
    verdict: gr.HTML
    scale: gr.Radio
    pair: gr.Dropdown
    scale_note: gr.HTML
    view: gr.HTML
    figures: gr.HTML

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        named = {"add": self.add, "keep": self.keep, "scale": self.scale, "pair": self.pair}
        for letter, slot in self.slots.items():
            named |= {f"{name}_{letter.lower()}": getattr(slot, name) for name in ("model", "reading", "remove")}
        return {f"compare_{name}": widget for name, widget in named.items()}

    @property
    def chosen(self) -> list[gr.blocks.Block]:
        """What changes with the slots, apart from what it computes."""
        slots = [widget for slot in self.slots.values() for widget in (slot.box, slot.model, slot.reading, slot.remove)]
        return [*slots, self.add, self.keep, self.pair]

    @property
    def answered(self) -> list[gr.blocks.Block]:
        """What an answer changes."""
        notes = [self.current, *(slot.note for slot in self.slots.values())]
        return [self.view, *notes, self.verdict, self.scale_note, self.figures]


def create_compare_tab(settings: Settings) -> CompareWidgets:
    """The widgets, inside the tab that is being built. What they offer is filled in when the page opens."""
    with gr.Row(elem_id="compare-slots"):
        with gr.Column(elem_id="compare-a", elem_classes="compare-slot"):
            current = gr.HTML(elem_id="compare-note-a", elem_classes="compare-note", apply_default_css=False)
        slots = {letter: _create_slot(letter) for letter in LETTERS}
    with gr.Row(elem_id="compare-buttons"):
        add = gr.Button(label("compare_add"), size="sm", elem_id="compare-add")
        keep = gr.Button(label("compare_keep"), size="sm", elem_id="compare-keep")
    verdict = gr.HTML(elem_id="compare-verdict", apply_default_css=False)
    with gr.Row(elem_id="compare-choices", elem_classes="choices-row"):
        scale = gr.Radio(
            [(label(f"compare_scale_{scale}"), scale) for scale in SCALES],
            value=SCALES[0],
            label=label("compare_scale"),
            elem_id="compare-scale",
            elem_classes="segments",
            interactive=True,
        )
        pair = gr.Dropdown(
            [("B − A", "BA")],
            value="BA",
            label=label("compare_pair"),
            elem_id="compare-pair",
            filterable=False,
            interactive=True,
            visible=False,
        )
        scale_note = gr.HTML(elem_id="compare-scale-note", elem_classes="note", apply_default_css=False)
    return CompareWidgets(
        current=current,
        slots=slots,
        add=add,
        keep=keep,
        verdict=verdict,
        scale=scale,
        pair=pair,
        scale_note=scale_note,
        view=create_view("compare", follow=True),
        figures=gr.HTML(elem_id="compare-figures", apply_default_css=False),
    )


def _create_slot(letter: str) -> SlotWidgets:
    small = letter.lower()
    with gr.Column(elem_id=f"compare-{small}", elem_classes="compare-slot", visible=letter == LETTERS[0]) as box:
        note = gr.HTML(elem_id=f"compare-note-{small}", elem_classes="compare-note", apply_default_css=False)
        with gr.Row(elem_classes="compare-choice"):
            model = gr.Dropdown(
                label=label(f"compare_model_{small}"),
                allow_custom_value=True,  # what this host does not offer is refused by the lab, in words
                elem_id=f"compare-model-{small}",
                interactive=True,
            )
            reading = gr.Dropdown(
                label=label(f"compare_reading_{small}"),
                filterable=False,
                elem_id=f"compare-reading-{small}",
                interactive=True,
            )
        remove = gr.Button(
            label(f"compare_remove_{small}"),
            size="sm",
            elem_id=f"compare-remove-{small}",
            elem_classes="compare-remove",
            visible=False,
        )
    return SlotWidgets(box, model, reading, remove, note)
