"""Cheap sessions: switches off what Gradio does for every open page and at every moment, and this page never uses.

For each page that opens, and for each widget that an answer changes, Gradio writes out a widget's whole configuration;
only its deep links read it. An idle server polls its queue a thousand times a second: 7 % of a core. Gradio has no
setting for either.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import gradio as gr
import gradio.state_holder

_POLL_SECONDS = 0.02  # what a queued request may wait; live edits are not queued
_PROGRESS_SECONDS = 0.5  # between looks for Gradio's own progress, which no event of the page shows


def lighten_gradio(page: gr.Blocks) -> None:
    """Idempotent. For the process, and for a page whose queue is set up."""
    gradio.state_holder.copy = _copy_lightly
    page._queue.sleep_when_free = _POLL_SECONDS
    page._queue.progress_update_sleep_when_free = _PROGRESS_SECONDS


def _copy_lightly(config: Any) -> Any:
    """A session's own copy of the page's blocks, whose configurations are not written out."""
    copied = copy(config)
    copied.config_for_block = lambda *args: {}
    return copied
