"""Page jobs: a page's job is polled once to its end, and evicted or closed pages stop theirs."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.domain.errors import BadInput
from demo.jobs.queue import JobQueue
from demo.ui.kit import page_jobs
from demo.ui.kit.page_jobs import JobState, PageJob, PageJobs
from tests.page_requests import page_request
from tests.waiting import eventually


def ended(run) -> JobState:
    page = PageJob()
    page.start(JobQueue(), run, "job")
    assert page.job.done.wait(10)
    state = page.poll()
    assert (state.ended, page.poll()) == (True, JobState()), "the end is returned once"
    return state


def test_result_and_errors_are_polled_once():
    assert ended(lambda report: 7).result == 7
    refused = ended(lambda report: (_ for _ in ()).throw(BadInput(problem="No.")))
    refused.raise_unexpected()
    assert str(refused.error) == "No."
    with pytest.raises(ZeroDivisionError):
        ended(lambda report: 1 / 0).raise_unexpected()


def test_evicted_and_closed_pages_stop_their_jobs(monkeypatch):
    monkeypatch.setattr(page_jobs, "_MAX_PAGES", 2)
    monkeypatch.setattr(page_jobs, "_GRACE_SECONDS", 0)
    pages, gate = PageJobs(PageJob), threading.Event()
    queue = JobQueue(workers=1, capacity=3)
    opened = [pages.of(page_request(name)) for name in ("a", "b")]
    for page in opened:
        page.start(queue, lambda report: gate.wait(10), "job")
    assert pages.of(page_request("a")) is opened[0]
    pages.of(page_request("c"))
    assert [page.stopping for page in opened] == [False, True], "the page that was quiet longest makes room"
    pages.leave(page_request("a"))
    eventually(lambda: opened[0].stopping)
    gate.set()


def test_a_page_that_is_loaded_again_finds_its_job(monkeypatch):
    timers = []
    timer = SimpleNamespace(start=lambda: None)
    monkeypatch.setattr(page_jobs.threading, "Timer", lambda seconds, act: timers.append(act) or timer)
    pages, gate = PageJobs(PageJob), threading.Event()
    before, after = (page_request(session, x_page_id="page") for session in ("old", "new"))
    page = pages.of(before)
    page.start(JobQueue(workers=1), lambda report: gate.wait(10), "job")
    pages.leave(page_request("old"))  # what Gradio says of it may name no page
    assert pages.of(after) is page
    timers.pop()()
    assert not page.stopping
    pages.leave(after)
    timers.pop()()
    assert page.stopping
    gate.set()
