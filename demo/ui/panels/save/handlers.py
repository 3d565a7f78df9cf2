"""Save: the heatmap's comparison becomes files. Computes nothing: the lab compares the same texts once more.

Pictures are drawn in the browser (save.js). A file does not stay on the server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from demo.domain.results import LargeComparison
from demo.export.report import prepare_report, render_figure, render_report
from demo.export.vectors import WRITERS
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.downloads import FETCH, Downloads
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.panel import Panel
from demo.ui.kit.unexpected import explain_error
from demo.ui.live.form import Form
from demo.ui.panels.save.panel import FILES, PICTURES, show_note

_PAGES = {"report": render_report, "html": render_figure}
NAMES = {  # file names by kind
    "report": "report.html",
    "html": "heatmap.html",
    "csv": "similarity.csv",
    "npz": "embeddings.npz",
    "safetensors": "embeddings.safetensors",
}
_ANSWERED = "() => JSON.stringify(window.lab.answered ?? null)"
_PICTURE = "() => {{ document.dispatchEvent(new CustomEvent('lab:picture', {{ detail: '{}' }})); }}"


def choose_writer(
    language: str, lab: Lab, kind: str, large: LargeComparison, scale: str
) -> tuple[str, Callable[[Path], None]]:
    """(a file's name, its writer). kind: one of FILES. Raises ModelLoading."""
    name = NAMES[kind]
    if kind not in _PAGES:
        return name, partial(WRITERS[Path(name).suffix], large)
    info = lab.open(large.reading.model, wait=False)
    page = _PAGES[kind](language, prepare_report(language, large, info, scale, partial(lab.code, wait=False)))
    return name, lambda path: path.write_text(page, encoding="utf-8")


class SaveHandlers:
    """One instance serves every person."""

    def __init__(self, lab: Lab, widgets: Panel):
        self.lab = lab
        self.widgets = widgets
        self._downloads = Downloads(widgets.file)

    def on_open(self, request: gr.Request) -> dict:
        """The hint, in the person's language."""
        return {self.widgets.note: show_note(choose_language(request))}

    def on_save(self, kind: str, request: gr.Request, answered: Any) -> dict:
        """A file of the heatmap, or why there is none. answered: the heatmap's form, as JSON."""
        language, fields = choose_language(request), _parse_form(answered)
        file, message = None, "" if fields is not None else translate(language, "save.nothing")
        if fields is not None:
            try:
                form = Form.parse(fields)
                # The vectors were computed for the page just now: the cache has them.
                shown = self.lab.compare(**form.texts, **form.reading, wait=False)
                large = self.lab.compare_large(shown.pairing, **form.reading)
                file = self._downloads.create(*choose_writer(language, self.lab, kind, large, form.scale))
            except Exception as error:  # a full disk, for example
                message = explain_error(language, error, "a file to save")
        return {self.widgets.file: file, self.widgets.note: show_note(language, message)}


def _parse_form(text: Any) -> Mapping[str, Any] | None:
    """The form of the heatmap, as live.js sends it; None if there is no heatmap."""
    try:
        form = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return form if isinstance(form, Mapping) else None


def wire_save(page: gr.Blocks, lab: Lab, widgets: Panel) -> None:
    """The fold's events."""
    handlers = SaveHandlers(lab, widgets)
    shown = [widgets.note, widgets.file]
    widgets.fold.expand(handlers.on_open, None, widgets.note, queue=False, **QUIET)

    def wire(kind: str) -> None:
        def on_click(request: gr.Request, answered: Any) -> dict:
            return handlers.on_save(kind, request, answered)

        made = getattr(widgets, kind).click(
            on_click, widgets.answered, shown, js=_ANSWERED, concurrency_limit=2, **QUIET
        )
        made.then(None, widgets.file, None, js=FETCH, **QUIET)

    for kind in FILES:
        wire(kind)
    for kind in PICTURES:
        getattr(widgets, kind).click(None, None, None, js=_PICTURE.format(kind), **QUIET)
