"""StartingEngine: stands for an engine whose making takes seconds, so that the page need not wait for it.

Imports no torch; `start` makes the real engine, which answers everything from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from demo.backend.protocol import Engine, OnProgress
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Device, EngineCounts, ModelInfo, ModelStatus

_DEVICE = Device("starting", "", "", "The device is known as soon as torch is there.")


class StartingEngine:
    """An Engine. Until it has started, what must not block says what is known without it, and all else waits."""

    def __init__(self, create: Callable[[], Engine], elsewhere: Sequence[ModelStatus] = ()):
        self._create = create
        self._elsewhere = list(elsewhere)  # models that need no engine of this machine
        self._engine: Future[Engine] = Future()

    def start(self) -> None:
        """Make the engine. Raises what stands in the way, here and to everyone who waits."""
        try:
            self._engine.set_result(self._create())
        except BaseException as error:
            self._engine.set_exception(error)
            raise

    def counts(self) -> EngineCounts:
        return self._engine.result().counts() if self._engine.done() else EngineCounts()

    def device(self) -> Device:
        return self._engine.result().device() if self._engine.done() else _DEVICE

    def models(self) -> list[ModelStatus]:
        """Before the start every model of the catalogue counts as available."""
        if self._engine.done():
            return self._engine.result().models()
        return [entry.status("available") for entry in CATALOG.values()] + self._elsewhere

    def loaded(self, model: str) -> ModelInfo | None:
        return self._engine.result().loaded(model) if self._engine.done() else None

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        return self._engine.result().load(model, on_progress)

    def __getattr__(self, name: str) -> Any:
        """All else needs a model, and so the engine."""
        return getattr(self._engine.result(), name)
