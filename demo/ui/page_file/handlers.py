"""The file's handlers: a file comes, is read otherwise, or goes, and every tab's choice of texts follows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any

import gradio as gr

from demo.files.columns import EACH_ROW, UNKNOWN
from demo.files.pairing import load_pairing_table
from demo.lab import Lab
from demo.ui.gradio.event_options import LIVE, QUIET
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.page_jobs import open_session
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_note
from demo.ui.kit.unexpected import explain_error
from demo.ui.page_file.bar import COLUMNS, DRAWN, FILE, OPEN_JS
from demo.ui.page_file.pasted import read_pasted
from demo.ui.page_file.registry import LIMITS, PAGE_FILES, PageFile
from demo.ui.page_file.text import (
    column_choices,
    file_label,
    label_choices,
    render_preview,
    render_recognised,
)

_KEEP_JS = "(name) => { window.lab.keepFile(name); }"
_REMEMBER_JS = "(remembered, ...chosen) => [window.lab.rememberedFile(), ...chosen]"
_PASTED_JS = "(pasted, ...chosen) => [window.lab.pastedRows(), ...chosen]"
_TAKE_JS = "(answer) => { window.lab.takePasted(JSON.parse(answer)); }"


class PageFileHandlers:
    """One instance serves every page. sources: the tabs' choices of texts; buttons: those that let people choose."""

    def __init__(self, lab: Lab, widgets: Panel, sources: Iterable[gr.Radio], buttons: Iterable[gr.Button] = ()):
        self.lab, self.widgets, self.buttons = lab, widgets, list(buttons)
        self.others = {source: [value for _, value in source.choices] for source in sources}
        self._fits_all = min(lab.limits.texts, isqrt(lab.limits.cells))  # rows that every tab takes

    def on_load(self, request: gr.Request, remembered: str, *chosen: Any) -> dict:
        """The page opens, perhaps once more: its file is there again, or has to be dropped again."""
        language, file = choose_language(request), PAGE_FILES.get(open_session(request))
        if file is None and not remembered and "lang" not in request.query_params:
            return {self.widgets.note: gr.skip()}  # as it was built
        lost = bool(remembered) and file is None
        problem = translate(language, "page_file.lost", name=str(remembered)[:80]) if lost else ""
        named = {button: gr.update(value=translate(language, "label.page_file_open")) for button in self.buttons}
        return {**named, **self._answer(request, chosen, problem, opened=True)}

    def on_upload(self, request: gr.Request, path: str | None, *chosen: Any) -> dict:
        """A file becomes the page's; of an unusable one the problem is said, and the file before it stays."""
        language, key, problem = choose_language(request), open_session(request), ""
        if not path:
            return {self.widgets.upload: None}
        try:
            PAGE_FILES.put(key, PageFile.of(load_pairing_table(path, LIMITS)))
        except Exception as error:
            problem = explain_error(language, error, "an upload")
            if PAGE_FILES.get(key):
                problem = f"{problem} {translate(language, 'page_file.stays')}"
        finally:
            Path(path).unlink(missing_ok=True)
        return {self.widgets.upload: None, **self._answer(request, chosen, problem, opened=not problem)}

    def on_columns(self, request: gr.Request, question: Any, answer: Any, label: Any, named: Any, *chosen: Any) -> dict:
        """Other columns are chosen, or the first row holds texts instead of names."""
        key = open_session(request)
        file = PAGE_FILES.get(key)
        if file is not None:
            table = file.table
            if table.may_be_unnamed and bool(named) != table.named:
                PAGE_FILES.put(key, replace(PageFile.of(replace(table, named=bool(named))), drawn=file.drawn))
            elif all(place in range(len(table.names)) for place in (question, answer)):  # else made by hand
                known = label in (EACH_ROW, UNKNOWN, *range(len(table.names)))
                PAGE_FILES.put(key, file.under(int(question), int(answer), label if known else EACH_ROW))
        return self._answer(request, chosen)

    def on_take(self, request: gr.Request, take: str, *chosen: Any) -> dict:
        """Of a file that is too large, other questions are taken."""
        key = open_session(request)
        file = PAGE_FILES.get(key)
        if file is not None:
            PAGE_FILES.put(key, replace(file, drawn=take == DRAWN))
        return self._answer(request, chosen)

    def on_paste(self, request: gr.Request, pasted: Any, *chosen: Any) -> dict:
        """A table was pasted into a box: its texts for the boxes, or the page's file."""
        read = read_pasted(choose_language(request), self.lab, open_session(request), pasted)
        bar = self._answer(request, chosen, opened=True) if read.get("file") else {}
        return {self.widgets.pasted: json.dumps(read), **bar}

    def on_close(self, request: gr.Request, *chosen: Any) -> dict:
        """The file goes, from every tab."""
        PAGE_FILES.close(open_session(request))
        return self._answer(request, chosen)

    def _answer(self, request: gr.Request, chosen: tuple, problem: str = "", opened: bool = False) -> dict:
        """The bar, and every tab's choice. opened: all tabs take the file now."""
        language, widgets = choose_language(request), self.widgets
        file = PAGE_FILES.get(open_session(request))
        answer = {
            widgets.bar: gr.update(visible=file is not None),
            widgets.note: render_note("", problem),
            widgets.remembered: file.table.name if file else "",
            **dict(self._choices(language, file, chosen, opened)),
        }
        if file is None:
            return answer | dict.fromkeys(widgets.select("said", "preview"), "")
        table, columns = file.table, file.columns
        choices = column_choices(language, table)
        return answer | {
            widgets.said: render_recognised(language, file),
            widgets.take: gr.update(visible=len(table.rows) > self._fits_all, value=DRAWN if file.drawn else "first"),
            widgets.preview: render_preview(language, file),
            widgets.question: gr.update(choices=choices, value=columns.question),
            widgets.answer: gr.update(choices=choices, value=columns.answer),
            widgets.label: gr.update(choices=label_choices(language, table), value=columns.label),
            widgets.named: gr.update(value=table.named, visible=table.may_be_unnamed),
        }

    def _choices(
        self, language: str, file: PageFile | None, chosen: tuple, opened: bool
    ) -> Iterator[tuple[gr.Radio, dict]]:
        """Every tab's choice as it is now."""
        for (source, others), value in zip(self.others.items(), chosen, strict=True):
            choices = [(translate(language, f"label.source_{other}"), other) for other in others]
            if file is not None:
                choices.append((file_label(language, file), FILE))
            value = FILE if file and opened else value if file or value in others else others[0]
            yield source, gr.update(choices=choices, value=value, label=translate(language, "label.source"))


def wire_page_file(page: gr.Blocks, lab: Lab, widgets: Panel, panels: Iterable[Any]) -> None:
    """The bar's events, and those of the tabs' buttons. panels: the tabs, of which some take a file."""
    tabs = [panel for panel in panels if hasattr(panel, "open")]
    sources = [panel.source for panel in tabs if hasattr(panel, "source")]
    buttons = [panel.open for panel in tabs]
    handlers = PageFileHandlers(lab, widgets, sources, buttons)
    chosen = widgets.select(*COLUMNS)
    said = widgets.select("bar", "note", "remembered", "said", "preview", "take")
    outputs = [*said, *chosen, *sources]
    came = widgets.upload.upload(handlers.on_upload, [widgets.upload, *sources], [widgets.upload, *outputs], **QUIET)
    gone = widgets.close.click(handlers.on_close, sources, outputs, **QUIET)
    taken = widgets.take.input(handlers.on_take, [widgets.take, *sources], outputs, **LIVE)
    read = gr.on([widget.input for widget in chosen], handlers.on_columns, [*chosen, *sources], outputs, **LIVE)
    inputs = [widgets.remembered, *sources]
    back = page.load(handlers.on_load, inputs, [*outputs, *buttons], js=_REMEMBER_JS, queue=False, **QUIET)
    paste = [handlers.on_paste, [widgets.pasted, *sources], [widgets.pasted, *outputs]]
    pasted = widgets.paste.click(*paste, js=_PASTED_JS, queue=False, **QUIET)
    pasted.then(None, widgets.pasted, None, js=_TAKE_JS, **QUIET)
    for changed in (came, gone, taken, read, back, pasted):
        changed.then(None, widgets.remembered, None, js=_KEEP_JS, **QUIET)
    gr.on([button.click for button in buttons], None, js=OPEN_JS, **QUIET)
