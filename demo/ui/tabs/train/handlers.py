"""The Train tab's handlers: starts runs in a job queue, tells how far they are, and takes what they reached.

Computes nothing. A run has a thread of its own, so that nobody's heatmap waits for it; the view's `tick` asks for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Prompt
from demo.domain.errors import Busy, DemoError, Stopped
from demo.domain.recipe import TrainingSet
from demo.files.bundled import load_training
from demo.files.pairs import PairLimits, load_pairs
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.studies.training import kept_folder
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.downloads import FETCH
from demo.ui.kit.i18n import choose_language, translate, translate_error
from demo.ui.kit.page_jobs import PageJobs
from demo.ui.kit.text import model_choices, render_note
from demo.ui.kit.unexpected import report_unexpected
from demo.ui.kit.view import answer_view, next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.tabs.train.formula import render_formula
from demo.ui.tabs.train.pages import Page
from demo.ui.tabs.train.runs import LOADING, TRAINING, Run, Wanted, pack
from demo.ui.tabs.train.tab import BUNDLED, FILE, IN_THE_LAB, TEXTS, TRAINABLE, TrainWidgets, offered_efforts
from demo.ui.tabs.train.text import (
    HELD,
    LIVE,
    below_name,
    ended_note,
    file_name,
    model_name,
    reading_hint,
    recipe_note,
    render_source,
    render_state,
    running_note,
    set_choices,
)

_WAITING = 8  # runs in the line
_LIMITS = PairLimits(pairs=5_000, characters=2_000, bytes=2 * 2**20)  # of a file that is uploaded
_RECOMMENDED = {  # a reading that training likes to start from, of any model
    "prompt": Prompt.PROMPTEOL.value,
    "pooling": Pooling.LAST_TOKEN.value,
    "layer": LAST_LAYER,
    "eos": False,
    "postprocess": Postprocess.NONE.value,
}
_ASK_HEATMAP = "() => { document.dispatchEvent(new CustomEvent('lab:ask')); }"


@dataclass(frozen=True)
class _Chosen:
    """What stands in the tab's widgets, in the order of TrainWidgets.choices."""

    model: str
    reading: str
    source: str
    sets: list[str]
    effort: str


class TrainHandlers:
    """The tab's answers. One instance serves every person; what is theirs is in a Page."""

    def __init__(self, lab: Lab, widgets: TrainWidgets, lab_widgets: Widgets):
        self.lab = lab
        self.widgets = widgets
        self.lab_widgets = lab_widgets
        self.queue = JobQueue(lab.settings.max_trainings, _WAITING)
        self.pages = PageJobs(Page)
        self._files = tempfile.TemporaryDirectory(prefix="adapters-")

    def on_open(self, request: gr.Request, *values: Any) -> dict:
        """What the boxes offer, in the person's language; then as `on_tick`."""
        language = choose_language(request)
        ready = [
            (status.name, status.model)
            for status in self.lab.models()
            if status.state != "unavailable" and status.model in TRAINABLE
        ]
        models = [(translate(language, "label.train_in_the_lab"), IN_THE_LAB), *ready]
        return {
            self.widgets.model: gr.update(choices=models),
            self.widgets.sets: gr.update(choices=set_choices(language)),
            **self.on_tick(request, *values),
        }

    def on_tick(self, request: gr.Request, *values: Any) -> dict:
        """What is to be seen now. Never waits for the run."""
        return self._answer(request, values, lambda page, asked, chosen: None)

    def on_choose(self, request: gr.Request, *values: Any) -> dict:
        """Another choice: what was wrong with the last one is said no longer."""
        return self._answer(request, values, lambda page, asked, chosen: setattr(page, "failed", ""))

    def on_run(self, request: gr.Request, *values: Any) -> dict:
        """Begin a run, or take a place in the line, unless this page has one under way."""
        language = choose_language(request)

        def begin(page: Page, asked: Form, chosen: _Chosen) -> None:
            page.end(language, self.lab)
            if page.job is None:
                self._start(language, page, asked, chosen)

        return {**self._answer(request, values, begin), self.widgets.keep_note: ""}

    def on_pause(self, request: gr.Request, *values: Any) -> dict:
        """Rest after this step, or go on."""

        def pause(page: Page, *_: Any) -> None:
            if page.run:
                page.run.pause(not page.run.paused)

        return self._answer(request, values, pause)

    def on_stop(self, request: gr.Request, *values: Any) -> dict:
        """End after this step, and keep what was reached; or leave the line."""

        def stop(page: Page, *_: Any) -> None:
            if page.job and page.job.ahead:
                page.stop()
            elif page.run:
                page.run.finish()

        return self._answer(request, values, stop)

    def on_look(self, request: gr.Request, step: float, *values: Any) -> dict:
        """Look back at a step; at the newest one, follow the run again."""

        def look(page: Page, *_: Any) -> None:
            newest = page.run.looks[-1].step if page.run and page.run.looks else 0
            page.chosen = int(step) if step is not None and step < newest else None

        return self._answer(request, values, look)

    def on_upload(self, request: gr.Request, path: str | None, *values: Any) -> dict:
        """A file becomes pairs, or a sentence on what is wrong with it. The file itself is not kept."""
        language, page = choose_language(request), self.pages.of(request)
        page.uploaded, page.refused = None, ""
        if path:
            try:
                page.uploaded = load_pairs(path, _LIMITS)
            except DemoError as error:
                page.refused = translate_error(language, error)
            except Exception as error:  # the page must stay usable whatever happens; the log says where it happened
                page.refused = report_unexpected(language, error, "an upload")
            finally:
                Path(path).unlink(missing_ok=True)
        return self.on_choose(request, *values)

    def on_keep(self, request: gr.Request) -> dict:
        """The model as it is now becomes one of this person's list, and the one in use."""
        language, page = choose_language(request), self.pages.of(request)

        def take(run: Run, model: str) -> dict:
            names = {known: name for name, known in page.taken}
            name = names.get(model) or model_name(language, run, run.kept_at[0], names.values())
            if model not in names:
                page.taken.append((name, model))
            run.taken.add(model)
            offered = [*model_choices(language, self.lab.models()), *page.taken]
            note = render_note(translate(language, "train.kept", name=name))
            return {self.lab_widgets.model: gr.update(choices=offered, value=model), self.widgets.keep_note: note}

        return self._take(language, page, take)

    def on_download(self, request: gr.Request) -> dict:
        """The model as it is now as a file."""
        language, page = choose_language(request), self.pages.of(request)

        def take(run: Run, model: str) -> dict:
            if page.packed:
                page.packed.unlink(missing_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self._files.name))
            page.packed = pack(self.lab, model, folder, file_name(run, run.kept_at[0]))
            return {self.widgets.file: str(page.packed), self.widgets.keep_note: ""}

        return {self.widgets.file: None, **self._take(language, page, take)}

    def on_leave(self, request: gr.Request) -> None:
        """The page is gone: its run ends, or leaves the line. What was seen stays, for a phone that only slept."""
        page = self.pages.of(request)
        page.stop()
        page.job = None  # a run that was stopped so must not be remembered with all that it held

    # ---- beginning and ending ---------------------------------------------------------------------------------------

    def _start(self, language: str, page: Page, asked: Form, chosen: _Chosen) -> None:
        """A job, or a sentence on why there is none."""
        sets, page.failed = self._sets(page, chosen), ""
        if self.lab.settings.engine == "zerogpu":
            page.failed = translate(language, "train.lent")
        elif chosen.effort not in offered_efforts(self.lab.settings):
            page.failed = translate(language, "train.not_offered")
        elif not sets and chosen.source != TEXTS:
            page.failed = translate(language, f"train.missing.{chosen.source}")
        if page.failed:
            return
        run = Run(
            Wanted(
                model=self._model(asked, chosen),
                effort=chosen.effort,
                reading=_RECOMMENDED if chosen.reading != IN_THE_LAB else self._lab_reading(asked),
                sets=sets,
                questions=asked.questions or "",
                answers=asked.answers or "",
                matches=asked.matches or "",
            )
        )
        seconds = self.lab.settings.train_minutes * 60
        try:
            page.job = self.queue.submit(lambda report: run.train(self.lab, seconds, report), "train")
        except Busy:
            page.failed = translate(language, "train.busy", count=_WAITING)
            return
        page.previous = page.run if page.run and page.run.looks else None
        page.show(run)

    def _sets(self, page: Page, chosen: _Chosen) -> tuple[TrainingSet, ...]:
        if chosen.source == BUNDLED:
            return tuple(one for name, one in load_training().items() if name in chosen.sets)
        return (page.uploaded,) if chosen.source == FILE and page.uploaded else ()

    def _model(self, asked: Form, chosen: _Chosen) -> str:
        """The model to train; of an adapter in the lab, one that was trained here say, the model below it."""
        if chosen.model != IN_THE_LAB:
            return chosen.model
        model = (asked.model or "").strip() or self.lab.settings.model
        info = self.lab.engine.loaded(model)
        return info.base if info and info.base else model

    def _lab_reading(self, asked: Form) -> dict[str, Any]:
        reading = {name: value for name, value in asked.reading.items() if name != "model"}
        info = self.lab.engine.loaded((asked.model or "").strip())
        if info and reading["layer"] == info.n_layers:
            reading["layer"] = LAST_LAYER  # so that it fits another model too
        return reading

    # ---- what is said -----------------------------------------------------------------------------------------------

    def _answer(
        self, request: gr.Request, values: tuple, change: Callable[[Page, Form, _Chosen], None]
    ) -> dict[Any, Any]:
        """Change something of this page; then all that is not as it was sent last."""
        language, page = choose_language(request), self.pages.of(request)
        count = len(self.lab_widgets.choices)
        asked = Form.from_widgets(values[:count])
        model, reading, source, sets, effort = values[count:]
        chosen = _Chosen(model or IN_THE_LAB, reading, source, list(sets or ()), effort)
        answer: dict[str, Any] = {}
        with page.lock:

            def tell() -> dict:
                change(page, asked, chosen)
                working = page.running  # before the rest: what ends meanwhile is told of by the next tick
                if not working:
                    page.end(language, self.lab)
                answer.update(self._facts(language, page, working, asked, chosen))
                return self._tell(language, page, working)

            payload = answer_view(language, tell)
            news = {name: value for name, value in answer.items() if page.sent.get(name) != value}
            page.sent |= news
            held = page.figures(language, HELD)
        told = {getattr(self.widgets, name): value for name, value in news.items()}
        if held is not None:
            told[self.widgets.held] = show_view(language, next_seq(), "ready", figures=held)
        return {self.widgets.view: payload, **told}

    def _tell(self, language: str, page: Page, working: bool) -> dict:
        """The view's payload."""
        run, figures = page.run, page.figures(language, LIVE)
        if working:
            progress, before = page.job.progress, page.job.ahead
            note = running_note(language, run, before, progress)
            known = progress.fraction if progress.stage in (LOADING, TRAINING) else None
            return show_view(language, next_seq(), "running", note, known, figures, poll=True)
        if page.failed:
            return show_view(language, next_seq(), "error", page.failed, figures=figures)
        if run is None or not run.looks:
            return show_view(language, next_seq(), "idle", translate(language, "train.idle"), figures=figures)
        note = ended_note(language, run, self.lab.settings.train_minutes)
        return show_view(language, next_seq(), "ready", note, figures=figures)

    def _facts(self, language: str, page: Page, working: bool, asked: Form, chosen: _Chosen) -> dict[str, Any]:
        """Everything beside the view, by the widget's name."""
        run = page.run
        looks = run.looks if run else []
        newest = looks[-1].step if looks else 0
        able = bool(looks) and (working or bool(run.kept))
        slider = {"visible": len(looks) > 1, "maximum": max(newest, 1)}
        if page.chosen is None:
            slider["value"] = newest
        hint = reading_hint(language, chosen.reading, asked.reading)
        plan = recipe_note(language, chosen.effort)
        model = self._model(asked, chosen)
        if chosen.model == IN_THE_LAB and model != (asked.model or "").strip():
            plan = f"{translate(language, 'train.below', model=below_name(model))} {plan}"
        return {
            "state": render_state(language, run) if run else "",
            "formula": render_formula(language, run),
            "look": gr.update(**slider),
            "reading_note": render_note(hint),
            "source_note": render_source(language, chosen.source, self._sets(page, chosen), page.refused),
            "plan": render_note(plan),
            "run": gr.update(interactive=not working),
            "pause": gr.update(
                visible=working and bool(looks) and not run.finishing,
                value=translate(language, "train.resume" if run and run.paused else "label.train_pause"),
            ),
            "stop": gr.update(visible=working, interactive=not (run and run.finishing)),
            "keep": gr.update(interactive=able),
            "download": gr.update(interactive=able),
        }

    # ---- taking -----------------------------------------------------------------------------------------------------

    def _take(self, language: str, page: Page, take: Callable[[Run, str], dict]) -> dict:
        """Ask the run for its model, after the step under way, and do something with it."""
        run, said = page.run, ""
        try:
            model = run.keep() if run else ""
            if model and kept_folder(self.lab, model).is_dir():
                return take(run, model)
            said = translate(language, "train.nothing_kept")
        except Stopped:
            said = translate(language, "train.nothing_kept")
        except TimeoutError:
            said = translate(language, "train.keep_later")
        except DemoError as error:
            said = translate_error(language, error)
        except Exception as error:  # the page must stay usable whatever happens; the log says where it happened
            said = report_unexpected(language, error, "keeping a model")
        return {self.widgets.keep_note: render_note("", said)}


def wire_train(page: gr.Blocks, lab: Lab, widgets: TrainWidgets, lab_widgets: Widgets, session: gr.State) -> None:
    """The tab's events."""
    handlers = TrainHandlers(lab, widgets, lab_widgets)
    live = {**QUIET, "trigger_mode": "always_last", "concurrency_limit": 8}
    asked = [*lab_widgets.choices, *widgets.choices]
    shown = [
        *(widgets.view, widgets.state, widgets.formula, widgets.look, widgets.reading_note, widgets.source_note),
        *(widgets.held, widgets.plan, widgets.run, widgets.pause, widgets.stop, widgets.keep, widgets.download),
    ]
    choices = [widgets.reading.input, widgets.source.input, widgets.sets.input, widgets.effort.input]
    gr.on([widgets.view.tick], handlers.on_tick, asked, shown, **live)
    gr.on(choices, handlers.on_choose, asked, shown, **live)
    widgets.run.click(handlers.on_run, asked, [*shown, widgets.keep_note], **QUIET)
    widgets.pause.click(handlers.on_pause, asked, shown, **QUIET)
    widgets.stop.click(handlers.on_stop, asked, shown, **QUIET)
    widgets.look.input(handlers.on_look, [widgets.look, *asked], shown, **live)
    widgets.upload.upload(handlers.on_upload, [widgets.upload, *asked], shown, **QUIET)
    kept = [lab_widgets.model, widgets.keep_note]
    widgets.keep.click(handlers.on_keep, None, kept, **QUIET).then(None, js=_ASK_HEATMAP, **QUIET)
    made = [widgets.file, widgets.keep_note]
    widgets.download.click(handlers.on_download, None, made, **QUIET).then(None, widgets.file, None, js=FETCH, **QUIET)
    widgets.view.opened(handlers.on_open, asked, [widgets.model, widgets.sets, *shown], queue=False, **QUIET)
    page.unload(handlers.on_leave)
