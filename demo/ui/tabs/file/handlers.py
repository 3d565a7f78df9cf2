"""The file tab's handlers: a comparison of all texts of a file in a job, its progress and its result.

While it runs, the part of the matrix that is computed already is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from demo.analysis.seriation import ORDERS, Orders
from demo.domain.datamodels import Pairing
from demo.domain.errors import DemoError
from demo.domain.results import LargeComparison
from demo.files.pairing import PairingLimits, pair_portion
from demo.files.table import Table
from demo.jobs.queue import JobQueue, OnProgress
from demo.lab import Lab
from demo.ui.gradio.event_options import LIVE, QUIET
from demo.ui.kit.downloads import FETCH, Downloads
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.job_tab import JobTab, Payload, TabEvent
from demo.ui.kit.page_jobs import open_session
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_note
from demo.ui.kit.unexpected import explain_error
from demo.ui.kit.view import next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.page_file.registry import PAGE_FILES, PageFile
from demo.ui.page_file.text import note_part, render_part
from demo.ui.panels.save.handlers import choose_writer
from demo.ui.panels.save.panel import FILES
from demo.ui.tabs.file.matrix import show_matrix
from demo.ui.tabs.file.pages import Page, ResultCache, Run
from demo.ui.tabs.file.text import (
    formats_note,
    matrix_alt,
    part_note,
    plan_note,
    render_best,
    render_result,
    render_scores,
    render_worst,
    running_note,
)

_WAITING = 8  # comparisons in the queue; one of all pages runs


@dataclass(frozen=True)
class _Form:
    """The values of the lab's own widgets, and the order of rows and columns."""

    lab: Form
    order: str


class FileHandlers(JobTab):
    """One instance serves every page; a Page holds the state of each."""

    name = "file"

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Widgets):
        super().__init__(lab, widgets, JobQueue(1, _WAITING), Page)
        self.results = ResultCache()
        self.limits = PairingLimits(texts=lab.settings.max_file_texts, characters=lab.settings.max_characters)
        self._downloads = Downloads(widgets.file)

    def on_order(self, request: gr.Request, order: str) -> dict:
        """Another order of rows and columns: the order alone is sent."""
        language, page, result = choose_language(request), self.pages.of(request), self._result(request)
        if result is None or page.job is not None or order not in ORDERS:
            return {self.widgets.matrix: gr.skip()}
        orders = ORDERS[order](result.similarity)
        return {
            self.widgets.matrix: show_matrix(language, orders=orders),
            self.widgets.best: render_best(language, result, orders),
        }

    def on_download(self, kind: str, request: gr.Request) -> dict:
        """The result as a file. kind: one of FILES."""
        language, result = choose_language(request), self._result(request)
        if result is None:
            problem = translate(language, "file.gone")
        else:
            try:
                path = self._downloads.create(*choose_writer(language, self.lab, kind, result, "fit"))
                return {self.widgets.file: path, self.widgets.taken: ""}
            except Exception as error:  # a full disk, for example
                problem = explain_error(language, error, "a file to take home")
        return {self.widgets.file: None, self.widgets.taken: render_note("", problem)}

    def read(self, values: tuple) -> _Form:
        *lab, order = values
        return _Form(Form.from_widgets(lab), order)

    def start(self, event: TabEvent) -> None:
        page, pairing = event.page, self._pairing(event.key)
        if pairing is None:
            return
        run = Run(pairing, event.form.lab.reading)
        page.start(self.queue, self._work(event.key, run), self.name)
        page.run, page.failed, page.stopped = run, None, False

    def _work(self, key: str, run: Run) -> Callable[[OnProgress], None]:
        def on_part(part: np.ndarray) -> None:
            run.part = part

        def work(on_progress: OnProgress) -> None:
            result = self.lab.compare_large(run.pairing, on_progress=on_progress, on_part=on_part, **run.reading)
            self.results.put(key, run, result)  # not in the job: its page may never poll it again

        return work

    def end(self, event: TabEvent) -> None:
        page, job, run = event.page, event.job, event.page.run
        run.part = None
        job.raise_unexpected()
        page.stopped, page.failed = job.stopped, job.error
        if not job.stopped and job.error is None:
            page.result_run = run
        result = self.results.get(event.key)
        if result and (page.result_run is run or run.shown):  # the new one, or the last one in the place of a part
            event.updates |= self._result_updates(event, result)

    def resend(self, event: TabEvent) -> None:
        page, result = event.page, self.results.get(event.key)
        page.texts = None
        if page.run is not None:
            page.run.shown = None
        if result is not None and not page.running:
            event.updates |= self._result_updates(event, result)

    def show(self, event: TabEvent) -> Payload:
        language, page, run, lab = event.language, event.page, event.page.run, event.form.lab
        if event.job.running:
            return self._show_part(event)
        pairing, kept = self._pairing(event.key), self.results.run_of(event.key)
        if page.failed is not None:
            if run.pairing is pairing and run.reading == lab.reading:
                raise page.failed.with_traceback(None)
            page.failed = None
        state, notes = "stale", [event.say("file.stopped")] if page.stopped else []
        if kept is None:
            if run and page.result_run is run:
                notes.append(event.say("file.gone"))
            elif run and run.shown:
                notes.append(part_note(language, run.shown))
            else:
                state, notes = "idle", notes or [event.say("file.press" if pairing else "file.idle")]
        elif PAGE_FILES.get(event.key) is None:
            notes.append(event.say("page_file.closed"))
        elif kept.pairing is not pairing:
            notes.append(event.say("file.stale.file"))
        elif kept.reading != lab.reading:
            notes.append(event.say("file.stale.reading"))
        else:
            state = "ready"
        of = kept or page.result_run
        return show_view(language, next_seq(), state, " ".join(notes), of=of.reading if of else None)

    def controls(self, event: TabEvent) -> dict[Any, Any]:
        file, pairing, running = PAGE_FILES.get(event.key), self._pairing(event.key), event.job.running
        plan = plan_note(event.language, pairing, self._reading_name(event.form.lab))
        note = render_note(formats_note(event.language, self.limits))
        if file is not None:
            note = render_part(
                event.language, file, lambda file: note_part(event.language, file, self._take(file)[1].notices)
            )
        return {
            **super().controls(event),
            self.widgets.run: gr.update(interactive=pairing is not None and not running),
            self.widgets.recommend: gr.update(visible=pairing is not None),
            self.widgets.plan: render_note(plan),
            self.widgets.note: note,
        }

    def _take(self, file: PageFile) -> tuple[Pairing, Table]:
        """The file's texts, and the rows that were taken. Raises BadInput."""
        return file.part(self.name, lambda file: pair_portion(file.table, file.columns, self.limits, file.drawn))

    def _pairing(self, key: str) -> Pairing | None:
        """The texts of a page's file; None where it has none, or its columns cannot be used."""
        file = PAGE_FILES.get(key)
        with suppress(DemoError):
            return self._take(file)[0] if file else None
        return None

    def _show_part(self, event: TabEvent) -> Payload:
        """Progress, and the part of the matrix that was computed since the last poll."""
        run, progress, part = event.page.run, event.job.progress, event.page.run.part
        if part is not None and part.shape != run.shown:
            event.updates[self.widgets.matrix] = self._matrix(event, run.pairing, part)
            run.shown = part.shape
        texts = len(run.pairing.questions) + len(run.pairing.answers)
        return self.show_running(event, running_note(event.language, progress, texts, run.shown))

    def _result_updates(self, event: TabEvent, result: LargeComparison) -> dict:
        """The whole result."""
        language, order = event.language, event.form.order
        orders = ORDERS[order if order in ORDERS else "given"](result.similarity)
        return {
            self.widgets.matrix: self._matrix(event, result.pairing, result.similarity, orders),
            self.widgets.verdict: render_result(language, result),
            self.widgets.facts: render_scores(language, result),
            self.widgets.worst: render_worst(language, result),
            self.widgets.best: render_best(language, result, orders),
            self.widgets.taken: "",
        }

    def _matrix(
        self, event: TabEvent, pairing: Pairing, similarity: np.ndarray, orders: Orders | None = None
    ) -> Payload:
        """The matrix's payload; texts that the browser has are not sent again."""
        page = event.page
        with_texts, page.texts = page.texts is not pairing, pairing
        alt = matrix_alt(event.language, similarity, pairing)
        return show_matrix(event.language, similarity, pairing, orders, alt, with_texts)

    def _result(self, request: gr.Request) -> LargeComparison | None:
        return self.results.get(open_session(request))

    def _reading_name(self, lab: Form) -> str:
        """The lab's reading in one line."""
        known = self.lab.engine.loaded(lab.model) or self.lab.status(lab.model)
        parts = [known.name if known else lab.model, lab.prompt + (" + EOS" if lab.eos else "")]
        parts += [lab.pooling, f"layer {lab.layer}"]
        return " · ".join([*parts, lab.postprocess] if lab.signed else parts)


def wire_file(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""
    handlers = FileHandlers(lab, widgets, lab_widgets)
    inputs = [*lab_widgets.choices, widgets.order]
    results = ("view", "matrix", "verdict", "facts", "worst", "best", "taken")
    outputs = widgets.select(*results, "run", "stop", "recommend", "plan", "note")
    handlers.wire(page, inputs, outputs)
    widgets.recommend.click(None, js="() => { window.lab.recommend('file'); }", **QUIET)
    widgets.order.input(handlers.on_order, widgets.order, widgets.select("matrix", "best"), **LIVE)

    def wire_download(kind: str) -> None:
        def on_click(request: gr.Request) -> dict:
            return handlers.on_download(kind, request)

        written = getattr(widgets, kind).click(on_click, None, widgets.select("file", "taken"), **QUIET)
        written.then(None, widgets.file, None, js=FETCH, **QUIET)

    for kind in FILES:
        wire_download(kind)
