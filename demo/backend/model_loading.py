"""Loading: one model on its way into memory while others answer. Knows an engine, no texts."""

from __future__ import annotations

import threading

from demo.backend.protocol import Engine
from demo.domain.datamodels import ModelInfo, Progress


class BackgroundLoad:
    """One model on its way into memory, in a thread of its own."""

    def __init__(self, engine: Engine, model: str):
        self.progress = Progress("starting")
        self.done = threading.Event()
        self._outcome: ModelInfo | BaseException | None = None
        threading.Thread(target=self._run, args=(engine, model), name=f"load {model[:40]}", daemon=True).start()

    def result(self) -> ModelInfo:
        if isinstance(self._outcome, ModelInfo):
            return self._outcome
        raise self._outcome

    def _run(self, engine: Engine, model: str) -> None:
        try:
            self._outcome = engine.load(model, self._on_progress)
        except BaseException as error:
            # Not swallowed: whoever asked for the model gets it, whatever it is.
            self._outcome = error
        finally:
            self.done.set()

    def _on_progress(self, progress: Progress) -> None:
        self.progress = progress
