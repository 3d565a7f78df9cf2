"""StartingEngine: a stand-in for an engine that takes seconds to create, so that the page is served before it.

Imports no torch; `start` creates the real engine, which answers every call from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from demo.backend.protocol import Engine
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Device, EngineCounts, ModelInfo, ModelStatus
from demo.domain.errors import Stopped

_DEVICE = Device("starting", "", "", "The device is known as soon as torch is there.")


class StartingEngine(Engine):
    """Until it has started, calls that must not block answer without an engine, and all others wait."""

    def __init__(self, create: Callable[[], Engine], elsewhere: Sequence[ModelStatus] = ()):
        self._create = create
        self._elsewhere = list(elsewhere)  # models that need no engine of this machine
        self._engine: Future[Engine] = Future()

    def start(self) -> None:
        """Create the engine. An error is raised here and to everyone who waits."""
        try:
            self._engine.set_result(self._create())
        except BaseException as error:
            # A signal that interrupts the start is none in the threads of those who wait.
            self._engine.set_exception(error if isinstance(error, Exception) else Stopped())
            raise

    def close(self) -> None:
        if self._has_started():
            self._engine.result().close()

    def counts(self) -> EngineCounts:
        return super().counts() if self._has_started() else EngineCounts()

    def _has_started(self) -> bool:
        return self._engine.done() and self._engine.exception() is None

    def device(self) -> Device:
        return super().device() if self._engine.done() else _DEVICE

    def models(self) -> list[ModelStatus]:
        """Before the start every model of the catalogue counts as available."""
        if self._engine.done():
            return super().models()
        return [entry.status("available") for entry in CATALOG.values()] + self._elsewhere

    def loaded(self, model: str) -> ModelInfo | None:
        return super().loaded(model) if self._engine.done() else None

    def _forward(self, model: str, method: str, *arguments: Any) -> Any:
        return getattr(self._engine.result(), method)(*arguments)
