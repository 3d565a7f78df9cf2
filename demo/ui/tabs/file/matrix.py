"""The large matrix: the payload of matrix.js, which paints up to a million cosines. Computes nothing.

Numbers travel as base64 of typed arrays, texts once; another order of rows and columns sends the order alone.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demo.domain.datamodels import Pairing
from demo.figures.matrix import palette, plot_matrix, quantize, shown_range
from demo.ui.kit.i18n import translate_group
from demo.ui.kit.view import next_seq

_HERE = Path(__file__).parent


def create_matrix(name: str) -> gr.HTML:
    """The component, with elem_id `name`. It shows nothing until a picture comes."""
    return gr.HTML(
        value=None,
        elem_id=name,
        html_template=(_HERE / "matrix.html").read_text(encoding="utf-8"),
        js_on_load="".join((_HERE / name).read_text(encoding="utf-8") for name in ("matrix_cells.js", "matrix.js")),
        apply_default_css=False,
    )


def show_matrix(
    language: str,
    similarity: np.ndarray | None = None,
    pairing: Pairing | None = None,
    orders: tuple[np.ndarray, np.ndarray] | None = None,
    alt: str = "",
    with_texts: bool = False,
) -> dict[str, Any]:
    """A payload; what is not in it stays as it was, but a new picture is in the order of the file.

    similarity: float32 (n, m), of the first n questions and m answers of the pairing; alt: what a screen reader says of
    it. orders: the numbers of the rows and of the columns, as seriation.py gives them. with_texts: all of the pairing.
    """
    payload: dict[str, Any] = {"seq": next_seq(), "words": translate_group(language, "matrix")}
    if with_texts:
        # As one string: a list would be copied, compared and wrapped item by item on its way through the page.
        payload["texts"] = json.dumps([pairing.questions, pairing.answers], ensure_ascii=False)
    if similarity is not None:
        payload["picture"] = _picture(similarity, pairing, alt)
    if orders is not None:
        payload["orders"] = [pack(order.astype("<u2")) for order in orders]
    return payload


def pack(numbers: np.ndarray) -> str:
    """The bytes of an array in base64."""
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")


def _picture(similarity: np.ndarray, pairing: Pairing, alt: str) -> dict[str, Any]:
    rows, columns = similarity.shape
    steps, low, high = quantize(similarity)
    matches = [pair for pair in sorted(pairing.matches) if pair[0] < rows and pair[1] < columns]
    drawn = plot_matrix(rows, columns).to_dict()
    return {
        "rows": rows,
        "columns": columns,
        "steps": pack(steps.astype("<u2")),
        "range": [low, high],
        "shown": list(shown_range(similarity)),
        "palette": pack(palette()),
        "matches": pack(np.array(matches, dtype="<u2").reshape(-1, 2)),
        "alt": alt,
        "figure": {"data": drawn["data"], "layout": {k: v for k, v in drawn["layout"].items() if k != "template"}},
    }
