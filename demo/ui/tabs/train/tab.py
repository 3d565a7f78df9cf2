"""The Train tab's widgets: what to train and on what, Train, Pause and Stop, what is seen and kept. Builds only."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from demo.domain.catalog import CATALOG
from demo.domain.recipe import EFFORTS, Method
from demo.files.bundled import load_training
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.view import create_view

IN_THE_LAB = "lab"  # the model, or the reading, that stands in the lab's own widgets
TRAINABLE = tuple(entry.id for entry in CATALOG.values() if not entry.base)  # not on top of another adapter
READINGS = ("recommended", IN_THE_LAB)
BUNDLED, FILE, TEXTS = "bundled", "file", "texts"
SOURCES = (BUNDLED, FILE, TEXTS)
FILE_TYPES = [".jsonl", ".json", ".csv", ".tsv", ".txt", ".gz"]


def offered_efforts(settings: Settings) -> tuple[str, ...]:
    """The names of EFFORTS that this host lets people train with."""
    return tuple(name for name, how in EFFORTS.items() if settings.train_lora or how["method"] is Method.PROJECTION)


@dataclass(frozen=True)
class TrainWidgets:
    """What the tab can read and write."""

    model: gr.Dropdown
    reading: gr.Radio
    reading_note: gr.HTML
    source: gr.Radio
    sets: gr.CheckboxGroup
    upload: gr.UploadButton
    source_note: gr.HTML
    effort: gr.Radio
    run: gr.Button
    pause: gr.Button
    stop: gr.Button
    plan: gr.HTML
    state: gr.HTML
    look: gr.Slider
    view: gr.HTML
    formula: gr.HTML
    held: gr.HTML  # a view that asks for nothing: it is told of with the first
    keep: gr.Button
    download: gr.Button
    file: gr.DownloadButton  # never seen: what `download` made is fetched through it
    keep_note: gr.HTML

    @property
    def choices(self) -> list[gr.components.Component]:
        """What a run is asked with, beside the lab's own choices."""
        return [self.model, self.reading, self.source, self.sets, self.effort]

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        names = ("model", "reading", "source", "sets", "upload", "effort", "run", "stop", "look", "keep", "download")
        return {f"train_{name}": getattr(self, name) for name in names}


def create_train_tab(settings: Settings) -> TrainWidgets:
    """The widgets, inside the tab that is being built. Models and sets are named when the page opens."""
    model = gr.Dropdown(
        [(label("train_in_the_lab"), IN_THE_LAB), *((CATALOG[model].name, model) for model in TRAINABLE)],
        value=IN_THE_LAB,
        label=label("train_model"),
        elem_id="train-model",
        filterable=False,
        interactive=True,
    )
    with gr.Row(elem_id="train-how", elem_classes="choices-row"):
        reading = _create_choice("reading", READINGS)
        effort = _create_choice("effort", offered_efforts(settings))
    reading_note = gr.HTML(elem_id="train-reading-note", elem_classes="note", apply_default_css=False)
    with gr.Row(elem_id="train-from", elem_classes="choices-row"):
        source = _create_choice("source", SOURCES)
        upload = gr.UploadButton(
            label("train_upload"), elem_id="train-upload", size="sm", file_types=FILE_TYPES, min_width=0
        )
    sets = gr.CheckboxGroup(
        list(load_training()),
        value=list(load_training()),
        label=label("train_sets"),
        elem_id="train-sets",
        show_label=False,
        interactive=True,
    )
    source_note = gr.HTML(elem_id="train-source-note", elem_classes="note", apply_default_css=False)
    with gr.Row(elem_id="train-start", elem_classes="choices-row"):
        run = gr.Button(label("train_run"), variant="primary", size="sm", elem_id="train-run", min_width=0)
        pause = gr.Button(label("train_pause"), size="sm", elem_id="train-pause", visible=False, min_width=0)
        stop = gr.Button(label("train_stop"), size="sm", elem_id="train-stop", visible=False, min_width=0)
        plan = gr.HTML(elem_id="train-plan", apply_default_css=False)
    with gr.Column(elem_id="train-live"):
        state = gr.HTML(elem_id="train-state", elem_classes="facts", apply_default_css=False)
        look = gr.Slider(
            0, 1, value=0, step=1, label=label("train_look"), elem_id="train-look", visible=False, interactive=True
        )
        with gr.Row(elem_id="train-keeping", elem_classes="choices-row"):
            keep = gr.Button(
                label("train_keep"), variant="primary", size="sm", elem_id="train-keep", interactive=False, min_width=0
            )
            download = gr.Button(
                label("train_download"), size="sm", elem_id="train-download", interactive=False, min_width=0
            )
            file = gr.DownloadButton("", elem_id="train-file", visible="hidden")
            keep_note = gr.HTML(elem_id="train-keep-note", apply_default_css=False)
        view = create_view("train")
        formula = gr.HTML(elem_id="train-formula", apply_default_css=False)
        held = create_view("train-held")
    return TrainWidgets(
        model=model,
        reading=reading,
        reading_note=reading_note,
        source=source,
        sets=sets,
        upload=upload,
        source_note=source_note,
        effort=effort,
        run=run,
        pause=pause,
        stop=stop,
        plan=plan,
        state=state,
        look=look,
        view=view,
        formula=formula,
        held=held,
        keep=keep,
        download=download,
        file=file,
        keep_note=keep_note,
    )


def _create_choice(name: str, values: tuple[str, ...]) -> gr.Radio:
    return gr.Radio(
        [(label(f"train_{name}_{value}"), value) for value in values],
        value=values[0],
        label=label(f"train_{name}"),
        elem_id=f"train-{name}",
        elem_classes="segments",
        interactive=True,
    )
