"""Open in the lab: a tab's texts and reading go into the lab's form, as a link would bring them. Computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import LAST_LAYER, READING_FIELDS, Reading
from demo.lab import Lab
from demo.ui.kit.view import next_seq
from demo.ui.live.tab import Widgets

OPEN_JS = "(...values) => { document.querySelector('#view-heatmap-button').click(); return values; }"


def keep_form(lab_widgets: Widgets) -> dict:
    """A handler's answer where there is nothing to open."""
    return {lab_widgets.heatmap: gr.skip()}


def open_in_lab(
    lab: Lab, lab_widgets: Widgets, reading: Reading, questions: Sequence[str], answers: Sequence[str]
) -> dict:
    """A handler's answer that makes live.js fill the form and ask. Answer i belongs to question i.

    The only output is the heatmap: live.js passes the values on to the form's widgets.
    """
    linked = form_values(lab, reading)
    form = {"questions": "\n".join(questions), "answers": "\n".join(answers), "matches": "", **linked}
    updates: dict[str, dict[str, Any]] = {name: {"value": value} for name, value in form.items()}
    updates["layer"]["maximum"] = count_layers(lab, reading.model)
    return {lab_widgets.heatmap: {"seq": next_seq(), "updates": updates, "linked": linked}}


def form_values(lab: Lab, reading: Reading) -> dict[str, Any]:
    """A reading as the lab's widgets take it, the last layer by its number."""
    values = reading.to_dict()
    chosen = {name: values[name] for name in READING_FIELDS if name not in ("task", "template") or values[name]}
    layer = count_layers(lab, reading.model) if reading.layer == LAST_LAYER else reading.layer
    return {"model": reading.model, **chosen, "layer": layer}


def count_layers(lab: Lab, model: str) -> int:
    """How many layers a model has; one that is neither loaded nor listed is opened for that."""
    known = lab.engine.loaded(model) or CATALOG.get(model) or lab.open(model)
    return known.n_layers
