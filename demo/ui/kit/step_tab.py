"""Stepper: a tab in steps, with a bar of all steps above and Back and Next below. Story and lesson are built on it.

A step is announced first, its text without figures, and computed by the view's `tick`, which comes only while the tab
is looked at.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from demo.lab import Lab
from demo.ui.gradio.event_options import LIVE, QUIET
from demo.ui.kit.i18n import choose_language, translate
from demo.ui.kit.panel import Panel
from demo.ui.kit.view import answer_view, next_seq, show_view


@dataclass
class StepEvent:
    """One event of one page, and the answer to it as it is being built."""

    language: str
    step: str
    page: Any  # what the tab keeps of a page, as `read` returns it
    updates: dict[Any, Any] = field(default_factory=dict)  # by widget, beside the view's payload

    def say(self, key: str, **values: Any) -> str:
        """A sentence of the locales, in the page's language."""
        return translate(self.language, key, **values)


class StepTab(ABC):
    """Handlers of a tab in steps. One instance serves every page. Every event's first input is the widget `step`."""

    steps: Sequence[str]

    def __init__(self, lab: Lab, widgets: Panel, lab_widgets: Any):
        self.lab = lab
        self.widgets = widgets
        self.lab_widgets = lab_widgets

    @abstractmethod
    def read(self, request: gr.Request, *values: Any) -> Any:
        """What is kept of the page, from the inputs behind the step."""

    @abstractmethod
    def announce(self, event: StepEvent) -> dict[Any, Any]:
        """Updates for a step before anything is computed."""

    @abstractmethod
    def show(self, event: StepEvent) -> dict[str, Any]:
        """The view's payload. Raises DemoError."""

    def controls(self, event: StepEvent) -> dict[Any, Any]:
        """Updates that every answer carries: Back and Next, each of which is off at its end."""
        return {
            self.widgets.back: gr.update(interactive=event.step != self.steps[0]),
            self.widgets.next: gr.update(interactive=event.step != self.steps[-1]),
        }

    def event(self, request: gr.Request, step: Any, *values: Any) -> StepEvent:
        """An unchecked request as an event; a step that does not exist becomes the first one."""
        known = isinstance(step, str) and step in self.steps
        return StepEvent(choose_language(request), step if known else self.steps[0], self.read(request, *values))

    def on_open(self, request: gr.Request, *values: Any) -> dict:
        """Announce the step of the bar: the first one, unless somebody clicked before the tab was answered."""
        return self.announced(self.event(request, *values))

    def on_step(self, request: gr.Request, *values: Any) -> Iterator[dict]:
        """Another step: announce it at once, then compute it, unless it waits for the person."""
        event = self.event(request, *values)
        announced = self.announced(event)
        yield announced
        if announced[self.widgets.view]["state"] != "idle":
            yield self.on_tick(request, *values)

    def on_tick(self, request: gr.Request, *values: Any) -> dict:
        """The step as far as it is computed."""
        event = self.event(request, *values)
        payload = answer_view(event.language, lambda: self.show(event))
        return {self.widgets.view: payload, **event.updates, **self.controls(event)}

    def announced(self, event: StepEvent) -> dict:
        """The whole answer that announces a step: nothing of the last one stays."""
        return {
            **dict.fromkeys((self.widgets.note, self.widgets.found), ""),
            **self.announce(event),
            **self.controls(event),
        }

    def announce_view(self, event: StepEvent, state: str, key: str) -> dict[str, Any]:
        """A view without figures. key: of the sentence in it."""
        return show_view(event.language, next_seq(), state, event.say(key), figures=[])

    def wire(self, inputs: Sequence, shown: Sequence, announced: Sequence = ()) -> list:
        """The events of every tab in steps. Returns the outputs of an announcement.

        shown: a tick's further outputs; announced: those of an announcement beside them.
        """
        widgets = self.widgets
        shown = [widgets.view, widgets.found, widgets.back, widgets.next, *shown]
        announced = [*shown, widgets.text, widgets.note, *announced]
        widgets.view.opened(self.on_open, inputs, announced, queue=False, **QUIET)
        widgets.step.change(self.on_step, inputs, announced, **LIVE)
        widgets.view.tick(self.on_tick, inputs, shown, **LIVE)
        for button, by in ((widgets.back, -1), (widgets.next, 1)):
            button.click(None, widgets.step, widgets.step, js=_step_js(widgets.step.elem_id, self.steps, by), **QUIET)
        return announced


def create_step_buttons(panel: Panel, **next_options: Any) -> None:
    """The widgets `back` and `next`."""
    with gr.Row(elem_id=panel.step.elem_id + "s", elem_classes="choices-row"):
        panel.create_button("back", interactive=False)
        panel.create_button("next", **next_options)


def _step_js(bar: str, steps: Sequence[str], by: int) -> str:
    """Another step is chosen in the browser, and the page scrolls to the bar."""
    return f"""(step) => {{
        const steps = {json.dumps(steps)};
        document.querySelector('#{bar}').scrollIntoView({{ block: 'nearest' }});
        return steps[Math.max(0, Math.min(steps.length - 1, steps.indexOf(step) + {by}))];
    }}"""
