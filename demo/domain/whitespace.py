"""White space normalisation: control characters that are white space, or nothing at all, never refuse a text.

Exports of PDFs, word processors and old databases leave them in single cells; no tokenizer was trained on them.
"""

from __future__ import annotations

import re

_LINE_ENDS = re.compile(r"\r\n?")
# What str.isspace() counts as white space among the control characters, beside tab and line feed; DEL draws nothing.
_CONTROLS = dict.fromkeys(map(ord, "\x0b\x0c\x1c\x1d\x1e\x1f\x85"), " ") | {0x7F: None}


def normalize_whitespace(text: str) -> str:
    """CRLF and CR become a line feed, other white space that is a control character a space; DEL is left out.

    Tabs, line feeds and all else stay. Compare with the text itself to learn whether anything was changed.
    """
    return _LINE_ENDS.sub("\n", text).translate(_CONTROLS)
