"""Stepper: a tab in steps, with a bar of all steps above and Back and Next below. Story and lesson are built on it.

A step is announced first, its text without figures, and computed by the view's `tick`, which comes only while the tab
is looked at. Both answer with updates by widget.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.panel import Panel


def create_step_bar(panel: Panel, steps: Sequence[str]) -> None:
    """The widget `step`: all steps, at first the first one."""
    panel.create_choice("step", steps)


def create_step_buttons(panel: Panel, **next_options: Any) -> None:
    """The widgets `back` and `next`."""
    with gr.Row(elem_id=panel.step.elem_id + "s", elem_classes="choices-row"):
        panel.create_button("back", interactive=False)
        panel.create_button("next", **next_options)


def wire_step_buttons(panel: Panel, steps: Sequence[str]) -> None:
    """Back and Next choose the step in the browser, and scroll to the bar."""
    for button, by in ((panel.back, -1), (panel.next, 1)):
        button.click(None, panel.step, panel.step, js=_step_js(panel.step.elem_id, steps, by), **QUIET)


def step_updates(panel: Panel, steps: Sequence[str], step: str) -> dict[Any, dict]:
    """Back and Next, each of which is off at its end."""
    return {
        panel.back: gr.update(interactive=step != steps[0]),
        panel.next: gr.update(interactive=step != steps[-1]),
    }


def parse_step(value: Any, steps: Sequence[str]) -> str:
    """The step of an unchecked request; the first one for anything else."""
    return value if isinstance(value, str) and value in steps else steps[0]


def _step_js(bar: str, steps: Sequence[str], by: int) -> str:
    return f"""(step) => {{
        const steps = {json.dumps(steps)};
        document.querySelector('#{bar}').scrollIntoView({{ block: 'nearest' }});
        return steps[Math.max(0, Math.min(steps.length - 1, steps.indexOf(step) + {by}))];
    }}"""
