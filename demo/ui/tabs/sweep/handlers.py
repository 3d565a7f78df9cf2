"""The Sweep tab's handlers: starts sweeps in a job queue of their own, tells how far they are, shows what they found.

Computes nothing. A sweep has a thread of its own, so that nobody's heatmap waits for it; the view's `tick` asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.domain.datamodels import ModelInfo, Postprocess, Prompt, Reading
from demo.domain.errors import DemoError, Stopped
from demo.domain.results import LabelledSet, Sweep
from demo.files.labelled import TableLimits, load_labelled
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language, translate, translate_error
from demo.ui.kit.page_jobs import PageJob, PageJobs
from demo.ui.kit.text import render_note
from demo.ui.kit.unexpected import report_unexpected
from demo.ui.kit.view import answer_view, next_seq, said_by, show_view
from demo.ui.live.form import READING, Form
from demo.ui.live.tab import Widgets
from demo.ui.tabs.sweep.tab import BEST_METHOD, FIGURES, FOR_EVERY_MODEL, METHODS, SweepWidgets
from demo.ui.tabs.sweep.text import (
    estimate,
    reading_choices,
    render_hint,
    render_picked,
    render_scores,
    render_sweep_verdict,
    running_note,
    sweep_figures,
    uploaded_note,
)

_AT_ONCE = 2  # sweeps, all people taken together
_WAITING = 8  # in line behind them
_MOST_PAIRS = 2_000
_MOST_TEXTS = 400  # distinct ones of a file: each runs through the model once a prompt
_MOST_BYTES = 2**20
_READ = tuple(name for name in READING if name != "model")


@dataclass(frozen=True)
class _Wanted:
    """What stands in the tab's widgets, in the order of SweepWidgets.choices."""

    source: str
    prompts: list[str]
    eos: bool
    reference: str
    figure: str
    method: str


@dataclass(eq=False)
class _Page(PageJob):
    """What the server remembers of one open page; its job is a sweep."""

    labelled: LabelledSet | None = None  # of the file that was uploaded
    over: tuple = ()  # what the job under way is asked over
    failed: DemoError | None = None  # what it raised; told until something else is asked
    found: Sweep | None = None
    found_over: tuple = ()  # what `found` was asked over
    drawn: tuple = ()  # (figure, method) of the pictures that were sent
    picked: Reading | None = None
    offered: tuple[str, ...] = tuple(FOR_EVERY_MODEL)  # the prompts to choose from


class SweepHandlers:
    """The tab's answers. One instance serves every person; what is theirs is in a _Page."""

    def __init__(self, lab: Lab, widgets: SweepWidgets, lab_widgets: Widgets, queue: JobQueue):
        self.lab = lab
        self.widgets = widgets
        self.lab_widgets = lab_widgets
        self.queue = queue
        self.pages = PageJobs(_Page)
        self._limits = TableLimits(_MOST_PAIRS, lab.limits.characters, _MOST_BYTES, lab.limits.cells)

    def on_tick(self, request: gr.Request, *values: Any) -> dict:
        """What is to be seen now: how far the sweep is, or what it found. Never waits for it."""
        language, page = choose_language(request), self.pages.of(request)
        asked, wanted = self._read(values)
        answer: dict[Any, Any] = {}
        payload = answer_view(language, lambda: self._tell(language, page, asked, wanted, answer))
        answer |= self._offer(language, page, asked, wanted)
        if page.job is None:
            answer |= self._buttons(running=False)
        return {self.widgets.view: payload, **answer}

    def on_run(self, request: gr.Request, *values: Any) -> dict:
        """Start a sweep, unless this page has one under way."""
        language, page = choose_language(request), self.pages.of(request)
        asked, wanted = self._read(values)
        notes: dict[Any, Any] = {}

        def answer() -> dict:
            if page.job is None and not self._start(language, page, asked, wanted, notes):
                state = "ready" if page.found else "idle"
                return show_view(language, next_seq(), state, translate(language, "sweep.nothing"))
            return self._progress(language, page)

        payload = answer_view(language, answer)
        return {self.widgets.view: payload, **notes, **self._buttons(running=page.job is not None)}

    def on_stop(self, request: gr.Request) -> dict:
        """Ask the sweep to end; the next tick tells that it has."""
        language, page = choose_language(request), self.pages.of(request)
        page.stop()
        if page.job is None:
            return {self.widgets.view: gr.skip(), **self._buttons(running=False)}
        return {self.widgets.view: self._progress(language, page)}

    def on_upload(self, request: gr.Request, path: str | None) -> str:
        """A file becomes a set of pairs, or a sentence on what is wrong with it. The file itself is not kept."""
        language, page = choose_language(request), self.pages.of(request)
        if not path:
            return render_note(translate(language, "sweep.formats"))
        page.labelled = page.failed = None
        try:
            labelled = load_labelled(path, self._limits)
        except DemoError as error:
            return render_note("", translate_error(language, error))
        except Exception as error:  # the page must stay usable whatever happens; the log says where it happened
            return render_note("", report_unexpected(language, error, "an upload"))
        finally:
            Path(path).unlink(missing_ok=True)
        count = len({*labelled.questions, *labelled.answers})
        if count > _MOST_TEXTS:
            return render_note("", translate(language, "sweep.upload.many", count=f"{count:,}", limit=_MOST_TEXTS))
        page.labelled = labelled
        return render_note(uploaded_note(language, labelled))

    def on_pick(self, request: gr.Request, event: gr.EventData, *values: Any) -> dict:
        """A cell was clicked: its reading is offered."""
        language, page = choose_language(request), self.pages.of(request)
        asked, wanted = self._read(values)
        found, spot = page.found, said_by(event, "point")
        if found is None or not _is_spot(found, spot):
            return {self.widgets.picked: gr.skip()}
        page.picked = found.reading_at(*spot)
        figure = page.drawn[0] if page.drawn else found.criterion
        value = float(found.metrics[figure][tuple(spot)])
        return {
            self.widgets.picked: render_picked(language, found, page.picked, figure, value),
            **self._uses(language, page, asked),
        }

    def on_use_best(self, request: gr.Request, model: str) -> dict:
        """The best reading comes into the lab's widgets, whose changes draw the heatmap."""
        page = self.pages.of(request)
        return self._use(page, page.found.best if page.found else None, model)

    def on_use_picked(self, request: gr.Request, model: str) -> dict:
        """The same with the reading of the cell that was clicked."""
        page = self.pages.of(request)
        return self._use(page, page.picked, model)

    def on_leave(self, request: gr.Request) -> None:
        """The page is gone: its sweep need not go on. What was found stays, for a phone that only slept."""
        self.pages.of(request).stop()

    def _read(self, values: tuple) -> tuple[Form, _Wanted]:
        count = len(self.lab_widgets.choices)
        source, prompts, eos, reference, figure, method = values[count:]
        return Form.from_widgets(values[:count]), _Wanted(
            source, list(prompts or ()), bool(eos), reference, figure, method
        )

    def _start(self, language: str, page: _Page, asked: Form, wanted: _Wanted, notes: dict) -> bool:
        """Whether a job has begun; else `notes` says what is missing. Raises Busy."""
        labelled = page.labelled if wanted.source == "file" else None
        if wanted.source == "file" and labelled is None:
            missing = translate(language, "sweep.upload.missing")
            notes[self.widgets.upload_note] = render_note(translate(language, "sweep.formats"), missing)
            return False
        if not wanted.prompts:
            notes[self.widgets.fold] = gr.update(open=True)
            notes[self.widgets.estimate] = render_note("", translate(language, "sweep.no_prompts"))
            return False
        texts = {"questions": asked.questions, "answers": asked.answers, "matches": asked.matches}

        def run(on_progress) -> Sweep:
            return self.lab.sweep(
                **({"labelled": labelled} if labelled else texts),
                model=asked.model,
                prompts=wanted.prompts,
                eos=wanted.eos,
                reference=wanted.reference,
                task=asked.task,
                template=asked.template,
                on_progress=on_progress,
            )

        page.job = self.queue.submit(run, "sweep")
        page.stopping, page.failed = False, None
        page.over = _over(asked, labelled)
        return True

    def _tell(self, language: str, page: _Page, asked: Form, wanted: _Wanted, answer: dict) -> dict:
        """The view's payload. What belongs to a new result goes into `answer`. Raises what the sweep raised."""
        note, job = "", page.job
        if job is not None:
            if page.running:
                return self._progress(language, page)
            page.job = None
            try:
                page.found = job.result()
                page.found_over, page.drawn, page.picked = page.over, (), None
                wanted = self._show_found(language, page, wanted, answer)
            except Stopped:
                note = translate(language, "sweep.stopped")
            except DemoError as error:
                page.failed = error
        if page.failed and page.over == _over(asked, page.labelled if wanted.source == "file" else None):
            raise page.failed.with_traceback(None)
        found = page.found
        if found is None:
            return show_view(language, next_seq(), "idle", note or translate(language, "sweep.idle"))
        answer |= self._uses(language, page, asked)
        figures, chosen = None, self._chosen(found, wanted)
        if page.drawn != chosen:
            figures = sweep_figures(language, found, *chosen)
            page.drawn = chosen
        stale = self._changed(language, page, asked)
        return show_view(language, next_seq(), "stale" if stale else "ready", stale or note, figures=figures)

    def _show_found(self, language: str, page: _Page, wanted: _Wanted, answer: dict) -> _Wanted:
        found, widgets = page.found, self.widgets
        methods = [BEST_METHOD, *(method.value for method in found.postprocess)]
        answer[widgets.verdict] = render_sweep_verdict(language, found)
        answer[widgets.scores] = render_scores(language, found)
        answer[widgets.hint] = render_hint(language, found)
        answer[widgets.picked] = ""
        answer[widgets.figure] = gr.update(visible=found.criterion in FIGURES, value=FIGURES[0])
        answer[widgets.method] = gr.update(
            visible=len(found.postprocess) > 1,
            choices=[(translate(language, f"label.sweep_method_{method}"), method) for method in methods],
            value=BEST_METHOD,
        )
        return _Wanted(wanted.source, wanted.prompts, wanted.eos, wanted.reference, FIGURES[0], BEST_METHOD)

    def _chosen(self, found: Sweep, wanted: _Wanted) -> tuple[str, str]:
        """Figure and post-processing to draw; what this sweep does not have becomes what it has."""
        figure = wanted.figure if wanted.figure in found.metrics else found.criterion
        swept = wanted.method in METHODS[1:] and Postprocess(wanted.method) in found.postprocess
        return figure, wanted.method if swept else BEST_METHOD

    def _changed(self, language: str, page: _Page, asked: Form) -> str:
        """Why what was found no longer belongs to what stands in the boxes; "" while it does."""
        model, *texts = page.found_over
        if model != asked.model:
            return translate(language, "sweep.stale.model", model=page.found.provenance["model"])
        if texts and texts != [asked.questions, asked.answers, asked.matches]:
            return translate(language, "sweep.stale.texts")
        return ""

    def _progress(self, language: str, page: _Page) -> dict:
        progress = page.job.progress
        note = running_note(language, progress, page.stopping, page.job.ahead)
        return show_view(language, next_seq(), "running", note, progress.fraction, poll=True)

    def _offer(self, language: str, page: _Page, asked: Form, wanted: _Wanted) -> dict:
        """The prompts that the model can be given, its own template only while it stands in the lab; the estimate."""
        info = self.lab.engine.loaded(asked.model)
        prompts = _possible(info, asked.prompt)
        answer = {}
        ticked = [prompt for prompt in prompts if prompt in wanted.prompts or prompt not in page.offered]
        if prompts != page.offered:
            page.offered = prompts
            answer[self.widgets.prompts] = gr.update(choices=list(prompts), value=ticked)
        answer[self.widgets.estimate] = render_note(estimate(language, info, ticked))
        return answer

    def _buttons(self, running: bool) -> dict:
        return {
            self.widgets.run: gr.update(interactive=not running),
            self.widgets.stop: gr.update(visible=running),
        }

    def _uses(self, language: str, page: _Page, asked: Form) -> dict:
        """The buttons that apply a reading: they say where it is the one in use."""
        same_model = page.found_over[0] == asked.model
        answer = {}
        for widget, reading in ((self.widgets.use_best, page.found.best), (self.widgets.use_picked, page.picked)):
            if reading is None:
                answer[widget] = gr.update(visible=False)
                continue
            chosen = reading_choices(page.found, reading)
            in_use = same_model and all(getattr(asked, name) == value for name, value in chosen.items())
            text = translate(language, "sweep.in_use" if in_use else "label.sweep_use")
            answer[widget] = gr.update(value=text, interactive=same_model and not in_use, visible=True)
        return answer

    def _use(self, page: _Page, reading: Reading | None, model: str) -> dict:
        if reading is None or page.found is None or page.found_over[0] != model:
            return {self.lab_widgets.prompt: gr.skip()}
        return {getattr(self.lab_widgets, name): value for name, value in reading_choices(page.found, reading).items()}


def wire_sweep(page: gr.Blocks, lab: Lab, widgets: SweepWidgets, lab_widgets: Widgets, session: gr.State) -> None:
    """The tab's events."""
    handlers = SweepHandlers(lab, widgets, lab_widgets, JobQueue(_AT_ONCE, _WAITING))
    live = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": 8}
    asked = [*lab_widgets.choices, *widgets.choices]
    shown = [
        *(widgets.view, widgets.verdict, widgets.scores, widgets.hint, widgets.picked, widgets.figure),
        *(widgets.method, widgets.use_best, widgets.use_picked, widgets.prompts, widgets.estimate),
        *(widgets.run, widgets.stop),
    ]
    events = [widgets.view.tick, widgets.figure.input, widgets.method.input, widgets.prompts.input]
    gr.on(events, handlers.on_tick, inputs=asked, outputs=shown, **live)
    started = [widgets.view, widgets.upload_note, widgets.fold, widgets.estimate, widgets.run, widgets.stop]
    widgets.run.click(handlers.on_run, asked, started, **QUIET)
    widgets.stop.click(handlers.on_stop, None, [widgets.view, widgets.run, widgets.stop], **QUIET)
    for sent in (widgets.view.opened, widgets.upload.upload):
        sent(handlers.on_upload, widgets.upload, widgets.upload_note, **QUIET)
    offered = [widgets.picked, widgets.use_best, widgets.use_picked]
    widgets.view.pick(handlers.on_pick, asked, offered, **live)
    read = [getattr(lab_widgets, name) for name in _READ]
    widgets.use_best.click(handlers.on_use_best, lab_widgets.model, read, **QUIET)
    widgets.use_picked.click(handlers.on_use_picked, lab_widgets.model, read, **QUIET)
    page.unload(handlers.on_leave)


def _over(asked: Form, labelled: LabelledSet | None) -> tuple:
    """The model, and the boxes' texts unless a file was swept."""
    return (asked.model,) if labelled else (asked.model, asked.questions, asked.answers, asked.matches)


def _possible(info: ModelInfo | None, prompt: str) -> tuple[str, ...]:
    """The prompts to sweep; of a model that is not there yet, those that every model can be given."""
    possible = info.prompts if info else set(Prompt) - {Prompt.CHAT, Prompt.OWN}
    unasked = set() if prompt == Prompt.CUSTOM.value else {Prompt.CUSTOM}
    return tuple(choice.value for choice in Prompt if choice in possible and choice not in unasked)


def _is_spot(found: Sweep, spot: Any) -> bool:
    """Whether what a browser sends is a place in the sweep's figures."""
    shape = found.metrics[found.criterion].shape
    whole = isinstance(spot, list | tuple) and len(spot) == len(shape) and all(type(place) is int for place in spot)
    return whole and all(0 <= place < count for place, count in zip(spot, shape, strict=True))
