"""The Story tab's handlers: the step in sight becomes requests to the lab, their results figures and sentences.

Computes nothing, and never waits for a model.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo.domain.errors import Busy
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.job_tab import ModelsJob
from demo.ui.kit.page_jobs import PageJobs
from demo.ui.kit.panel import Panel
from demo.ui.kit.step_tab import StepEvent, StepTab
from demo.ui.kit.text import render_note
from demo.ui.kit.view import next_seq, show_view
from demo.ui.live.open_in_lab import OPEN_JS, keep_form, open_in_lab
from demo.ui.live.tab import Widgets
from demo.ui.tabs.story.board import board_figures, render_board
from demo.ui.tabs.story.runs import ARTICLE, LAST_TOKEN, OWN, PROMPTEOL, SAMPLED, TUNED, UNTUNED, StoryRuns
from demo.ui.tabs.story.tab import IN_LAB, STEPS
from demo.ui.tabs.story.text import (
    StepResult,
    explain_logits,
    explain_loss,
    explain_result,
    explain_tokens,
    explain_why,
    render_step,
)

_OPEN_TRAIN = "() => { document.querySelector('#view-train-button')?.click(); }"


class StoryHandlers(StepTab):
    """What is kept of a page is its ModelsJob."""

    steps = STEPS

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Widgets):
        super().__init__(lab, widgets, lab_widgets)
        self.runs = StoryRuns(lab)
        self.queue = JobQueue(workers=1)
        self.pages = PageJobs(ModelsJob)

    def read(self, request: gr.Request) -> ModelsJob:
        return self.pages.of(request)

    def announce(self, event: StepEvent) -> dict[Any, Any]:
        return {
            self.widgets.text: render_step(event.language, event.step, self.runs.gpt, self.runs.tuned),
            self.widgets.view: self.announce_view(event, "running", "story.computing"),
        }

    def show(self, event: StepEvent) -> dict[str, Any]:
        if event.step == "models":
            return self._show_models(event)
        figures, event.updates[self.widgets.found] = self._compute(event.language, event.step)
        return show_view(event.language, next_seq(), "ready", figures=figures)

    def controls(self, event: StepEvent) -> dict[Any, Any]:
        models, running = event.step == "models", event.page.running
        missing = models and bool(self.runs.missing())
        return {
            self.widgets.use: gr.update(visible=event.step in IN_LAB),
            self.widgets.train: gr.update(visible=event.step == "loss"),
            self.widgets.measure: gr.update(visible=models and (missing or running), interactive=not running),
            self.widgets.stop: gr.update(visible=models and running),
            **super().controls(event),
        }

    def on_use(self, request: gr.Request, step: Any) -> dict:
        """The step's model, reading and texts go into the lab's widgets, whose changes draw the heatmap."""
        event, runs = self.event(request, step), self.runs
        reading = runs.reading(event.step)
        if reading is None:
            return keep_form(self.lab_widgets)
        return open_in_lab(self.lab, self.lab_widgets, reading, runs.questions, runs.answers)

    def on_measure(self, request: gr.Request, step: Any) -> dict:
        """Measure the models that are missing, unless this page or another one is measuring."""
        event, missing, note = self.event(request, step), self.runs.missing(), ""
        job = event.page
        if missing and not job.running:
            job.problems, job.doing = {}, ("", "", "")
            try:
                job.start(self.queue, lambda report: self.runs.measure(missing, job, report), "story")
            except Busy:
                note = event.say("story.board.busy")
        return {**self.on_tick(request, step), self.widgets.note: render_note("", note)}

    def on_stop(self, request: gr.Request, step: Any) -> dict:
        """Ask the job to end; a later tick shows that it has."""
        self.pages.of(request).stop()
        return self.on_tick(request, step)

    def _compute(self, language: str, step: str) -> StepResult:
        runs = self.runs
        if step == "tokens":
            return explain_tokens(language, runs.readouts(runs.gpt, ARTICLE))
        if step == "logits":
            return explain_logits(language, runs.readouts(runs.gpt, ARTICLE))
        if step == "result":
            return explain_result(language, runs.compare(runs.gpt, ARTICLE), runs.printed("mistral-7b-instruct-v0.1"))
        if step == "why":
            last, prompteol = (runs.compare(runs.gpt, preset) for preset in (LAST_TOKEN, PROMPTEOL))
            readouts = {preset: runs.readouts(runs.gpt, preset) for preset in (LAST_TOKEN, PROMPTEOL)}
            return explain_why(
                language, last, prompteol, {preset: runs.gap(runs.gpt, preset) for preset in SAMPLED}, readouts
            )
        article, after = runs.compare(runs.gpt, ARTICLE), runs.compare(runs.tuned, OWN)
        return explain_loss(language, article, runs.compare(runs.gpt, UNTUNED), after, instead=runs.tuned != TUNED)

    def _show_models(self, event: StepEvent) -> dict[str, Any]:
        state = event.page.poll()  # before the rows: a job that ends meanwhile is shown by the next tick
        if not state.running:
            self.runs.measure_loaded()
        rows = self.runs.board(event.page)
        event.updates[self.widgets.found] = render_board(event.language, rows)
        figures = board_figures(event.language, rows)
        if state.running:
            note, fraction = self._progress_note(event), state.progress.fraction
            return show_view(event.language, next_seq(), "running", note, fraction, figures, poll=True)
        note = event.say("story.board.stopped") if state.stopped else ""
        return show_view(event.language, next_seq(), "ready", note, figures=figures)

    def _progress_note(self, event: StepEvent) -> str:
        """What the job is doing."""
        kind, model, _ = event.page.doing
        if event.page.stopping:
            return event.say("story.board.stopping")
        if kind == "measuring":
            return event.say("story.board.measuring", model=model)
        return event.page.loading_note(event.language)


def wire_story(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""
    handlers = StoryHandlers(lab, widgets, lab_widgets)
    buttons = widgets.select("use", "train", "measure", "stop")
    handlers.wire([widgets.step], buttons)
    shown = [*widgets.select("view", "found", "back", "next"), *buttons]
    widgets.measure.click(handlers.on_measure, widgets.step, [*shown, widgets.note], **QUIET)
    widgets.stop.click(handlers.on_stop, widgets.step, shown, **QUIET)
    widgets.use.click(handlers.on_use, widgets.step, lab_widgets.heatmap, js=OPEN_JS, **QUIET)
    widgets.train.click(None, js=_OPEN_TRAIN, **QUIET)
    page.unload(handlers.pages.leave)
