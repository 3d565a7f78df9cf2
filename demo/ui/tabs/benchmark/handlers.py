"""The Benchmark tab's handlers: a job measures what is chosen, the view's `tick` shows what is known of it by then.

Computes nothing. One benchmark at a time, all people taken together; what it reached stays, whatever ends it.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo.domain.errors import Busy, Stopped
from demo.files.bundled import load_benchmark
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.page_jobs import PageJobs
from demo.ui.kit.text import render_note
from demo.ui.kit.view import answer_view, next_seq, show_view
from demo.ui.live.tab import Widgets
from demo.ui.tabs.benchmark.runs import Known, Run
from demo.ui.tabs.benchmark.tab import FIRST_SET, SORTS, BenchmarkWidgets
from demo.ui.tabs.benchmark.text import (
    benchmark_figures,
    render_board,
    render_problems,
    render_unavailable,
    running_note,
    set_choices,
)


class BenchmarkHandlers:
    """The tab's answers. One instance serves every person; what is theirs is in a Run."""

    def __init__(self, lab: Lab, widgets: BenchmarkWidgets):
        self.lab = lab
        self.widgets = widgets
        self.queue = JobQueue(workers=1)
        self.pages = PageJobs(Run)
        self.known = Known(lab)

    def on_open(self, request: gr.Request, *values: Any) -> dict:
        """What the boxes offer, in the person's language; then as `on_tick`."""
        language = choose_language(request)
        statuses = self.lab.models()
        ready = {status.model: status.name for status in statuses if status.state != "unavailable"}
        if self.lab.settings.model not in {status.model for status in statuses}:
            ready[self.lab.settings.model] = self.lab.settings.model
        set_name, models, readings, sort = _read(values)
        ticked = [model for model in models if model in ready]
        return {
            self.widgets.set: gr.update(choices=set_choices(language)),
            self.widgets.models: gr.update(choices=[(name, model) for model, name in ready.items()], value=ticked),
            self.widgets.models_note: render_unavailable(language, statuses),
            **self.on_tick(request, set_name, ticked, readings, sort),
        }

    def on_tick(self, request: gr.Request, *values: Any) -> dict:
        """What is known of what is chosen, and how far the job is. Never waits for it."""
        language, run = choose_language(request), self.pages.of(request)
        answer: dict[Any, Any] = {}
        payload = answer_view(language, lambda: self._tell(language, run, values, answer))
        return {self.widgets.view: payload, **answer, **self._buttons(run)}

    def on_run(self, request: gr.Request, *values: Any) -> dict:
        """Measure what is chosen and not known yet, unless this page or another one is at it."""
        language, run = choose_language(request), self.pages.of(request)
        set_name, models, readings, _ = _read(values)
        missing = self.known.missing(set_name, models, readings)
        said = ""
        if not models or not readings:
            said = translate(language, "benchmark.nothing")
        elif missing and not run.running:
            try:
                self._start(run, set_name, missing)
            except Busy:
                said = translate(language, "benchmark.busy")
        answer = self.on_tick(request, *values)
        return {**answer, self.widgets.note: render_note("", said)} if said else answer

    def on_stop(self, request: gr.Request, *values: Any) -> dict:
        """Ask the job to end; a later tick tells that it has."""
        self.pages.of(request).stop()
        return self.on_tick(request, *values)

    def _start(self, run: Run, set_name: str, missing: dict[str, list[str]]) -> None:
        """Raises Busy."""
        labelled = load_benchmark()[set_name]
        run.problems, run.stopping, run.doing = [], False, ("", "", "")
        run.job = self.queue.submit(lambda report: self.known.measure(labelled, missing, run, report), "benchmark")

    def _tell(self, language: str, run: Run, values: tuple, answer: dict) -> dict:
        """The view's payload. A leaderboard that has changed goes into `answer`."""
        set_name, models, readings, sort = _read(values)
        working = run.running  # before the rows: what ends meanwhile is told of by the next tick
        ended = "" if working else self._end(language, run)
        standings = self.known.standings(set_name, models, readings)
        missing = sum(map(len, self.known.missing(set_name, models, readings).values()))
        shown = (language, set_name, sort, tuple(standings))
        figures = None
        if shown != run.shown:
            figures = benchmark_figures(language, standings, sort)
            answer[self.widgets.board] = render_board(language, standings, sort, set_name)
            run.shown = shown
        refused = self.known.refused(models, readings)
        answer[self.widgets.note] = render_problems(language, run.problems, refused)
        if working:
            progress = run.job.progress
            note = running_note(language, run)
            return show_view(language, next_seq(), "running", note, progress.fraction, figures, poll=True)
        if not standings:
            note = ended or translate(language, "benchmark.idle")
            return show_view(language, next_seq(), "idle", note, figures=figures)
        waiting = translate(language, "benchmark.missing", count=missing) if missing else ""
        note = " ".join(filter(None, (ended, waiting)))
        return show_view(language, next_seq(), "ready", note, figures=figures)

    def _end(self, language: str, run: Run) -> str:
        """What is to be said of a job that has ended, once."""
        if run.job is None:
            return ""
        job, run.job = run.job, None
        try:
            job.result()
        except Stopped:
            return translate(language, "benchmark.stopped")
        return ""

    def _buttons(self, run: Run) -> dict:
        running = run.running
        return {
            self.widgets.run: gr.update(interactive=not running),
            self.widgets.stop: gr.update(visible=running),
        }


def _read(values: tuple) -> tuple[str, list[str], list[str], str]:
    """Set, models, readings and order; nothing chosen in a box that must have a choice is its first one."""
    set_name, models, readings, sort = values
    return set_name or FIRST_SET, list(models or ()), list(readings or ()), sort or SORTS[0]


def wire_benchmark(
    page: gr.Blocks, lab: Lab, widgets: BenchmarkWidgets, lab_widgets: Widgets, session: gr.State
) -> None:
    """The tab's events."""
    handlers = BenchmarkHandlers(lab, widgets)
    live = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": 8}
    asked = widgets.choices
    shown = [widgets.view, widgets.board, widgets.note, widgets.run, widgets.stop]
    choices = [widgets.set.input, widgets.models.input, widgets.readings.input, widgets.sort.input]
    gr.on([widgets.view.tick, *choices], handlers.on_tick, asked, shown, **live)
    widgets.run.click(handlers.on_run, asked, shown, **QUIET)
    widgets.stop.click(handlers.on_stop, asked, shown, **QUIET)
    offered = [widgets.set, widgets.models, widgets.models_note]
    widgets.view.opened(handlers.on_open, asked, [*offered, *shown], queue=False, **QUIET)
    page.unload(handlers.pages.close)
