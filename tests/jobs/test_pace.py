"""The estimate of what is left: nothing before there is a basis, then within a factor of two; progress never falls."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from demo.domain.datamodels import Progress
from demo.jobs.pace import Pace, Parts


class Clock:
    """A clock that stands still until somebody works."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lefts(clock: Clock, pace: Pace, fractions, seconds: float) -> list[float | None]:
    """What is said to be left after each of these fractions, each of which took so long."""
    said = []
    for fraction in fractions:
        clock.now += seconds
        said.append(pace(Progress("", fraction)).seconds_left)
    return said


def test_nothing_is_said_before_there_is_a_basis_and_then_what_is_left():
    clock = Clock()
    pace = Pace(clock)
    pace(Progress("", 0.0))
    said = lefts(clock, pace, [0.01, 0.02, 0.1, 0.2, 0.5, 1.0], 0.0)
    assert said == [None] * 6, "no time has passed"
    pace = Pace(clock)
    pace(Progress("", 0.0))
    assert lefts(clock, pace, [0.02, 0.04], 10.0) == [None, None], "a twentieth is the least"
    assert lefts(clock, pace, [0.06, 0.08], 10.0) == pytest.approx([30 * 0.94 / 0.06, 40 * 0.92 / 0.08])
    assert lefts(clock, pace, [1.0], 10.0) == [0.0]


def test_each_phase_is_measured_by_itself():
    """A slow download says nothing of the speed of what comes after it, nor what lay on the disk already of its own."""
    clock = Clock()
    pace = Pace(clock)
    lefts(clock, pace, [0.0, 0.5, 1.0], 100.0)
    assert lefts(clock, pace, [0.0], 1.0) == [None]
    assert lefts(clock, pace, [0.25, 0.5], 2.0) == pytest.approx([6.0, 4.0])
    assert pace(Progress("", None)).seconds_left is None
    assert lefts(clock, pace, [0.6, 0.8], 4.0) == [None, pytest.approx(4.0)], "0.6 were there at the beginning"


def test_work_that_knows_better_is_believed():
    assert Pace(Clock())(Progress("", 0.5, 7.0)).seconds_left == 7.0


@pytest.mark.parametrize("guess", [{"pass": 1.0, "score": 1.0}, {"pass": 1e-3, "score": 1e-2}])
def test_parts_of_unequal_kinds_make_a_progress_that_follows_the_time(guess):
    """After a fifth of the time the estimate is within a factor of two, however wrong the first guess was."""
    clock = Clock()
    amounts = [("pass", 100.0), ("score", 60.0), ("pass", 400.0), ("score", 60.0), ("pass", 150.0), ("score", 60.0)]
    took = {"pass": 0.02, "score": 0.1}
    whole = sum(amount * took[kind] for kind, amount in amounts)
    parts, pace, began = Parts(amounts, guess, clock), Pace(clock), clock.now
    last = pace(Progress("", parts.at(0, 0.0))).fraction
    for place, (kind, amount) in enumerate(amounts):
        for share in np.linspace(0.1, 1.0, 10):
            clock.now += 0.1 * amount * took[kind]
            said = pace(Progress("", parts.at(place, float(share))))
            assert last <= said.fraction <= 1.0
            last, done = said.fraction, (clock.now - began) / whole
            if 0.2 <= done < 0.95:
                assert said.fraction == pytest.approx(done, rel=0.5)
                assert 0.5 <= said.seconds_left / (whole * (1 - done)) <= 2.0
    assert last == pytest.approx(1.0)


def test_parts_that_are_passed_over_count_as_done():
    clock = Clock()
    parts = Parts([("pass", 1.0)] * 4, {"pass": 1.0}, clock)
    fractions = []
    for place, share in itertools.product((1, 3), (0.0, 1.0)):
        clock.now += 1.0
        fractions.append(parts.at(place, share))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
