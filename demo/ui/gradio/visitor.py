"""Gradio's request context, for a route of our own: ZeroGPU (`spaces`) reads the visitor's token from it.

Gradio sets it around its own handlers only; there is no public way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
from gradio.context import LocalContext
from starlette.requests import Request


@contextmanager
def visitor_of(request: Request) -> Iterator[None]:
    """While it lasts, `spaces` finds this request's headers, and the page that it came to."""
    set_request = LocalContext.request.set(gr.Request(request))
    set_page = LocalContext.blocks.set(request.app.get_blocks())
    try:
        yield
    finally:
        LocalContext.blocks.reset(set_page)
        LocalContext.request.reset(set_request)
