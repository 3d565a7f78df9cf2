"""The Story tab's widgets: the list of steps, a step's text and figures, what to do from there. Builds only."""

from __future__ import annotations

import json
from dataclasses import dataclass

import gradio as gr

from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.view import create_view

STEPS = ("tokens", "logits", "result", "why", "loss", "models")
IN_LAB = ("result", "why", "loss")  # the steps whose reading can be tried in the lab


@dataclass(frozen=True)
class StoryWidgets:
    """What the tab can read and write."""

    step: gr.Radio
    text: gr.HTML
    view: gr.HTML
    found: gr.HTML  # what the figures come to, in sentences and tables
    note: gr.HTML
    use: gr.Button
    train: gr.Button
    measure: gr.Button
    stop: gr.Button
    back: gr.Button
    next: gr.Button

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        names = ("step", "use", "train", "measure", "stop", "back", "next")
        return {f"story_{name}": getattr(self, name) for name in names}


def create_story_tab(settings: Settings) -> StoryWidgets:
    """The widgets, inside the tab that is being built. The text is written when the page opens."""
    step = gr.Radio(
        [(label(f"story_step_{name}"), name) for name in STEPS],
        value=STEPS[0],
        label=label("story_step"),
        elem_id="story-step",
        elem_classes="segments",
        interactive=True,
    )
    text = gr.HTML(elem_id="story-text", apply_default_css=False)
    with gr.Row(elem_id="story-start", elem_classes="choices-row"):  # over the view, which tells how far it is
        measure = _create_button("measure", visible=False)
        stop = _create_button("stop", visible=False)
    note = gr.HTML(elem_id="story-note", apply_default_css=False)
    view = create_view("story")
    found = gr.HTML(elem_id="story-found", apply_default_css=False)
    with gr.Row(elem_id="story-actions", elem_classes="choices-row"):
        use = _create_button("use", visible=False)
        train = _create_button("train", visible=False)
    with gr.Row(elem_id="story-steps", elem_classes="choices-row"):
        back = _create_button("back", interactive=False)
        forward = _create_button("next", variant="primary")
    return StoryWidgets(step, text, view, found, note, use, train, measure, stop, back, forward)


def step_js(by: int) -> str:
    """For a button: the step before or after the one that is shown, and its beginning in sight."""
    return f"""(step) => {{
        const steps = {json.dumps(STEPS)};
        document.querySelector('#story-step').scrollIntoView({{ block: 'nearest' }});
        return steps[Math.max(0, Math.min(steps.length - 1, steps.indexOf(step) + {by}))];
    }}"""


def _create_button(name: str, **options) -> gr.Button:
    return gr.Button(label(f"story_{name}"), size="sm", elem_id=f"story-{name}", min_width=0, **options)
