"""The Lesson tab's handlers: a prediction is kept, and only then does its step become a question to the lab.

Computes nothing, and never waits for a model. Asked by the view's `tick`, which comes only while somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.panel import Panel
from demo.ui.kit.step_tab import parse_step, step_updates, wire_step_buttons
from demo.ui.kit.text import render_note
from demo.ui.kit.view import answer_view, next_seq, show_view
from demo.ui.live.handlers import Session
from demo.ui.live.open_in_lab import VISIT_JS, stay, visit_lab, visited
from demo.ui.live.tab import Widgets
from demo.ui.tabs.lesson.runs import LessonRuns
from demo.ui.tabs.lesson.steps import BY_NAME, GPT, NAMES, OPTIONS, SUMMARY, load_texts, parse_guess
from demo.ui.tabs.lesson.tab import SHOW_RESULT_JS, focus_js
from demo.ui.tabs.lesson.text import (
    ask,
    refuse,
    render_found,
    render_judged,
    render_score,
    render_step,
    render_summary,
    step_figures,
    summary_figures,
)

Guesses = dict[str, str | float]  # predictions by step; replaced rather than changed


class LessonHandlers:
    """The tab's answers. One instance serves every person; what is theirs is in their predictions."""

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Widgets):
        self.lab = lab
        self.widgets = widgets
        self.lab_widgets = lab_widgets
        self.runs = LessonRuns(lab)

    def on_open(self, request: gr.Request, step: Any, guesses: Guesses) -> dict:
        """The first step in the person's language, or the one that was clicked meanwhile."""
        return self._announce(choose_language(request), _step(step), guesses)

    def on_step(self, request: gr.Request, step: Any, guesses: Guesses) -> Iterator[dict]:
        """Another step: its question, and its result if it was predicted before."""
        language, step = choose_language(request), _step(step)
        yield self._announce(language, step, guesses)
        if step in guesses or step == SUMMARY:
            yield self.on_tick(request, step, guesses)

    def on_commit(self, request: gr.Request, step: Any, guesses: Guesses, choice: Any, number: Any) -> dict:
        """A prediction is kept, once and for all; what is none is refused in words."""
        language, name = choose_language(request), _step(step)
        if name == SUMMARY or name in guesses:
            return self._announce(language, name, guesses)
        asked = BY_NAME[name]
        said = choice if asked.asks == OPTIONS else number
        guess = parse_guess(asked, said)
        if guess is None:
            return {self.widgets.note: render_note("", refuse(language, asked, said))}
        guesses = {**guesses, name: guess}
        return {self.widgets.guesses: guesses, **self._announce(language, name, guesses)}

    def on_again(self, request: gr.Request, step: Any, guesses: Guesses) -> dict:
        """What went wrong is tried once more."""
        return self._announce(choose_language(request), _step(step), guesses)

    def on_tick(self, request: gr.Request, step: Any, guesses: Guesses) -> dict:
        """What the step shows by now: nothing that was not predicted."""
        language, name = choose_language(request), _step(step)
        answer: dict[Any, Any] = {}
        payload = answer_view(language, lambda: self._tell(language, name, guesses, answer))
        answer[self.widgets.again] = gr.update(visible=payload["state"] == "error")
        return {self.widgets.view: payload, **answer, **self._ways_on(name, guesses)}

    def on_use(self, request: gr.Request, session: Session, step: Any, guesses: Guesses) -> dict:
        """The step's texts and reading come into the lab's widgets; from the summary, the Korean texts."""
        name = _step(step)
        reading = self.runs.reading(name) if name in guesses or name == SUMMARY and guesses else None
        if reading is None:
            return stay(self.lab_widgets)
        questions, answers = load_texts("ko" if name == SUMMARY else "en")
        return visit_lab(choose_language(request), self.lab, self.lab_widgets, session, reading, questions, answers)

    def _announce(self, language: str, name: str, guesses: Guesses) -> dict:
        """A step before anything is computed."""
        widgets = self.widgets
        predicted = name in guesses
        state, note = ("running", "computing") if predicted or name == SUMMARY else ("idle", "waiting")
        return {
            widgets.text: render_step(language, name, self.runs.model(GPT)),
            **self._question(language, name, guesses),
            widgets.note: "",
            widgets.judged: "",
            widgets.view: show_view(language, next_seq(), state, translate(language, f"lesson.{note}"), figures=[]),
            widgets.found: "",
            widgets.again: gr.update(visible=False),
            **self._ways_on(name, guesses),
        }

    def _question(self, language: str, name: str, guesses: Guesses) -> dict:
        """What is asked, open until it is predicted."""
        widgets = self.widgets
        hidden = gr.update(visible=False)
        if name == SUMMARY:
            return {widgets.choice: hidden, widgets.number: hidden, widgets.commit: hidden}
        asked, open_ = BY_NAME[name], name not in guesses
        shown = gr.update(**ask(language, asked), value=guesses.get(name), interactive=open_, visible=True)
        with_options = asked.asks == OPTIONS
        return {
            widgets.choice: shown if with_options else hidden,
            widgets.number: hidden if with_options else shown,
            widgets.commit: gr.update(visible=open_),
        }

    def _tell(self, language: str, name: str, guesses: Guesses, answer: dict) -> dict:
        """The view's payload. What is said around its figures goes into `answer`. Raises ModelLoading."""
        widgets = self.widgets
        if name == SUMMARY:
            told = {step: self.runs.told(step) for step in NAMES if step in guesses}
            outcomes = {step: outcome for step, outcome in told.items() if outcome}
            answer[widgets.judged] = render_score(language, guesses, outcomes)
            answer[widgets.found] = render_summary(language, guesses, outcomes)
            return show_view(language, next_seq(), "ready", figures=summary_figures(language, outcomes))
        if name not in guesses:
            return show_view(language, next_seq(), "idle", translate(language, "lesson.waiting"), figures=[])
        outcome = self.runs.measure(BY_NAME[name])
        answer[widgets.judged] = render_judged(language, outcome, guesses[name])
        answer[widgets.found] = render_found(language, outcome)
        return show_view(language, next_seq(), "ready", figures=step_figures(language, outcome, guesses[name]))

    def _ways_on(self, name: str, guesses: Guesses) -> dict:
        known = self.runs.reading(name) is not None
        return {
            self.widgets.use: gr.update(visible=name in guesses and known),
            self.widgets.korean: gr.update(visible=name == SUMMARY and bool(guesses) and known),
            **step_updates(self.widgets, NAMES, name),
        }


def wire_lesson(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets, session: gr.State) -> None:
    """The tab's events."""
    handlers = LessonHandlers(lab, widgets, lab_widgets)
    live = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": 8}
    asked = [widgets.step, widgets.guesses]
    ways_on = [widgets.again, widgets.use, widgets.korean, widgets.back, widgets.next]
    shown = [widgets.view, widgets.judged, widgets.found, *ways_on]
    announced = [widgets.text, widgets.choice, widgets.number, widgets.note, widgets.commit, *shown]
    widgets.view.opened(handlers.on_open, asked, announced, queue=False, **QUIET)
    widgets.step.change(handlers.on_step, asked, announced, **live)
    widgets.view.tick(handlers.on_tick, asked, shown, **live)
    # Checked by us: Gradio knows only the options of the step before, and refuses without a sentence of ours.
    committed = {"preprocess": False, "concurrency_limit": 8, **QUIET}
    predicted = [*asked, widgets.choice, widgets.number]
    predict = [widgets.commit.click, widgets.number.submit]
    kept = gr.on(predict, handlers.on_commit, predicted, [widgets.guesses, *announced], **committed)
    kept.then(None, js=SHOW_RESULT_JS, **QUIET)
    widgets.again.click(handlers.on_again, asked, announced, **QUIET)
    wire_step_buttons(widgets, NAMES)
    for button in (widgets.use, widgets.korean):
        button.click(handlers.on_use, [session, *asked], visited(lab_widgets), js=VISIT_JS, **QUIET)
    widgets.text.change(None, js=focus_js("#lesson-text h2", "lesson-back", "lesson-next"), **QUIET)
    widgets.judged.change(None, js=focus_js("#lesson-judged h3"), **QUIET)


def _step(value: Any) -> str:
    return parse_step(value, NAMES)
