"""Long work: told of, stopped, and never more at once than there are places."""

import os
import threading

import psutil
import pytest

from demo.domain.datamodels import Progress
from demo.domain.errors import Busy, NotFinite, Stopped
from demo.jobs.queue import Desk


def test_a_job_tells_how_far_it_is_and_what_it_came_to():
    seen, go_on = threading.Event(), threading.Event()

    def work(report):
        report(Progress("half", 0.5))
        seen.set()
        assert go_on.wait(5)
        return 42

    job = Desk().start(work)
    assert seen.wait(5)
    assert job.progress == Progress("half", 0.5)
    assert not job.done.is_set()
    go_on.set()
    assert job.result() == 42


def test_a_stopped_job_ends_at_its_next_report():
    begun = threading.Event()

    def work(report):
        while True:
            report(Progress("on and on"))
            begun.set()

    job = Desk().start(work)
    assert begun.wait(5)
    job.stop()
    with pytest.raises(Stopped):
        job.result()


def test_what_a_job_raises_reaches_whoever_asks():
    def work(report):
        raise NotFinite(model="m", precision="float16", device="d")

    with pytest.raises(NotFinite):
        Desk().start(work).result()


def test_places_are_few_and_are_given_back():
    desk, go_on = Desk(at_once=2), threading.Event()
    jobs = [desk.start(lambda report: go_on.wait(5)) for _ in range(2)]
    with pytest.raises(Busy, match="2 long computations"):
        desk.start(lambda report: None)
    go_on.set()
    for job in jobs:
        job.result()
    assert desk.start(lambda report: "free").result() == "free"


def wait_at(desk: Desk, gate: threading.Event, order: list, name: str):
    """A job that notes its name when it begins, and ends when the gate opens."""

    def work(report):
        order.append(name)
        assert gate.wait(5)
        report(Progress("on"))
        return name

    return desk.start(work)


def test_who_comes_later_waits_in_line_and_sees_how_long_it_is():
    desk, gate, order = Desk(at_once=1, waiting=2), threading.Event(), []
    first, second, third = (wait_at(desk, gate, order, name) for name in "abc")
    assert [job.before for job in (first, second, third)] == [0, 1, 2]
    assert not second.done.is_set()
    with pytest.raises(Busy):
        desk.start(lambda report: None)
    gate.set()
    assert [job.result() for job in (first, second, third)] == ["a", "b", "c"]
    assert order == ["a", "b", "c"]
    assert [job.before for job in (first, second, third)] == [0, 0, 0]
    assert desk.start(lambda report: "free").result() == "free"


def test_with_two_places_the_first_in_line_waits_for_one_of_them():
    desk, order = Desk(at_once=2, waiting=2), []
    gates = [threading.Event() for _ in range(4)]
    jobs = [wait_at(desk, gate, order, str(i)) for i, gate in enumerate(gates)]
    assert [job.before for job in jobs] == [0, 0, 1, 2]
    gates[1].set()
    assert jobs[1].done.wait(5)
    assert [job.before for job in jobs] == [0, 0, 0, 1]
    for gate in gates:
        gate.set()
    for job in jobs:
        job.result()


def test_who_leaves_the_line_never_begins_and_the_others_move_up():
    desk, gate, order = Desk(at_once=1, waiting=2), threading.Event(), []
    first, second, third = (wait_at(desk, gate, order, name) for name in "abc")
    second.stop()
    assert second.done.is_set()
    with pytest.raises(Stopped):
        second.result()
    assert third.before == 1
    gate.set()
    assert third.result() == "c"
    assert order == ["a", "c"]
    first.stop()  # long done: nothing happens
    assert first.result() == "a"


def test_a_job_that_fails_or_is_stopped_gives_its_place_on():
    desk, gate, order = Desk(at_once=1, waiting=2), threading.Event(), []
    failed = desk.start(lambda report: gate.wait(5) and 1 / 0)
    stopped = wait_at(desk, gate, order, "stopped")
    last = wait_at(desk, gate, order, "last")
    gate.set()
    with pytest.raises(ZeroDivisionError):
        failed.result()
    stopped.stop()
    assert last.result() == "last"


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux gives a thread a priority of its own")
def test_long_work_yields_and_so_does_what_it_starts():
    def look(report):
        child = psutil.Popen(["sleep", "0.5"])
        return os.sched_getscheduler(0), os.sched_getscheduler(child.pid)

    assert Desk().start(look).result() == (os.SCHED_IDLE, os.SCHED_IDLE)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux gives a thread a priority of its own")
def test_where_that_is_forbidden_it_is_nice(monkeypatch):
    def forbid(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbid)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    nice = Desk().start(lambda report: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result()
    assert nice == 10 > before
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
