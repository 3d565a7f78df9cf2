"""Share: the button at the top, the dialog behind it, and the QR code in it. Knows no lab.

The browser writes the link; here it is drawn in memory, and neither kept nor logged.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import segno

from demo.ui.kit.i18n import translate, translate_group

_HERE = Path(__file__).parent
MOST_BYTES = 2953  # of the largest QR code, at the lowest level of error correction
_QUIET_ZONE = 4  # modules of white around the code, as ISO/IEC 18004 requires


def create_share() -> gr.HTML:
    """The component. Its `code` event brings a link, and is answered with its QR code."""
    return gr.HTML(
        value=None,
        elem_id="share",
        html_template=(_HERE / "share.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "share.js").read_text(encoding="utf-8"),
        apply_default_css=False,
    )


def show_share(language: str, notice: str, hosts: list[str], alone: bool) -> dict[str, Any]:
    """The first payload: words, what a link could not bring (notice), the addresses of this host for others.

    hosts: only if the page is opened on the machine that serves it. alone: no other machine can reach it.
    """
    return {"words": translate_group(language, "share"), "notice": notice, "hosts": hosts, "alone": alone}


def show_code(language: str, link: Any) -> dict[str, str]:
    """A link's QR code as SVG, or why it has none."""
    if not isinstance(link, str) or not link:
        return {"code": "", "refused": translate(language, "share.no_link")}
    count = len(link.encode("utf-8", "replace"))
    if count > MOST_BYTES:
        counts = {"count": f"{count:,}", "limit": f"{MOST_BYTES:,}"}
        return {"code": "", "refused": translate(language, "share.too_long", **counts)}
    return {"code": draw_code(link), "refused": ""}


def draw_code(link: str) -> str:
    """At most MOST_BYTES of text → its QR code, black on white whatever the page's colours."""
    code = segno.make_qr(link.encode("utf-8", "replace"), error="l")
    return code.svg_inline(border=_QUIET_ZONE, dark="#000", light="#fff", omitsize=True)
