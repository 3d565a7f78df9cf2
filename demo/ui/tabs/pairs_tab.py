"""Pairs tab: a job tab whose texts are those of the boxes, or the page's file. Sweep and Recommend are built on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo.domain.errors import DemoError
from demo.domain.results import LabelledSet
from demo.files.examples import Capacity
from demo.files.labelled import LabelledLimits, make_labelled_set
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.ui.kit.i18n import translate
from demo.ui.kit.job_tab import JobTab, TabEvent
from demo.ui.kit.page_jobs import PageJob
from demo.ui.kit.panel import Panel
from demo.ui.live.form import Form
from demo.ui.page_file.bar import FILE
from demo.ui.page_file.registry import PAGE_FILES, PageFile
from demo.ui.page_file.text import note_part, render_part

_RUNNING, _WAITING = 2, 8  # jobs of all pages, of each tab
_MAX_TEXTS = 400  # distinct ones of a file: each runs through a model once a prompt
_MAX_PAIRS = 2_000


@dataclass(eq=False)
class PairsPage(PageJob):
    """One open page and its last result."""

    input: tuple = ()  # of the last job, as the tab's `_input` gives it
    failed: DemoError | None = None  # of the last job; shown until its input changes
    result: Any = None
    result_input: tuple = ()


class PairsTab(JobTab):
    """A JobTab with the widgets of `create_source`, whose form has `lab` and `source`."""

    def __init__(self, lab: Lab, widgets: Panel, create_page: Callable[[], PairsPage] = PairsPage):
        super().__init__(lab, widgets, JobQueue(_RUNNING, _WAITING), create_page)

    def chosen_texts(self, event: TabEvent) -> dict[str, Any] | None:
        """The texts as the lab takes them; None where there is no file. Raises BadInput, of a file."""
        if event.form.source != FILE:
            return event.form.lab.texts
        file = PAGE_FILES.get(event.key)
        return {"labelled": labelled_part(self.lab, file)} if file else None

    def texts_input(self, event: TabEvent) -> tuple:
        """What a job would be about: the file as it is read now, or the texts of the boxes."""
        lab, file = event.form.lab, PAGE_FILES.get(event.key) if event.form.source == FILE else None
        return (file.serial,) if file else (lab.questions, lab.answers, lab.matches)

    @staticmethod
    def boxes_of(lab: Form, texts: tuple) -> dict[str, str]:
        """What of `texts_input` stands in the lab's form: of a file nothing."""
        return dict(zip(lab.texts, texts, strict=True)) if len(texts) > 1 else {}

    def controls(self, event: TabEvent) -> dict[Any, Any]:
        """As any job tab's, and what is taken of the file."""
        note = render_labelled(event.language, self.lab, event.key) if event.form.source == FILE else ""
        return {**super().controls(event), self.widgets.source_note: note}

    def wire(self, page: gr.Blocks, inputs: Sequence, outputs: Sequence, polls: Iterable = ()) -> None:
        """As any job tab's, and other texts."""
        super().wire(page, inputs, outputs, [*polls, self.widgets.source.input])


def labelled_part(lab: Lab, file: PageFile) -> LabelledSet:
    """The pairs that are taken of a page's file. Raises BadInput."""
    limits = LabelledLimits(characters=lab.limits.characters, cells=lab.limits.cells)
    capacity = Capacity(texts=_MAX_TEXTS, rows=_MAX_PAIRS, cells=lab.limits.cells)
    return file.part(
        "pairs",
        lambda file: make_labelled_set(file.table, limits, choice=file.columns, capacity=capacity, drawn=file.drawn),
    )


def render_labelled(language: str, lab: Lab, page: str) -> str:
    """The pairs that are taken of a page's file, in numbers, or why none are. page: its id."""
    return render_part(language, PAGE_FILES.get(page), lambda file: _describe(language, file, labelled_part(lab, file)))


def _describe(language: str, file: PageFile, labelled: LabelledSet) -> str:
    kind = "graded" if labelled.graded else "binary"
    counts = {
        "questions": f"{len(labelled.questions):,}",
        "answers": f"{len(labelled.answers):,}",
        "pairs": f"{len(labelled.pairs):,}",
        "right": f"{sum(label == 1 for label in labelled.labels):,}",
    }
    said = translate(language, f"page_file.pairs.{kind}", name=labelled.name, **counts)
    return note_part(language, file, labelled.notices, said)
