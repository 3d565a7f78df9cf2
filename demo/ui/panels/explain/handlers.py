"""Handlers of the panel that explains a cell: the cell that the browser has marked ↔ what the lab says of it.

The browser alone knows which cell is marked, and names it in every request: a click, a new answer under the panel and
a model that is there by now all ask the same question. Computes nothing.
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
    """What the server remembers of one open page's panel."""

    cell: tuple[int, int] | None = None  # what it shows, or is about to
    asked: int = 0  # how often; an answer that a newer question overtook is not shown


class ExplainHandlers:
    """One instance serves every person; what is theirs is in OpenPanel."""

    def __init__(self, lab: Lab, widgets: Panel):
        self.lab = lab
        self.widgets = widgets

    def on_explain(self, request: gr.Request, panel: OpenPanel, *values: Any) -> Iterator[dict]:
        """Explain the marked cell: says at once that it is at work, then what came of it. Never waits for a model."""
        language = choose_language(request)
        *chosen, marked = values
        panel.asked += 1
        mine = panel.asked
        cell = _parse_cell(marked)
        if cell != panel.cell:
            panel.cell = cell
            note = translate(language, "explain.computing") if cell else ""
            yield self._outputs(language, cell, show_view(language, next_seq(), "idle", note))
        if cell is None:
            return
        asked = Form.from_widgets(chosen)
        explained: list[Explanation] = []

        def answer() -> dict[str, Any]:
            explanation = self.lab.explain(
                asked.questions, asked.answers, *cell, matches=asked.matches, wait=False, **asked.reading
            )
            figures = [_figure(language, explanation)]
            explained.append(explanation)
            return show_view(language, next_seq(), "ready", figures=figures)

        view = answer_view(language, answer)
        if mine == panel.asked:  # else a newer question is under way, or was answered before this one
            yield self._outputs(language, cell, view, *explained)

    def _outputs(self, language: str, cell: tuple[int, int] | None, view: dict, explanation: Explanation | None = None):
        """The whole panel. Without an explanation nothing of the last one stays: the view alone says why."""
        head = render_head(language, *cell, explanation) if cell else ""
        body = render_explanation(language, explanation) if explanation else ""
        return {self.widgets.head: head, self.widgets.body: body, self.widgets.view: {"figures": [], **view}}


def wire_explain(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """A chosen cell, a new answer under the panel, a model that is there now: explain what is marked."""
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
    """ "3,0" → (3, 0); whatever else a request may carry → None."""
    found = _CELL.fullmatch(marked) if isinstance(marked, str) else None
    return (int(found[1]), int(found[2])) if found else None


def _figure(language: str, explanation: Explanation) -> dict[str, Any]:
    """The token × token heatmap, in words and numbers for those who do not see it."""
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
