"""Ray replica: an engine in a process of the cluster, called over Ray Serve.

The engine's own scheduler batches concurrent requests; Serve's batches would wait for a window to close. Imports no
torch; the engine that it creates does.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ray import serve

from demo.backend.protocol import Engine
from demo.domain.datamodels import ModelInfo, Progress
from demo.domain.errors import DemoError
from demo.jobs.request_context import request_context

_POLL_SECONDS = 0.1  # between two looks at a load's progress
_MOST_FAILURES = 3  # in a row, none of them a DemoError; then the replica is replaced

logger = logging.getLogger("demo")


class _ModelHandle:
    """A model that Serve counts as this replica's. Serve calls `__del__` when it evicts the model."""

    def __init__(self, release: Callable[[], None]):
        self._release = release

    def __del__(self):
        self._release()


class Replica:
    """create: creates the engine, here. models: how many it keeps. max_ongoing: requests that run at the same time.
    preload: a model to load at the start.

    A DemoError is returned, not raised: Serve logs what is raised, and a message may quote what a person typed.
    """

    async def __init__(self, create: Callable[[], Engine], models: int, max_ongoing: int, preload: str):
        self._engine = create()
        self._threads = ThreadPoolExecutor(max_ongoing + 1, thread_name_prefix="request")  # one more: the preload
        self._progress: dict[str, Progress] = {}
        self._failures = 0

        @serve.multiplexed(max_num_models_per_replica=models)
        async def register(model: str) -> _ModelHandle:
            return _ModelHandle(partial(self._engine.release, model))

        self._register = register
        self._preloading = asyncio.create_task(self._preload(preload))

    async def ask(self, urgent: bool, method: str, *arguments: Any) -> Any:
        """The engine's answer, or the DemoError that it raises. Loads the request's model if it must."""
        try:
            await self._load(serve.get_multiplexed_model_id())
            return await self._run(urgent, getattr(self._engine, method), *arguments)
        except DemoError as error:
            return error

    async def load(self) -> AsyncIterator[Progress | ModelInfo | DemoError]:
        """The progress of loading the request's model; at last its description, or the DemoError."""
        model = serve.get_multiplexed_model_id()
        loading = asyncio.create_task(self._load(model))
        last = None
        while not (await asyncio.wait([loading], timeout=_POLL_SECONDS))[0]:
            progress = self._progress.get(model)
            if progress is not None and progress is not last:
                yield progress
            last = progress
        try:
            yield await loading
        except DemoError as error:
            yield error

    def check_health(self) -> None:
        """Called by Serve. Raises when the engine fails at everything: a lost device stays lost."""
        if self._failures >= _MOST_FAILURES:
            raise RuntimeError(f"the last {self._failures} requests failed")

    async def _preload(self, model: str) -> None:
        try:
            await self._load(model)
        except DemoError as error:
            logger.warning("the first model is not loaded: %s", error.code)  # the next request for it gets the sentence

    async def _load(self, model: str) -> ModelInfo | None:
        """Load a model and register it with Serve; nothing for a request about no model."""
        if not model:
            return None
        info = self._engine.loaded(model)
        if info is None:
            info = await self._run(True, self._engine.load, model, partial(self._progress.__setitem__, model))
        await self._register(model)
        return info

    async def _run(self, urgent: bool, act: Callable, *arguments: Any) -> Any:
        """act(*arguments) in a thread, as a request that is cancelled when the caller goes away."""
        cancelled = threading.Event()

        def compute() -> Any:
            with request_context(interactive=urgent, is_cancelled=cancelled.is_set):
                return act(*arguments)

        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, compute)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        except DemoError:
            raise
        except Exception:
            self._failures += 1
            raise
        self._failures = 0
        return answer
