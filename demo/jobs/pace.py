"""Pace: estimated time of arrival: the seconds that a piece of work still takes, from what it has taken so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from demo.domain.datamodels import Progress

_LEAST_SHARE, _LEAST_SECONDS = 0.05, 2.0  # of a phase: what is done of it, before anything is said of the rest


class Pace:
    """Adds `seconds_left` to the progress of one piece of work, as the rest at the speed so far.

    None until a twentieth of the phase is done and two seconds of it are over. A fraction that falls, or one after
    None, begins another phase, as measuring does after loading. Work that says itself how long it takes is believed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._began = clock()
        self._first: float | None = None  # the fraction that this phase began with
        self._last = 0.0

    def __call__(self, progress: Progress) -> Progress:
        """The progress with the seconds that are left, as far as they can be known."""
        fraction, now = progress.fraction, self._clock()
        if fraction is None:
            self._first = None
            return progress
        if self._first is None or fraction < self._last:
            self._began, self._first = now, fraction
        self._last = fraction
        done, spent = fraction - self._first, now - self._began
        if progress.seconds_left is not None or done < _LEAST_SHARE or spent < _LEAST_SECONDS:
            return progress
        return replace(progress, seconds_left=spent * (1 - fraction) / done)


class Parts:
    """How far a piece of work is that is made of parts of several kinds, so that the fraction follows the time.

    parts: (kind, amount) each, in their order, such as ("pass", characters) and ("score", readings). guess: seconds a
    unit of each kind on a fast machine, until one has been measured.
    """

    def __init__(
        self,
        parts: Sequence[tuple[str, float]],
        guess: Mapping[str, float],
        clock: Callable[[], float] = time.monotonic,
    ):
        self._parts, self._guess, self._clock = list(parts), guess, clock
        self._amount = dict.fromkeys(guess, 0.0)  # done of each kind
        self._seconds = dict.fromkeys(guess, 0.0)  # what that took
        self._place, self._share = 0, 0.0  # the part under way, and how much of it is done
        self._looked, self._fraction = clock(), 0.0

    def at(self, place: int, share: float) -> float:
        """The fraction of all work, once so much of a part is done, 0…1; it never falls."""
        now = self._clock()
        for skipped in range(self._place, place):
            self._count(skipped, 1.0 - (self._share if skipped == self._place else 0.0))
        kind = self._parts[place][0]
        begun = self._share if place == self._place else 0.0
        self._count(place, max(0.0, share - begun))
        self._seconds[kind] += now - self._looked
        self._place, self._share, self._looked = place, max(share, begun), now
        spent = sum(self._seconds.values())
        left = sum(amount * self._rate(kind) for kind, amount in self._parts[place + 1 :])
        left += self._parts[place][1] * (1 - self._share) * self._rate(kind)
        self._fraction = max(self._fraction, float(spent / (spent + left)) if spent + left else 0.0)
        return self._fraction

    def _count(self, place: int, share: float) -> None:
        kind, amount = self._parts[place]
        self._amount[kind] += amount * share

    def _rate(self, kind: str) -> float:
        """Seconds a unit: as measured; else as guessed, by the other kinds' pace where they are slower than guessed."""
        if self._amount[kind] and self._seconds[kind]:
            return self._seconds[kind] / self._amount[kind]
        guessed = sum(amount * self._guess[each] for each, amount in self._amount.items())
        spent = sum(self._seconds.values())
        return self._guess[kind] * max(1.0, spent / guessed if guessed else 1.0)
