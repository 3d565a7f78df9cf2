"""The lab's widgets, and where they stand. Builds only: no events, no lab.

Wide: texts, recipes and the folded choices of the reading in a column on the left, the views beside them. Small:
base.css turns the same widgets into a page with the view on top, texts folded and recipes above it, and the choices as
a sheet below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from demo.domain.choices import DEFAULT_TASK
from demo.domain.datamodels import TEXT, ModelStatus, Pooling, Postprocess, Prompt, Reference, Served
from demo.figures.similarity import SCALES
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.panel import Panel, UncheckedSlider
from demo.ui.live.examples import load_examples
from demo.ui.live.form import FORM_FIELDS, PROMPT_BOXES
from demo.ui.live.heatmap import create_heatmap, create_piece


class Widgets(Panel):
    """The lab's own widgets by name: FORM_FIELDS, `examples`, `compute`, `heatmap`, and where they stand."""

    @property
    def choices(self) -> list[gr.components.Component]:
        """The form's widgets, in the order of FORM_FIELDS."""
        return self.select(*FORM_FIELDS)

    def create_dropdown(self, name: str, choices: list, value: Any, **options: Any) -> gr.Dropdown:
        """A list to choose from, and its note."""
        self.create(name, gr.Dropdown, choices=choices, value=value, filterable=False, **options)
        _create_note(name)


def create_lab_tab(
    settings: Settings,
    first: ModelStatus | None,
    create_panels: Callable[[], None] = lambda: None,
    create_views: Callable[[], None] = lambda: None,
    create_head: Callable[[], None] = lambda: None,
) -> Widgets:
    """Everything on the page. first: the status of the model that the page opens with.

    create_panels builds what stands under the heatmap, create_views the tabs behind it, create_head what is over them.
    """
    widgets = Widgets()
    create_piece("status")
    with gr.Row(elem_id="bench"):
        with gr.Column(elem_id="head"):
            create_head()
        with gr.Column(elem_id="side"):
            with gr.Column(elem_id="texts", elem_classes="fold"):
                create_piece("texts_head")
                with gr.Column(elem_classes="fold-body"):
                    _create_texts(widgets)
            create_piece("recipes")
            widgets.create("compute", gr.Button, variant="primary", visible=not settings.live)
            with gr.Column(elem_id="reading", elem_classes="fold"):
                create_piece("reading_head")
                with gr.Column(elem_classes="fold-body"):
                    _create_reading(widgets, settings.model, first)
        with gr.Column(elem_id="hero"), gr.Tabs(elem_id="views", overflow_behavior="wrap"):
            tab = gr.Tab(label("view_heatmap"), id="heatmap", elem_id="view-heatmap", render_children=True)
            with widgets.put("view_heatmap", tab):
                create_piece("verdict")
                widgets.put("heatmap", create_heatmap())
                with gr.Row(elem_id="scale-row", elem_classes="choices-row"):
                    widgets.create("scale", gr.Radio, choices=list(SCALES), value="fit", elem_classes="segments")
                    _create_note("scale")
                create_piece("metrics")
                create_piece("history")
                create_piece("notices")
                create_panels()
            create_views()
    return widgets


def _create_texts(widgets: Widgets) -> None:
    sets = load_examples()
    article = next(iter(sets.values()))
    # The labels come in the person's language with the first answer.
    widgets.create(
        "examples",
        gr.Dropdown,
        choices=[(each.title["en"], each.id) for each in sets.values()],
        value=article.id,
        filterable=False,
    )
    create_piece("texts-tools")
    _create_note("examples")
    for name, lines in (("questions", article.questions), ("answers", article.answers)):
        box = {"lines": 3, "max_lines": 7, "elem_classes": "texts-box"}
        widgets.create(name, gr.Textbox, value="\n".join(lines), **box)
        _create_note(name)
    with widgets.create("matches_fold", gr.Accordion, open=False):
        widgets.create("matches", gr.Textbox, value=article.matches, placeholder="1-2, 2-1", max_lines=1)
        _create_note("matches")


def _create_reading(widgets: Widgets, model: str, first: ModelStatus | None) -> None:
    default = first.default_reading if first else None
    widgets.create(
        "model",
        gr.Dropdown,
        choices=[(first.name, first.model)] if first else [model],
        value=model,
        allow_custom_value=True,  # the lab refuses in words what this host does not offer
    )
    _create_note("model")
    prompt = default.prompt if default else Prompt.PLAIN
    widgets.create_dropdown("prompt", [choice.value for choice in Prompt], prompt.value)
    for name, value in (("task", DEFAULT_TASK), ("template", TEXT)):
        box: dict[str, Any] = {"lines": 2, "max_lines": 5, "visible": prompt is PROMPT_BOXES[name]}
        if name == "task":
            box["placeholder"] = DEFAULT_TASK
        widgets.create(name, gr.Textbox, value=value, **box)
        _create_note(name)
    here = not (first and first.host)  # a model that runs elsewhere has no such choices
    widgets.create("eos", gr.Checkbox, value=bool(default and default.eos), visible=here)
    _create_note("eos")
    # All of them, since Gradio's server accepts no others later; the first answer leaves those of the model.
    pooling = default.pooling if default else Pooling.LAST_TOKEN
    widgets.create_dropdown("pooling", [choice.value for choice in (*Pooling, *Served)], pooling.value)
    n_layers = first.n_layers if first else 1
    bounds = {"minimum": 0, "maximum": max(1, n_layers), "step": 1}  # a slider of no length is none to Gradio
    widgets.create("layer", UncheckedSlider, value=n_layers, interactive=True, visible=here, **bounds)
    _create_note("layer")
    postprocess = default.postprocess if default else Postprocess.NONE
    widgets.create_dropdown("postprocess", [method.value for method in Postprocess], postprocess.value)
    widgets.create(
        "reference",
        gr.Radio,
        choices=[choice.value for choice in Reference],
        value=Reference.TEXTS.value,
        elem_classes="segments",
        visible=postprocess is not Postprocess.NONE,
    )
    _create_note("reference")


def _create_note(name: str) -> gr.HTML:
    """The line under a box: a hint, or an error."""
    return create_piece(f"{name}-note", elem_classes="note")
