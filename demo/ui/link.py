"""The page's address carries what was typed, so that a reload or a link brings it back. Knows no widget and no lab.

It stands behind the `#`, which browsers never send: page.js writes it there and hands it over when the page opens, so
that nobody's texts reach a server's log. What cannot be used is left aside without a word.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from demo.datamodels import Pooling, Postprocess, Prompt, Reference
from demo.figures import SCALES

_LONGEST = 16_384  # characters; page.js keeps half of it
_TEXTS = ("questions", "answers", "matches", "task", "template")
_READING = ("model", "prompt", "eos", "pooling", "layer", "postprocess", "reference")
_FLAGS = {"true": True, "false": False}
_ACCEPTED = {
    "prompt": {prompt.value for prompt in Prompt},
    "pooling": {pooling.value for pooling in Pooling},
    "postprocess": {method.value for method in Postprocess},
    "reference": {choice.value for choice in Reference},
    "scale": set(SCALES),
}


def parse_link(link: Any) -> dict[str, Any]:
    """`questions=…&answers=…&layer=12` → what of it can stand in the widgets, by the widget's name."""
    if not isinstance(link, str) or not 0 < len(link) <= _LONGEST:
        return {}
    try:
        parsed = parse_qs(link, keep_blank_values=True, max_num_fields=16)
    except ValueError:
        return {}
    said: dict[str, Any] = {}
    for name, values in parsed.items():
        value = values[-1]
        if name in _TEXTS or value in _ACCEPTED.get(name, ()):
            said[name] = value
        elif name == "eos" and value in _FLAGS:
            said[name] = _FLAGS[value]
        elif name == "layer" and value.isascii() and value.isdecimal() and len(value) <= 4:
            said[name] = int(value)
        elif name == "model" and value.strip():
            said[name] = value.strip()
    return said


def without_reading(said: dict[str, Any]) -> dict[str, Any]:
    """What was typed, alone: a reading means nothing without its model."""
    return {name: value for name, value in said.items() if name not in _READING}
