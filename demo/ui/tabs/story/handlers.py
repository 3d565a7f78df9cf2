"""The Story tab's handlers: a step that is looked at becomes questions to the lab, their answers figures and sentences.

Computes nothing, and never waits for a model. Asked by the view's `tick`, which comes only while somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.domain.errors import Busy, Stopped
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.page_jobs import PageJobs
from demo.ui.kit.panel import Panel
from demo.ui.kit.step_tab import parse_step, step_updates, wire_step_buttons
from demo.ui.kit.text import render_note
from demo.ui.kit.view import answer_view, next_seq, show_view
from demo.ui.live.handlers import Session
from demo.ui.live.open_in_lab import VISIT_JS, stay, visit_lab, visited
from demo.ui.live.tab import Widgets
from demo.ui.tabs.story.board import board_figures, render_board, running_note
from demo.ui.tabs.story.runs import ARTICLE, LAST_TOKEN, OWN, PROMPTEOL, SAMPLED, TUNED, UNTUNED, Run, StoryRuns
from demo.ui.tabs.story.tab import IN_LAB, STEPS
from demo.ui.tabs.story.text import (
    Shown,
    render_step,
    tell_logits,
    tell_loss,
    tell_result,
    tell_tokens,
    tell_why,
)

_OPEN_TRAIN = "() => { document.querySelector('#view-train-button')?.click(); }"


class StoryHandlers:
    """The tab's answers. One instance serves every person; what is theirs is in a Run."""

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Widgets):
        self.lab = lab
        self.widgets = widgets
        self.lab_widgets = lab_widgets
        self.runs = StoryRuns(lab)
        self.queue = JobQueue(workers=1)
        self.pages = PageJobs(Run)

    def on_open(self, request: gr.Request, step: Any) -> dict:
        """The first step's text in the person's language, or that of the one that was clicked meanwhile; its figures
        are asked for once somebody looks."""
        return self._announce(choose_language(request), _step(step), self.pages.of(request))

    def on_step(self, request: gr.Request, step: Any) -> Iterator[dict]:
        """Another step: its text at once, and what it computes as soon as it is known."""
        language, run, step = choose_language(request), self.pages.of(request), _step(step)
        yield self._announce(language, step, run)
        yield self.on_tick(request, step)

    def on_tick(self, request: gr.Request, step: Any) -> dict:
        """What the step shows by now."""
        language, run, step = choose_language(request), self.pages.of(request), _step(step)
        answer: dict[Any, Any] = {}
        payload = answer_view(language, lambda: self._tell(language, step, run, answer))
        return {self.widgets.view: payload, **answer, **self._buttons(step, run)}

    def on_use(self, request: gr.Request, session: Session, step: Any) -> dict:
        """The step's model, reading and texts come into the lab's widgets, whose changes draw the heatmap."""
        reading = self.runs.reading(_step(step))
        if reading is None:
            return stay(self.lab_widgets)
        language, runs = choose_language(request), self.runs
        return visit_lab(language, self.lab, self.lab_widgets, session, reading, runs.questions, runs.answers)

    def on_measure(self, request: gr.Request, step: Any) -> dict:
        """Measure what can run here and is not known yet, unless this page or another one is at it."""
        language, run = choose_language(request), self.pages.of(request)
        missing = self.runs.missing()
        said = ""
        if missing and not run.running:
            run.problems, run.stopping, run.doing = {}, False, ("", "", "")
            try:
                run.job = self.queue.submit(lambda report: self.runs.measure(missing, run, report), "story")
            except Busy:
                said = translate(language, "story.board.busy")
        return {**self.on_tick(request, step), self.widgets.note: render_note("", said)}

    def on_stop(self, request: gr.Request, step: Any) -> dict:
        """Ask the job to end; a later tick tells that it has."""
        self.pages.of(request).stop()
        return self.on_tick(request, step)

    def _announce(self, language: str, step: str, run: Run) -> dict:
        """A step before anything is computed."""
        note = translate(language, "story.computing")
        return {
            self.widgets.text: render_step(language, step, self.runs.gpt, self.runs.tuned),
            self.widgets.view: show_view(language, next_seq(), "running", note, figures=[]),
            self.widgets.found: "",
            self.widgets.note: "",
            **self._buttons(step, run),
        }

    def _tell(self, language: str, step: str, run: Run, answer: dict) -> dict:
        """The view's payload. What belongs under its figures goes into `answer`. Raises ModelLoading."""
        if step == "models":
            return self._tell_models(language, run, answer)
        figures, answer[self.widgets.found] = self._compute(language, step)
        return show_view(language, next_seq(), "ready", figures=figures)

    def _compute(self, language: str, step: str) -> Shown:
        runs = self.runs
        if step == "tokens":
            return tell_tokens(language, runs.told(ARTICLE))
        if step == "logits":
            return tell_logits(language, runs.told(ARTICLE))
        if step == "result":
            printed = runs.printed("mistral-7b-instruct-v0.1")
            return tell_result(language, runs.compare(runs.gpt, ARTICLE), printed)
        if step == "why":
            last, asked = (runs.compare(runs.gpt, how) for how in (LAST_TOKEN, PROMPTEOL))
            told = {how: runs.told(how) for how in (LAST_TOKEN, PROMPTEOL)}
            return tell_why(language, last, asked, {how: runs.gap(how) for how in SAMPLED}, told)
        article, after = runs.compare(runs.gpt, ARTICLE), runs.compare(runs.tuned, OWN)
        return tell_loss(language, article, runs.compare(runs.gpt, UNTUNED), after, instead=runs.tuned != TUNED)

    def _tell_models(self, language: str, run: Run, answer: dict) -> dict:
        working = run.running  # before the rows: what ends meanwhile is told of by the next tick
        ended = "" if working else self._end(language, run)
        if not working:
            self.runs.measure_loaded()
        rows = self.runs.board(run)
        answer[self.widgets.found] = render_board(language, rows)
        figures = board_figures(language, rows)
        if working:
            fraction = run.job.progress.fraction
            return show_view(language, next_seq(), "running", running_note(language, run), fraction, figures, poll=True)
        return show_view(language, next_seq(), "ready", ended, figures=figures)

    def _end(self, language: str, run: Run) -> str:
        """What is to be said of a job that has ended, once."""
        if run.job is None:
            return ""
        job, run.job = run.job, None
        try:
            job.result()
        except Stopped:
            return translate(language, "story.board.stopped")
        return ""

    def _buttons(self, step: str, run: Run) -> dict:
        models, running = step == "models", run.running
        missing = models and bool(self.runs.missing())
        return {
            self.widgets.use: gr.update(visible=step in IN_LAB),
            self.widgets.train: gr.update(visible=step == "loss"),
            self.widgets.measure: gr.update(visible=models and (missing or running), interactive=not running),
            self.widgets.stop: gr.update(visible=models and running),
            **step_updates(self.widgets, STEPS, step),
        }


def wire_story(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets, session: gr.State) -> None:
    """The tab's events."""
    handlers = StoryHandlers(lab, widgets, lab_widgets)
    live = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": 8}
    buttons = [widgets.use, widgets.train, widgets.measure, widgets.stop, widgets.back, widgets.next]
    shown = [widgets.view, widgets.found, *buttons]
    announced = [widgets.text, widgets.note, *shown]
    widgets.view.opened(handlers.on_open, widgets.step, announced, queue=False, **QUIET)
    widgets.step.change(handlers.on_step, widgets.step, announced, **live)
    widgets.view.tick(handlers.on_tick, widgets.step, shown, **live)
    wire_step_buttons(widgets, STEPS)
    widgets.measure.click(handlers.on_measure, widgets.step, [*shown, widgets.note], **QUIET)
    widgets.stop.click(handlers.on_stop, widgets.step, shown, **QUIET)
    widgets.use.click(handlers.on_use, [session, widgets.step], visited(lab_widgets), js=VISIT_JS, **QUIET)
    widgets.train.click(None, js=_OPEN_TRAIN, **QUIET)
    page.unload(handlers.pages.close)


def _step(value: Any) -> str:
    return parse_step(value, STEPS)
