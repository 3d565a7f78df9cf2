"""Light: what Gradio keeps for every open page, without what this page never asks for.

For each page that opens, and again for each widget that an answer changes, Gradio writes out a widget's whole
configuration. Only its deep links read it, which this page has none of (`demo/serving/doors.py` keeps their address
shut): it was a sixth of the server's time while a class came in. There is no setting for it; a test holds it there.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import gradio.state_holder


def lighten_gradio() -> None:
    """Once or often, for the whole process."""
    gradio.state_holder.copy = _copy_lightly


def _copy_lightly(config: Any) -> Any:
    """A session's own copy of what the page is made of, without its configurations written out."""
    copied = copy(config)
    copied.config_for_block = _write_nothing
    return copied


def _write_nothing(*args: Any) -> dict[str, Any]:
    return {}
