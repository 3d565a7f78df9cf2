"""Take it home: the reading that stands in the widgets becomes a script. Computes nothing.

The script follows the answers while the fold is open. A reading that a library cannot say is refused in its place.
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

    def on_ask(request: gr.Request, library: str, *chosen: Any) -> tuple[str, str]:
        return write_script(choose_language(request), lab, library, *chosen)

    asked, shown = [widgets.library, *lab_widgets.choices], [widgets.code, widgets.note]
    quiet = {"trigger_mode": "always_last", **QUIET}
    gr.on([widgets.fold.expand, widgets.library.input], on_ask, asked, shown, **quiet)
    widgets.note.follow(on_ask, asked, shown, **quiet)


def write_script(language: str, lab: Lab, library: str, *chosen: Any) -> tuple[str, str]:
    """(the script, the line above it) for what stands in the widgets, in the order of FORM_FIELDS."""
    asked = Form.from_widgets(chosen)
    asked = replace(asked, model=asked.model or lab.settings.model)
    try:
        script = lab.code(**asked.reading, library=library, wait=False)
        info = lab.engine.loaded(asked.model)
        means = "openai" if info and info.host else library
        return script, render_note(translate(language, f"takehome.{means}.hint"))
    except DemoError as error:
        return "", render_note("", translate_error(language, error))
