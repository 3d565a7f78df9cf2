"""The file tab's upload: a file becomes a preview and columns to choose from, or a sentence on what is wrong with it.

Computes nothing. The file itself is not kept, and no text of it reaches a log.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from demo.domain.errors import DemoError
from demo.files.pairing import EACH_ROW, UNKNOWN, Columns, PairingLimits, guess_columns, load_pairing_table, pair_up
from demo.ui.kit.i18n import choose_language, translate, translate_error
from demo.ui.kit.page_jobs import PageJobs
from demo.ui.kit.text import render_note
from demo.ui.kit.unexpected import report_unexpected
from demo.ui.tabs.file.pages import Page
from demo.ui.tabs.file.tab import FileWidgets
from demo.ui.tabs.file.text import column_choices, file_note, formats_note, label_choices, render_preview


class FileColumns:
    """Answers to what is done with the file. One instance serves every person; what is theirs is in a Page."""

    def __init__(self, widgets: FileWidgets, pages: PageJobs[Page], limits: PairingLimits):
        self.widgets = widgets
        self.pages = pages
        self.limits = limits

    def on_load(self, request: gr.Request) -> dict:
        """What is accepted, in the person's language."""
        return {self.widgets.note: render_note(formats_note(choose_language(request), self.limits))}

    def on_upload(self, request: gr.Request, path: str | None) -> dict:
        """A file becomes rows and columns, or a sentence on what is wrong with it: then the one before stays."""
        language, page = choose_language(request), self.pages.of(request)
        wrong = ""
        if path:
            try:
                page.sheet = load_pairing_table(path, self.limits)
                page.columns = guess_columns(page.sheet)
            except DemoError as error:
                wrong = translate_error(language, error)
            except Exception as error:  # the page must stay usable whatever happens
                wrong = report_unexpected(language, error, "an upload")
            finally:
                Path(path).unlink(missing_ok=True)
        if wrong and page.sheet:
            wrong = f"{wrong} {translate(language, 'file.stays')}"
        return {self.widgets.upload: None, **self._tell(language, page, wrong)}

    def on_columns(self, request: gr.Request, question: Any, answer: Any, label: Any, named: Any) -> dict:
        """Other columns are chosen, or the first row is something else."""
        language, page = choose_language(request), self.pages.of(request)
        if page.sheet is None:
            return {self.widgets.note: gr.skip()}
        if page.sheet.may_be_unnamed and bool(named) != page.sheet.named:
            page.sheet = replace(page.sheet, named=bool(named))
            page.columns = guess_columns(page.sheet)
        else:
            page.columns = Columns(_place(question), _place(answer), _told(label))
        return self._tell(language, page)

    def _tell(self, language: str, page: Page, wrong: str = "") -> dict:
        """What the chosen columns come to, and everything about the file that is to be seen."""
        widgets, sheet, columns = self.widgets, page.sheet, page.columns
        if sheet is None or columns is None:
            return {widgets.note: render_note(formats_note(language, self.limits), wrong)}
        if not wrong:
            page.pairing = None
            try:
                page.pairing = pair_up(sheet, columns, self.limits)
            except DemoError as error:
                wrong = translate_error(language, error)
        choices = column_choices(language, sheet)
        return {
            widgets.note: f"{render_note(file_note(language, sheet))}{render_note('', wrong)}",
            widgets.preview: render_preview(language, sheet, columns),
            widgets.columns: gr.update(visible=True),
            widgets.question: gr.update(choices=choices, value=columns.question),
            widgets.answer: gr.update(choices=choices, value=columns.answer),
            widgets.label: gr.update(choices=label_choices(language, sheet), value=columns.label),
            widgets.named: gr.update(value=sheet.named, visible=sheet.may_be_unnamed),
        }


def _place(value: Any) -> int:
    """A column's place; −1, which no file has, for anything else."""
    return value if type(value) is int else -1


def _told(value: Any) -> int | str:
    return value if type(value) is int or value in (EACH_ROW, UNKNOWN) else EACH_ROW
