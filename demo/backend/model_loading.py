"""Background loading: models on their way into memory while others answer, each once, with its progress."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from demo.backend.protocol import Engine
from demo.domain.datamodels import ModelInfo, Progress
from demo.domain.errors import BigDownload, ModelLoading, Stopped
from demo.jobs.pace import Pace


class _Load:
    """One model's load, in a thread of its own."""

    def __init__(self, engine: Engine, model: str):
        self.progress = Progress("starting")
        self._pace = Pace()
        self.stopped = False
        self.outcome: Future[ModelInfo] = Future()
        threading.Thread(target=self._run, args=(engine, model), name=f"load {model[:40]}", daemon=True).start()

    def _run(self, engine: Engine, model: str) -> None:
        try:
            self.outcome.set_result(engine.load(model, self._on_progress))
        except BaseException as error:  # raised to whoever asks for the model next
            self.outcome.set_exception(error)

    def _on_progress(self, progress: Progress) -> None:
        if self.stopped:
            raise Stopped()
        self.progress = self._pace(progress)


class ModelLoader:
    """The one way to a loaded model, waiting for it or not. Several threads may use it."""

    def __init__(self, engine: Engine, consent: Callable[[BigDownload], bool] | None = None):
        self._engine = engine
        self._consent = consent  # says yes or no to a big download
        self._loads: dict[str, _Load] = {}
        self._lock = threading.Lock()

    def open(self, model: str, name: str, wait: bool) -> ModelInfo:
        """The model, in memory. wait=False: load it in the background, and raise ModelLoading until it is loaded.

        name: as people know it. A load in the background that fails raises its error once, at the next call.
        """
        try:
            return self._open(model, name, wait)
        except BigDownload as question:
            if self._consent is None or not self._consent(question):
                raise
            self._engine.permit_download(model)
            return self._open(model, name, wait)

    def _open(self, model: str, name: str, wait: bool) -> ModelInfo:
        with self._lock:
            info, load = self._engine.loaded(model), self._loads.get(model)
            done = load is not None and load.outcome.done()
            if done:
                # A finished load that stayed here would pass for a loaded model once the engine has evicted the model.
                del self._loads[model]
            if info is None and not wait:
                if done:
                    return load.outcome.result()
                load = load or self._loads.setdefault(model, _Load(self._engine, model))
        if info is not None:
            return info
        if wait:
            return self._engine.load(model)
        # A load that has just begun always raises, however fast it ends: its result is returned by the next call.
        progress = load.progress
        left = progress.seconds_left
        raise ModelLoading(model=name, stage=progress.stage, fraction=progress.fraction, seconds_left=left)

    def stop(self, model: str) -> None:
        """End a load in the background at its next report of progress; whoever asks for the model begins it anew."""
        with self._lock:
            load = self._loads.pop(model, None)
        if load is not None:
            load.stopped = True
