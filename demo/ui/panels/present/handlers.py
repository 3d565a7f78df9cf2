"""Handlers of present mode: its words when the page opens. Computes nothing."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language
from demo.ui.panels.present.panel import show_present


def wire_present(page: gr.Blocks, present: gr.HTML) -> None:
    """The page opens. Steps to another set are the browser's own."""

    def on_load(request: gr.Request) -> dict[str, Any]:
        return show_present(choose_language(request))

    page.load(on_load, None, present, queue=False, **QUIET)
