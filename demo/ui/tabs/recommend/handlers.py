"""The Recommend tab's handlers: a recommendation in a job, its progress, and its result. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from demo.domain.results import Candidate, Recommendation
from demo.jobs.queue import OnProgress
from demo.lab import Lab
from demo.ui.kit.job_tab import Payload, TabEvent
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import texts_taken_home
from demo.ui.kit.view import next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.tabs.pairs_tab import PairsPage, PairsTab
from demo.ui.tabs.recommend.tab import FIRST_BUDGET, FORM, budgets
from demo.ui.tabs.recommend.text import (
    recommend_figures,
    render_candidates,
    render_found,
    render_rows,
    running_note,
)


@dataclass(frozen=True)
class _Form:
    """The widgets' values: the lab's own, then those of FORM."""

    lab: Form
    source: str
    budget: str


@dataclass(eq=False)
class _Run:
    """A recommendation on its way: what its thread has reached, and what the browser has of that."""

    texts: Mapping[str, Any] = field(default_factory=dict)  # of a file, to take home
    part: tuple[Candidate, ...] = ()
    shown: tuple[Candidate, ...] = ()


@dataclass(eq=False)
class _Page(PairsPage):
    """One open page; its job is a recommendation."""

    result: Recommendation | None = None
    run: _Run = field(default_factory=_Run)
    result_texts: Mapping[str, Any] = field(default_factory=dict)  # as a run's
    due: bool = False  # the browser has yet to get the result's figures


class RecommendHandlers(PairsTab):
    """One instance serves every page; a _Page holds the state of each."""

    name = "recommend"

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Widgets):
        super().__init__(lab, widgets, _Page)
        self.lab_widgets = lab_widgets
        self._budgets = budgets(lab.settings)

    def read(self, values: tuple) -> _Form:
        *lab, source, budget = values
        return _Form(Form.from_widgets(lab), source, budget if budget in self._budgets else FIRST_BUDGET)

    def start(self, event: TabEvent) -> Payload | None:
        page, form = event.page, event.form
        texts = self.chosen_texts(event)
        if texts is None:
            return show_view(event.language, next_seq(), "idle", event.say("recommend.nothing"))
        labelled = texts.get("labelled")
        run = _Run(texts_taken_home(labelled.questions, labelled.answers) if labelled else {})

        def on_part(part: tuple[Candidate, ...]) -> None:
            run.part = part

        def work(report: OnProgress) -> Recommendation:
            return self.lab.recommend(**texts, seconds=float(form.budget), on_progress=report, on_part=on_part)

        page.start(self.queue, work, self.name)
        page.run, page.failed, page.input = run, None, self.texts_input(event)
        event.updates |= dict.fromkeys(self.widgets.select("verdict", "board"), "")
        return None

    def end(self, event: TabEvent) -> None:
        page, job = event.page, event.job
        job.raise_unexpected()
        page.failed = job.error
        if job.stopped:
            event.note = event.say("recommend.stopped.part" if page.run.part else "recommend.stopped")
        if job.result is not None:
            page.result, page.result_input = job.result, page.input
            page.result_texts, page.run = page.run.texts, _Run()
        self.resend(event)

    def resend(self, event: TabEvent) -> None:
        """The last result, or what a run that was stopped has reached."""
        page = event.page
        page.run.shown, page.due = (), True
        if page.running:
            return
        if page.run.part:
            self._show_part(event)
        elif page.result is not None:
            event.updates |= {
                self.widgets.verdict: render_found(event.language, self.lab, page.result),
                self.widgets.board: render_rows(event.language, self.lab, page.result, page.result_texts),
            }

    def show(self, event: TabEvent) -> Payload:
        language, page, form = event.language, event.page, event.form
        if event.job.running:
            self._show_part(event)
            return self.show_running(event, running_note(language, event.job.progress), figures=[])
        now = self.texts_input(event)
        if page.failed and page.input == now:
            raise page.failed.with_traceback(None)
        if page.run.part or page.result is None:
            note = event.note or event.say("recommend.stopped.part" if page.run.part else "recommend.idle")
            return show_view(language, next_seq(), "ready" if page.run.part else "idle", note, figures=[])
        stale = event.say("recommend.stale") if page.result_input != now else ""
        of = self.boxes_of(form.lab, page.result_input)
        figures, page.due = recommend_figures(language, page.result) if page.due else None, False
        return show_view(
            language, next_seq(), "stale" if stale else "ready", stale or event.note, figures=figures, of=of
        )

    def _show_part(self, event: TabEvent) -> None:
        run = event.page.run
        part = run.part
        if part != run.shown:
            event.updates[self.widgets.board] = render_candidates(event.language, self.lab, part, run.texts)
            run.shown = part


def wire_recommend(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""
    handlers = RecommendHandlers(lab, widgets, lab_widgets)
    inputs = [*lab_widgets.choices, *widgets.select(*FORM)]
    handlers.wire(page, inputs, widgets.select("view", "verdict", "board", "run", "stop", "source_note"))
