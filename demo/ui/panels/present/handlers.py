"""Handlers of present mode: its words when the page opens, and a prepared set into the boxes. Computes nothing."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language
from demo.ui.live.handlers import Handlers
from demo.ui.panels.present.panel import show_present


def wire_present(page: gr.Blocks, handlers: Handlers, present: gr.HTML) -> None:
    """The page opens; a step to another set."""
    widgets = handlers.widgets

    def on_load(request: gr.Request) -> dict[str, Any]:
        return show_present(choose_language(request))

    page.load(on_load, None, present, queue=False, **QUIET)
    boxes = [widgets.examples, widgets.questions, widgets.answers, widgets.matches]
    stepped = present.step(None, widgets.examples, boxes, js="window.presentedTexts", trigger_mode="multiple", **QUIET)
    stepped.then(handlers.on_example_note, widgets.examples, widgets.notes["examples"], **QUIET)
    if not handlers.lab.settings.live:
        stepped.then(None, js="() => document.dispatchEvent(new CustomEvent('lab:ask'))", **QUIET)
