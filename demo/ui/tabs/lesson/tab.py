"""The Lesson tab's widgets: the list of steps, a step's question and prediction, its result. Builds only."""

from __future__ import annotations

import json

import gradio as gr

from demo.settings import Settings
from demo.ui.kit.panel import Panel
from demo.ui.kit.step_tab import create_step_buttons
from demo.ui.kit.view import create_view
from demo.ui.tabs.lesson.steps import NAMES

# On a small screen the view stands below the question, and it computes only while it is in sight.
SHOW_RESULT_JS = """() => {
    const open = document.querySelector('#lesson-commit');
    if (!open) document.querySelector('#lesson').scrollIntoView({ block: 'center' });
    return [];
}"""


def create_lesson_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built. The text is written when the page opens."""
    panel = Panel("lesson")
    panel.put("guesses", gr.State({}))  # predictions by step; only a commit writes it
    panel.create_choice("step", NAMES)
    panel.create_html("text")
    with gr.Column(elem_id="lesson-question"):
        panel.create("choice", gr.Radio, choices=[], interactive=True)  # the prediction, if it is one of some options
        panel.create("number", gr.Number, interactive=True, visible=False)  # the prediction, if it is a number
        panel.create_html("note")
        panel.create_button("commit", variant="primary")
    panel.create_html("judged")  # the prediction beside the measurement
    panel.put("view", create_view("lesson"))
    panel.create_html("found")  # the figures in sentences
    with gr.Row(elem_id="lesson-actions", elem_classes="choices-row"):
        for name in ("again", "use", "korean"):
            panel.create_button(name, visible=False)
    create_step_buttons(panel)
    return panel


def focus_js(heading: str, *buttons: str) -> str:
    """Moves the focus to a new heading, if one of these buttons had it; without buttons, if nothing had it."""
    return f"""() => {{
        const focused = document.activeElement;
        if (focused === document.body ? {json.dumps(not buttons)} : {json.dumps(buttons)}.includes(focused.id))
            requestAnimationFrame(() => document.querySelector('{heading}')?.focus());
        return [];
    }}"""
