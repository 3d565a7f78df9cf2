"""Streams: the passes whose weights are read from disk: one at a time, each with as many texts as memory has room for.

What they compute runs between and beside the other passes (Scheduler.run_steps), so that these wait no longer for it
than for any background work.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from demo.backend.scheduler.batch import run_with_retreat
from demo.backend.scheduler.model_runner import ModelRunner
from demo.backend.scheduler.patience import Patience
from demo.backend.scheduler.scheduler import Scheduler
from demo.domain.errors import ModelLoading

_SHARE, _LEAST, _MOST = 8, 64 * 2**20, 2**30  # of the models' memory, for the texts of a pass; bytes at least, at most
_WAITING = "waiting for another pass through weights on disk"


class Streams:
    """runner: runs the passes. memory: bytes of all models together. scheduler: the passes' queue and thread."""

    def __init__(self, runner: ModelRunner, memory: int):
        budget = min(max(memory // _SHARE, _LEAST), _MOST)
        self.scheduler = Scheduler(runner.run, budget, retreat=run_with_retreat)
        self._runner = runner
        self._runner.wanted = self.scheduler.is_awaited
        self._patience = Patience()

    def ask(self, name: str, key: Hashable, compute: Callable[[], Any]) -> Any:
        """compute(), which goes on when the request's timeout ends. Raises ModelLoading then: how far the pass is."""
        try:
            return self._patience.ask(key, compute)
        except TimeoutError:
            pass
        progress = self._runner.streaming
        seconds = progress.seconds_left() if progress and progress.model == name else None
        if seconds is None:
            raise ModelLoading(model=name, stage=_WAITING, fraction=None)
        stage = f"layer {progress.layer + 1} of {progress.depth}, {seconds:.0f} s left"
        raise ModelLoading(model=name, stage=stage, fraction=progress.layer / progress.depth)
