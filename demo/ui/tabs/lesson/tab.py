"""The Lesson tab's widgets: the list of steps, a step's question and prediction, its result. Builds only."""

from __future__ import annotations

import json
from dataclasses import dataclass

import gradio as gr

from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.view import create_view
from demo.ui.tabs.lesson.steps import NAMES

# The view asks only while it is looked at: on a small screen it stands below the question.
SHOW_RESULT_JS = """() => {
    const open = document.querySelector('#lesson-commit');
    if (!open) document.querySelector('#lesson').scrollIntoView({ block: 'center' });
    return [];
}"""


@dataclass(frozen=True)
class LessonWidgets:
    """What the tab can read and write."""

    guesses: gr.State  # predictions by step; only a commit writes it
    step: gr.Radio
    text: gr.HTML
    choice: gr.Radio  # the prediction, where there are options
    number: gr.Number  # the prediction, where it is a number
    note: gr.HTML  # what is wrong with it
    commit: gr.Button
    judged: gr.HTML  # the prediction beside what was measured
    view: gr.HTML
    found: gr.HTML  # what the figures come to, and what to make of it
    again: gr.Button
    use: gr.Button
    korean: gr.Button
    back: gr.Button
    next: gr.Button

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name; the question's comes with its step."""
        names = ("step", "commit", "again", "use", "korean", "back", "next")
        return {f"lesson_{name}": getattr(self, name) for name in names}


def create_lesson_tab(settings: Settings) -> LessonWidgets:
    """The widgets, inside the tab that is being built. The text is written when the page opens."""
    guesses = gr.State({})
    step = gr.Radio(
        [(label(f"lesson_step_{name}"), name) for name in NAMES],
        value=NAMES[0],
        label=label("lesson_step"),
        elem_id="lesson-step",
        elem_classes="segments",
        interactive=True,
    )
    text = gr.HTML(elem_id="lesson-text", apply_default_css=False)
    with gr.Column(elem_id="lesson-question"):
        choice = gr.Radio([], elem_id="lesson-choice", interactive=True)
        number = gr.Number(elem_id="lesson-number", interactive=True, visible=False)
        note = gr.HTML(elem_id="lesson-note", apply_default_css=False)
        commit = _create_button("commit", variant="primary")
    judged = gr.HTML(elem_id="lesson-judged", apply_default_css=False)
    view = create_view("lesson")
    found = gr.HTML(elem_id="lesson-found", apply_default_css=False)
    with gr.Row(elem_id="lesson-actions", elem_classes="choices-row"):
        again = _create_button("again", visible=False)
        use = _create_button("use", visible=False)
        korean = _create_button("korean", visible=False)
    with gr.Row(elem_id="lesson-steps", elem_classes="choices-row"):
        back = _create_button("back", interactive=False)
        forward = _create_button("next")
    return LessonWidgets(
        guesses, step, text, choice, number, note, commit, judged, view, found, again, use, korean, back, forward
    )


def step_js(by: int) -> str:
    """For a button: the step before or after the one that is shown, and its beginning in sight."""
    return f"""(step) => {{
        const steps = {json.dumps(NAMES)};
        document.querySelector('#lesson-step').scrollIntoView({{ block: 'nearest' }});
        return steps[Math.max(0, Math.min(steps.length - 1, steps.indexOf(step) + {by}))];
    }}"""


def focus_js(heading: str, *buttons: str) -> str:
    """For what has just come: its heading takes the focus from the buttons that brought it, or where it was lost."""
    return f"""() => {{
        const focused = document.activeElement;
        if (focused === document.body ? {json.dumps(not buttons)} : {json.dumps(buttons)}.includes(focused.id))
            requestAnimationFrame(() => document.querySelector('{heading}')?.focus());
        return [];
    }}"""


def _create_button(name: str, **options) -> gr.Button:
    return gr.Button(label(f"lesson_{name}"), size="sm", elem_id=f"lesson-{name}", min_width=0, **options)
