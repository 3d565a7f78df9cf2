"""The Benchmark tab's handlers: a job measures the chosen readings, each poll shows the rows so far. Computes nothing.

One benchmark runs at a time, of all pages; its rows stay, however it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from demo.analysis.labelled_sets import labelled_from_pairing
from demo.domain.errors import Busy
from demo.domain.results import LabelledSet
from demo.files.bundled import load_benchmark
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.stages.texts import parse_pairing
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language
from demo.ui.kit.job_tab import JobTab, Payload, TabEvent
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_note, render_unavailable
from demo.ui.kit.view import next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.page_file.bar import BUNDLED, FILE, TEXTS
from demo.ui.page_file.registry import LIMITS, PAGE_FILES
from demo.ui.page_file.text import file_label
from demo.ui.tabs.benchmark.runs import BenchmarkResults, Run
from demo.ui.tabs.benchmark.tab import FIRST_SET, FORM, SORTS
from demo.ui.tabs.benchmark.text import (
    benchmark_figures,
    render_board,
    render_problems,
    running_note,
    set_choices,
    set_title,
)
from demo.ui.tabs.pairs_tab import labelled_part, render_labelled


@dataclass(frozen=True)
class _Form:
    """The values of the lab's form, then of FORM; an empty box that needs a choice has its first one."""

    lab: Form
    source: str
    set_name: str
    models: list[str]
    readings: list[str]
    sort: str


class BenchmarkHandlers(JobTab):
    """One instance serves every page; a Run holds the state of each."""

    name = "benchmark"

    def __init__(self, lab: Lab, widgets: Panel):
        super().__init__(lab, widgets, JobQueue(workers=1), Run)
        self.results = BenchmarkResults(lab)

    def on_open(self, request: gr.Request, *values: Any) -> dict:
        """The boxes' choices in the person's language; then as `on_tick`."""
        language = choose_language(request)
        statuses = self.lab.models()
        ready = {status.model: status.name for status in statuses if status.state != "unavailable"}
        if self.lab.settings.model not in {status.model for status in statuses}:
            ready[self.lab.settings.model] = self.lab.settings.model
        *others, models, readings, sort = values
        ticked = [model for model in models or () if model in ready]
        return {
            self.widgets.set: gr.update(choices=set_choices(language)),
            self.widgets.models: gr.update(choices=[(name, model) for model, name in ready.items()], value=ticked),
            self.widgets.models_note: render_unavailable(language, statuses),
            **self.on_tick(request, *others, ticked, readings, sort),
        }

    def resend(self, event: TabEvent) -> None:
        event.page.shown = ()

    def read(self, values: tuple) -> _Form:
        *lab, source, set_name, models, readings, sort = values
        return _Form(
            Form.from_widgets(lab),
            source,
            set_name or FIRST_SET,
            list(models or ()),
            list(readings or ()),
            sort or SORTS[0],
        )

    def start(self, event: TabEvent) -> None:
        run, form = event.page, event.form
        missing = self.results.missing(*self._chosen(event))
        if not form.models or not form.readings:
            event.updates[self.widgets.note] = render_note("", event.say("benchmark.nothing"))
        elif missing:
            key, labelled = self._key(event), self._labelled(event)
            if labelled is None:
                return
            run.problems, run.doing = {}, ("", "", "")
            try:
                run.start(
                    self.queue, lambda report: self.results.measure(key, labelled, missing, run, report), self.name
                )
            except Busy:
                event.updates[self.widgets.note] = render_note("", event.say("benchmark.busy"))

    def end(self, event: TabEvent) -> None:
        if event.job.error:
            raise event.job.error
        if event.job.stopped:
            event.note = event.say("benchmark.stopped")

    def show(self, event: TabEvent) -> Payload:
        language, run, form = event.language, event.page, event.form
        rows, title = self.results.rows(*self._chosen(event)), self._title(event)
        figures, key = None, (language, title, form.sort, tuple(rows))
        if key != run.shown or not event.job.running:  # what is at rest is whole: an answer before it may be lost
            figures, run.shown = benchmark_figures(language, rows, form.sort), key
            event.updates[self.widgets.board] = render_board(language, rows, form.sort, title)
        problems = render_problems(language, run.problems.values(), self.results.refused(form.models, form.readings))
        event.updates.setdefault(self.widgets.note, problems)
        if event.job.running:
            return self.show_running(event, running_note(language, run), figures)
        if not rows:
            note = event.note or event.say("benchmark.idle" if form.source == BUNDLED else "benchmark.idle.own")
            return show_view(language, next_seq(), "idle", note, figures=figures)
        missing = sum(map(len, self.results.missing(*self._chosen(event)).values()))
        waiting = event.say("benchmark.missing", count=missing) if missing else ""
        note = " ".join(filter(None, (event.note, waiting)))
        return show_view(language, next_seq(), "ready", note, figures=figures)

    def controls(self, event: TabEvent) -> dict[Any, Any]:
        """As any job tab's, and what is taken of the file."""
        note = render_labelled(event.language, self.lab, event.key) if event.form.source == FILE else ""
        return {**super().controls(event), self.widgets.source_note: note}

    def _chosen(self, event: TabEvent) -> tuple[str, list[str], list[str]]:
        """The rows of the leaderboard, as BenchmarkResults takes them."""
        return self._key(event), event.form.models, event.form.readings

    def _key(self, event: TabEvent) -> str:
        """The set's name; of texts of the page's own, what no other page and no other texts have."""
        form, file = event.form, PAGE_FILES.get(event.key)
        if form.source == BUNDLED:
            return form.set_name
        texts = file.serial if file and form.source == FILE else tuple(form.lab.texts.values())
        return f"{event.key} {form.source} {hash(texts)}"

    def _labelled(self, event: TabEvent) -> LabelledSet | None:
        """The set to measure; None where no file is open. Raises BadInput."""
        form, file = event.form, PAGE_FILES.get(event.key)
        if form.source == BUNDLED:
            return load_benchmark()[form.set_name]
        if form.source == TEXTS:
            return labelled_from_pairing(parse_pairing(**form.lab.texts, limits=self.lab.limits))
        labelled = labelled_part(self.lab, file) if file else None
        if labelled and labelled.graded:
            raise LIMITS.refuse(
                "Grades rank no answers: this tab needs right and wrong pairs. Sweep takes grades.", False
            )
        return labelled

    def _title(self, event: TabEvent) -> str:
        form, file = event.form, PAGE_FILES.get(event.key)
        if form.source == BUNDLED:
            return set_title(event.language, form.set_name)
        return file_label(event.language, file) if file and form.source == FILE else event.say("label.source_texts")


def wire_benchmark(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""
    handlers = BenchmarkHandlers(lab, widgets)
    chosen, outputs = widgets.select(*FORM), widgets.select("view", "board", "note", "run", "stop", "source_note")
    inputs = [*lab_widgets.choices, *chosen]
    handlers.wire(page, inputs, outputs, [widget.input for widget in chosen])
    opened = [*widgets.select("set", "models", "models_note"), *outputs]
    widgets.view.opened(handlers.on_open, inputs, opened, queue=False, **QUIET)
