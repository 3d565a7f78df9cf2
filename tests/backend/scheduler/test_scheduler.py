"""The scheduler: which texts share a pass, which go first, cancellation, failures, and two lanes."""

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.backend.scheduler.scheduler import Scheduler, WorkItem
from demo.domain.errors import Stopped
from demo.jobs.request_context import request_context
from tests.waiting import eventually


def item(name, group="g", length=1) -> WorkItem:
    return WorkItem(group, (group, name), name, length)


def items(*names, **how) -> list[WorkItem]:
    return [item(name, **how) for name in names]


class Device:
    """Answers in capitals, records every pass, and can be held."""

    def __init__(self):
        self.passes: list[tuple[str, ...]] = []
        self.open = threading.Event()
        self.open.set()
        self.busy = threading.Event()

    def run(self, group, contents):
        self.passes.append(tuple(contents))
        self.busy.set()
        assert self.open.wait(10)
        if "bad" in contents:
            raise ValueError("bad text")
        if "huge" in contents:
            raise MemoryError
        return [content.upper() for content in contents]

    def hold(self):
        self.open.clear()
        self.busy.clear()


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def people():
    with ThreadPoolExecutor(40) as pool:
        yield pool


def ask(scheduler, texts, **context):
    with request_context(**context):
        return dict(scheduler.results(texts))


def held(scheduler, device, people):
    """The device is busy with the text of another request."""
    device.hold()
    first = people.submit(ask, scheduler, items("first", group="other"))
    assert device.busy.wait(10)
    return first


def in_line(scheduler, count):
    """Until so many requests are there."""
    eventually(lambda: len(scheduler._queue.requests), until=lambda now: now == count, message=f"requests, not {count}")


@pytest.mark.parametrize("threaded", [True, False])
def test_every_item_gets_its_own_result(device, threaded):
    scheduler = Scheduler(device.run, 10, threaded)
    wanted = [item(f"text {i}", group=i % 3, length=i % 7 + 1) for i in range(60)]
    assert ask(scheduler, wanted) == {i: f"TEXT {i}" for i in range(60)}
    assert ask(scheduler, []) == {}
    for contents in device.passes:
        places = [int(content.split()[1]) for content in contents]
        assert len({place % 3 for place in places}) == 1, "one reading a pass"
        assert max(place % 7 + 1 for place in places) * len(places) <= 10


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30), st.integers(0, 5)), max_size=40))
def test_every_request_is_answered_and_nothing_is_left_queued(wanted):
    scheduler = Scheduler(lambda group, contents: [(group, content) for content in contents], 16, threaded=False)
    asked = [WorkItem(group, (group, name, length), name, length) for group, length, name in wanted]
    assert ask(scheduler, asked) == {i: (each.group, each.content) for i, each in enumerate(asked)}
    assert not scheduler._queue.pending
    assert not scheduler._queue.requests


def test_requests_that_arrive_during_a_pass_share_the_next_one(device, people):
    scheduler = Scheduler(device.run, 100)
    first = held(scheduler, device, people)
    others = [people.submit(ask, scheduler, items(name)) for name in "abcdef"]
    in_line(scheduler, 7)
    device.open.set()
    assert [other.result(10) for other in others] == [{0: name.upper()} for name in "abcdef"]
    first.result(10)
    assert [sorted(contents) for contents in device.passes] == [["first"], list("abcdef")]


def test_a_text_of_many_requests_runs_once(device, people):
    scheduler = Scheduler(device.run, 100)
    held(scheduler, device, people)
    others = [people.submit(ask, scheduler, items("same", "and", str(i))) for i in range(30)]
    in_line(scheduler, 31)
    device.open.set()
    assert all(other.result(10)[0] == "SAME" for other in others)
    assert sum(contents.count("same") for contents in device.passes) == 1
    assert not scheduler._queue.pending


def test_a_text_that_runs_already_is_not_run_again(device, people):
    scheduler = Scheduler(device.run, 100)
    device.hold()
    first = people.submit(ask, scheduler, items("same"))
    assert device.busy.wait(10)
    second = people.submit(ask, scheduler, items("same"))
    in_line(scheduler, 2)
    device.open.set()
    assert first.result(10) == second.result(10) == {0: "SAME"}
    assert device.passes == [("same",)]


def test_interactive_requests_go_before_background_ones_but_not_for_ever(device, people):
    scheduler = Scheduler(device.run, 4)
    held(scheduler, device, people)
    sweep = people.submit(ask, scheduler, items(*(f"sweep {i}" for i in range(40))), interactive=False)
    in_line(scheduler, 2)
    edits = [people.submit(ask, scheduler, items(f"edit {i}", group=f"reading {i}")) for i in range(20)]
    in_line(scheduler, 22)
    device.open.set()
    assert all(edit.result(10) for edit in edits)
    assert len(sweep.result(10)) == 40
    kinds = ["sweep" if contents[0].startswith("sweep") else "edit" for contents in device.passes]
    assert kinds[:9] == ["edit"] * 8 + ["sweep"], "urgent ones first, then one of those who wait behind them"
    assert max(len(contents) for contents in device.passes if contents[0].startswith("sweep")) == 1, "in small portions"


def test_the_request_with_fewest_tokens_so_far_goes_first(device, people):
    scheduler = Scheduler(device.run, 2)
    held(scheduler, device, people)
    long = people.submit(ask, scheduler, items(*(f"long {i}" for i in range(10)), group="long"))
    in_line(scheduler, 2)
    short = people.submit(ask, scheduler, items("short"))
    in_line(scheduler, 3)
    device.open.set()
    assert short.result(10) == {0: "SHORT"}
    assert len(long.result(10)) == 10
    assert device.passes.index(("short",)) <= 2


def test_an_error_reaches_only_the_requests_of_that_text(device, people):
    scheduler = Scheduler(device.run, 100)
    held(scheduler, device, people)
    good = [people.submit(ask, scheduler, items("a", str(i))) for i in range(3)]
    bad = [people.submit(ask, scheduler, items("bad")), people.submit(ask, scheduler, items("b", "bad"))]
    huge = people.submit(ask, scheduler, items("huge"))
    in_line(scheduler, 7)
    device.open.set()
    assert [each.result(10) for each in good] == [{0: "A", 1: str(i)} for i in range(3)]
    for each in bad:
        with pytest.raises(ValueError, match="bad text"):
            each.result(10)
    with pytest.raises(MemoryError):
        huge.result(10)
    assert ask(scheduler, items("afterwards")) == {0: "AFTERWARDS"}
    assert not scheduler._queue.pending


def test_cancelled_texts_never_run(device, people):
    scheduler = Scheduler(device.run, 100)
    held(scheduler, device, people)
    gone = threading.Event()
    unwanted = people.submit(ask, scheduler, items("stale", "shared"), is_cancelled=gone.is_set)
    in_line(scheduler, 2)
    wanted = people.submit(ask, scheduler, items("shared", "fresh"))
    in_line(scheduler, 3)
    gone.set()
    device.open.set()
    with pytest.raises(Stopped):
        unwanted.result(10)
    assert wanted.result(10) == {0: "SHARED", 1: "FRESH"}
    assert not any("stale" in contents for contents in device.passes)
    assert ask(scheduler, items("stale")) == {0: "STALE"}, "asked for again, it runs"


def test_texts_of_a_failed_request_are_not_run_after_it(device, monkeypatch):
    scheduler = Scheduler(device.run, 100)
    alone = scheduler._run_alone

    def until_they_have_left(pending, failure):
        asker = pending.waiters[0][0]
        alone(pending, failure)
        eventually(lambda: asker not in scheduler._queue.requests)

    monkeypatch.setattr(scheduler, "_run_alone", until_they_have_left)
    with pytest.raises(ValueError, match="bad text"):
        ask(scheduler, items("bad", "mate"))
    assert ask(scheduler, items("mate")) == {0: "MATE"}
    assert device.passes == [("bad", "mate"), ("bad",), ("mate",)]
    assert not scheduler._queue.pending


def test_a_closed_request_leaves_nothing_queued(device):
    scheduler = Scheduler(device.run, 2, threaded=False)
    results = scheduler.results(items(*"abcdef"))
    next(results)
    results.close()
    assert not scheduler._queue.requests
    assert not scheduler._queue.pending
    assert len(device.passes) == 1


@pytest.mark.parametrize("threaded", [True, False])
def test_calls_run_in_the_device_thread(device, threaded):
    scheduler = Scheduler(lambda group, contents: [threading.current_thread().name] * len(contents), 10, threaded)
    [name] = ask(scheduler, items("a")).values()
    assert scheduler.call(lambda: threading.current_thread().name) == name
    with pytest.raises(ZeroDivisionError):
        scheduler.call(lambda: 1 / 0)
    assert scheduler.call(lambda: 2) == 2


def test_a_call_goes_before_queued_texts(device, people):
    scheduler = Scheduler(device.run, 1)
    held(scheduler, device, people)
    long = people.submit(ask, scheduler, items(*(f"long {i}" for i in range(20))))
    in_line(scheduler, 2)
    called = people.submit(scheduler.call, lambda: len(device.passes))
    eventually(lambda: scheduler._calls)
    device.open.set()
    assert called.result(10) == 1
    assert len(long.result(10)) == 20


def raised(error):
    raise error


def test_no_exception_ends_the_device_thread(device):
    """Neither one out of a pass that ends threads elsewhere, nor one from outside while it waits."""
    scheduler = Scheduler(
        lambda group, contents: raised(SystemExit) if "exit" in contents else device.run(group, contents), 9
    )
    with pytest.raises(SystemExit):
        ask(scheduler, items("exit"))
    with pytest.raises(SystemExit):
        scheduler.call(lambda: raised(SystemExit))
    assert ask(scheduler, items("a")) == {0: "A"}
    thread = scheduler._thread
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    assert ask(scheduler, items("b")) == {0: "B"}
    with pytest.raises(ZeroDivisionError):
        ask(scheduler, items("c"), is_cancelled=lambda: 1 / 0)
    assert ask(scheduler, items("d")) == {0: "D"}
    assert scheduler._thread is thread
    assert thread.is_alive()


def test_texts_that_begin_alike_run_together_and_may_be_padded_more(device):
    """Budget 12, padding included: three passes. Where padding costs attention alone, two."""
    beginnings = {"a": (1, 2, 3), "b": (9, 9), "c": (1, 2, 4), "d": (9,)}
    lengths = {"a": 5, "b": 6, "c": 7, "d": 1}
    texts = [WorkItem("g", name, name, lengths[name], beginnings[name]) for name in "abcd"]
    scheduler = Scheduler(device.run, 12, threaded=False)
    assert ask(scheduler, texts) == {i: name.upper() for i, name in enumerate("abcd")}
    assert device.passes == [("a", "c"), ("b", "d")]
    device.passes.clear()
    ask(scheduler, [WorkItem("g", name, name, lengths[name]) for name in "abcd"])
    assert device.passes == [("c",), ("b", "a"), ("d",)]


def test_a_pass_stays_within_its_budget_of_tokens_however_cheap_padding_is(device):
    scheduler = Scheduler(device.run, 12, threaded=False)
    ask(scheduler, [WorkItem("g", name, name, 7, (1,)) for name in "abc"])
    assert device.passes == [("a",), ("b",), ("c",)]


# --- two lanes ------------------------------------------------------------------------------------------------------


class TwoLanes:
    """CPU lanes that record which pass has all cores."""

    count = 2

    def __init__(self):
        self.exclusive: list[bool] = []

    def use_cores(self, exclusive):
        self.exclusive.append(exclusive)


class Road:
    """A scheduler with two lanes whose every pass waits until it is released."""

    def __init__(self, people):
        self.people = people
        self.lanes = TwoLanes()
        self.running: list[str] = []  # texts of each pass in one string
        self.most = 0
        self._changed = threading.Condition()

    def scheduler(self, budget, run=None):
        self.scheduled = Scheduler(run or self.run, budget, cpu_lanes=self.lanes)
        return self.scheduled

    def submit(self, names, group="g", **context):
        return self.people.submit(ask, self.scheduled, items(*names, group=group), **context)

    def run(self, group, contents):
        texts = " ".join(contents)
        with self._changed:
            self.running.append(texts)
            self.most = max(self.most, len(self.running))
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: texts not in self.running, 20)
        return [content.upper() for content in contents]

    def until(self, *passes):
        """Wait until just these passes run."""
        with self._changed:
            assert self._changed.wait_for(lambda: sorted(self.running) == sorted(passes), 20), self.running

    def nothing_else_may_begin(self, *passes):
        self.until(*passes)
        with self.scheduled._changed:
            queue = self.scheduled._queue
            assert len(queue.running) == len(passes)
            assert len(queue.running) == self.lanes.count or not queue.ready()

    def release(self, *passes):
        with self._changed:
            for texts in passes:
                self.running.remove(texts)
            self._changed.notify_all()


@pytest.fixture
def road(people, monkeypatch):
    monkeypatch.setattr("demo.backend.scheduler.request_queue._TYPING_SECONDS", 100)  # however slow this machine is
    road = Road(people)
    yield road
    with road._changed:
        road.running.clear()
        road._changed.notify_all()


def answers(*names):
    return {i: name.upper() for i, name in enumerate(names)}


def test_two_passes_run_side_by_side_and_one_alone_has_all_cores(road):
    scheduler = road.scheduler(8)
    requests = [road.submit(["a"], "a")]
    road.until("a")
    requests += [road.submit([name], name) for name in "bc"]
    in_line(scheduler, 3)
    [second] = set(eventually(lambda: list(road.running), until=lambda now: len(now) == 2)) - {"a"}
    [third] = {"b", "c"} - {second}
    road.nothing_else_may_begin("a", second)
    road.release("a")
    road.until(second, third)
    road.release(second, third)
    assert [each.result(20) for each in requests] == [answers(name) for name in "abc"]
    assert road.lanes.exclusive == [True, False, False]
    scheduler._last_shared = float("-inf")  # long ago
    alone = road.submit(["d"])
    road.until("d")
    road.release("d")
    assert alone.result(20) == answers("d")
    assert road.lanes.exclusive == [True, False, False, True]
    assert road.most == 2


@pytest.mark.parametrize(
    ("budget", "passes"),
    [(8, ("a b c d", "e f g h")), (16, ("a b c", "d e f")), (16, ("a b c d",))],
    ids=["a budget each", "halves of less", "a small batch is not split across lanes"],
)
def test_lanes_share_the_budget_and_split_smaller_batches_in_halves(road, budget, passes):
    road.scheduler(budget)
    names = " ".join(passes).split()
    request = road.submit(names)
    road.until(*passes)
    road.release(*passes)
    assert request.result(20) == answers(*names)
    assert len(road.lanes.exclusive) == len(passes)


def test_a_batch_beside_a_running_pass_is_not_split(road):
    road.scheduler(16)
    first = road.submit(["first"], "other")
    road.until("first")
    request = road.submit("abcdef")
    road.until("first", "a b c d e f")
    road.release("first", "a b c d e f")
    assert first.result(20)
    assert len(request.result(20)) == 6


def test_background_work_fills_the_gaps_while_somebody_types(road):
    road.scheduler(32)
    edit = road.submit(["edit"])
    road.until("edit")
    sweep = road.submit("abcdefgh", "sweep", interactive=False)
    in_line(road.scheduled, 2)
    road.nothing_else_may_begin("edit")
    road.release("edit")
    assert edit.result(20) == answers("edit")
    road.nothing_else_may_begin("a b c d")  # a quarter of a lane's budget at a time
    edit = road.submit(["again"])
    road.until("a b c d", "again")
    road.release("again")
    assert edit.result(20) == answers("again")
    road.nothing_else_may_begin("a b c d")
    road.release("a b c d")
    road.until("e f g h")
    road.release("e f g h")
    assert len(sweep.result(20)) == 8
    assert road.lanes.exclusive == [True, False, False, False], "background work beside typing gets a part of the cores"


def test_background_work_does_not_starve_beside_two_lanes(road):
    road.scheduler(32)
    edits = [road.submit(["edit0"])]
    road.until("edit0")
    sweep = road.submit(["sweep"], interactive=False)
    for i in range(1, 8):
        edits.append(road.submit([f"edit{i}"]))
        road.until(f"edit{i - 1}", f"edit{i}")
        road.release(f"edit{i - 1}")
    road.until("edit7", "sweep")
    road.release("edit7", "sweep")
    assert sweep.result(20) == answers("sweep")
    assert all(edit.result(20) for edit in edits)


def test_a_text_that_runs_in_the_other_lane_is_not_run_again(road):
    scheduler = road.scheduler(8)
    first = road.submit(["same"])
    road.until("same")
    second = road.submit(["same", "other"])
    road.until("same", "other")
    road.release("same", "other")
    assert first.result(20) == answers("same")
    assert second.result(20) == answers("same", "other")
    assert not scheduler._queue.pending


def test_an_idle_second_lane_ends_and_a_new_one_begins(road, monkeypatch):
    monkeypatch.setattr("demo.backend.scheduler.scheduler._IDLE_SECONDS", 0.05)
    scheduler = road.scheduler(8)
    for _ in range(2):
        requests = [road.submit([name], name) for name in "ab"]
        road.until("a", "b")
        lane = scheduler._second
        assert lane.is_alive()
        road.release("a", "b")
        assert [each.result(20) for each in requests] == [answers("a"), answers("b")]
        lane.join(20)
        assert not lane.is_alive()
        assert scheduler._second is None


def test_no_exception_closes_the_second_lane(road):
    def run(group, contents):
        results = road.run(group, contents)
        if "exit" in contents:
            raise SystemExit
        return results

    road.scheduler(8, run)
    first = road.submit(["first"], "first")
    road.until("first")
    for name in ("exit", "next"):
        beside = road.submit([name], name)
        road.until("first", name)
        road.release(name)
        if name == "exit":
            with pytest.raises(SystemExit):
                beside.result(20)
        else:
            assert beside.result(20) == answers(name)
    road.release("first")
    assert first.result(20) == answers("first")
