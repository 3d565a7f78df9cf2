"""The page's address carries what was typed, so that a reload or a link brings it back. Knows no widget and no lab.

It stands behind the `#`, which browsers never send: link.js writes it there and hands it over when the page opens, so
that nobody's texts reach a server's log. `questions=…&layer=12` in plain words, or the same packed into one field:
`z=`, deflated and in base64url. A value that cannot be used is left aside without a word.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any
from urllib.parse import parse_qs

from demo.domain.errors import DamagedLink
from demo.ui.live.form import CHOICES, FORM_FIELDS

_LONGEST = 32_768  # characters of an address; link.js writes no longer one
_LONGEST_UNPACKED = 262_144  # bytes: a bomb goes no further
_MOST_FIELDS = 32
_TEXTS = ("questions", "answers", "matches", "task", "template")
_FLAGS = {"true": True, "false": False}
_PACKED, _BROWSERS = "z", ("tab", "compare", "tried")  # the tab, Compare's slots and the history are the browser's own
_NAMES = {*FORM_FIELDS, _PACKED, *_BROWSERS}


def parse_link(link: Any) -> dict[str, Any]:
    """`questions=…&answers=…&layer=12` → what of it can stand in the widgets, by its name; {} where it is damaged."""
    try:
        return read_link(link)
    except DamagedLink:
        return {}


def read_link(link: Any) -> dict[str, Any]:
    """As parse_link. Raises DamagedLink where somebody meant a link, and it cannot be read."""
    if not isinstance(link, str) or "=" not in link:
        return {}
    fields = _split(link, _LONGEST)
    if not fields.keys() & _NAMES:
        raise DamagedLink()
    if _PACKED in fields:
        fields |= _split(_unpack(fields[_PACKED]), _LONGEST_UNPACKED)
    said: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _TEXTS or value in CHOICES.get(name, ()):
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
    return {name: value for name, value in said.items() if name in (*_TEXTS, "scale")}


def _split(link: str, longest: int) -> dict[str, str]:
    """`a=1&b=2` → its fields; of two with one name, the last."""
    if len(link) > longest:
        raise DamagedLink()
    whole = link.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half a pair, as browsers see it
    try:
        parsed = parse_qs(whole, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise DamagedLink() from None
    return {name: values[-1] for name, values in parsed.items()}


def _unpack(packed: str) -> str:
    """What link.js deflated, whole and of bounded length."""
    stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        data = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        text = stream.decompress(data, _LONGEST_UNPACKED).decode("utf-8")
    except (ValueError, zlib.error):
        raise DamagedLink() from None
    if not stream.eof or stream.unused_data:
        raise DamagedLink()
    return text
