"""Pairs tab: a job tab whose texts are those of the boxes, or a file of pairs. Sweep and Recommend are built on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo.domain.errors import DemoError
from demo.domain.results import LabelledSet
from demo.files.examples import Capacity
from demo.files.labelled import LabelledLimits, make_labelled_set
from demo.files.table import Table, load_table
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.ui.gradio.event_options import LIVE, QUIET
from demo.ui.kit.i18n import choose_language, translate, translate_error, translate_phrase
from demo.ui.kit.job_tab import DRAWN, FILE_TYPES, TAKES, JobTab, TabEvent, read_upload
from demo.ui.kit.page_jobs import PageJob
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_note
from demo.ui.live.form import Form

SOURCES = ("texts", "file")
_RUNNING, _WAITING = 2, 8  # jobs of all pages, of each tab
_MAX_TEXTS = 400  # distinct ones of a file: each runs through a model once a prompt
_MAX_PAIRS = 2_000
_MAX_BYTES = 4 * 2**20


@dataclass(eq=False)
class PairsPage(PageJob):
    """One open page, its file and its last result."""

    table: Table | None = None  # the uploaded file
    labelled: LabelledSet | None = None  # of it
    input: tuple = ()  # of the last job, as the tab's `_input` gives it
    failed: DemoError | None = None  # of the last job; shown until its input changes
    result: Any = None
    result_input: tuple = ()


def create_source(panel: Panel) -> None:
    """The widgets `source`, `upload`, `upload_note` and `take`."""
    with gr.Row(elem_classes="choices-row"):
        panel.create_choice("source", SOURCES, elem_classes="segments pairs-source")
    with panel.create("file", gr.Row, elem_classes="choices-row pairs-file"):
        options = {"size": "sm", "file_types": FILE_TYPES, "min_width": 0, "elem_classes": "pairs-upload"}
        panel.create("upload", gr.UploadButton, **options)
        panel.create_html("upload_note", elem_classes="note pairs-note")
        panel.create_choice("take", TAKES, visible=False)


class PairsTab(JobTab):
    """A JobTab with the widgets of `create_source`, whose form has `lab` and `source`."""

    def __init__(self, lab: Lab, widgets: Panel, create_page: Callable[[], PairsPage] = PairsPage):
        super().__init__(lab, widgets, JobQueue(_RUNNING, _WAITING), create_page)
        self._limits = LabelledLimits(characters=lab.limits.characters, bytes=_MAX_BYTES, cells=lab.limits.cells)
        self._capacity = Capacity(texts=_MAX_TEXTS, rows=_MAX_PAIRS, cells=lab.limits.cells)

    def on_upload(self, request: gr.Request, path: str | None, take: str) -> dict:
        """A file becomes a set of pairs, or a sentence on what is wrong with it."""
        language, page, problem = choose_language(request), self.pages.of(request), ""
        if path:
            page.table, problem = read_upload(language, path, lambda file: load_table(file, self._limits))
        return self._read_table(language, page, take, problem)

    def on_take(self, request: gr.Request, take: str) -> dict:
        """Of a file that is too large, other questions are taken."""
        return self._read_table(choose_language(request), self.pages.of(request), take)

    def _read_table(self, language: str, page: PairsPage, take: str, problem: str = "") -> dict:
        page.failed = page.labelled = None
        try:
            if page.table:
                page.labelled = make_labelled_set(
                    page.table, self._limits, capacity=self._capacity, drawn=take == DRAWN
                )
        except DemoError as error:
            problem = translate_error(language, error)
        note = _uploaded_note(language, page.labelled) if page.labelled else ""
        note = note or ("" if problem else translate(language, "sweep.formats"))
        return {
            self.widgets.upload_note: render_note(note, problem),
            self.widgets.take: gr.update(visible=bool(page.labelled and page.labelled.partial)),
        }

    def chosen_texts(self, event: TabEvent) -> dict[str, Any] | None:
        """The texts as the lab takes them; None, and a note, where the file is missing."""
        if event.form.source != "file":
            return event.form.lab.texts
        if event.page.labelled is not None:
            return {"labelled": event.page.labelled}
        missing = render_note(event.say("sweep.formats"), event.say("sweep.upload.missing"))
        event.updates[self.widgets.upload_note] = missing
        return None

    def wire_source(self) -> None:
        """The events of the file."""
        widgets = self.widgets
        read = widgets.select("upload_note", "take")
        for trigger in (widgets.view.opened, widgets.upload.upload):
            trigger(self.on_upload, widgets.select("upload", "take"), read, **QUIET)
        widgets.take.input(self.on_take, widgets.take, read, **LIVE)


def texts_input(page: PairsPage, source: str, lab: Form) -> tuple[str, ...]:
    """The texts of the boxes that a job is about; () where it is about a file."""
    return () if source == "file" and page.labelled else (lab.questions, lab.answers, lab.matches)


def _uploaded_note(language: str, labelled: LabelledSet) -> str:
    """The contents of an uploaded set, in numbers."""
    kind = "graded" if labelled.graded else "binary"
    counts = {
        "questions": f"{len(labelled.questions):,}",
        "answers": f"{len(labelled.answers):,}",
        "pairs": f"{len(labelled.pairs):,}",
        "right": f"{sum(label == 1 for label in labelled.labels):,}",
    }
    note = translate(language, f"sweep.uploaded.{kind}", name=labelled.name, **counts)
    return " ".join([note, *(translate_phrase(language, notice) for notice in labelled.notices)])
