"""Patience: computations that take longer than their caller waits. They go on, and the caller asks again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from demo.jobs.request_context import current_request, request_context

_SECONDS = 12.0  # that a computation goes on, or its answer is kept, while nobody asks: pages ask every 10 s at least


class _Work:
    """One computation. asked: when somebody did so last."""

    def __init__(self, key: Hashable, compute: Callable[[], Any], interactive: bool):
        self.key = key
        self.asked = time.monotonic()
        self.replaced = False
        self.gone: Callable[[], bool] = lambda: False  # whether who asked last has left
        self.outcome: Future = Future()
        threading.Thread(target=self._run, args=(compute, interactive), name="patience", daemon=True).start()

    def is_abandoned(self) -> bool:
        return self.replaced or self.gone() or time.monotonic() - self.asked > _SECONDS

    def _run(self, compute: Callable[[], Any], interactive: bool) -> None:
        try:
            with request_context(interactive=interactive, is_cancelled=self.is_abandoned):
                self.outcome.set_result(compute())
        except BaseException as error:  # raised to whoever asks next
            self.outcome.set_exception(error)


class Patience:
    """What is being computed, one computation an asker. Several threads may use it."""

    def __init__(self):
        self._works: dict[Hashable, _Work] = {}
        self._lock = threading.Lock()

    def ask(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """compute(), begun if it is not under way already. Raises TimeoutError after the request's timeout, if any.

        Whatever the same asker has asked before under another key is abandoned.
        """
        context = current_request()
        if context.timeout is None:
            return compute()
        asker = context.asker or key
        with self._lock:
            for other in [name for name, work in self._works.items() if work.is_abandoned()]:
                del self._works[other]
            work = self._works.get(asker)
            if work is None or work.key != key:
                if work is not None:
                    work.replaced = True
                work = self._works[asker] = _Work(key, compute, context.interactive)
            work.asked, work.gone = time.monotonic(), context.is_cancelled
        try:
            # Kept for a while: who needs several answers asks for all of them again until the last one is there.
            return work.outcome.result(context.timeout)
        except BaseException:
            if not work.outcome.done():
                raise TimeoutError from None
            with self._lock:
                if self._works.get(asker) is work:
                    del self._works[asker]
            raise
