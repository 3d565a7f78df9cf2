"""Event data: what the page's JavaScript sends with an event, which Gradio keeps in a private attribute."""

from __future__ import annotations

from typing import Any

import gradio as gr


def event_value(event: gr.EventData, name: str) -> Any:
    """One value that was sent with an event; None where a post made by hand sends nothing, or no such name."""
    return event._data.get(name) if isinstance(event._data, dict) else None
