"""The file tab's widgets: a file, its columns, Compare and Stop, and where what was found stands. Builds only."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from demo.files.pairing import EACH_ROW, UNKNOWN
from demo.settings import Settings
from demo.ui.kit.i18n import label
from demo.ui.kit.view import create_view
from demo.ui.panels.save.panel import FILES
from demo.ui.tabs.file.matrix import create_matrix

ORDERS = ("given", "best", "clustered")  # as seriation.py names them


@dataclass(frozen=True)
class FileWidgets:
    """What the tab can read and write."""

    upload: gr.File
    note: gr.HTML
    preview: gr.HTML
    columns: gr.Row
    question: gr.Dropdown
    answer: gr.Dropdown
    label: gr.Dropdown
    named: gr.Checkbox
    run: gr.Button
    stop: gr.Button
    plan: gr.HTML
    view: gr.HTML  # how far it is, and what went wrong; it has no figure of its own
    verdict: gr.HTML
    facts: gr.HTML
    found: gr.Row
    order: gr.Radio
    matrix: gr.HTML
    takes: dict[str, gr.Button]  # what gives a file, by its kind
    taken: gr.HTML
    file: gr.DownloadButton  # never seen: what was made is fetched through it
    worst: gr.HTML
    best: gr.HTML

    @property
    def chosen(self) -> list[gr.components.Component]:
        """Which columns of the file hold what."""
        return [self.question, self.answer, self.label, self.named]

    @property
    def labelled(self) -> dict[str, gr.blocks.Block]:
        """What has a label, by the label's name."""
        names = ("upload", "question", "answer", "label", "named", "run", "stop", "order")
        takes = {f"file_{kind}": button for kind, button in self.takes.items()}
        return {f"file_{name}": getattr(self, name) for name in names} | takes


def create_file_tab(settings: Settings) -> FileWidgets:
    """The widgets, inside the tab that is being built."""
    upload = gr.File(label=label("file_upload"), elem_id="file-upload", height=72, interactive=True)
    note = gr.HTML(elem_id="file-note", elem_classes="note", apply_default_css=False)
    preview = gr.HTML(elem_id="file-preview", apply_default_css=False)
    with gr.Row(elem_id="file-columns", elem_classes="choices-row", visible=False) as columns:
        question, answer = _create_column("question", []), _create_column("answer", [])
        told = _create_column("label", [(label(f"file_label_{name}"), name) for name in (EACH_ROW, UNKNOWN)])
        named = gr.Checkbox(label=label("file_named"), elem_id="file-named", interactive=True, container=False)
    with gr.Row(elem_id="file-start", elem_classes="choices-row"):
        run = gr.Button(
            label("file_run"), variant="primary", size="sm", elem_id="file-run", min_width=0, interactive=False
        )
        stop = gr.Button(label("file_stop"), size="sm", elem_id="file-stop", visible=False, min_width=0)
        plan = gr.HTML(elem_id="file-plan", apply_default_css=False)
    view = create_view("file", follow=True)
    verdict = gr.HTML(elem_id="file-verdict", apply_default_css=False)
    facts = gr.HTML(elem_id="file-facts", elem_classes="facts", apply_default_css=False)
    with gr.Row(elem_id="file-found", elem_classes="choices-row") as found:
        order = gr.Radio(
            [(label(f"file_order_{name}"), name) for name in ORDERS],
            value=ORDERS[0],
            label=label("file_order"),
            elem_id="file-order",
            elem_classes="segments",
            interactive=True,
        )
    matrix = create_matrix("file-matrix")
    worst = gr.HTML(elem_id="file-worst", apply_default_css=False)
    best = gr.HTML(elem_id="file-best", apply_default_css=False)
    with gr.Row(elem_id="file-taking", elem_classes="choices-row"):
        takes = {
            kind: gr.Button(label(f"file_{kind}"), size="sm", elem_id=f"file-{kind}", min_width=0) for kind in FILES
        }
        taken = gr.HTML(elem_id="file-taken", apply_default_css=False)
        file = gr.DownloadButton("", elem_id="file-download", visible="hidden")
    return FileWidgets(
        upload=upload,
        note=note,
        preview=preview,
        columns=columns,
        question=question,
        answer=answer,
        label=told,
        named=named,
        run=run,
        stop=stop,
        plan=plan,
        view=view,
        verdict=verdict,
        facts=facts,
        found=found,
        order=order,
        matrix=matrix,
        takes=takes,
        taken=taken,
        file=file,
        worst=worst,
        best=best,
    )


def _create_column(name: str, choices: list) -> gr.Dropdown:
    return gr.Dropdown(
        choices,
        value=choices[0][1] if choices else None,
        label=label(f"file_{name}"),
        elem_id=f"file-{name}",
        filterable=False,
        interactive=True,
        min_width=0,
    )
