"""Page jobs: the long job of each open page, kept over a reload by the page's own id. Knows no tab and no lab."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import gradio as gr
from cachetools import LRUCache

from demo.domain.datamodels import Progress
from demo.domain.errors import DemoError, Stopped
from demo.jobs.queue import Job, JobQueue, OnProgress
from demo.serving.limits.client_address import PAGE_HEADER

_MAX_PAGES = 100  # that are remembered
_GRACE_SECONDS = 20.0  # in which a page that was left may come back, as it does by a reload
_sessions: LRUCache[str, str] = LRUCache(1000)  # the newest session of each page, by its id
_keys: LRUCache[str, str] = LRUCache(1000)  # the other way round


def open_session(request: gr.Request) -> str:
    """The id of the page that sent a request, which now has this session: the same before a reload and after it."""
    session = request.session_hash or ""
    key = request.headers.get(PAGE_HEADER, "")[:64] or _keys.get(session, session)
    _sessions[key], _keys[session] = session, key
    return key


@dataclass(frozen=True)
class JobState:
    """Snapshot of a page's job. An answer is built from one snapshot, so that it cannot contradict itself.

    ended: since the last snapshot; then it was stopped, failed with an error, or has a result.
    """

    running: bool = False  # or waiting in the queue
    stopping: bool = False
    ahead: int = 0  # jobs in front of it in the queue
    progress: Progress = Progress("", None)
    ended: bool = False
    stopped: bool = False
    error: Exception | None = None
    result: Any = None

    def raise_unexpected(self) -> None:
        """Raise an error that is no DemoError: it is nothing to be kept and shown again."""
        if self.error is not None and not isinstance(self.error, DemoError):
            raise self.error


@dataclass(eq=False)
class PageJob:
    """One open page and its job, if it has one; a tab adds fields."""

    job: Job | None = None
    session: str = ""
    stopping: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # polls and clicks may come together

    @property
    def running(self) -> bool:
        """Whether the job runs or waits in the queue."""
        return self.job is not None and not self.job.done.is_set()

    def start(self, queue: JobQueue, run: Callable[[OnProgress], Any], name: str) -> None:
        """Queue a job. Raises Busy."""
        self.job, self.stopping = queue.submit(run, name), False

    def stop(self) -> None:
        """Ask the job to end, if there is one."""
        if self.job is not None:
            self.stopping = True
            self.job.stop()

    def close(self) -> None:
        """The page is gone: stop its job, drop what that holds. If the page comes back, it is sent everything."""
        self.stop()
        self.job, self.session = None, ""

    def poll(self) -> JobState:
        """The job's state; its end is returned once."""
        job = self.job
        if job is None:
            return JobState()
        if not job.done.is_set():
            return JobState(running=True, stopping=self.stopping, ahead=job.ahead, progress=job.progress)
        self.job = None
        try:
            return JobState(ended=True, result=job.result())
        except Stopped:
            return JobState(ended=True, stopped=True)
        except Exception as error:
            return JobState(ended=True, error=error)


Page = TypeVar("Page", bound=PageJob)


class _Pages(LRUCache):
    def popitem(self) -> tuple[str, PageJob]:
        session, page = super().popitem()
        page.stop()
        return session, page


class PageJobs(Generic[Page]):
    """Every open page's job by the page's id, in a bounded LRU cache; an evicted page's job is stopped."""

    def __init__(self, create: Callable[[], Page]):
        self._create = create
        self._pages = _Pages(_MAX_PAGES)
        self._lock = threading.Lock()

    def of(self, request: gr.Request) -> Page:
        """The page that sent the request."""
        key = open_session(request)
        with self._lock:
            if key not in self._pages:
                self._pages[key] = self._create()
            return self._pages[key]

    def leave(self, request: gr.Request) -> None:
        """A page was left: its job is stopped, unless the page is back in a moment with another session."""
        session = request.session_hash or ""
        key = _keys.get(session, session)

        def close() -> None:
            if _sessions.get(key, session) == session and (page := self._pages.get(key)) is not None:
                page.close()

        timer = threading.Timer(_GRACE_SECONDS, close)
        timer.daemon = True
        timer.start()
