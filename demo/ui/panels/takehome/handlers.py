"""Take home: the lab's reading becomes a script. Computes nothing.

The script follows the answers while the fold is open. A reading that a library cannot express is refused in its place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from demo.domain.errors import DemoError
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language, translate, translate_error
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_note
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets


def wire_takehome(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The fold's events: opened, another library, a new answer while it is open."""

    def on_change(request: gr.Request, library: str, *chosen: Any) -> tuple[str, str]:
        return write_script(choose_language(request), lab, library, *chosen)

    inputs, outputs = [widgets.library, *lab_widgets.choices], [widgets.code, widgets.note]
    quiet = {"trigger_mode": "always_last", **QUIET}
    gr.on([widgets.fold.expand, widgets.library.input], on_change, inputs, outputs, **quiet)
    widgets.note.follow(on_change, inputs, outputs, **quiet)


def write_script(language: str, lab: Lab, library: str, *chosen: Any) -> tuple[str, str]:
    """(the script, the line above it) for the lab's form, whose values come in the order of FORM_FIELDS."""
    form = Form.from_widgets(chosen)
    form = replace(form, model=form.model or lab.settings.model)
    try:
        script = lab.code(**form.reading, library=library, wait=False)
        info = lab.engine.loaded(form.model)
        means = "openai" if info and info.host else library
        return script, render_note(translate(language, f"takehome.{means}.hint"))
    except DemoError as error:
        return "", render_note("", translate_error(language, error))
