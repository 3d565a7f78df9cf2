"""Turns: whose question is urgent and whether anybody still waits for it, carried along by the thread that asks.

What a person waits for goes before what runs for minutes; an engine reads it here when it is asked. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Turn:
    """urgent: a person waits for it. wanted: whether somebody still does; asked from another thread.

    patience: seconds that whoever asks can wait for another machine before asking again; None for as long as it takes.
    """

    urgent: bool = True
    wanted: Callable[[], bool] = _always
    patience: float | None = None


_USUAL = Turn()
_turn: ContextVar[Turn] = ContextVar("turn", default=_USUAL)


def current_turn() -> Turn:
    """The turn of the question that is being asked."""
    return _turn.get()


@contextmanager
def asking(**changes) -> Iterator[None]:
    """While it lasts, questions of this thread have this turn: `urgent=False`, `wanted=…`, `patience=…`."""
    token = _turn.set(replace(_turn.get(), **changes))
    try:
        yield
    finally:
        _turn.reset(token)
