"""Wiring of the lab's widgets: what they say to live.js and texts.js, and what these say to them.

Gradio's own requests have no part in it: all listeners run in the browser alone.
"""

from __future__ import annotations

import json

import gradio as gr

from demo.ui.gradio.event_options import QUIET
from demo.ui.live.form import FORM_FIELDS
from demo.ui.live.tab import Widgets


def wire_lab(page: gr.Blocks, widgets: Widgets, live: bool) -> None:
    """The events of the form, the heatmap and the example sets. live: edits are sent by themselves."""
    names = json.dumps(FORM_FIELDS)
    opened = f"(...values) => window.lab.open({names}, values, {json.dumps(live)})"
    page.load(None, widgets.choices, js=opened, **QUIET)
    for name, widget in zip(FORM_FIELDS, widgets.choices, strict=True):
        more = "setTimeout(window.lab.numberLines, 0);" if name in ("questions", "answers") else ""
        # `change`, not `input`: examples, links and other tabs bring values too.
        widget.change(None, widget, js=f"(value) => {{ window.lab.choose('{name}', value); {more} }}", **QUIET)
    ask = "() => { window.lab.ask(); }"
    widgets.compute.click(None, js=ask, **QUIET)
    if not live:  # another model is wanted at once, whatever else waits for the button
        widgets.model.input(None, js=ask, **QUIET)
    updated = [*FORM_FIELDS, "matches_fold", "examples", "compute"]
    updates = f"() => window.lab.takeUpdates({json.dumps(updated)})"
    widgets.heatmap.update(None, None, widgets.select(*updated), js=updates, trigger_mode="multiple", **QUIET)
    widgets.examples.input(None, widgets.examples, js="(id) => { window.lab.pickSet(id); }", **QUIET)
