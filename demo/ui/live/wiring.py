"""Wiring of the lab's widgets: what they say to live.js, what live.js says to them, and the example sets.

Gradio's own requests have no part in a live answer: all listeners but the example sets' run in the browser alone.
"""

from __future__ import annotations

import json

import gradio as gr

from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language
from demo.ui.kit.text import render_note
from demo.ui.live.examples import example_teaches, load_examples
from demo.ui.live.form import FORM_FIELDS
from demo.ui.live.heatmap import render_piece
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
    boxes = widgets.select("questions", "answers", "matches")
    chosen = widgets.examples.input(on_example, widgets.examples, boxes, trigger_mode="always_last", **QUIET)
    chosen.then(on_example_note, widgets.examples, widgets.examples_note, **QUIET)


def on_example(name: str) -> tuple[str, str, str]:
    """A set of texts fills the boxes."""
    example = load_examples().get(name)
    if example is None:
        return gr.skip(), gr.skip(), gr.skip()
    return "\n".join(example.questions), "\n".join(example.answers), example.matches


def on_example_note(request: gr.Request, name: str) -> str:
    """What to look for in that set."""
    return render_piece("examples-note", render_note(example_teaches(choose_language(request), name)))
