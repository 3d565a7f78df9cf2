"""The Train tab's widgets: model and pairs, Train, Pause and Stop, the run and what can be kept of it. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.domain.catalog import CATALOG
from demo.domain.recipe import EFFORTS, Method
from demo.files.bundled import load_training
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.panel import Panel, UncheckedSlider
from demo.ui.kit.view import create_view
from demo.ui.page_file.bar import BUNDLED, TEXTS, create_source

IN_THE_LAB = "lab"  # the model, or the reading, of the lab's own widgets
TRAINABLE = tuple(entry.id for entry in CATALOG.values() if not entry.base)  # not on top of another adapter
READINGS = ("recommended", IN_THE_LAB)
FORM = ("model", "reading", "source", "sets", "effort")  # the inputs of every event, after the lab's own


def offered_efforts(settings: Settings) -> tuple[str, ...]:
    """The names of EFFORTS that this host lets people train with."""
    return tuple(name for name, how in EFFORTS.items() if settings.train_lora or how["method"] is Method.PROJECTION)


def create_train_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built. Models and sets are named when the page opens."""
    panel = Panel("train")
    models = [(label("train_in_the_lab"), IN_THE_LAB), *((CATALOG[model].name, model) for model in TRAINABLE)]
    panel.create("model", gr.Dropdown, choices=models, value=IN_THE_LAB, filterable=False, interactive=True)
    with gr.Row(elem_id="train-how", elem_classes="choices-row"):
        panel.create_choice("reading", READINGS)
        panel.create_choice("effort", offered_efforts(settings))
    panel.create_html("reading_note", elem_classes="note")
    create_source(panel, (BUNDLED, TEXTS))
    sets = list(load_training())
    panel.create("sets", gr.CheckboxGroup, choices=sets, value=sets, show_label=False, interactive=True)
    with gr.Row(elem_id="train-start", elem_classes="choices-row"):
        panel.create_button("run", variant="primary")
        panel.create_button("pause", visible=False)
        panel.create_button("stop", visible=False)
        panel.create_html("plan")
    with gr.Column(elem_id="train-live"):
        panel.create_html("state", elem_classes="facts")
        panel.create("look", UncheckedSlider, minimum=0, maximum=1, value=0, step=1, visible=False, interactive=True)
        with gr.Row(elem_id="train-keeping", elem_classes="choices-row"):
            panel.create_button("keep", variant="primary", interactive=False)
            panel.create_button("download", interactive=False)
            # Never seen: the browser fetches through it what `download` wrote.
            panel.create("file", gr.DownloadButton, label="", visible="hidden")
            panel.create_html("keep_note")
        panel.put("view", create_view("train"))
        panel.create_html("formula")
        panel.put("held", create_view("train-held"))  # never polls: the answers of the first one update it
    return panel
