"""An open page of a job tab without a browser: sends its events, and names the widgets of the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from demo.files.table import parse_table
from demo.lab import Lab
from demo.ui.kit import page_jobs
from demo.ui.kit.job_tab import JobTab
from demo.ui.kit.page_jobs import PageJob, open_session
from demo.ui.live.tab import create_lab_tab
from demo.ui.page_file.registry import LIMITS, PAGE_FILES, PageFile
from tests.page_requests import by_name, page_request
from tests.waiting import eventually

_MADE: dict[tuple, tuple] = {}  # widgets by what they are made of


class OpenPage:
    """One session. values: the inputs of every event, in the handlers' order, by what is chosen in the widgets."""

    def __init__(self, handlers: JobTab, values: Callable[..., list], session: str = "one", language: str = "en"):
        self.handlers, self.values = handlers, values
        self.request = page_request(session, language, x_page_id=f"page of {session}")

    @classmethod
    def of_tab(cls, lab: Lab, create_tab: Callable, handlers: Callable[..., JobTab], values: Callable) -> OpenPage:
        """A page with the lab's own widgets and those of one tab, which take a quarter of a second: made once."""
        key = create_tab, lab.settings.model_dump_json(exclude={"cache_dir"})
        if key not in _MADE:
            with gr.Blocks():
                lab_widgets = create_lab_tab(lab.settings, lab.status(lab.settings.model))
                _MADE[key] = create_tab(lab.settings), lab_widgets
        return cls(handlers(lab, *_MADE[key]), values)

    def beside(self, session: str, language: str = "en") -> OpenPage:
        """Another page of the same tab, or the same page in another language."""
        return OpenPage(self.handlers, self.values, session, language)

    def reloaded(self) -> OpenPage:
        """The same page with another session, as after a reload: only the id in its requests is the same."""
        again = OpenPage(self.handlers, self.values, f"{self.request.session_hash} again")
        again.request.headers.update(self.request.headers)
        return again

    def send(self, event: str, *first: Any, **chosen: Any) -> dict:
        """The answer of `on_{event}` to its first arguments and the form, by widget name."""
        return self.named(getattr(self.handlers, f"on_{event}")(self.request, *first, *self.values(**chosen)))

    def named(self, answer: dict) -> dict:
        return by_name(answer, self.handlers.widgets, *filter(None, [getattr(self.handlers, "lab_widgets", None)]))

    def tick(self, **chosen: Any) -> dict:
        return self.send("tick", **chosen)

    def run(self, **chosen: Any) -> dict:
        return self.send("run", **chosen)

    def stop(self, **chosen: Any) -> dict:
        return self.send("stop", **chosen)

    def finish(self, **chosen: Any) -> dict:
        """Polls until the job has ended; the newest update of every widget."""
        shown: dict = {}
        eventually(lambda: shown.update(self.tick(**chosen)) or shown["view"]["state"] != "running")
        return shown

    def complete(self, **chosen: Any) -> dict:
        """Runs a job to its end; the newest update of every widget."""
        begun = self.run(**chosen)
        return {**begun, **self.finish(**chosen)} if begun["view"]["state"] == "running" else begun

    def drop(self, content: str | bytes, name: str = "set.csv", drawn: bool = False) -> PageFile:
        """Another file of the page's, for all its tabs."""
        data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        file = replace(PageFile.of(parse_table(data, name, LIMITS)), drawn=drawn)
        PAGE_FILES.put(open_session(self.request), file)
        return file

    def leave(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(page_jobs, "_GRACE_SECONDS", 0)
            self.handlers.on_leave(self.request)

    @property
    def state(self) -> PageJob:
        return self.handlers.pages.of(self.request)
