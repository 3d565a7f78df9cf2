"""The page: widgets put together with handlers. Wires events, and says how the page is served. Computes nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.lab import Lab
from demo.settings import Settings
from demo.ui.api import create_api
from demo.ui.examples import load_examples
from demo.ui.handlers import Handlers, Session
from demo.ui.heatmap import plotly_route
from demo.ui.i18n import LOCALES, page_i18n
from demo.ui.lab_tab import LINKED, create_lab_tab
from demo.ui.theme import create_theme

_HERE = Path(__file__).parent
_AT_ONCE = 8  # how many answers may be under way together, all people taken together
_WAITING = 64


def create_page(lab: Lab) -> gr.Blocks:
    """The page over a lab."""
    settings = lab.settings
    first = next((status for status in lab.models() if status.model == settings.model), None)
    article = next(iter(load_examples().values()))
    with gr.Blocks(title=LOCALES["en"]["page.title"], analytics_enabled=False, fill_width=True) as page:
        session = gr.State(Session(model=settings.model if first else ""))
        widgets = create_lab_tab(settings, first, article)
        handlers = Handlers(lab, widgets, session)
        _wire(page, handlers, settings.live)
        create_api(lab)
    page.queue(default_concurrency_limit=_AT_ONCE, max_size=_WAITING, api_open=False)
    return page


def _wire(page: gr.Blocks, handlers: Handlers, live: bool) -> None:
    widgets, session = handlers.widgets, handlers.session
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    # `change`, not `input`: Textbox.input misses Backspace, paste and input methods.
    edits = [widget.change for widget in widgets.choices if widget is not widgets.model]
    asks = [page.load, widgets.model.input, widgets.heatmap.tick, widgets.compute.click]
    gr.on(
        [*asks, *edits] if live else asks,
        handlers.on_compute,
        inputs=[session, *widgets.choices, widgets.link],
        outputs=[session, *widgets.answered],
        js="(...values) => [...values.slice(0, -1), window.readLink()]",
        trigger_mode="always_last",
        concurrency_limit=_AT_ONCE,
        **quiet,
    )
    said = ", ".join(LINKED)
    gr.on(
        [page.load, widgets.model.change, *edits],
        None,
        inputs=widgets.choices,
        js=f"({said}) => {{ window.keepLink({{ {said} }}); return []; }}",
        **quiet,
    )
    if not live:
        gr.on(edits, None, js="() => window.markChanged()", **quiet)
    gr.on(
        [page.load, widgets.questions.change, widgets.answers.change, widgets.texts_head.change],
        None,
        js="() => { setTimeout(window.numberLines, 0); }",
        **quiet,
    )
    page.load(None, js="() => { window.keepWhy(); }", **quiet)
    boxes = [widgets.questions, widgets.answers, widgets.matches]
    widgets.examples.input(handlers.on_example, widgets.examples, boxes, trigger_mode="always_last", **quiet)
    widgets.examples.input(
        handlers.on_example_note,
        widgets.examples,
        widgets.notes["examples"],
        trigger_mode="always_last",
        **quiet,
    )
    for name in ("prompt", "pooling"):
        note, box = widgets.notes[name], getattr(widgets, name)
        note.click(partial(handlers.on_take, field_name=name), session, box, **quiet)


def launch_options(settings: Settings) -> dict[str, Any]:
    """How the page is served: no history, no monitoring, no tracebacks, nothing from outside."""
    return {
        "server_name": settings.host,
        "server_port": settings.port or None,
        "quiet": True,
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "ssr_mode": False,
        "max_file_size": "1mb",
        "state_session_capacity": 500,
        "footer_links": [],
        "theme": create_theme(),
        "css": (_HERE / "style.css").read_text(encoding="utf-8"),
        "head": f"<script>{(_HERE / 'page.js').read_text(encoding='utf-8')}</script>",
        "i18n": page_i18n(),
        "app_kwargs": {"routes": [plotly_route()]},
    }
