"""Peers of a benchmark: each in a process of its own, in turns, so that what slows the machine slows all of them."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable

import numpy as np

RUNS = 5


class Peer:
    """Somebody in a process of their own: two engines that compute in one would slow each other's threads."""

    def __init__(self, make: Callable, *arguments):
        self._pool = multiprocessing.get_context("spawn").Pool(1, _begin, (make, arguments))

    def __call__(self, ask: Callable, *arguments):
        """ask(what was made, *arguments), in that process."""
        return self._pool.apply(_ask, (ask, arguments))

    def seconds(self, ask: Callable, *arguments) -> float:
        """How long that takes there."""
        return self._pool.apply(_time, (ask, arguments))

    def end(self) -> None:
        self._pool.terminate()


def _begin(make: Callable, arguments: tuple) -> None:
    global _made
    _made = make(*arguments)


def _ask(ask: Callable, arguments: tuple):
    return ask(_made, *arguments)


def _time(ask: Callable, arguments: tuple) -> float:
    started = time.perf_counter()
    ask(_made, *arguments)
    return time.perf_counter() - started


def take_turns(contenders: dict[str, Callable[[], float]], runs: int = RUNS) -> dict[str, float]:
    """Median seconds of each, after one round that warms up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(runs + 1):
        for name, run in contenders.items():
            taken = run()
            if turn:
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def same_vectors(name: str, found, expected, least: float) -> None:
    """A peer that computes something else is no peer."""
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    if cosines.min() < least:
        raise SystemExit(f"{name} gives other vectors: cosine {cosines.min():.4f}")
