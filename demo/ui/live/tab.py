"""The lab's widgets, and where they stand. Builds only: no event, no lab, no text of a person.

Wide: texts and reading in a column on the left, the views beside them, the heatmap first. Small: style.css turns the
same widgets into a page with the view on top, texts folded above it and the reading as a sheet below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import gradio as gr

from demo.domain.datamodels import DEFAULT_TASK, TEXT, ModelStatus, Pooling, Postprocess, Prompt, Reference, Served
from demo.figures.similarity import SCALES
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.live.examples import ExampleSet
from demo.ui.live.heatmap import create_heatmap, create_piece

# As the pipeline goes.
READING = ("model", "prompt", "task", "template", "eos", "pooling", "layer", "postprocess", "reference")
FORM_FIELDS = ("questions", "answers", "matches", *READING, "scale")  # a comparison's choices
NOTED = (*FORM_FIELDS, "examples")
WORDED = {"task": Prompt.E5_INSTRUCT, "template": Prompt.CUSTOM}  # boxes that only one prompt needs
_NOTE_JS = """element.addEventListener('click', (event) => {
    if (event.target.closest('button')) trigger('click');
});"""


@dataclass
class Widgets:
    """What the page can read and write. `notes` are the lines under the boxes: a hint, or what is wrong.

    What an answer says in words are the pieces (`create_piece`): they come with the heatmap's payload.
    """

    questions: gr.Textbox
    answers: gr.Textbox
    matches: gr.Textbox
    matches_fold: gr.Accordion
    examples: gr.Dropdown
    model: gr.Dropdown
    prompt: gr.Dropdown
    task: gr.Textbox
    template: gr.Textbox
    eos: gr.Checkbox
    pooling: gr.Dropdown
    layer: gr.Slider
    postprocess: gr.Dropdown
    reference: gr.Radio
    scale: gr.Radio
    compute: gr.Button
    heatmap: gr.HTML
    link: gr.Textbox  # never shown: what the address says, when the page opens
    view_heatmap: gr.Tab
    notes: dict[str, gr.HTML] = field(default_factory=dict)

    @property
    def choices(self) -> list[gr.components.Component]:
        """What a comparison is made of, in the order in which the handler takes it."""
        return [getattr(self, name) for name in FORM_FIELDS]

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        return {name: getattr(self, name) for name in (*FORM_FIELDS, "matches_fold", "examples", "compute")}


def create_lab_tab(
    settings: Settings,
    first: ModelStatus | None,
    article: ExampleSet,
    create_panels: Callable[[], None] = lambda: None,
    create_views: Callable[[], None] = lambda: None,
) -> Widgets:
    """Everything on the page. first: what is known of the model that the page opens with.

    create_panels builds what stands under the heatmap, create_views the tabs behind it.
    """
    notes: dict[str, gr.HTML] = {}
    create_piece("status")
    with gr.Row(elem_id="bench"):
        with gr.Column(elem_id="texts", elem_classes="fold"):
            create_piece("texts_head")
            with gr.Column(elem_classes="fold-body"):
                widgets = _create_texts(notes, article)
        # Before the views: at each edit Gradio's front end looks every choice up among the page's parts, one by one.
        with gr.Column(elem_id="reading", elem_classes="fold"):
            create_piece("reading_head")
            with gr.Column(elem_classes="fold-body"):
                widgets |= _create_reading(notes, settings, first)
        with gr.Column(elem_id="hero"), gr.Tabs(elem_id="views", overflow_behavior="wrap"):
            with gr.Tab(label("view_heatmap"), id="heatmap", elem_id="view-heatmap", render_children=True) as tab:
                heatmap = create_heatmap()
                with gr.Row(elem_id="scale-row", elem_classes="choices-row"):
                    scale = gr.Radio(
                        [(label(f"scale_{name}"), name) for name in SCALES],
                        value="fit",
                        label=label("scale"),
                        elem_id="scale",
                        elem_classes="segments",
                    )
                    notes["scale"] = _create_note("scale")
                create_piece("verdict")
                create_piece("metrics")
                create_piece("notices")
                create_panels()
            create_views()
    return Widgets(
        **widgets,
        scale=scale,
        heatmap=heatmap,
        link=gr.Textbox(visible=False),
        view_heatmap=tab,
        notes=notes,
    )


def _create_texts(notes: dict[str, gr.HTML], article: ExampleSet) -> dict[str, gr.blocks.Block]:
    widgets = {
        "examples": gr.Dropdown(
            [(article.title["en"], article.id)],
            value=article.id,
            label=label("examples"),
            elem_id="examples",
            filterable=False,
        )
    }
    notes["examples"] = _create_note("examples")
    for name, lines in (("questions", article.questions), ("answers", article.answers)):
        widgets[name] = gr.Textbox(
            value="\n".join(lines),
            label=label(name),
            placeholder=label(f"{name}_placeholder"),
            lines=3,
            max_lines=7,
            elem_id=name,
            elem_classes="texts-box",
        )
        notes[name] = _create_note(name)
    with gr.Accordion(label("matches_fold"), open=False, elem_id="matches-fold") as widgets["matches_fold"]:
        widgets["matches"] = gr.Textbox(
            value=article.matches,
            label=label("matches"),
            info=label("matches_info"),
            placeholder="1-2, 2-1",
            max_lines=1,
            elem_id="matches",
        )
        notes["matches"] = _create_note("matches")
    return widgets


def _create_reading(
    notes: dict[str, gr.HTML], settings: Settings, first: ModelStatus | None
) -> dict[str, gr.blocks.Block]:
    default = first.default_reading if first else None
    widgets: dict[str, gr.components.Component] = {}
    widgets["model"] = gr.Dropdown(
        [(first.name, first.model)] if first else [settings.model],
        value=settings.model,
        label=label("model"),
        allow_custom_value=True,  # what this host does not offer is refused by the lab, in words
        elem_id="model",
    )
    notes["model"] = _create_note("model")
    prompt = default.prompt if default else Prompt.PLAIN
    widgets["prompt"] = gr.Dropdown(
        [choice.value for choice in Prompt],
        value=prompt.value,
        label=label("prompt"),
        elem_id="prompt",
        filterable=False,
    )
    notes["prompt"] = _create_note("prompt")
    for name, words in (("task", DEFAULT_TASK), ("template", TEXT)):
        widgets[name] = gr.Textbox(
            value=words,
            label=label(name),
            placeholder=label("template_placeholder") if name == "template" else DEFAULT_TASK,
            lines=2,
            max_lines=5,
            elem_id=name,
            visible=prompt is WORDED[name],
        )
        notes[name] = _create_note(name)
    here = not (first and first.host)  # whatever runs elsewhere has no such choices
    widgets["eos"] = gr.Checkbox(value=bool(default and default.eos), label=label("eos"), elem_id="eos", visible=here)
    notes["eos"] = _create_note("eos")
    widgets["pooling"] = gr.Dropdown(
        [pooling.value for pooling in (Pooling if here else Served)],
        value=default.pooling.value if default else Pooling.LAST_TOKEN.value,
        label=label("pooling"),
        elem_id="pooling",
        filterable=False,
    )
    notes["pooling"] = _create_note("pooling")
    n_layers = first.n_layers if first else 1
    widgets["layer"] = gr.Slider(
        *(0, max(1, n_layers)),  # a slider of no length is none to Gradio
        value=n_layers,
        step=1,
        label=label("layer"),
        elem_id="layer",
        interactive=True,
        visible=here,
    )
    notes["layer"] = _create_note("layer")
    widgets["postprocess"] = gr.Dropdown(
        [method.value for method in Postprocess],
        value=(default.postprocess if default else Postprocess.NONE).value,
        label=label("postprocess"),
        elem_id="postprocess",
        filterable=False,
    )
    notes["postprocess"] = _create_note("postprocess")
    widgets["reference"] = gr.Radio(
        [(label(f"reference_{choice.value}"), choice.value) for choice in Reference],
        value=Reference.TEXTS.value,
        label=label("reference"),
        elem_id="reference",
        elem_classes="segments",
        visible=bool(default and default.postprocess is not Postprocess.NONE),
    )
    notes["reference"] = _create_note("reference")
    widgets["compute"] = gr.Button(label("compute"), variant="primary", visible=not settings.live, elem_id="compute")
    return widgets


def _create_note(name: str) -> gr.HTML:
    return create_piece(f"{name}-note", elem_classes="note", js_on_load=_NOTE_JS)
