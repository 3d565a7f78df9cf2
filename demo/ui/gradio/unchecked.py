"""Unchecked values: a widget whose bounds change in the browser alone. Gradio's server knows only the first ones.

Listeners of such a widget check its value themselves: `demo/ui/live/form.py`.
"""

from __future__ import annotations

import gradio as gr


def leave_unchecked(widget: gr.components.Component) -> None:
    """Gradio passes this widget's values on as they come. Lost where an event's answer updates the widget's options."""
    widget.preprocess = lambda payload: payload
