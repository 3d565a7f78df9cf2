"""Handlers of the panel that explains a cell: the marked cell becomes a request to the lab. Computes nothing.

Only the browser keeps which cell is marked, and names it in every request: after a click, after a new answer under the
panel, and when a model is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo.domain.results import Explanation
from demo.figures.explanation import plot_token_similarity
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.panel import Panel
from demo.ui.kit.view import answer_view, figure_payload, next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.panels.explain.text import render_explanation, render_head
from demo.wording.numbers import two_digits

_CELL = re.compile(r"(\d{1,6}),(\d{1,6})")
_AT_ONCE = 2  # leave-one-out reads a text many times
_ROW_HEIGHT, _LABELS_HEIGHT = 24, 120  # pixels of the token × token heatmap
_NAME_CELL_JS = """(...values) => [
    ...values.slice(0, -1), document.querySelector('#heatmap .hm').dataset.explained || ''
]"""


@dataclass
class OpenPanel:
    """What the server keeps of one page's panel."""

    cell: tuple[int, int] | None = None  # in the panel, or requested
    requests: int = 0  # so that a superseded result is dropped


class ExplainHandlers:
    """One instance serves every person; an OpenPanel belongs to one page."""

    def __init__(self, lab: Lab, widgets: Panel):
        self.lab = lab
        self.widgets = widgets

    def on_explain(self, request: gr.Request, panel: OpenPanel, *values: Any) -> Iterator[dict]:
        """Explain the marked cell: a note at once, then the result. Never waits for a model."""
        language = choose_language(request)
        *form_values, marked = values
        panel.requests += 1
        number = panel.requests
        cell = _parse_cell(marked)
        if cell != panel.cell:
            panel.cell = cell
            note = translate(language, "explain.computing") if cell else ""
            yield self._updates(language, cell, show_view(language, next_seq(), "idle", note))
        if cell is None:
            return
        form, results = Form.from_widgets(form_values), []

        def explain() -> dict[str, Any]:
            explanation = self.lab.explain(**form.texts, row=cell[0], column=cell[1], wait=False, **form.reading)
            figures = [_figure(language, explanation)]
            results.append(explanation)
            return show_view(language, next_seq(), "ready", figures=figures, of=form.subject)

        view = answer_view(language, explain)
        if number == panel.requests:
            yield self._updates(language, cell, view, *results)

    def _updates(self, language: str, cell: tuple[int, int] | None, view: dict, explanation: Explanation | None = None):
        """The whole panel; without an explanation nothing of the last one stays."""
        head = render_head(language, *cell, explanation) if cell else ""
        body = render_explanation(language, explanation) if explanation else ""
        return {self.widgets.head: head, self.widgets.body: body, self.widgets.view: {"figures": [], **view}}


def wire_explain(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The panel's events."""
    on_explain = ExplainHandlers(lab, widgets).on_explain
    inputs = [gr.State(OpenPanel()), *lab_widgets.choices, widgets.cell]
    for asks in (lab_widgets.heatmap.cell, widgets.view.tick):
        asks(
            on_explain,
            inputs=inputs,
            outputs=[widgets.head, widgets.body, widgets.view],
            js=_NAME_CELL_JS,
            trigger_mode="always_last",
            concurrency_limit=_AT_ONCE,
            concurrency_id="explain",
            **QUIET,
        )


def _parse_cell(marked: Any) -> tuple[int, int] | None:
    """ "3,0" → (3, 0); None for anything else in a request."""
    found = _CELL.fullmatch(marked) if isinstance(marked, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _figure(language: str, explanation: Explanation) -> dict[str, Any]:
    """The token × token heatmap, with its text alternative and table."""
    figure = plot_token_similarity(explanation)
    rows, columns = figure.data[0].z.shape
    values = explanation.token_similarity[:rows, :columns]
    down, across = (
        [token.strip() for token in side.tokens[slice(*side.inside)]]
        for side in (explanation.question, explanation.answer)
    )
    row, column = divmod(int(values.argmax()), columns)
    closest = {"row": down[row], "column": across[column], "value": two_digits(float(values[row, column]))}
    return figure_payload(
        "tokens",
        figure,
        translate(language, "explain.tokens"),
        translate(language, "explain.tokens_alt", rows=rows, columns=columns, **closest),
        height=_ROW_HEIGHT * rows + _LABELS_HEIGHT,
        table={
            "head": ["", *across[:columns]],
            "rows": [[name, *map(two_digits, line)] for name, line in zip(down[:rows], values.tolist(), strict=True)],
        },
    )
