"""The Lesson tab's handlers: a prediction is kept, and only then does its step become a request to the lab.

Computes nothing, and never waits for a model.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from demo.domain.datamodels import Reading
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.panel import Panel
from demo.ui.kit.step_tab import StepEvent, StepTab
from demo.ui.kit.text import render_note
from demo.ui.kit.view import next_seq, show_view
from demo.ui.live.open_in_lab import OPEN_JS, keep_form, open_in_lab
from demo.ui.live.tab import Widgets
from demo.ui.tabs.lesson.figures import step_figures, summary_figures
from demo.ui.tabs.lesson.runs import LessonRuns
from demo.ui.tabs.lesson.steps import BY_NAME, GPT, NAMES, OPTIONS, SUMMARY, load_texts, parse_guess
from demo.ui.tabs.lesson.tab import SHOW_RESULT_JS, focus_js
from demo.ui.tabs.lesson.text import (
    explain_refusal,
    question_options,
    render_findings,
    render_judgement,
    render_score,
    render_step,
    render_summary,
)

Guesses = dict[str, str | float]  # predictions by step; replaced rather than changed


class LessonHandlers(StepTab):
    """What is kept of a page are its predictions, which the page itself sends."""

    steps = NAMES

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Widgets):
        super().__init__(lab, widgets, lab_widgets)
        self.runs = LessonRuns(lab)

    def read(self, request: gr.Request, guesses: Guesses) -> Guesses:
        return guesses

    def announce(self, event: StepEvent) -> dict[Any, Any]:
        computes = event.step in event.page or event.step == SUMMARY
        state, key = ("running", "lesson.computing") if computes else ("idle", "lesson.waiting")
        return {
            self.widgets.text: render_step(event.language, event.step, self.runs.model(GPT)),
            self.widgets.judged: "",
            self.widgets.view: self.announce_view(event, state, key),
            self.widgets.again: gr.update(visible=False),
            **self._question(event),
        }

    def show(self, event: StepEvent) -> dict[str, Any]:
        widgets, language, guesses = self.widgets, event.language, event.page
        if event.step == SUMMARY:
            measured = {step: self.runs.cached(step) for step in NAMES if step in guesses}
            outcomes = {step: outcome for step, outcome in measured.items() if outcome}
            event.updates[widgets.judged] = render_score(language, guesses, outcomes)
            event.updates[widgets.found] = render_summary(language, guesses, outcomes)
            return show_view(language, next_seq(), "ready", figures=summary_figures(language, outcomes))
        if event.step not in guesses:
            return self.announce_view(event, "idle", "lesson.waiting")
        guess, outcome = guesses[event.step], self.runs.measure(BY_NAME[event.step])
        event.updates[widgets.judged] = render_judgement(language, outcome, guess)
        event.updates[widgets.found] = render_findings(language, outcome)
        return show_view(language, next_seq(), "ready", figures=step_figures(language, outcome, guess))

    def controls(self, event: StepEvent) -> dict[Any, Any]:
        reading = self._reading(event) is not None
        return {
            self.widgets.use: gr.update(visible=reading and event.step != SUMMARY),
            self.widgets.korean: gr.update(visible=reading and event.step == SUMMARY),
            **super().controls(event),
        }

    def on_tick(self, request: gr.Request, *values: Any) -> dict:
        """The step as far as it is computed, and a button to try again what went wrong."""
        answer = super().on_tick(request, *values)
        return {**answer, self.widgets.again: gr.update(visible=answer[self.widgets.view]["state"] == "error")}

    def on_commit(self, request: gr.Request, step: Any, guesses: Guesses, choice: Any, number: Any) -> dict:
        """A prediction is kept and cannot be changed; an invalid one is refused in words."""
        event = self.event(request, step, guesses)
        if event.step == SUMMARY or event.step in guesses:
            return self.announced(event)
        question = BY_NAME[event.step]
        value = choice if question.asks == OPTIONS else number
        guess = parse_guess(question, value)
        if guess is None:
            return {self.widgets.note: render_note("", explain_refusal(event.language, question, value))}
        event.page = {**guesses, event.step: guess}
        return {self.widgets.guesses: event.page, **self.announced(event)}

    def on_use(self, request: gr.Request, step: Any, guesses: Guesses) -> dict:
        """The step's texts and reading go into the lab's widgets; from the summary, the Korean texts."""
        event = self.event(request, step, guesses)
        reading = self._reading(event)
        if reading is None:
            return keep_form(self.lab_widgets)
        texts = load_texts("ko" if event.step == SUMMARY else "en")
        return open_in_lab(self.lab, self.lab_widgets, reading, *texts)

    def _reading(self, event: StepEvent) -> Reading | None:
        """The reading to open in the lab; None before the step's prediction, and before any result."""
        open_ = event.step in event.page or (event.step == SUMMARY and event.page)
        return self.runs.reading(event.step) if open_ else None

    def _question(self, event: StepEvent) -> dict[Any, Any]:
        """The step's question, open until it is predicted."""
        widgets, hidden = self.widgets, gr.update(visible=False)
        answer = dict.fromkeys((widgets.choice, widgets.number, widgets.commit), hidden)
        if event.step == SUMMARY:
            return answer
        question, open_ = BY_NAME[event.step], event.step not in event.page
        options = question_options(event.language, question)
        shown = gr.update(**options, value=event.page.get(event.step), interactive=open_, visible=True)
        box = widgets.choice if question.asks == OPTIONS else widgets.number
        return {**answer, box: shown, widgets.commit: gr.update(visible=open_)}


def wire_lesson(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""
    handlers = LessonHandlers(lab, widgets, lab_widgets)
    inputs = widgets.select("step", "guesses")
    announced = handlers.wire(
        inputs, widgets.select("judged", "again", "use", "korean"), widgets.select("choice", "number", "commit")
    )
    # Unchecked by Gradio, which knows only the options of the step before, and refuses without a sentence of ours.
    kept = gr.on(
        [widgets.commit.click, widgets.number.submit],
        handlers.on_commit,
        [*inputs, widgets.choice, widgets.number],
        [widgets.guesses, *announced],
        preprocess=False,
        concurrency_limit=8,
        **QUIET,
    )
    kept.then(None, js=SHOW_RESULT_JS, **QUIET)
    widgets.again.click(handlers.on_open, inputs, announced, **QUIET)
    for button in (widgets.use, widgets.korean):
        button.click(handlers.on_use, inputs, lab_widgets.heatmap, js=OPEN_JS, **QUIET)
    widgets.text.change(None, js=focus_js("#lesson-text h2", "lesson-back", "lesson-next"), **QUIET)
    widgets.judged.change(None, js=focus_js("#lesson-judged h3"), **QUIET)
