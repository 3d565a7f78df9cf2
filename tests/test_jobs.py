"""Long work: told of, stopped, and never more at once than there are places."""

import threading

import pytest

from demo.datamodels import Progress
from demo.errors import Busy, NotFinite, Stopped
from demo.jobs import Desk


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
