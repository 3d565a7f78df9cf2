"""The Story tab's handlers: a step that is looked at becomes questions to the lab, their answers figures and sentences.

Computes nothing, and never waits for a model. Asked by the view's `tick`, which comes only while somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demo.catalog import CATALOG
from demo.datamodels import LAST_LAYER, Reading
from demo.errors import Busy, Stopped
from demo.jobs import Desk
from demo.lab import Lab
from demo.ui.desk import Pages
from demo.ui.handlers import Session
from demo.ui.heatmap import show_state
from demo.ui.i18n import choose_language, translate, translate_word
from demo.ui.lab_tab import READING, Widgets
from demo.ui.story_board import board_figures, render_board, running_note
from demo.ui.story_runs import ARTICLE, LAST_TOKEN, OWN, PROMPTEOL, SAMPLED, TUNED, UNTUNED, Run, StoryRuns
from demo.ui.story_tab import IN_LAB, STEPS, StoryWidgets, step_js
from demo.ui.story_wording import (
    Shown,
    model_name,
    render_step,
    tell_logits,
    tell_loss,
    tell_result,
    tell_tokens,
    tell_why,
)
from demo.ui.view import answer_view, next_seq, show_view
from demo.ui.wording import render_note

_OPEN_HEATMAP = "document.querySelector('#view-heatmap-button').click();"
_OPEN_TRAIN = "() => { document.querySelector('#view-train-button')?.click(); }"


class StoryHandlers:
    """The tab's answers. One instance serves every person; what is theirs is in a Run."""

    def __init__(self, lab: Lab, widgets: StoryWidgets, lab_widgets: Widgets):
        self.lab = lab
        self.widgets = widgets
        self.lab_widgets = lab_widgets
        self.runs = StoryRuns(lab)
        self.desk = Desk(at_once=1)
        self.pages = Pages(Run)

    def on_open(self, request: gr.Request) -> dict:
        """The first step's text in the person's language; its figures are asked for once somebody looks."""
        return self._announce(choose_language(request), STEPS[0], self.pages.of(request))

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
            return {self.lab_widgets.heatmap: gr.skip()}
        entry = CATALOG.get(reading.model)
        layers = entry.n_layers if entry else self.lab.open(reading.model).n_layers
        chosen = _choices(reading, layers)
        texts = {"questions": self.runs.questions, "answers": self.runs.answers}
        answer = {getattr(self.lab_widgets, name): "\n".join(lines) for name, lines in texts.items()}
        answer[self.lab_widgets.matches] = ""
        answer |= {getattr(self.lab_widgets, name): value for name, value in chosen.items()}
        answer[self.lab_widgets.layer] = gr.update(value=chosen["layer"], maximum=layers)
        if session.model != reading.model:
            # As a link would: the reading is kept until the model is there, and the heatmap asks until it is.
            session.linked = chosen
            stage = translate_word(choose_language(request), "stage", "starting")
            note = translate(choose_language(request), "heatmap.loading", model=model_name(reading.model), stage=stage)
            answer[self.lab_widgets.heatmap] = show_state(choose_language(request), session.seq, "loading", note)
        return answer

    def on_measure(self, request: gr.Request, step: Any) -> dict:
        """Measure what can run here and is not known yet, unless this page or another one is at it."""
        language, run = choose_language(request), self.pages.of(request)
        missing = self.runs.missing()
        said = ""
        if missing and not run.working:
            run.problems, run.stopping, run.doing = {}, False, ("", "", "")
            try:
                run.job = self.desk.start(lambda report: self.runs.measure(missing, run, report), "story")
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
        working = run.working  # before the rows: what ends meanwhile is told of by the next tick
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
        models, running = step == "models", run.working
        missing = models and bool(self.runs.missing())
        return {
            self.widgets.use: gr.update(visible=step in IN_LAB),
            self.widgets.train: gr.update(visible=step == "loss"),
            self.widgets.measure: gr.update(visible=models and (missing or running), interactive=not running),
            self.widgets.stop: gr.update(visible=models and running),
            self.widgets.back: gr.update(interactive=step != STEPS[0]),
            self.widgets.next: gr.update(interactive=step != STEPS[-1]),
        }


def wire_story(page: gr.Blocks, lab: Lab, widgets: StoryWidgets, lab_widgets: Widgets, session: gr.State) -> None:
    """The tab's events."""
    handlers = StoryHandlers(lab, widgets, lab_widgets)
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    live = {**quiet, "trigger_mode": "always_last", "concurrency_limit": 8}
    buttons = [widgets.use, widgets.train, widgets.measure, widgets.stop, widgets.back, widgets.next]
    shown = [widgets.view, widgets.found, *buttons]
    announced = [widgets.text, widgets.note, *shown]
    page.load(handlers.on_open, None, announced, queue=False, **quiet)
    widgets.step.change(handlers.on_step, widgets.step, announced, **live)
    widgets.view.tick(handlers.on_tick, widgets.step, shown, **live)
    for button, by in ((widgets.back, -1), (widgets.next, 1)):
        button.click(None, widgets.step, widgets.step, js=step_js(by), **quiet)
    widgets.measure.click(handlers.on_measure, widgets.step, [*shown, widgets.note], **quiet)
    widgets.stop.click(handlers.on_stop, widgets.step, shown, **quiet)
    taken = [getattr(lab_widgets, name) for name in ("questions", "answers", "matches", *READING, "heatmap")]
    open_heatmap = f"(...values) => {{ {_OPEN_HEATMAP} return values; }}"
    widgets.use.click(handlers.on_use, [session, widgets.step], taken, js=open_heatmap, **quiet)
    widgets.train.click(None, js=_OPEN_TRAIN, **quiet)
    page.unload(handlers.pages.leave)


def _step(value: Any) -> str:
    return value if value in STEPS else STEPS[0]


def _choices(reading: Reading, n_layers: int) -> dict[str, Any]:
    """A reading as the lab's widgets take it."""
    told = reading.to_dict()
    chosen = {name: told[name] for name in READING if name not in ("task", "template") or told[name]}
    return {**chosen, "layer": n_layers if reading.layer == LAST_LAYER else reading.layer}
