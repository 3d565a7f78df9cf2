"""Job tab: handlers that start, poll, show and stop a page's long job. Computes nothing, and never waits for a job.

A job has a thread of its own, so that nobody's heatmap waits for it; the view's `tick` polls it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import ModelInfo, Progress
from demo.domain.errors import DemoError, ModelLoading, Stopped
from demo.jobs.queue import JobQueue, OnProgress
from demo.lab import Lab
from demo.ui.gradio.event_options import LIVE, QUIET
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.page_jobs import JobState, PageJob, PageJobs, open_session
from demo.ui.kit.view import answer_view, next_seq, note_loading, show_view
from demo.wording.remaining import describe_left

_UNKNOWN_SIZE = 135_000_000  # parameters of a model that is not of the list
_LONG_SECONDS = 60.0  # of what is left: from here on a person may want less
Payload = dict[str, Any]  # of the view


@dataclass
class TabEvent:
    """One event of one page, and the answer to it as it is being built."""

    language: str
    key: str  # the page's id
    page: Any  # the tab's PageJob
    form: Any  # the widgets' values, as the tab's `read` returns them
    job: JobState = JobState()
    note: str = ""  # shown once beside the result
    updates: dict[Any, Any] = field(default_factory=dict)  # by widget, beside the view's payload

    def say(self, key: str, **values: Any) -> str:
        """A sentence of the locales, in the page's language."""
        return translate(self.language, key, **values)


class JobTab(ABC):
    """Handlers of a tab whose widgets include `view`, `run` and `stop`. One instance serves every page.

    name: the prefix of its locale keys `stopping`, `waiting` and `shorter`, and its jobs' name.
    """

    name: str

    def __init__(self, lab: Lab, widgets: Any, queue: JobQueue, create_page: Callable[[], PageJob]):
        self.lab = lab
        self.widgets = widgets
        self.queue = queue
        self.pages = PageJobs(create_page)

    @abstractmethod
    def read(self, values: tuple) -> Any:
        """The inputs' values as the tab's form."""

    @abstractmethod
    def start(self, event: TabEvent) -> Payload | None:
        """Start a job (the page has none), or say why not. Raises DemoError."""

    @abstractmethod
    def end(self, event: TabEvent) -> None:
        """Record how the job ended: `event.job` has its result or error. Raises an error that is not kept."""

    @abstractmethod
    def show(self, event: TabEvent) -> Payload:
        """The view's payload. Raises DemoError."""

    def resend(self, event: TabEvent) -> None:  # noqa: B027  (most tabs send everything with every answer)
        """The browser has nothing of what was sent before: whatever is sent once is sent again."""

    def controls(self, event: TabEvent) -> dict[Any, Any]:
        """Updates that every answer carries, whatever the view shows."""
        running = event.job.running
        return {self.widgets.run: gr.update(interactive=not running), self.widgets.stop: gr.update(visible=running)}

    def on_tick(self, request: gr.Request, *values: Any) -> dict:
        """The present state of the page's job, or its result."""
        return self.answer(request, values)

    def on_run(self, request: gr.Request, *values: Any) -> dict:
        """Start a job, or queue it, unless this page has one."""
        return self.answer(request, values, lambda event: self.start(event) if event.page.job is None else None)

    def on_stop(self, request: gr.Request, *values: Any) -> dict:
        """Ask the job to end, or take it out of the queue."""
        return self.answer(request, values, lambda event: event.page.stop())

    def on_leave(self, request: gr.Request) -> None:
        """The page was closed: stop its job. Results stay, for a phone that only slept."""
        self.pages.leave(request)

    def answer(
        self, request: gr.Request, values: tuple, change: Callable[[TabEvent], Payload | None] | None = None
    ) -> dict:
        """Change something of the page, then answer with the view and all updates. A payload of `change` is shown."""
        event = TabEvent(choose_language(request), open_session(request), self.pages.of(request), None)
        event.form = self.read(values)
        session = request.session_hash or ""

        def show() -> Payload:
            payload = None
            if event.page.session != session:  # a new page, or one that was loaded again
                event.page.session = session
                self.resend(event)
            self._poll(event)
            if change is not None:
                payload = change(event)
                self._poll(event)  # a job that waited in the queue ends as soon as it is stopped
            return payload or self.show(event)

        with event.page.lock:
            payload = answer_view(event.language, show)
            return {self.widgets.view: payload, **self.controls(event), **event.updates}

    def _poll(self, event: TabEvent) -> None:
        event.job = event.page.poll()
        if event.job.ended:
            self.end(event)

    def show_running(self, event: TabEvent, note: str, figures: list | None = None) -> Payload:
        """The payload while a job runs. note: what it does; a job that stops or waits says so instead."""
        job, left = event.job, ""
        if job.stopping:
            note = event.say(f"{self.name}.stopping")
        elif job.ahead:
            note = event.say(f"{self.name}.waiting", count=job.ahead)
        else:
            left = self.say_left(event)
        fraction = None if job.stopping else job.progress.fraction
        return show_view(event.language, next_seq(), "running", note, fraction, figures, poll=True, left=left)

    def say_left(self, event: TabEvent) -> str:
        """How long the job still takes, and what makes long work shorter: `{name}.shorter` of the locales."""
        seconds = event.job.progress.seconds_left
        left = describe_left(event.language, seconds)
        return f"{left}. {event.say(f'{self.name}.shorter')}" if seconds and seconds > _LONG_SECONDS else left

    def wire(self, page: gr.Blocks, inputs: Sequence, outputs: Sequence, polls: Iterable = ()) -> None:
        """The events that every such tab has. polls: further events that are answered as a tick is."""
        gr.on([self.widgets.view.tick, *polls], self.on_tick, inputs, outputs, **LIVE)
        self.widgets.run.click(self.on_run, inputs, outputs, **QUIET)
        self.widgets.stop.click(self.on_stop, inputs, outputs, **QUIET)
        page.unload(self.on_leave)


@dataclass(eq=False)
class ModelsJob(PageJob):
    """A page whose job measures one model after another."""

    doing: tuple[str, str, str] = ("", "", "")  # ("loading", model, stage) or ("measuring", model, detail)
    problems: dict[str, DemoError] = field(default_factory=dict)  # of the last job, by model

    def measure_all(
        self, models: Sequence[str], measure: Callable[[str, OnProgress], None], report: OnProgress
    ) -> None:
        """The job: `measure` every model. A model's error is kept in `problems`, and the others go on."""
        sizes = [CATALOG[model].parameters if model in CATALOG else _UNKNOWN_SIZE for model in models]
        for place, model in enumerate(models):
            try:
                measure(model, part_of(report, place, sizes))
            except Stopped:
                raise
            except DemoError as error:
                self.problems[model] = error

    def open_model(self, lab: Lab, model: str, report: OnProgress) -> ModelInfo:
        """Load a model within the job. Raises what `lab.open` raises, but never ModelLoading."""

        def on_wait(loading: ModelLoading) -> None:
            self.doing = ("loading", loading.values["model"], loading.values["stage"])
            report(Progress("", loading.values.get("fraction")))

        return lab.wait_for_model(lambda: lab.open(model, wait=False), on_wait)

    def loading_note(self, language: str) -> str:
        """Which model is being loaded, in words; "" where none is."""
        kind, model, stage = self.doing
        return note_loading(language, model, stage) if kind == "loading" else ""


def part_of(report: OnProgress, place: int, sizes: Sequence[float]) -> OnProgress:
    """Progress of one of several parts as progress of the whole. sizes: what each costs, in any unit."""
    before, own, whole = sum(sizes[:place]), sizes[place], sum(sizes)
    return lambda progress: report(replace(progress, fraction=(before + own * (progress.fraction or 0.0)) / whole))
