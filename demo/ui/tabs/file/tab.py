"""The file tab's widgets: a file, its columns, Compare and Stop, and the places of the results. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.files.columns import EACH_ROW, UNKNOWN
from demo.settings import Settings
from demo.ui.kit.job_tab import TAKES
from demo.ui.kit.panel import Panel
from demo.ui.kit.view import create_view
from demo.ui.panels.save.panel import FILES
from demo.ui.tabs.file.matrix import create_matrix

ORDERS = ("given", "best", "clustered")  # as seriation.py names them
COLUMNS = ("question", "answer", "label", "named")  # the roles of the file's columns


def create_file_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built."""
    panel = Panel("file")
    panel.create("upload", gr.File, height=72, interactive=True)
    panel.create_html("note", elem_classes="note")
    panel.create_html("preview")
    with panel.create("columns", gr.Row, elem_classes="choices-row", visible=False):
        for name, choices in (("question", []), ("answer", []), ("label", [EACH_ROW, UNKNOWN])):
            options = {"choices": choices, "value": next(iter(choices), None)}
            panel.create(name, gr.Dropdown, filterable=False, interactive=True, min_width=0, **options)
        panel.create("named", gr.Checkbox, interactive=True, container=False)
    panel.create_choice("take", TAKES, visible=False)
    with gr.Row(elem_id="file-start", elem_classes="choices-row"):
        panel.create_button("run", variant="primary", interactive=False)
        panel.create_button("stop", visible=False)
        panel.create_html("plan")
    panel.put("view", create_view("file", follow=True))  # progress and errors; it has no figure of its own
    panel.create_html("verdict")
    panel.create_html("facts", elem_classes="facts")
    with gr.Row(elem_id="file-found", elem_classes="choices-row"):
        panel.create_choice("order", ORDERS)
    panel.put("matrix", create_matrix("file-matrix"))
    panel.create_html("worst")
    panel.create_html("best")
    with gr.Row(elem_id="file-taking", elem_classes="choices-row"):
        for kind in FILES:
            panel.create_button(kind)
        panel.create_html("taken")
        # Never seen: the browser fetches through it what a button wrote.
        panel.create("file", gr.DownloadButton, key="file_download", label="", visible="hidden")
    return panel
