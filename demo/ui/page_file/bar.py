"""The file's widgets: one bar over the tabs, and in every tab that takes texts the choice of whose. Builds only."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from demo.files.columns import EACH_ROW, UNKNOWN
from demo.ui.kit.i18n import label
from demo.ui.kit.panel import Panel

BUNDLED, TEXTS, FILE = "bundled", "texts", "file"  # the lab's own, those of the boxes, those of the page's file
TAKES = ("first", DRAWN := "drawn")  # what is taken of a file that is too large for a tab: whole questions
COLUMNS = ("question", "answer", "label", "named")  # the roles of the file's columns
OPEN_JS = "() => { document.querySelector('#page-file-upload').click(); }"
_TYPES = [".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx", ".xlsm", ".parquet", ".gz"]


def create_bar() -> Panel:
    """What stands over the tabs: the open file, and the upload through which every file comes."""
    panel = Panel("page_file")
    with panel.create("bar", gr.Column, elem_classes="page-file", visible=False):
        with gr.Row(elem_id="page-file-line", elem_classes="choices-row"):
            panel.create_html("said")
            panel.create_button("close")
        with panel.create("fold", gr.Accordion, open=False):
            panel.create_html("preview")
            with gr.Row(elem_id="page-file-columns", elem_classes="choices-row"):
                for name, choices in (("question", []), ("answer", []), ("label", [EACH_ROW, UNKNOWN])):
                    options = {"choices": choices, "value": next(iter(choices), None)}
                    panel.create(name, gr.Dropdown, filterable=False, interactive=True, min_width=0, **options)
                panel.create("named", gr.Checkbox, interactive=True, container=False)
        panel.create_choice("take", TAKES, visible=False)
    panel.create_html("note", elem_classes="note")
    panel.create("upload", gr.UploadButton, file_types=_TYPES, visible="hidden")  # what is dropped comes in here, too
    panel.put("remembered", gr.Textbox(visible=False))  # the name of the file, which the browser keeps over a reload
    panel.create("paste", gr.Button, value="", visible="hidden")  # paste.js presses it for a table that is pasted
    panel.put("pasted", gr.Textbox(visible=False))  # its rows as JSON, then what became of them
    return panel


def create_source(panel: Panel, others: Sequence[str] = (TEXTS,)) -> None:
    """A tab's `source`: one of `others`, or FILE while one is open; `open` to choose one, `source_note` on it."""
    with gr.Row(elem_classes="choices-row"):
        choices = [(label(f"source_{value}"), value) for value in others]
        options = {"value": others[0], "elem_classes": "segments", "interactive": True}
        panel.create("source", gr.Radio, label=label("source"), choices=choices, **options)
        create_open(panel)
    panel.create_html("source_note", elem_classes="note")


def create_open(panel: Panel) -> None:
    """The button that lets people choose a file."""
    panel.create_button("open", value=label("page_file_open"), elem_classes="page-file-open")
