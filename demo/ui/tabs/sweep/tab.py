"""The Sweep tab's widgets: what to sweep, Sweep and Stop, and the places of the results. Builds only."""

from __future__ import annotations

import gradio as gr

from demo.domain.datamodels import Postprocess, Prompt, Reference
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.panel import Panel
from demo.ui.kit.view import create_view
from demo.ui.page_file.bar import create_source

FIGURES = ("auc", "margin")  # the figures of right and wrong pairs; grades have Spearman alone
BEST_METHOD = "best"
METHODS = (BEST_METHOD, *(method.value for method in Postprocess))
FORM = ("source", "prompts", "eos", "reference", "figure", "method")  # the inputs of every event, after the lab's own
# Until the model is known; Gradio refuses a tick that is not among the choices.
_OF_SOME_MODELS = (Prompt.CHAT, Prompt.OWN, Prompt.CUSTOM, Prompt.TOKEN_PREPENDING)  # the last takes an EOS token
FOR_EVERY_MODEL = [p.value for p in Prompt if p not in _OF_SOME_MODELS]


def create_sweep_tab(settings: Settings) -> Panel:
    """The widgets, inside the tab that is being built."""
    panel = Panel("sweep")
    create_source(panel)
    with panel.create("fold", gr.Accordion, open=False):
        panel.create("prompts", gr.CheckboxGroup, choices=FOR_EVERY_MODEL, value=FOR_EVERY_MODEL, interactive=True)
        with gr.Row(elem_classes="choices-row"):
            panel.create_choice("reference", [choice.value for choice in Reference])
            panel.create("eos", gr.Checkbox, interactive=True, container=False)
    with gr.Row(elem_id="sweep-start", elem_classes="choices-row"):
        panel.create_button("run", variant="primary")
        panel.create_button("stop", variant="secondary", visible=False)
        panel.create_html("estimate")
    with gr.Column(elem_id="sweep-found"):
        panel.create_html("verdict")
        panel.create_button("use_best", value=label("sweep_use"), variant="primary", interactive=False)
        with gr.Row(elem_id="sweep-choices", elem_classes="choices-row"):
            panel.create_choice("figure", FIGURES)
            panel.create_choice("method", METHODS)
        panel.create_html("hint")
        with gr.Row(elem_id="sweep-pick", elem_classes="choices-row"):
            panel.create_html("picked")
            panel.create_button("use_picked", value=label("sweep_use"), visible=False)
    panel.put("view", create_view("sweep", follow=True))
    panel.create_html("scores")
    return panel
