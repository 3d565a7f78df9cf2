"""The Space tab's handlers: the lab's form becomes a request to the lab, its result figures and sentences.

Computes nothing. The view's `tick` comes after every new heatmap, while the tab is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.lab import Lab
from demo.ui.gradio.event_options import LIVE
from demo.ui.kit.i18n import choose_language, translate, translate_phrase
from demo.ui.kit.page_jobs import open_session
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_notices
from demo.ui.kit.view import answer_view, next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.page_file.chosen import choose_texts, render_chosen
from demo.ui.tabs.space.text import render_anisotropy, space_figures


def wire_space(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""

    def on_tick(request: gr.Request, *values: Any) -> tuple[dict, Any, Any, Any]:
        language, key = choose_language(request), open_session(request)
        *chosen, source, dimensions, method = values
        facts = notices = gr.skip()

        def answer() -> dict:
            nonlocal facts, notices
            form = Form.from_widgets(chosen)
            texts = choose_texts(lab, key, source, form.texts)
            space = lab.space(**texts.texts, **form.reading, method=method, wait=False)
            facts = render_anisotropy(language, space)
            notices = render_notices(tuple(translate_phrase(language, notice) for notice in space.notices))
            figures = space_figures(language, space, dimensions)
            return show_view(language, next_seq(), "ready", figures=figures, of={**form.reading, **texts.boxes})

        payload = answer_view(language, answer)
        return payload, facts, notices, render_chosen(language, lab, key, source)

    def on_method(request: gr.Request, *values: Any) -> Iterator[tuple[dict, Any, Any, Any]]:
        if values[-1] == "umap":
            language = choose_language(request)
            laying_out = show_view(language, next_seq(), "stale", translate(language, "space.umap"))
            yield laying_out, gr.skip(), gr.skip(), gr.skip()
        yield on_tick(request, *values)

    wiring = {
        "inputs": [*lab_widgets.choices, *widgets.select("source", "dimensions", "method")],
        "outputs": widgets.select("view", "facts", "notices", "source_note"),
        **LIVE,
    }
    gr.on([widgets.view.tick, widgets.dimensions.input, widgets.source.input], on_tick, **wiring)
    widgets.method.input(on_method, **wiring)
