"""The file tab's handlers: compares all of a file in its own job queue, tells how far that is, shows the result.

Computes nothing. A comparison has a thread of its own, so that nobody's heatmap waits for it; the view's `tick` asks
for it, and for the part of the picture that is there so far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np

from demo.analysis.seriation import ORDERS
from demo.domain.errors import DemoError, Stopped
from demo.domain.results import LargeComparison
from demo.files.pairing import PairingLimits
from demo.jobs.queue import JobQueue, OnProgress
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.downloads import FETCH, Downloads
from demo.ui.kit.i18n import choose_language, translate, translate_error
from demo.ui.kit.page_jobs import PageJobs
from demo.ui.kit.text import render_note
from demo.ui.kit.unexpected import report_unexpected
from demo.ui.kit.view import answer_view, next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.panels.save.handlers import choose_writer
from demo.ui.tabs.file.columns import FileColumns
from demo.ui.tabs.file.matrix import show_matrix
from demo.ui.tabs.file.pages import Kept, Page, Run
from demo.ui.tabs.file.tab import FileWidgets
from demo.ui.tabs.file.text import (
    part_note,
    picture_alt,
    plan_note,
    render_best,
    render_facts,
    render_found,
    render_worst,
    running_note,
)

_WAITING = 8  # comparisons in line; one at a time runs, all people taken together


class FileHandlers:
    """The tab's answers. One instance serves every person; what is theirs is in a Page."""

    def __init__(self, lab: Lab, widgets: FileWidgets, lab_widgets: Widgets):
        self.lab = lab
        self.widgets = widgets
        self.lab_widgets = lab_widgets
        self.queue = JobQueue(1, _WAITING)
        self.pages = PageJobs(Page)
        self.kept = Kept()
        limits = PairingLimits(texts=lab.settings.max_file_texts, characters=lab.settings.max_characters)
        self.columns = FileColumns(widgets, self.pages, limits)
        self._downloads = Downloads(widgets.file)

    def on_run(self, request: gr.Request, *values: Any) -> dict:
        """Begin, or take a place in the line, unless this page has a comparison under way."""

        def begin(page: Page, asked: Form) -> None:
            self._settle(page)
            if page.job is None and page.pairing is not None:
                page.failed, page.stopped, page.stopping = None, False, False
                page.run = Run(page.pairing, asked.reading)
                page.job = self.queue.submit(self._work(request.session_hash or "", page.run), "large")

        return self._answer(request, values, begin)

    def on_stop(self, request: gr.Request, *values: Any) -> dict:
        """Ask it to end after the texts under way, or leave the line."""
        return self._answer(request, values, lambda page, asked: page.stop())

    def on_tick(self, request: gr.Request, *values: Any) -> dict:
        """What is to be seen now. Never waits for a comparison."""
        return self._answer(request, values, lambda page, asked: None)

    def on_order(self, request: gr.Request, order: str) -> dict:
        """Another order of rows and columns: the order alone is sent."""
        language, page, found = choose_language(request), self.pages.of(request), self._found(request)
        if found is None or page.running or order not in ORDERS:
            return {self.widgets.matrix: gr.skip()}
        orders = ORDERS[order](found.similarity)
        return {
            self.widgets.matrix: show_matrix(language, orders=orders),
            self.widgets.best: render_best(language, found, orders),
        }

    def on_take(self, kind: str, request: gr.Request) -> dict:
        """What was found as a file. kind: one of FILES."""
        language, found = choose_language(request), self._found(request)
        if found is None:
            return self._refuse(translate(language, "file.gone"))
        try:
            path = self._downloads.create(*choose_writer(language, self.lab, kind, found, "fit"))
        except DemoError as error:
            return self._refuse(translate_error(language, error))
        except Exception as error:  # a full disk, say: the page must stay usable
            return self._refuse(report_unexpected(language, error, "a file to take home"))
        return {self.widgets.file: path, self.widgets.taken: ""}

    def on_leave(self, request: gr.Request) -> None:
        """The page is gone: its comparison need not go on. What was found stays, for a phone that only slept."""
        self.pages.of(request).stop()

    # ---- a comparison and its end ---------------------------------------------------------------------------------

    def _work(self, session: str, run: Run) -> Callable[[OnProgress], None]:
        def on_part(part: np.ndarray) -> None:
            run.part = part

        def work(on_progress: OnProgress) -> None:
            found = self.lab.compare_large(run.pairing, on_progress=on_progress, on_part=on_part, **run.reading)
            self.kept.put(session, found)  # not in the job, whose page may never ask for it again

        return work

    def _settle(self, page: Page) -> None:
        """Take note of how a comparison ended."""
        if page.job is None or page.running:
            return
        job, page.job = page.job, None
        try:
            job.result()
            page.found_run = page.run
        except Stopped:
            page.stopped = True
        except DemoError as error:
            page.failed = error
        finally:
            page.run.part = None

    def _found(self, request: gr.Request) -> LargeComparison | None:
        return self.kept.get(request.session_hash or "")

    # ---- what is said ---------------------------------------------------------------------------------------------

    def _answer(self, request: gr.Request, values: tuple, change: Callable[[Page, Form], None]) -> dict:
        """Change something of this page; then the view, and what is new beside it."""
        language, page = choose_language(request), self.pages.of(request)
        *chosen, order = values
        asked = Form.from_widgets(chosen)
        answer: dict[Any, Any] = {}
        with page.lock:

            def tell() -> dict:
                change(page, asked)
                return self._tell(request, language, page, asked, order, answer)

            payload = answer_view(language, tell)
            running = page.job is not None
            answer[self.widgets.run] = gr.update(interactive=page.pairing is not None and not running)
            answer[self.widgets.stop] = gr.update(visible=running)
            answer[self.widgets.plan] = render_note(plan_note(language, page.pairing, self._reading_name(asked)))
        return {self.widgets.view: payload, **answer}

    def _tell(self, request, language: str, page: Page, asked: Form, order: str, answer: dict) -> dict:
        """The view's payload. What belongs to a new picture goes into `answer`. Raises what the comparison raised."""
        if page.running:
            return self._progress(language, page, answer)
        ended = page.job is not None
        self._settle(page)
        found = self._found(request)
        if ended and found and (page.found_run is page.run or page.run.shown):
            answer |= self._show(language, page, found, order)  # the new one, or the last one in the place of a part
        if page.failed is not None:
            if page.run.pairing is page.pairing and page.run.reading == asked.reading:
                raise page.failed.with_traceback(None)
            page.failed = None
        notes = [translate(language, "file.stopped")] if page.stopped else []
        if found is None:
            gone = page.found_run is not None and page.found_run is page.run
            if gone or (page.run and page.run.shown):
                notes.append(translate(language, "file.gone") if gone else part_note(language, page.run.shown))
                return show_view(language, next_seq(), "stale", " ".join(notes))
            notes = notes or [translate(language, "file.press" if page.pairing else "file.idle")]
            return show_view(language, next_seq(), "idle", " ".join(notes))
        changed = self._changed(page, asked)
        if changed:
            notes.append(translate(language, f"file.stale.{changed}"))
        return show_view(language, next_seq(), "stale" if changed else "ready", " ".join(notes))

    def _progress(self, language: str, page: Page, answer: dict) -> dict:
        """How far it is, and the part of the picture that has come since."""
        run, progress, part = page.run, page.job.progress, page.run.part
        if part is not None and part.shape != run.shown:
            answer[self.widgets.matrix] = self._picture(language, page, run.pairing, part)
            run.shown = part.shape
        texts = len(run.pairing.questions) + len(run.pairing.answers)
        note = running_note(language, progress, page.job.ahead, page.stopping, texts, run.shown)
        return show_view(language, next_seq(), "running", note, progress.fraction, poll=True)

    def _show(self, language: str, page: Page, found: LargeComparison, order: str) -> dict:
        """Everything that is to be seen of a whole comparison."""
        orders = ORDERS[order if order in ORDERS else "given"](found.similarity)
        return {
            self.widgets.matrix: self._picture(language, page, found.pairing, found.similarity, orders),
            self.widgets.verdict: render_found(language, found),
            self.widgets.facts: render_facts(language, found),
            self.widgets.worst: render_worst(language, found),
            self.widgets.best: render_best(language, found, orders),
            self.widgets.taken: "",
        }

    def _picture(self, language: str, page: Page, pairing, similarity: np.ndarray, orders=None) -> dict:
        """The matrix's payload; texts that the browser has are not sent again."""
        with_texts, page.texts = page.texts is not pairing, pairing
        alt = picture_alt(language, similarity, pairing)
        return show_matrix(language, similarity, pairing, orders, alt, with_texts)

    @staticmethod
    def _changed(page: Page, asked: Form) -> str:
        """What is chosen that was not compared: "file", "reading", or "" where all of it was."""
        if page.found_run.pairing is not page.pairing:
            return "file"
        return "reading" if page.found_run.reading != asked.reading else ""

    def _reading_name(self, asked: Form) -> str:
        """The lab's choices in one line."""
        info = self.lab.engine.loaded(asked.model or "")
        names = {status.model: status.name for status in self.lab.models()}
        model = info.name if info else names.get(asked.model, asked.model)
        parts = [model, asked.prompt + (" + EOS" if asked.eos else ""), asked.pooling, f"layer {asked.layer}"]
        return " · ".join([*parts, asked.postprocess] if asked.signed else parts)

    def _refuse(self, sentence: str) -> dict:
        return {self.widgets.file: None, self.widgets.taken: render_note("", sentence)}


def wire_file(page: gr.Blocks, lab: Lab, widgets: FileWidgets, lab_widgets: Widgets, session: gr.State) -> None:
    """The tab's events."""
    handlers = FileHandlers(lab, widgets, lab_widgets)
    columns = handlers.columns
    live = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": 8}
    asked = [*lab_widgets.choices, widgets.order]
    shown = [
        *(widgets.view, widgets.run, widgets.stop, widgets.plan, widgets.matrix, widgets.verdict, widgets.facts),
        *(widgets.worst, widgets.best, widgets.taken),
    ]
    read = [widgets.note, widgets.preview, widgets.columns, *widgets.chosen]
    # What a file comes to is told by the next tick: the plan, and whether there is something to compare.
    tick = {"fn": handlers.on_tick, "inputs": asked, "outputs": shown, **live}
    widgets.upload.upload(columns.on_upload, widgets.upload, [widgets.upload, *read], **QUIET).then(**tick)
    choices = [widgets.question.input, widgets.answer.input, widgets.label.input, widgets.named.input]
    gr.on(choices, columns.on_columns, widgets.chosen, read, **live).then(**tick)
    widgets.view.tick(**tick)
    widgets.run.click(handlers.on_run, asked, shown, **QUIET)
    widgets.stop.click(handlers.on_stop, asked, shown, **QUIET)
    widgets.order.input(handlers.on_order, widgets.order, [widgets.matrix, widgets.best], **live)

    def wire_take(kind: str) -> None:
        def on_click(request: gr.Request) -> dict:
            return handlers.on_take(kind, request)

        made = widgets.takes[kind].click(on_click, None, [widgets.file, widgets.taken], **QUIET)
        made.then(None, widgets.file, None, js=FETCH, **QUIET)

    for kind in widgets.takes:
        wire_take(kind)
    widgets.view.opened(columns.on_load, None, widgets.note, queue=False, **QUIET)
    page.unload(handlers.on_leave)
