"""The worker: who shares a pass, who goes first, who is dropped, and whose failure is whose."""

import ctypes
import threading
import time
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
    """Answers in capitals, writes down every pass, and can be held."""

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


def ask(scheduler, texts, **turn):
    with request_context(**turn):
        return dict(scheduler.results(texts))


def held(scheduler, device, people):
    """The device is busy with somebody's text."""
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
def test_whatever_is_asked_is_answered(wanted):
    scheduler = Scheduler(lambda group, contents: [(group, content) for content in contents], 16, threaded=False)
    asked = [WorkItem(group, (group, name, length), name, length) for group, length, name in wanted]
    assert ask(scheduler, asked) == {i: (each.group, each.content) for i, each in enumerate(asked)}
    assert not scheduler._queue.pending
    assert not scheduler._queue.requests


def test_what_came_meanwhile_shares_the_next_pass(device, people):
    scheduler = Scheduler(device.run, 100)
    first = held(scheduler, device, people)
    others = [people.submit(ask, scheduler, items(name)) for name in "abcdef"]
    in_line(scheduler, 7)
    device.open.set()
    assert [other.result(10) for other in others] == [{0: name.upper()} for name in "abcdef"]
    first.result(10)
    assert [sorted(contents) for contents in device.passes] == [["first"], list("abcdef")]


def test_a_text_that_many_ask_for_runs_once(device, people):
    scheduler = Scheduler(device.run, 100)
    held(scheduler, device, people)
    others = [people.submit(ask, scheduler, items("same", "and", str(i))) for i in range(30)]
    in_line(scheduler, 31)
    device.open.set()
    assert all(other.result(10)[0] == "SAME" for other in others)
    assert sum(contents.count("same") for contents in device.passes) == 1
    assert not scheduler._queue.pending


def test_a_text_that_is_running_already_is_waited_for(device, people):
    scheduler = Scheduler(device.run, 100)
    device.hold()
    first = people.submit(ask, scheduler, items("same"))
    assert device.busy.wait(10)
    second = people.submit(ask, scheduler, items("same"))
    in_line(scheduler, 2)
    device.open.set()
    assert first.result(10) == second.result(10) == {0: "SAME"}
    assert device.passes == [("same",)]


def test_an_edit_goes_before_a_sweep_but_not_for_ever(device, people):
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


def test_whoever_has_had_least_goes_first(device, people):
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


def test_a_bad_text_is_told_of_to_those_alone_who_asked_for_it(device, people):
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


def test_what_nobody_wants_any_more_never_runs(device, people):
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


def test_what_a_failure_has_ended_is_not_computed_after_it(device, monkeypatch):
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


def test_who_goes_away_leaves_nothing_behind(device):
    scheduler = Scheduler(device.run, 2, threaded=False)
    results = scheduler.results(items(*"abcdef"))
    next(results)
    results.close()
    assert not scheduler._queue.requests
    assert not scheduler._queue.pending
    assert len(device.passes) == 1


@pytest.mark.parametrize("threaded", [True, False])
def test_other_work_runs_in_the_same_thread(device, threaded):
    scheduler = Scheduler(lambda group, contents: [threading.current_thread().name] * len(contents), 10, threaded)
    [name] = ask(scheduler, items("a")).values()
    assert scheduler.call(lambda: threading.current_thread().name) == name
    with pytest.raises(ZeroDivisionError):
        scheduler.call(lambda: 1 / 0)
    assert scheduler.call(lambda: 2) == 2


def test_other_work_need_not_wait_for_what_is_in_line(device, people):
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


def test_no_exception_ends_the_thread(device):
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


# --- two lanes ------------------------------------------------------------------------------------------------------


class TwoLanes:
    """Cores for two lanes. Writes down which pass has all of them."""

    count = 2

    def __init__(self):
        self.exclusive: list[bool] = []

    def use_cores(self, exclusive):
        self.exclusive.append(exclusive)


class Road:
    """A device on which every pass waits until it is let go."""

    def __init__(self):
        self.under_way: list[tuple[str, ...]] = []
        self.most = 0
        self._moved = threading.Condition()

    def run(self, group, contents):
        with self._moved:
            self.under_way.append(tuple(contents))
            self.most = max(self.most, len(self.under_way))
            self._moved.notify_all()
            assert self._moved.wait_for(lambda: tuple(contents) not in self.under_way, 10)
        return [content.upper() for content in contents]

    def wait_for(self, *passes):
        with self._moved:
            assert self._moved.wait_for(lambda: sorted(self.under_way) == sorted(passes), 10), self.under_way

    def beside(self, content):
        """What runs beside the pass of one text."""
        with self._moved:
            assert self._moved.wait_for(lambda: len(self.under_way) == 2, 10), self.under_way
            [[other]] = [contents for contents in self.under_way if contents != (content,)]
        return other

    def stays(self, *passes):
        """Nothing else begins."""
        with self._moved:
            assert not self._moved.wait_for(lambda: sorted(self.under_way) != sorted(passes), 0.2), self.under_way

    def let_go(self, *contents):
        with self._moved:
            self.under_way.remove(contents)
            self._moved.notify_all()


@pytest.fixture
def road():
    road = Road()
    yield road
    with road._moved:
        road.under_way.clear()
        road._moved.notify_all()


def test_two_passes_go_side_by_side_and_who_is_alone_has_all_cores(road, people, monkeypatch):
    monkeypatch.setattr("demo.backend.scheduler.scheduler._SHARED_SECONDS", 0.3)
    cores = TwoLanes()
    scheduler = Scheduler(road.run, 8, cpu_lanes=cores)
    asked = [people.submit(ask, scheduler, items("a", group="a"))]
    road.wait_for(("a",))
    asked += [people.submit(ask, scheduler, items(name, group=name)) for name in "bc"]
    in_line(scheduler, 3)
    second = road.beside("a")
    [third] = {"b", "c"} - {second}
    road.stays(("a",), (second,))  # there is no third lane
    road.let_go("a")
    road.wait_for((second,), (third,))
    road.let_go(second)
    road.let_go(third)
    assert [each.result(10) for each in asked] == [{0: name.upper()} for name in "abc"]
    assert cores.exclusive == [True, False, False]
    time.sleep(0.4)
    alone = people.submit(ask, scheduler, items("d"))
    road.wait_for(("d",))
    road.let_go("d")
    assert alone.result(10) == {0: "D"}
    assert cores.exclusive == [True, False, False, True]
    assert road.most == 2


@pytest.mark.parametrize(("budget", "first", "second"), [(8, "abcd", "efgh"), (16, "abc", "def")])
def test_the_lanes_share_the_budget_and_what_is_less_than_it_by_halves(road, people, budget, first, second):
    scheduler = Scheduler(road.run, budget, cpu_lanes=TwoLanes())
    asked = people.submit(ask, scheduler, items(*first, *second))
    road.wait_for(tuple(first), tuple(second))
    road.let_go(*first)
    road.let_go(*second)
    assert asked.result(10) == {i: name.upper() for i, name in enumerate(first + second)}


def test_what_is_little_is_not_split(road, people):
    cores = TwoLanes()
    scheduler = Scheduler(road.run, 16, cpu_lanes=cores)
    asked = people.submit(ask, scheduler, items(*"abcd"))
    road.wait_for(tuple("abcd"))
    road.let_go(*"abcd")
    assert len(asked.result(10)) == 4
    assert cores.exclusive == [True]


def test_beside_a_pass_under_way_the_rest_is_not_halved(road, people):
    scheduler = Scheduler(road.run, 16, cpu_lanes=TwoLanes())
    first = people.submit(ask, scheduler, items("first", group="other"))
    road.wait_for(("first",))
    asked = people.submit(ask, scheduler, items(*"abcdef"))
    road.wait_for(("first",), tuple("abcdef"))
    road.let_go("first")
    road.let_go(*"abcdef")
    assert first.result(10)
    assert len(asked.result(10)) == 6


def test_texts_that_begin_alike_are_neighbours_and_may_be_padded_more(device):
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


def test_however_little_padding_costs_a_pass_stays_within_its_budget_of_tokens(device):
    scheduler = Scheduler(device.run, 12, threaded=False)
    ask(scheduler, [WorkItem("g", name, name, 7, (1,)) for name in "abc"])
    assert device.passes == [("a",), ("b",), ("c",)]


def test_while_somebody_types_long_work_gets_the_gaps(road, people):
    cores = TwoLanes()
    scheduler = Scheduler(road.run, 32, cpu_lanes=cores)
    edit = people.submit(ask, scheduler, items("edit"))
    road.wait_for(("edit",))
    sweep = people.submit(ask, scheduler, items(*"abcdefgh", group="sweep"), interactive=False)
    road.stays(("edit",))
    road.let_go("edit")
    edit.result(10)
    road.wait_for(tuple("abcd"))  # a quarter of a lane's budget at a time
    road.stays(tuple("abcd"))
    edit = people.submit(ask, scheduler, items("again"))
    road.wait_for(tuple("abcd"), ("again",))
    road.let_go("again")
    assert edit.result(10) == {0: "AGAIN"}
    road.stays(tuple("abcd"))
    road.let_go(*"abcd")
    road.wait_for(tuple("efgh"))
    road.let_go(*"efgh")
    assert len(sweep.result(10)) == 8
    assert cores.exclusive == [True, False, False, False], "long work beside somebody who types has a part of the cores"


def test_long_work_does_not_wait_for_ever_beside_two_lanes(road, people):
    scheduler = Scheduler(road.run, 32, cpu_lanes=TwoLanes())
    edits = [people.submit(ask, scheduler, items("edit 0"))]
    road.wait_for(("edit 0",))
    sweep = people.submit(ask, scheduler, items("sweep"), interactive=False)
    for i in range(1, 8):
        edits.append(people.submit(ask, scheduler, items(f"edit {i}")))
        road.wait_for((f"edit {i - 1}",), (f"edit {i}",))
        road.let_go(f"edit {i - 1}")
    road.wait_for(("edit 7",), ("sweep",))
    road.let_go("edit 7")
    road.let_go("sweep")
    assert sweep.result(10) == {0: "SWEEP"}
    assert all(edit.result(10) for edit in edits)


def test_a_text_that_runs_in_the_other_lane_is_waited_for(road, people):
    scheduler = Scheduler(road.run, 8, cpu_lanes=TwoLanes())
    first = people.submit(ask, scheduler, items("same"))
    road.wait_for(("same",))
    second = people.submit(ask, scheduler, items("same", "other"))
    road.wait_for(("same",), ("other",))
    road.let_go("same")
    road.let_go("other")
    assert first.result(10) == {0: "SAME"}
    assert second.result(10) == {0: "SAME", 1: "OTHER"}
    assert not scheduler._queue.pending


def test_the_second_lane_ends_when_there_is_nothing_for_it_and_begins_anew(road, people, monkeypatch):
    monkeypatch.setattr("demo.backend.scheduler.scheduler._IDLE_SECONDS", 0.05)
    scheduler = Scheduler(road.run, 8, cpu_lanes=TwoLanes())
    for _ in range(2):
        asked = [people.submit(ask, scheduler, items(name, group=name)) for name in "ab"]
        road.wait_for(("a",), ("b",))
        lane = scheduler._second
        assert lane.is_alive()
        road.let_go("a")
        road.let_go("b")
        assert [each.result(10) for each in asked] == [{0: "A"}, {0: "B"}]
        lane.join(10)
        assert not lane.is_alive()
        assert scheduler._second is None


def test_no_exception_closes_the_second_lane(road, people):
    def run(group, contents):
        results = road.run(group, contents)
        if "exit" in contents:
            raise SystemExit
        return results

    scheduler = Scheduler(run, 8, cpu_lanes=TwoLanes())
    first = people.submit(ask, scheduler, items("first", group="first"))
    road.wait_for(("first",))
    for name in ("exit", "next"):
        beside = people.submit(ask, scheduler, items(name, group=name))
        road.wait_for(("first",), (name,))
        road.let_go(name)
        if name == "exit":
            with pytest.raises(SystemExit):
                beside.result(10)
        else:
            assert beside.result(10) == {0: "NEXT"}
    road.let_go("first")
    assert first.result(10) == {0: "FIRST"}
