"""The Sweep tab's widgets: what to sweep over, Sweep and Stop, and where what was found stands. Builds only."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from demo.domain.datamodels import Postprocess, Prompt, Reference
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.view import create_view

SOURCES = ("texts", "file")
FIGURES = ("auc", "margin")  # what pairs of right and wrong can be judged by; grades have Spearman alone
BEST_METHOD = "best"
METHODS = (BEST_METHOD, *(method.value for method in Postprocess))
FILE_TYPES = [".csv", ".tsv", ".txt"]
# Until the model is known; Gradio refuses a tick that is not among the choices.
FOR_EVERY_MODEL = [p.value for p in Prompt if p not in (Prompt.CHAT, Prompt.OWN, Prompt.CUSTOM)]


@dataclass(frozen=True)
class SweepWidgets:
    """What the tab can read and write."""

    source: gr.Radio
    upload: gr.UploadButton
    upload_note: gr.HTML
    fold: gr.Accordion
    prompts: gr.CheckboxGroup
    eos: gr.Checkbox
    reference: gr.Radio
    run: gr.Button
    stop: gr.Button
    estimate: gr.HTML
    verdict: gr.HTML
    use_best: gr.Button
    figure: gr.Radio
    method: gr.Radio
    hint: gr.HTML
    picked: gr.HTML
    use_picked: gr.Button
    view: gr.HTML
    scores: gr.HTML

    @property
    def choices(self) -> list[gr.components.Component]:
        """What a sweep is asked with, beside the lab's own choices."""
        return [self.source, self.prompts, self.eos, self.reference, self.figure, self.method]

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        names = ("source", "upload", "fold", "prompts", "eos", "reference", "run", "stop", "figure", "method")
        return {f"sweep_{name}": getattr(self, name) for name in names}


def create_sweep_tab(settings: Settings) -> SweepWidgets:
    """The widgets, inside the tab that is being built."""
    with gr.Row(elem_classes="choices-row"):
        source = _create_choice("source", SOURCES)
    with gr.Row(elem_id="sweep-file", elem_classes="choices-row"):
        upload = gr.UploadButton(
            label("sweep_upload"), elem_id="sweep-upload", size="sm", file_types=FILE_TYPES, min_width=0
        )
        upload_note = gr.HTML(elem_id="sweep-upload-note", elem_classes="note", apply_default_css=False)
    with gr.Accordion(label("sweep_fold"), open=False, elem_id="sweep-fold") as fold:
        prompts = gr.CheckboxGroup(
            FOR_EVERY_MODEL,
            value=FOR_EVERY_MODEL,
            label=label("sweep_prompts"),
            elem_id="sweep-prompts",
            interactive=True,
        )
        with gr.Row(elem_classes="choices-row"):
            reference = _create_choice("reference", tuple(choice.value for choice in Reference))
            eos = gr.Checkbox(label=label("sweep_eos"), elem_id="sweep-eos", interactive=True, container=False)
    with gr.Row(elem_id="sweep-start", elem_classes="choices-row"):
        run = gr.Button(label("sweep_run"), variant="primary", size="sm", elem_id="sweep-run", min_width=0)
        stop = gr.Button(
            label("sweep_stop"), variant="secondary", size="sm", elem_id="sweep-stop", visible=False, min_width=0
        )
        estimate = gr.HTML(elem_id="sweep-estimate", apply_default_css=False)
    with gr.Column(elem_id="sweep-found"):
        verdict = gr.HTML(elem_id="sweep-verdict", apply_default_css=False)
        use_best = gr.Button(
            label("sweep_use"), variant="primary", size="sm", elem_id="sweep-use-best", min_width=0, interactive=False
        )
        with gr.Row(elem_id="sweep-choices", elem_classes="choices-row"):
            figure = _create_choice("figure", FIGURES)
            method = _create_choice("method", METHODS)
        hint = gr.HTML(elem_id="sweep-hint", apply_default_css=False)
        with gr.Row(elem_id="sweep-pick", elem_classes="choices-row"):
            picked = gr.HTML(elem_id="sweep-picked", apply_default_css=False)
            use_picked = gr.Button(
                label("sweep_use"), size="sm", elem_id="sweep-use-picked", visible=False, min_width=0
            )
    view = create_view("sweep", follow=True)
    scores = gr.HTML(elem_id="sweep-scores", apply_default_css=False)
    return SweepWidgets(
        source=source,
        upload=upload,
        upload_note=upload_note,
        fold=fold,
        prompts=prompts,
        eos=eos,
        reference=reference,
        run=run,
        stop=stop,
        estimate=estimate,
        verdict=verdict,
        use_best=use_best,
        figure=figure,
        method=method,
        hint=hint,
        picked=picked,
        use_picked=use_picked,
        view=view,
        scores=scores,
    )


def _create_choice(name: str, values: tuple[str, ...]) -> gr.Radio:
    return gr.Radio(
        [(label(f"sweep_{name}_{value}"), value) for value in values],
        value=values[0],
        label=label(f"sweep_{name}"),
        elem_id=f"sweep-{name}",
        elem_classes="segments",
        interactive=True,
    )
