"""Long work of open pages: what the server remembers of each, its job among it. Knows no tab and no lab."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import gradio as gr

from demo.jobs.queue import Job

_MOST_PAGES = 100  # that are remembered


@dataclass(eq=False)
class PageWork:
    """What is remembered of one open page; a tab adds what it needs."""

    job: Job | None = None
    stopping: bool = False

    @property
    def working(self) -> bool:
        """Whether the job is still under way."""
        return self.job is not None and not self.job.done.is_set()

    def stop(self) -> None:
        """Ask the job to end, if there is one."""
        if self.job is not None:
            self.stopping = True
            self.job.stop()


Work = TypeVar("Work", bound=PageWork)


class Pages(Generic[Work]):
    """Every open page's work by its session; the page that was quiet longest makes room."""

    def __init__(self, create: Callable[[], Work]):
        self._create = create
        self._pages: OrderedDict[str, Work] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, request: gr.Request) -> Work:
        """The work of the page that asks."""
        session = request.session_hash or ""
        with self._lock:
            if session not in self._pages:
                self._pages[session] = self._create()
            self._pages.move_to_end(session)
            if len(self._pages) > _MOST_PAGES:
                self._pages.popitem(last=False)[1].stop()
            return self._pages[session]

    def leave(self, request: gr.Request) -> None:
        """The page is gone: its job need not go on."""
        with self._lock:
            work = self._pages.pop(request.session_hash or "", None)
        if work is not None:
            work.stop()
