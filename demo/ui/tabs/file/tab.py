"""The file tab's widgets: the page's file, Compare and Stop, and the places of the results. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.settings import Settings
from demo.ui.kit.panel import Panel
from demo.ui.kit.view import create_view
from demo.ui.page_file.bar import create_open
from demo.ui.panels.save.panel import FILES
from demo.ui.tabs.file.matrix import create_matrix

ORDERS = ("given", "best", "clustered")  # as seriation.py names them


def create_file_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built."""
    panel = Panel("file")
    with gr.Row(elem_classes="choices-row"):
        create_open(panel)
        panel.create_html("note", elem_classes="note")
    with gr.Row(elem_id="file-start", elem_classes="choices-row"):
        panel.create_button("run", variant="primary", interactive=False)
        panel.create_button("stop", visible=False)
        panel.create_button("recommend", visible=False)
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
