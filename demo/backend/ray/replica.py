"""Replica: what runs in a process of the cluster: an engine, and how it is asked over Ray Serve.

What waits in a replica is batched by the engine's own worker (worker.py): texts of one reading share a pass, whoever
asks, and nobody waits for a window to close, as with Serve's own batches. Imports no torch; the engine that it makes
does.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from ray import serve

from demo.backend.protocol import Engine
from demo.domain.datamodels import ModelInfo, Progress
from demo.domain.errors import DemoError
from demo.jobs.request_context import request_context

_TELL_SECONDS = 0.1  # between two looks at how far a load is
_MOST_FAILURES = 3  # in a row, for reasons that no person can have caused: the replica is replaced

logger = logging.getLogger("demo")


class KeepingEngine(Engine, Protocol):
    """An Engine that can be told to let a model go."""

    def release(self, model: str) -> None:
        """Let go of a model, if it is in memory; what still computes with it keeps it until then."""


class _Held:
    """A model that Serve counts as this replica's. Serve calls `__del__` when others have taken its place."""

    def __init__(self, release: Callable[[], None]):
        self._release = release

    def __del__(self):
        self._release()


class Replica:
    """An engine that answers questions about texts, a model's to the replicas that hold it.

    create: makes the engine, here. models: how many it keeps. at_once: questions that run at the same time.
    first: a model that is brought into memory without being asked for.

    A DemoError is answered, not raised: Serve logs what is raised, and a message may quote what a person typed.
    """

    async def __init__(self, create: Callable[[], KeepingEngine], models: int, at_once: int, first: str):
        self._engine = create()
        self._threads = ThreadPoolExecutor(at_once + 1, thread_name_prefix="question")  # one more: the first model
        self._progress: dict[str, Progress] = {}
        self._failures = 0

        @serve.multiplexed(max_num_models_per_replica=models)
        async def hold(model: str) -> _Held:
            return _Held(partial(self._engine.release, model))

        self._hold = hold
        self._opening = asyncio.create_task(self._open(first))

    async def ask(self, urgent: bool, method: str, *arguments: Any) -> Any:
        """What the engine's method answers, or the DemoError that it raises. Loads the question's model if it must."""
        try:
            await self._bring(serve.get_multiplexed_model_id())
            return await self._run(urgent, getattr(self._engine, method), *arguments)
        except DemoError as error:
            return error

    async def load(self) -> AsyncIterator[Progress | ModelInfo | DemoError]:
        """How far the question's model is on its way into memory; at last what is known of it, or what went wrong."""
        model = serve.get_multiplexed_model_id()
        loading = asyncio.create_task(self._bring(model))
        told = None
        while not (await asyncio.wait([loading], timeout=_TELL_SECONDS))[0]:
            progress = self._progress.get(model)
            if progress is not None and progress is not told:
                yield progress
            told = progress
        try:
            yield await loading
        except DemoError as error:
            yield error

    def check_health(self) -> None:
        """Called by Serve. Raises where the engine fails at everything: a device that is lost stays lost."""
        if self._failures >= _MOST_FAILURES:
            raise RuntimeError(f"the last {self._failures} questions failed")

    async def _open(self, model: str) -> None:
        try:
            await self._bring(model)
        except DemoError as error:
            logger.warning("the first model is not loaded: %s", error.code)  # whoever asks for it gets the sentence

    async def _bring(self, model: str) -> ModelInfo | None:
        """The model in memory, and Serve told of it; nothing for a question about no model."""
        if not model:
            return None
        info = self._engine.loaded(model)
        if info is None:
            info = await self._run(True, self._engine.load, model, partial(self._progress.__setitem__, model))
        await self._hold(model)
        return info

    async def _run(self, urgent: bool, act: Callable, *arguments: Any) -> Any:
        """act(*arguments) in a thread, which hears of it when nobody waits for the answer any more."""
        gone = threading.Event()

        def compute() -> Any:
            with request_context(interactive=urgent, is_cancelled=gone.is_set):
                return act(*arguments)

        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, compute)
        except asyncio.CancelledError:
            gone.set()
            raise
        except DemoError:
            raise
        except Exception:
            self._failures += 1
            raise
        self._failures = 0
        return answer
