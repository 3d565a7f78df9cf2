"""Light: what Gradio does for every open page and at every moment, without what this page never asks for.

For each page that opens, and again for each widget that an answer changes, Gradio writes out a widget's whole
configuration. Only its deep links read it, which this page has none of (`demo/serving/doors.py` keeps their address
shut). And a server that nobody asks looks a thousand times a second for a question in its line: 7 % of a core. There is
no setting for either; a test holds both there.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import gradio as gr
import gradio.state_holder

_LOOK_SECONDS = 0.02  # what a queued question may wait for nothing; the live ones are not queued
_PROGRESS_SECONDS = 0.5  # between looks for Gradio's own progress, which no event of the page's shows


def lighten_gradio(page: gr.Blocks) -> None:
    """Once or often: the process, and a page whose queue is set up."""
    gradio.state_holder.copy = _copy_lightly
    page._queue.sleep_when_free = _LOOK_SECONDS
    page._queue.progress_update_sleep_when_free = _PROGRESS_SECONDS


def _copy_lightly(config: Any) -> Any:
    """A session's own copy of what the page is made of, without its configurations written out."""
    copied = copy(config)
    copied.config_for_block = _write_nothing
    return copied


def _write_nothing(*args: Any) -> dict[str, Any]:
    return {}
