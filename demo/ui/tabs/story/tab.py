"""The Story tab's widgets: the list of steps, a step's text and figures, its buttons. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.settings import Settings
from demo.ui.kit.panel import Panel
from demo.ui.kit.step_tab import create_step_buttons
from demo.ui.kit.view import create_view

STEPS = ("tokens", "logits", "result", "why", "loss", "models")
IN_LAB = ("result", "why", "loss")  # steps whose reading can be opened in the lab


def create_story_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built. The text is written when the page opens."""
    panel = Panel("story")
    panel.create_choice("step", STEPS)
    panel.create_html("text")
    with gr.Row(elem_id="story-start", elem_classes="choices-row"):  # above the view, which shows the progress
        panel.create_button("measure", visible=False)
        panel.create_button("stop", visible=False)
    panel.create_html("note")
    panel.put("view", create_view("story"))
    panel.create_html("found")  # the figures in sentences and tables
    with gr.Row(elem_id="story-actions", elem_classes="choices-row"):
        panel.create_button("use", visible=False)
        panel.create_button("train", visible=False)
    create_step_buttons(panel, variant="primary")
    return panel
