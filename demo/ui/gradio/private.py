"""Gradio's private parts: the few that this page needs. CONTRIBUTING.md lists them, and the test that holds each."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import Request


def event_value(event: gr.EventData, name: str) -> Any:
    """One value that was sent with an event; None where a post made by hand sends nothing, or no such name."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def unchecked(kind: type[gr.components.Component]) -> type[gr.components.Component]:
    """A subclass of a component, to the browser the same, whose values reach handlers as they come.

    Gradio rebuilds a widget from its class when an answer updates it, so that an override on the widget would be lost.
    After a `class` statement it would write a .pyi file beside the source, too.
    """
    own = {"preprocess": lambda self, payload: payload, "is_template": True, "__module__": __name__}
    return ABCMeta.__new__(type(kind), kind.__name__, (kind,), own)


def publish_file(button: gr.DownloadButton, path: Path) -> Path:
    """A copy in Gradio's own folder, from which alone it serves files, under a digest of the content."""
    return Path(button.move_resource_to_block_cache(path))


@contextmanager
def visitor_of(request: Request) -> Iterator[None]:
    """ZeroGPU (`spaces`) finds this request's headers in Gradio's context, which Gradio sets for its own handlers."""
    set_request = LocalContext.request.set(gr.Request(request))
    set_page = LocalContext.blocks.set(request.app.get_blocks())
    try:
        yield
    finally:
        LocalContext.blocks.reset(set_page)
        LocalContext.request.reset(set_request)
