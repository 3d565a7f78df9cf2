"""The Sweep tab's handlers: a sweep in a job, its progress, and its result. Computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import gradio as gr

from demo.domain.datamodels import READING_FIELDS, ModelInfo, Postprocess, Prompt, Reading
from demo.domain.results import Sweep
from demo.jobs.queue import OnProgress
from demo.lab import Lab
from demo.ui.gradio.event_options import LIVE, QUIET
from demo.ui.gradio.private import event_value
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.job_tab import Payload, TabEvent
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_note
from demo.ui.kit.view import next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.tabs.pairs_tab import PairsPage, PairsTab
from demo.ui.tabs.sweep.tab import BEST_METHOD, FIGURES, FOR_EVERY_MODEL, FORM, METHODS
from demo.ui.tabs.sweep.text import (
    estimate,
    reading_choices,
    render_hint,
    render_picked,
    render_scores,
    render_sweep_verdict,
    running_note,
    sweep_figures,
)

_RESULT = ("verdict", "scores", "hint", "picked")  # the words of a result


@dataclass(frozen=True)
class _Form:
    """The widgets' values: the lab's own, then those of FORM."""

    lab: Form
    source: str
    prompts: list[str]
    eos: bool
    reference: str
    figure: str
    method: str


@dataclass(eq=False)
class _Run:
    """A sweep on its way: what its thread has reached, and what of that became the page's result."""

    part: Sweep | None = None
    taken: Sweep | None = None


@dataclass(eq=False)
class _Page(PairsPage):
    """One open page; its job is a sweep."""

    result: Sweep | None = None  # while a sweep runs, of the prompts that are done, as soon as there is one
    run: _Run = field(default_factory=_Run)
    drawn: tuple = ()  # (figure, method) of the figures that were sent
    picked: Reading | None = None
    offered: tuple[str, ...] = tuple(FOR_EVERY_MODEL)  # the prompts to choose from


class SweepHandlers(PairsTab):
    """One instance serves every page; a _Page holds the state of each."""

    name = "sweep"

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Widgets):
        super().__init__(lab, widgets, _Page)
        self.lab_widgets = lab_widgets

    def on_pick(self, request: gr.Request, event: gr.EventData, *values: Any) -> dict:
        """A cell was clicked: its reading is offered."""
        language, page = choose_language(request), self.pages.of(request)
        result, spot = page.result, event_value(event, "point")
        if result is None or not _is_spot(result, spot):
            return {self.widgets.picked: gr.skip()}
        page.picked = result.reading_at(*spot)
        figure = page.drawn[0] if page.drawn else result.criterion
        value = float(result.metrics[figure][tuple(spot)])
        return {
            self.widgets.picked: render_picked(language, page.picked, figure, value),
            **self._use_buttons(language, page, self.read(values).lab),
        }

    def on_use_best(self, request: gr.Request, model: str) -> dict:
        """The best reading goes into the lab's widgets, whose changes draw the heatmap."""
        return self._use(request, lambda page: page.result.best, model)

    def on_use_picked(self, request: gr.Request, model: str) -> dict:
        """The reading of the clicked cell goes into the lab's widgets."""
        return self._use(request, lambda page: page.picked, model)

    def read(self, values: tuple) -> _Form:
        count = len(self.lab_widgets.choices)
        source, prompts, eos, *rest = values[count:]
        return _Form(Form.from_widgets(values[:count]), source, list(prompts or ()), bool(eos), *rest)

    def start(self, event: TabEvent) -> Payload | None:
        page, form, widgets = event.page, event.form, self.widgets
        texts = self.chosen_texts(event)
        if texts and not form.prompts:
            no_prompts = render_note("", event.say("sweep.no_prompts"))
            event.updates |= {widgets.fold: gr.update(open=True), widgets.estimate: no_prompts}
        elif texts:
            options = {
                **texts,
                **{name: getattr(form.lab, name) for name in ("model", "task", "template")},
                **{name: getattr(form, name) for name in ("prompts", "eos", "reference")},
            }
            run = _Run()

            def work(report: OnProgress) -> Sweep:
                return self.lab.sweep(**options, on_progress=report, on_part=partial(setattr, run, "part"))

            page.start(self.queue, work, self.name)
            page.run, page.input, page.failed = run, self._input(event), None
            # What was found before is of other texts or another reading: it comes back if this sweep finds nothing.
            event.updates |= dict.fromkeys(widgets.select(*_RESULT), "")
            hidden = widgets.select("figure", "method", "use_best", "use_picked")
            event.updates |= dict.fromkeys(hidden, gr.update(visible=False))
            return None
        return show_view(event.language, next_seq(), "ready" if page.result else "idle", event.say("sweep.nothing"))

    def end(self, event: TabEvent) -> None:
        page, job = event.page, event.job
        job.raise_unexpected()
        self._take_part(event)
        page.failed = job.error
        if job.stopped:
            event.note = event.say("sweep.stopped.part" if page.run.taken else "sweep.stopped")
        if job.result is not None:
            page.result, page.result_input = job.result, page.input
        if page.run.taken:
            self._show_words(event)
        elif page.result is not None:
            self._show_result(event)

    def resend(self, event: TabEvent) -> None:
        event.page.offered = tuple(FOR_EVERY_MODEL)
        page = event.page
        if page.result is not None and (page.run.taken or not page.running):
            self._show_result(event)

    def _take_part(self, event: TabEvent) -> None:
        """What the sweep has reached becomes the page's result."""
        page, run, part = event.page, event.page.run, event.page.run.part
        if part is run.taken:
            return
        first, run.taken = run.taken is None, part
        page.result, page.result_input = part, page.input
        (self._show_result if first else self._show_words)(event)

    def _show_result(self, event: TabEvent) -> None:
        """The words beside the figures, whose choices begin anew."""
        result, widgets = event.page.result, self.widgets
        event.page.picked = None
        event.form = replace(event.form, figure=FIGURES[0], method=BEST_METHOD)
        methods = [BEST_METHOD, *(method.value for method in result.postprocess)]
        event.updates |= {
            widgets.picked: "",
            widgets.figure: gr.update(visible=result.criterion in FIGURES, value=FIGURES[0]),
            widgets.method: gr.update(
                visible=len(result.postprocess) > 1,
                choices=[(event.say(f"label.sweep_method_{method}"), method) for method in methods],
                value=BEST_METHOD,
            ),
        }
        self._show_words(event)

    def _show_words(self, event: TabEvent) -> None:
        """The words of a result that has come further; what is chosen of it stays."""
        result, widgets = event.page.result, self.widgets
        event.page.drawn = ()
        event.updates |= {
            widgets.verdict: render_sweep_verdict(event.language, result),
            widgets.scores: render_scores(event.language, result),
            widgets.hint: render_hint(event.language, result),
        }

    def show(self, event: TabEvent) -> Payload:
        language, page, form, result = event.language, event.page, event.form, event.page.result
        if event.job.running:
            self._take_part(event)
            figures = []
            if page.run.taken:
                figures = self._figures(event)
                event.updates |= self._use_buttons(language, page, form.lab)
            return self.show_running(event, running_note(language, event.job.progress), figures)
        if page.failed and page.input == self._input(event):
            raise page.failed.with_traceback(None)
        if result is None:
            return show_view(language, next_seq(), "idle", event.note or event.say("sweep.idle"))
        event.updates |= self._use_buttons(language, page, form.lab)
        figures = self._figures(event)
        stale = self._stale_note(event)
        model, *texts = page.result_input
        of = {"model": model, **self.boxes_of(form.lab, tuple(texts))}
        return show_view(
            language, next_seq(), "stale" if stale else "ready", stale or event.note, figures=figures, of=of
        )

    def _figures(self, event: TabEvent) -> list | None:
        """The result's figures as chosen; None where the browser has them."""
        page, form, result = event.page, event.form, event.page.result
        figure = form.figure if form.figure in result.metrics else result.criterion
        swept = form.method in METHODS[1:] and Postprocess(form.method) in result.postprocess
        drawn, page.drawn = page.drawn, (figure, form.method if swept else BEST_METHOD)
        return None if drawn == page.drawn else sweep_figures(event.language, result, *page.drawn)

    def controls(self, event: TabEvent) -> dict[Any, Any]:
        """The buttons, the prompts that the model can be given, and the estimate."""
        page, form = event.page, event.form
        info = self.lab.engine.loaded(form.lab.model)
        prompts = _possible_prompts(info, form.lab.prompt)
        ticked = [prompt for prompt in prompts if prompt in form.prompts or prompt not in page.offered]
        updates = {
            **super().controls(event),
            self.widgets.estimate: render_note(estimate(event.language, info, ticked)),
        }
        if prompts != page.offered:
            page.offered = prompts
            updates[self.widgets.prompts] = gr.update(choices=list(prompts), value=ticked)
        return updates

    def _input(self, event: TabEvent) -> tuple:
        """What a sweep would be about: model and texts."""
        return (event.form.lab.model, *self.texts_input(event))

    def _stale_note(self, event: TabEvent) -> str:
        """Why the result no longer belongs to what is chosen; "" while it does."""
        page = event.page
        if page.result_input[0] != event.form.lab.model:
            return event.say("sweep.stale.model", model=page.result.provenance["model"])
        return "" if page.result_input == self._input(event) else event.say("sweep.stale.texts")

    def _use_buttons(self, language: str, page: _Page, lab: Form) -> dict:
        """The buttons that apply a reading; one that is in use says so."""
        same_model = page.result_input[0] == lab.model
        updates = {}
        for widget, reading in ((self.widgets.use_best, page.result.best), (self.widgets.use_picked, page.picked)):
            if reading is None:
                updates[widget] = gr.update(visible=False)
                continue
            choices = reading_choices(page.result, reading)
            in_use = same_model and all(getattr(lab, name) == value for name, value in choices.items())
            text = translate(language, "sweep.in_use" if in_use else "label.sweep_use")
            updates[widget] = gr.update(value=text, interactive=same_model and not in_use, visible=True)
        return updates

    def _use(self, request: gr.Request, choose: Callable[[_Page], Reading | None], model: str) -> dict:
        page = self.pages.of(request)
        reading = choose(page) if page.result and page.result_input[0] == model else None
        if reading is None:
            return {self.lab_widgets.prompt: gr.skip()}
        choices = reading_choices(page.result, reading)
        return {getattr(self.lab_widgets, name): value for name, value in choices.items()}


def wire_sweep(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""
    handlers = SweepHandlers(lab, widgets, lab_widgets)
    inputs = [*lab_widgets.choices, *widgets.select(*FORM)]
    results = ("view", "verdict", "scores", "hint", "picked", "figure", "method", "use_best", "use_picked")
    controls = ("prompts", "estimate", "run", "stop", "source_note", "fold")
    polls = [widgets.figure.input, widgets.method.input, widgets.prompts.input]
    handlers.wire(page, inputs, widgets.select(*results, *controls), polls)
    widgets.view.pick(handlers.on_pick, inputs, widgets.select("picked", "use_best", "use_picked"), **LIVE)
    reading = [getattr(lab_widgets, name) for name in READING_FIELDS]
    widgets.use_best.click(handlers.on_use_best, lab_widgets.model, reading, **QUIET)
    widgets.use_picked.click(handlers.on_use_picked, lab_widgets.model, reading, **QUIET)


def _possible_prompts(info: ModelInfo | None, prompt: str) -> tuple[str, ...]:
    """The prompts to sweep; of a model that is not loaded, those of every model. prompt: the lab's."""
    possible = set(info.prompts) if info else set(Prompt) - {Prompt.CHAT, Prompt.OWN}
    if prompt != Prompt.CUSTOM.value:
        possible.discard(Prompt.CUSTOM)
    return tuple(choice.value for choice in Prompt if choice in possible)


def _is_spot(sweep: Sweep, spot: Any) -> bool:
    """Whether an unchecked value from a browser is a place in the sweep's figures."""
    shape = sweep.metrics[sweep.criterion].shape
    whole = isinstance(spot, list | tuple) and len(spot) == len(shape) and all(type(place) is int for place in spot)
    return whole and all(0 <= place < count for place, count in zip(spot, shape, strict=True))
