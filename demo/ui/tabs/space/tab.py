"""The Space tab's widgets: all texts as points, and how far the cloud is from round. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.analysis.projection import umap_available
from demo.settings import Settings
from demo.ui.kit.panel import Panel
from demo.ui.kit.view import create_view
from demo.ui.page_file.bar import create_source

DIMENSIONS = ("2d", "3d")
METHODS = ("pca", "umap") if umap_available() else ("pca",)


def create_space_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built."""
    panel = Panel("space")
    create_source(panel)
    with gr.Row(elem_id="space-choices", elem_classes="choices-row"):
        panel.create_choice("dimensions", DIMENSIONS)
        panel.create_choice("method", METHODS, visible=len(METHODS) > 1)
    panel.put("view", create_view("space", follow=True))
    panel.create_html("facts", elem_classes="facts")
    panel.create_html("notices")
    return panel
