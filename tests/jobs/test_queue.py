"""Job queue: progress, cancellation, a bounded waiting line, and the request context and priority of its threads."""

import os
import threading

import psutil
import pytest

from demo.domain.datamodels import Progress
from demo.domain.errors import Busy, NotFinite, Stopped
from demo.jobs.queue import JobQueue
from demo.jobs.request_context import current_request

linux_only = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux gives a thread a priority of its own")


class GatedQueue(JobQueue):
    """A queue whose jobs note their names when they begin, and end when the gate opens."""

    def __init__(self, workers: int, capacity: int = 2):
        super().__init__(workers, capacity)
        self.gate, self.order = threading.Event(), []

    def add(self, name: str, gate: threading.Event | None = None):
        def work(report):
            self.order.append(name)
            assert (gate or self.gate).wait(5)
            report(Progress("on"))
            return name

        return self.submit(work)


def ahead(jobs) -> list[int]:
    return [job.ahead for job in jobs]


def test_job_reports_progress_and_returns_its_result():
    seen, go_on = threading.Event(), threading.Event()

    def work(report):
        report(Progress("half", 0.5))
        seen.set()
        assert go_on.wait(5)
        return 42

    job = JobQueue().submit(work)
    assert seen.wait(5)
    assert job.progress == Progress("half", 0.5)
    assert not job.done.is_set()
    go_on.set()
    assert job.result() == 42


def test_stopped_job_ends_at_its_next_report_and_its_requests_are_cancelled():
    begun, contexts = threading.Event(), []

    def work(report):
        contexts.append(current_request())
        while True:
            report(Progress("on and on"))
            begun.set()

    job = JobQueue().submit(work)
    assert begun.wait(5)
    [context] = contexts
    assert (context.interactive, context.is_cancelled()) == (False, False)
    job.stop()
    with pytest.raises(Stopped):
        job.result()
    assert context.is_cancelled()
    assert current_request().interactive, "the submitting thread keeps its own context"


def test_result_raises_what_the_job_raised():
    def work(report):
        raise NotFinite(model="m", precision="float16", device="d")

    with pytest.raises(NotFinite):
        JobQueue().submit(work).result()


def test_full_queue_refuses_jobs_until_the_waiting_ones_have_run_in_order():
    queue = GatedQueue(workers=1)
    jobs = [queue.add(name) for name in "abc"]
    assert ahead(jobs) == [0, 1, 2]
    assert queue.count() == (1, 2)
    assert not jobs[1].done.is_set()
    with pytest.raises(Busy, match="1 long computations"):
        queue.submit(lambda report: None)
    queue.gate.set()
    assert [job.result() for job in jobs] == queue.order == ["a", "b", "c"]
    assert ahead(jobs) == [0, 0, 0]
    assert queue.submit(lambda report: "free").result() == "free"


def test_first_waiting_job_takes_whichever_worker_is_free_first():
    queue, gates = GatedQueue(workers=2), [threading.Event() for _ in range(4)]
    jobs = [queue.add(str(i), gate) for i, gate in enumerate(gates)]
    assert ahead(jobs) == [0, 0, 1, 2]
    gates[1].set()
    assert jobs[1].done.wait(5)
    assert ahead(jobs) == [0, 0, 0, 1]
    for gate in gates:
        gate.set()
    assert [job.result() for job in jobs] == ["0", "1", "2", "3"]


def test_stopped_waiting_job_never_begins_and_the_others_move_up():
    queue = GatedQueue(workers=1)
    first, second, third = (queue.add(name) for name in "abc")
    second.stop()
    assert second.done.is_set()
    with pytest.raises(Stopped):
        second.result()
    assert third.ahead == 1
    queue.gate.set()
    assert third.result() == "c"
    assert queue.order == ["a", "c"]
    first.stop()  # it has ended: nothing happens
    assert first.result() == "a"


def test_failed_job_frees_its_worker():
    queue = GatedQueue(workers=1)
    failed = queue.submit(lambda report: queue.gate.wait(5) and 1 / 0)
    last = queue.add("last")
    queue.gate.set()
    with pytest.raises(ZeroDivisionError):
        failed.result()
    assert last.result() == "last"


@linux_only
def test_job_and_its_children_run_at_idle_priority():
    def look(report):
        child = psutil.Popen(["sleep", "0.5"])
        return os.sched_getscheduler(0), os.sched_getscheduler(child.pid)

    assert JobQueue().submit(look).result() == (os.SCHED_IDLE, os.SCHED_IDLE)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@linux_only
def test_job_is_nice_where_idle_priority_is_forbidden(monkeypatch):
    def forbid(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    nice = JobQueue().submit(lambda report: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result()
    assert nice == 10 > before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
