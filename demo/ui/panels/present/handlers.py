"""Handlers of present mode: its words when the page opens, and a prepared set into the boxes. Computes nothing."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language
from demo.ui.live.tab import Widgets
from demo.ui.live.wiring import on_example_note
from demo.ui.panels.present.panel import show_present


def wire_present(page: gr.Blocks, live: bool, widgets: Widgets, present: gr.HTML) -> None:
    """The page opens; a step to another set."""

    def on_load(request: gr.Request) -> dict[str, Any]:
        return show_present(choose_language(request))

    page.load(on_load, None, present, queue=False, **QUIET)
    boxes = widgets.select("examples", "questions", "answers", "matches")
    stepped = present.step(
        None, widgets.examples, boxes, js="window.lab.presentedTexts", trigger_mode="multiple", **QUIET
    )
    stepped.then(on_example_note, widgets.examples, widgets.examples_note, **QUIET)
    if not live:
        stepped.then(None, js="() => document.dispatchEvent(new CustomEvent('lab:ask'))", **QUIET)
