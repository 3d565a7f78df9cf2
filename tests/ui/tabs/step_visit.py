"""Drives a tab in steps as one open page does: the events of its bar, its view and its buttons, without a browser."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import gradio

from demo.domain.catalog import CATALOG
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.kit.step_tab import StepTab
from demo.ui.live.tab import create_lab_tab
from demo.ui.tabs.lesson.handlers import LessonHandlers
from demo.ui.tabs.lesson.tab import create_lesson_tab
from demo.ui.tabs.story.handlers import StoryHandlers
from demo.ui.tabs.story.tab import create_story_tab
from tests.page_requests import by_name, page_request
from tests.waiting import eventually

GPT, TUNED, ENCODER = "smollm2-135m-instruct", "smollm2-135m-instruct-contrastive", "all-minilm-l6-v2"
NASTY = "<img src=x onerror=alert(1)>"
RUBBISH = (None, "<b>", {"a": 1}, 7, ["mean"])  # as steps


@lru_cache(maxsize=1)
def create_widgets() -> tuple:
    """The lab's widgets, the story's and the lesson's, built once: nothing here writes into them."""
    settings = Settings(engine="fake")
    with gradio.Blocks(analytics_enabled=False):
        lab_widgets = create_lab_tab(settings, CATALOG[GPT].status("loaded"))
        return lab_widgets, create_story_tab(settings), create_lesson_tab(settings)


def create_story(lab: Lab) -> StoryHandlers:
    lab_widgets, story, _ = create_widgets()
    return StoryHandlers(lab, story, lab_widgets)


def create_lesson(lab: Lab) -> LessonHandlers:
    lab_widgets, _, lesson = create_widgets()
    return LessonHandlers(lab, lesson, lab_widgets)


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html))


class Visit:
    """One page. Every answer is by the names of its widgets, the tab's and the lab's. inputs: behind the step."""

    def __init__(self, handlers: StepTab, *inputs: Any, session: str = "one", language: str = "en"):
        self.handlers = handlers
        self.request = page_request(session, language)
        self.inputs = list(inputs)

    def named(self, answer: dict) -> dict:
        return by_name(answer, self.handlers.lab_widgets, self.handlers.widgets)

    def open(self, step: Any = None) -> dict:
        return self.named(self.handlers.on_open(self.request, step, *self.inputs))

    def choose(self, step: Any) -> list[dict]:
        """All answers to another step; the first announces it."""
        return [self.named(answer) for answer in self.handlers.on_step(self.request, step, *self.inputs)]

    def announce(self, step: Any) -> dict:
        return self.named(next(self.handlers.on_step(self.request, step, *self.inputs)))

    def tick(self, step: Any) -> dict:
        return self.named(self.handlers.on_tick(self.request, step, *self.inputs))

    def look(self, step: Any, state: str = "ready") -> dict:
        """A step once it is computed: asked again while a model is loaded, as the view does."""
        seen = eventually(
            lambda: self.tick(step), until=lambda seen: seen["view"]["state"] not in ("loading", "running")
        )
        assert seen["view"]["state"] == state, seen["view"]["note"]
        return seen

    def use(self, step: Any) -> dict:
        """The heatmap's payload that opens the step in the lab: `updates` of its form, `linked` reading."""
        return self.named(self.handlers.on_use(self.request, step, *self.inputs))["heatmap"]

    def form(self, step: Any) -> dict:
        """The form that the step opens in the lab."""
        return {name: update["value"] for name, update in self.use(step)["updates"].items()}
