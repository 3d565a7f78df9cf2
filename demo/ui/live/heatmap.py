"""The live heatmap component: the payload that heatmap.js draws, and where Plotly is served from. Computes nothing.

`gr.Plot` builds its picture anew at every update, which flickers and loses the zoom; this one calls `Plotly.react`
on one node that stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import plotly
from starlette.responses import FileResponse
from starlette.routing import Route

from demo.domain.datamodels import Comparison
from demo.export.report import describe_figure
from demo.figures.similarity import draw_similarity, pack_numbers

_HERE = Path(__file__).parent
_PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_PLOTLY_URL = f"assets/plotly-{plotly.__version__}.min.js"
_AGAIN_SECONDS = 0.4  # until a page asks again whether its model is there
_PAGE_SECONDS = 0.1  # for each page that waits: an answer costs 20 ms, and the model loads on the same cores


def create_heatmap() -> gr.HTML:
    """The component. Its `update` event has updates for the lab's widgets, `cell` a cell to explain."""
    return gr.HTML(
        value=None,
        elem_id="heatmap",
        head=f'<script src="{_PLOTLY_URL}"></script>',  # relative: the page may stand under a prefix
        html_template=(_HERE / "heatmap.html").read_text(encoding="utf-8"),
        js_on_load=(_HERE / "heatmap.js").read_text(encoding="utf-8"),
        apply_default_css=False,
    )


def create_piece(name: str, **options: Any) -> gr.HTML:
    """A place for words that come with an answer: page.js writes them. Gradio would make each of its outputs anew for
    every answer, which took two thirds of the server's time."""
    return gr.HTML(render_piece(name), elem_id=name, apply_default_css=False, **options)


def render_piece(name: str, html: str = "") -> str:
    """The place itself, for who sends it with words in it."""
    return f'<div data-piece="{name}">{html}</div>'


def plotly_route() -> Route:
    """Serves plotly.js from the installed package; its address names the version, so browsers may keep it for good."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Route(
        f"/{_PLOTLY_URL}", lambda request: FileResponse(_PLOTLY_JS, media_type="text/javascript", headers=headers)
    )


def show_comparison(language: str, comparison: Comparison, scale: str) -> dict[str, Any]:
    """A payload with a new figure. Its cosines are sent once: the figure's `z` only where the colours say more."""
    figure = draw_similarity(comparison, scale)
    if scale != "relative":
        del figure["data"][0]["z"]
    return {
        **show_state("ready"),
        "figure": figure,
        "scale": scale,
        "values": pack_numbers(comparison.similarity),
        "about": describe_figure(language, comparison, scale),
        "questions": list(comparison.questions),
        "answers": list(comparison.answers),
        "matches": sorted([row, column] for row, column in comparison.pairing.matches),
    }


def show_state(
    state: str, note: str = "", progress: float | None = None, pages: int = 1, left: str = ""
) -> dict[str, Any]:
    """A payload without a figure: the one that was drawn last stays. state: ready, loading, stale, empty, error.

    pages: how many wait for a model. Each asks again the later, the more of them there are. left: the time that it
    still takes, in words.
    """
    payload = {"state": state, "note": note, "progress": progress, "left": left}
    return payload | ({"again": max(_AGAIN_SECONDS, _PAGE_SECONDS * pages)} if state == "loading" else {})
