"""A tab's texts and reading go into the lab's widgets, as a link would bring them. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import LAST_LAYER, Reading
from demo.lab import Lab
from demo.ui.kit.i18n import translate, translate_word
from demo.ui.live.form import READING
from demo.ui.live.handlers import Session
from demo.ui.live.heatmap import show_state
from demo.ui.live.tab import Widgets

VISIT_JS = "(...values) => { document.querySelector('#view-heatmap-button').click(); return values; }"


def visited(lab_widgets: Widgets) -> list[gr.blocks.Block]:
    """What a visit may change."""
    return [getattr(lab_widgets, name) for name in ("questions", "answers", "matches", *READING, "heatmap")]


def stay(lab_widgets: Widgets) -> dict:
    """The answer where there is nothing to bring."""
    return {lab_widgets.heatmap: gr.skip()}


def visit_lab(
    language: str,
    lab: Lab,
    lab_widgets: Widgets,
    session: Session,
    reading: Reading,
    questions: Sequence[str],
    answers: Sequence[str],
) -> dict:
    """The widgets' new values, whose changes draw the heatmap. Answer i belongs to question i."""
    entry = CATALOG.get(reading.model)
    layers = entry.n_layers if entry else lab.open(reading.model).n_layers
    chosen = _choices(reading, layers)
    answer = {lab_widgets.questions: "\n".join(questions), lab_widgets.answers: "\n".join(answers)}
    answer[lab_widgets.matches] = ""
    answer |= {getattr(lab_widgets, name): value for name, value in chosen.items()}
    answer[lab_widgets.layer] = gr.update(value=chosen["layer"], maximum=layers)
    if session.model != reading.model:
        # As a link would: the reading is kept until the model is there, and the heatmap asks until it is.
        session.linked = chosen
        stage = translate_word(language, "stage", "starting")
        name = entry.name if entry else reading.model
        note = translate(language, "heatmap.loading", model=name, stage=stage)
        answer[lab_widgets.heatmap] = show_state(language, session.seq, "loading", note)
    return answer


def _choices(reading: Reading, n_layers: int) -> dict[str, Any]:
    """A reading as the lab's widgets take it."""
    told = reading.to_dict()
    chosen = {name: told[name] for name in READING if name not in ("task", "template") or told[name]}
    return {**chosen, "layer": n_layers if reading.layer == LAST_LAYER else reading.layer}
