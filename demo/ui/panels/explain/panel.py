"""Explain: the panel under the heatmap that says why a cell is what it is. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.ui.kit.panel import Panel
from demo.ui.kit.view import create_view

_CLOSE_JS = """element.addEventListener('click', (event) => {
    if (event.target.closest('.ex-close')) document.dispatchEvent(new CustomEvent('lab:close'));
});"""


def create_explain() -> Panel:
    """The panel's widgets, where they are called. The page shows them while heatmap.js has a cell marked."""
    panel = Panel("explain")
    with gr.Column(elem_id="explain"):
        panel.create_html("head", js_on_load=_CLOSE_JS)
        panel.create_html("body")
        panel.put("view", create_view("explain-tokens"))
        panel.put("cell", gr.Textbox(visible=False))  # how a request names the marked cell
    return panel
