"""The file tab's upload: a file becomes a preview and columns to choose from. Computes nothing.

The file itself is not kept, and no text of it reaches a log.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from demo.domain.errors import DemoError, TooManyTexts
from demo.files.columns import EACH_ROW, UNKNOWN, Columns, guess_columns, negative_places
from demo.files.examples import note_copies, read_examples, take_portion
from demo.files.pairing import PairingLimits, load_pairing_table, pair_up
from demo.files.table import Table
from demo.ui.kit.i18n import choose_language, translate, translate_error
from demo.ui.kit.job_tab import DRAWN, read_upload
from demo.ui.kit.page_jobs import PageJobs
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_note
from demo.ui.tabs.file.pages import Page
from demo.ui.tabs.file.text import column_choices, file_note, formats_note, label_choices, render_preview


class FileColumns:
    """Handlers of the file and its columns. One instance serves every page."""

    def __init__(self, widgets: Panel, pages: PageJobs[Page], limits: PairingLimits):
        self.widgets = widgets
        self.pages = pages
        self.limits = limits

    def on_load(self, request: gr.Request) -> dict:
        """The accepted formats, in the person's language."""
        return {self.widgets.note: render_note(formats_note(choose_language(request), self.limits))}

    def on_upload(self, request: gr.Request, path: str | None) -> dict:
        """A file becomes rows and columns; of an unusable one the problem is said, and the file before it stays."""
        language, page, problem = choose_language(request), self.pages.of(request), ""
        if path:
            read, problem = read_upload(language, path, self._read)
            if read is not None:
                page.table, page.columns = read
        if problem and page.table:
            problem = f"{problem} {translate(language, 'file.stays')}"
        return {self.widgets.upload: None, **self._answer(language, page, problem)}

    def on_columns(self, request: gr.Request, question: Any, answer: Any, label: Any, named: Any) -> dict:
        """Other columns are chosen, or the first row holds texts instead of names."""
        language, page = choose_language(request), self.pages.of(request)
        if page.table is None:
            return {self.widgets.note: gr.skip()}
        if page.table.may_be_unnamed and bool(named) != page.table.named:
            page.table = replace(page.table, named=bool(named))
            page.columns = guess_columns(page.table)
        else:
            known_label = type(label) is int or label in (EACH_ROW, UNKNOWN)
            places = _place(question), _place(answer), label if known_label else EACH_ROW
            page.columns = Columns(*places, negatives=negative_places(page.table, places))
        return self._answer(language, page)

    def on_take(self, request: gr.Request, take: str) -> dict:
        """Of a file that is too large, other questions are taken."""
        page = self.pages.of(request)
        page.drawn = take == DRAWN
        return self._answer(choose_language(request), page)

    def _read(self, path: Path) -> tuple[Table, Columns]:
        table = load_pairing_table(path, self.limits)
        return table, guess_columns(table)

    def _answer(self, language: str, page: Page, problem: str = "") -> dict:
        """The pairs of the chosen columns, and every widget about the file."""
        widgets, table, columns = self.widgets, page.table, page.columns
        if table is None or columns is None:
            return {widgets.note: render_note(formats_note(language, self.limits), problem)}
        taken = page.taken
        if not problem:
            page.pairing, taken = None, table
            try:
                try:
                    page.pairing = pair_up(table, columns, self.limits)
                except TooManyTexts:
                    taken = take_portion(table, columns, self.limits.capacity, page.drawn)
                    page.pairing = pair_up(taken, columns, self.limits)
                taken = replace(taken, notices=taken.notices + note_copies(read_examples(taken, columns)))
            except DemoError as error:
                problem = translate_error(language, error)
            page.taken = taken
        choices = column_choices(language, table)
        return {
            widgets.note: f"{render_note(file_note(language, table, taken.notices))}{render_note('', problem)}",
            widgets.preview: render_preview(language, table, columns),
            widgets.columns: gr.update(visible=True),
            widgets.take: gr.update(visible=taken.partial),
            widgets.question: gr.update(choices=choices, value=columns.question),
            widgets.answer: gr.update(choices=choices, value=columns.answer),
            widgets.label: gr.update(choices=label_choices(language, table), value=columns.label),
            widgets.named: gr.update(value=table.named, visible=table.may_be_unnamed),
        }


def _place(value: Any) -> int:
    """A column's place; −1, which no file has, for anything else."""
    return value if type(value) is int else -1
