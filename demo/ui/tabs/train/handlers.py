"""The Train tab's handlers: a training run in a job, its progress, and the model that it reached. Computes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Prompt
from demo.domain.errors import Busy, Stopped
from demo.domain.recipe import TrainingSet
from demo.files.bundled import load_training
from demo.files.examples import Capacity
from demo.files.pairs import PairLimits, make_training_set
from demo.jobs.queue import JobQueue
from demo.lab import Lab
from demo.studies.training import kept_folder, name_kept
from demo.ui.gradio.event_options import LIVE, QUIET
from demo.ui.kit.downloads import FETCH, Downloads
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.job_tab import JobTab, Payload, TabEvent
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import model_choices, render_note, render_takehome
from demo.ui.kit.unexpected import explain_error
from demo.ui.kit.view import next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.ui.page_file.bar import BUNDLED, FILE, TEXTS
from demo.ui.page_file.registry import PAGE_FILES, PageFile
from demo.ui.page_file.text import render_part
from demo.ui.tabs.train.formula import render_formula
from demo.ui.tabs.train.pages import Page
from demo.ui.tabs.train.runs import Run, RunSettings
from demo.ui.tabs.train.tab import FORM, IN_THE_LAB, TRAINABLE, offered_efforts
from demo.ui.tabs.train.text import (
    HELD,
    LIVE_FIGURES,
    base_name,
    describe_file,
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

_WAITING = 8  # runs in the queue
_LIMITS = PairLimits(pairs=5_000, rows=50_000, bytes=4 * 2**20)  # of an uploaded file
_RECOMMENDED = {  # a reading to start training from, of any model
    "prompt": Prompt.PROMPTEOL.value,
    "pooling": Pooling.LAST_TOKEN.value,
    "layer": LAST_LAYER,
    "eos": False,
    "postprocess": Postprocess.NONE.value,
}
_ASK_HEATMAP = "() => { document.dispatchEvent(new CustomEvent('lab:ask')); }"


@dataclass(frozen=True)
class _Form:
    """The widgets' values: the lab's own, then those of FORM."""

    lab: Form
    model: str
    reading: str
    source: str
    sets: list[str]
    effort: str


class TrainHandlers(JobTab):
    """One instance serves every page; a Page holds the state of each."""

    name = "train"

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Widgets):
        super().__init__(lab, widgets, JobQueue(lab.settings.max_trainings, _WAITING), Page)
        self.lab_widgets = lab_widgets
        self._downloads = Downloads(widgets.file)

    def on_open(self, request: gr.Request, *values: Any) -> dict:
        """The boxes' choices in the person's language; then as `on_tick`."""
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

    def on_choose(self, request: gr.Request, *values: Any) -> dict:
        """Another choice: the error of the last one goes."""
        return self.answer(request, values, lambda event: setattr(event.page, "failed", ""))

    def on_run(self, request: gr.Request, *values: Any) -> dict:
        """Start a run, or queue it, unless this page has one."""
        return {**super().on_run(request, *values), self.widgets.keep_note: ""}

    def on_pause(self, request: gr.Request, *values: Any) -> dict:
        """Pause after this step, or go on."""

        def pause(event: TabEvent) -> None:
            run = event.page.run
            if run:
                run.pause(not run.paused)

        return self.answer(request, values, pause)

    def on_stop(self, request: gr.Request, *values: Any) -> dict:
        """End after this step and keep what was reached; or leave the queue."""

        def stop(event: TabEvent) -> None:
            if event.job.ahead:
                event.page.stop()
            elif event.page.run:
                event.page.run.finish()

        return self.answer(request, values, stop)

    def on_look(self, request: gr.Request, step: float, *values: Any) -> dict:
        """Look back at a step; at the newest one, follow the run again."""

        def look(event: TabEvent) -> None:
            run = event.page.run
            newest = run.snapshots[-1].step if run and run.snapshots else 0
            event.page.chosen_step = int(step) if step is not None and step < newest else None

        return self.answer(request, values, look)

    def on_keep(self, request: gr.Request) -> dict:
        """The present model becomes one of this person's list, and the one in use."""
        language, page = choose_language(request), self.pages.of(request)

        def keep(run: Run, model: str) -> dict:
            if model not in page.models:
                others = {*page.models.values(), *(status.name for status in self.lab.models())}
                page.models[model] = model_name(language, run, others)
            run.used.add(model)
            if not self.lab.settings.public:
                name_kept(self.lab, model, page.models[model], run.info.model)
            listed = self.lab.models()
            ids = {status.model for status in listed}
            own = [(name, model) for model, name in page.models.items() if model not in ids]
            choices = gr.update(choices=[*model_choices(language, listed), *own], value=model)
            note = render_note(translate(language, "train.kept", name=page.models[model]))
            note += render_takehome(language, replace(run.recipe.reading, model=model))
            return {self.lab_widgets.model: choices, self.widgets.keep_note: note}

        return self._with_model(language, page, keep)

    def on_download(self, request: gr.Request) -> dict:
        """The present model as a zip file."""
        language, page = choose_language(request), self.pages.of(request)

        def download(run: Run, model: str) -> dict:
            folder = kept_folder(self.lab, model)
            file = self._downloads.create(
                f"{file_name(run)}.zip",
                lambda path: shutil.make_archive(str(path.with_suffix("")), "zip", folder),
            )
            return {self.widgets.file: file, self.widgets.keep_note: ""}

        return {self.widgets.file: None, **self._with_model(language, page, download)}

    def resend(self, event: TabEvent) -> None:
        event.page.sent, event.page.drawn = {}, {}

    # ---- a run -------------------------------------------------------------------------------------------------------

    def read(self, values: tuple) -> _Form:
        count = len(self.lab_widgets.choices)
        model, reading, source, sets, effort = values[count:]
        lab = Form.from_widgets(values[:count])
        return _Form(lab, model or IN_THE_LAB, reading, source, list(sets or ()), effort)

    def start(self, event: TabEvent) -> None:
        page, form = event.page, event.form
        sets, page.failed = self._sets(event), ""
        if self.lab.settings.engine == "zerogpu":
            page.failed = event.say("train.lent")
        elif form.effort not in offered_efforts(self.lab.settings):
            page.failed = event.say("train.not_offered")
        elif not sets and form.source != TEXTS:
            page.failed = event.say(f"train.missing.{form.source}")
        if page.failed:
            return
        texts = {name: getattr(form.lab, name) for name in ("questions", "answers", "matches")}
        reading = self._lab_reading(form.lab) if form.reading == IN_THE_LAB else _RECOMMENDED
        run = Run(RunSettings(model=self._model(form), effort=form.effort, reading=reading, sets=sets, **texts))
        seconds = self.lab.settings.train_minutes * 60
        try:
            page.start(self.queue, lambda report: run.train(self.lab, seconds, report), self.name)
        except Busy:
            page.failed = event.say("train.busy", count=_WAITING)
            return
        page.previous = page.run if page.run and page.run.snapshots else None
        page.show(run)

    def end(self, event: TabEvent) -> None:
        page, job = event.page, event.job
        if job.stopped:
            page.failed = event.say("train.never_began")
        elif job.error:
            page.failed = explain_error(event.language, job.error, "a training run")
        previous, page.previous = page.previous, None
        if previous is not None and page.run.snapshots:
            previous.discard(self.lab)
        elif previous is not None:
            page.show(previous)

    def _sets(self, event: TabEvent) -> tuple[TrainingSet, ...]:
        """The pairs to learn from; none for those of the boxes. Raises BadInput."""
        if event.form.source == BUNDLED:
            return tuple(one for name, one in load_training().items() if name in event.form.sets)
        file = PAGE_FILES.get(event.key) if event.form.source == FILE else None
        return (self._of_file(file),) if file else ()

    def _of_file(self, file: PageFile) -> TrainingSet:
        name, capacity = Path(file.table.name).stem, Capacity(rows=_LIMITS.pairs)
        return file.part(
            self.name,
            lambda file: make_training_set(
                file.table, name, _LIMITS, choice=file.columns, capacity=capacity, drawn=file.drawn
            ),
        )

    def _model(self, form: _Form) -> str:
        """The model to train; of an adapter in the lab, for example one trained here, its base model."""
        if form.model != IN_THE_LAB:
            return form.model
        model = form.lab.model or self.lab.settings.model
        info = self.lab.engine.loaded(model)
        return info.base if info and info.base else model

    def _lab_reading(self, lab: Form) -> dict[str, Any]:
        reading = {name: value for name, value in lab.reading.items() if name != "model"}
        info = self.lab.engine.loaded(lab.model)
        if info and reading["layer"] == info.n_layers:
            reading["layer"] = LAST_LAYER  # so that it fits another model too
        return reading

    # ---- the answer --------------------------------------------------------------------------------------------------

    def show(self, event: TabEvent) -> Payload:
        language, page, job = event.language, event.page, event.job
        run, figures = page.run, page.figures(language, LIVE_FIGURES)
        if job.running:
            moving = not (run.finishing or run.paused or job.ahead)
            note, left = running_note(language, run, job), self.say_left(event) if moving else ""
            fraction = None if job.ahead else job.progress.fraction
            return show_view(language, next_seq(), "running", note, fraction, figures, poll=True, left=left)
        state, note = "idle", event.say("train.idle")
        if page.failed:
            state, note = "error", page.failed
        elif run is not None and run.snapshots:
            state, note = "ready", ended_note(language, run, self.lab.settings.train_minutes)
        return show_view(language, next_seq(), state, note, figures=figures)

    def controls(self, event: TabEvent) -> dict[Any, Any]:
        """Every other widget whose update differs from the last one that this page was sent."""
        language, page, updates = event.language, event.page, self._updates(event)
        changed = {name: update for name, update in updates.items() if page.sent.get(name) != update}
        page.sent |= changed
        held = page.figures(language, HELD)
        if held is not None:
            changed["held"] = show_view(language, next_seq(), "ready", figures=held)
        return {getattr(self.widgets, name): update for name, update in changed.items()}

    def _updates(self, event: TabEvent) -> dict[str, Any]:
        """All widgets beside the views, by name."""
        language, page, form, running, run = event.language, event.page, event.form, event.job.running, event.page.run
        snapshots = run.snapshots if run else []
        newest = snapshots[-1].step if snapshots else 0
        can_keep = bool(snapshots) and (running or bool(run.kept))
        slider = {"visible": len(snapshots) > 1, "maximum": max(newest, 1)}
        if page.chosen_step is None:
            slider["value"] = newest
        plan, model = recipe_note(language, form.effort), self._model(form)
        if form.model == IN_THE_LAB and model != form.lab.model:
            plan = f"{event.say('train.below', model=base_name(model))} {plan}"
        return {
            "state": render_state(language, run) if run else "",
            "formula": render_formula(language, run),
            "look": gr.update(**slider),
            "reading_note": render_note(reading_hint(language, form.reading, form.lab.reading)),
            "source_note": self._source_note(event),
            "plan": render_note(plan),
            "run": gr.update(interactive=not running),
            "pause": gr.update(
                visible=running and bool(snapshots) and not run.finishing,
                value=event.say("train.resume" if run and run.paused else "label.train_pause"),
            ),
            "stop": gr.update(visible=running, interactive=not (run and run.finishing)),
            "keep": gr.update(interactive=can_keep),
            "download": gr.update(interactive=can_keep),
        }

    def _source_note(self, event: TabEvent) -> str:
        language = event.language
        if event.form.source != FILE:
            return render_source(language, event.form.source, self._sets(event))
        file = PAGE_FILES.get(event.key)
        return render_part(language, file, lambda file: describe_file(language, file, self._of_file(file)))

    def _with_model(self, language: str, page: Page, use: Callable[[Run, str], dict]) -> dict:
        """Do something with the run's model as it is after the present step, or say why there is none."""
        run, problem = page.run, translate(language, "train.nothing_kept")
        try:
            model = run.keep() if run else ""
            if model and kept_folder(self.lab, model).is_dir():
                return use(run, model)
        except Stopped:
            pass
        except TimeoutError:
            problem = translate(language, "train.keep_later")
        except Exception as error:
            problem = explain_error(language, error, "keeping a model")
        return {self.widgets.keep_note: render_note("", problem)}


def wire_train(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""
    handlers = TrainHandlers(lab, widgets, lab_widgets)
    inputs = [*lab_widgets.choices, *widgets.select(*FORM)]
    results = ("view", "state", "formula", "look", "reading_note", "source_note", "held", "plan")
    outputs = widgets.select(*results, "run", "pause", "stop", "keep", "download", "keep_note")
    handlers.wire(page, inputs, outputs)
    choices = [widget.input for widget in widgets.select("reading", "source", "sets", "effort")]
    gr.on(choices, handlers.on_choose, inputs, outputs, **LIVE)
    widgets.pause.click(handlers.on_pause, inputs, outputs, **QUIET)
    widgets.look.input(handlers.on_look, [widgets.look, *inputs], outputs, **LIVE)
    kept = widgets.keep.click(handlers.on_keep, None, [lab_widgets.model, widgets.keep_note], **QUIET)
    kept.then(None, js=_ASK_HEATMAP, **QUIET)
    written = widgets.download.click(handlers.on_download, None, widgets.select("file", "keep_note"), **QUIET)
    written.then(None, widgets.file, None, js=FETCH, **QUIET)
    widgets.view.opened(handlers.on_open, inputs, [widgets.model, widgets.sets, *outputs], queue=False, **QUIET)
