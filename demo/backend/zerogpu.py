"""ZeroGpuEngine: the local engine on a Hugging Face Space whose GPU is lent for one call at a time.

A GPU call runs in a forked process, and models that it loads are lost with it. So the fixed models are put on the GPU
when the engine is created, the cache stays with the parent, and only NumPy arrays come back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

import spaces  # before torch touches CUDA, or ZeroGPU refuses to start
import torch

from demo.backend.loader import Checkpoint
from demo.backend.local import LocalEngine
from demo.backend.model.device import Placement
from demo.backend.protocol import Guide, OnProgress, Sources
from demo.backend.scheduler.batch import run_with_retreat
from demo.backend.scheduler.cache import Entry
from demo.backend.scheduler.scheduler import Scheduler
from demo.domain.datamodels import Device, ModelStatus, PromptedText, Reading
from demo.domain.errors import DemoError, ModelNotAllowed
from demo.domain.recipe import PromptedPair, Recipe
from demo.settings import Settings

_SECONDS_PER_CALL = 30  # of the visitor's quota, at most

# The forked process finds the models here; an engine passed as an argument would be pickled.
_engine: ZeroGpuEngine | None = None


class ZeroGpuEngine(LocalEngine):
    """Loads the fixed models eagerly; embeds what is not cached in one GPU call."""

    own_pass = False  # a decoder is proven on the device when it is loaded, and here the device is not lent yet

    def __init__(self, settings: Settings):
        global _engine
        super().__init__(settings)
        reason = "CUDA, lent by ZeroGPU for each call; bfloat16, because its GPUs compute it natively."
        info = Device("ZeroGPU", "cuda", "bfloat16", reason)
        self._store.placement = Placement(self._gpu(), torch.bfloat16, info)
        # A thread does not survive the fork: each call runs its own texts.
        self._scheduler = Scheduler(self._runner.run, 16_384, threaded=False, retreat=run_with_retreat)
        for model in settings.preload:
            if precision := self.load(model).full_precision:
                self._store.get(model, precision=precision)
        _engine = self

    def models(self) -> list[ModelStatus]:
        """The fixed models of the catalogue; no other one can be chosen."""
        return [status for status in super().models() if status.model in self.settings.preload]

    def _checkpoint(self, model: str, on_progress: OnProgress | None = None) -> Checkpoint:
        if model not in self.settings.preload:
            raise ModelNotAllowed(model=model, accepted=", ".join(self.settings.preload))
        return super()._checkpoint(model, on_progress)

    def _compute(
        self, texts: list[PromptedText], checkpoint: Checkpoint, reading: Reading | None, head: int | None = None
    ) -> Iterator[tuple[PromptedText, tuple[Entry, ...]]]:
        outcome = _compute_on_gpu(texts, checkpoint.info.model, checkpoint.info.precision, reading, head)
        if isinstance(outcome, DemoError):
            raise outcome
        yield from outcome

    def train(
        self, recipe: Recipe, pairs: Sequence[PromptedPair], sources: Sources, guide: Guide | None = None
    ) -> NoReturn:
        reason = "a GPU that is lent for one call cannot train for minutes. Train on a machine of your own."
        self._refuse(recipe.reading.model, reason)

    @staticmethod
    def _gpu() -> torch.device:
        return torch.device("cuda")


@spaces.GPU(duration=_SECONDS_PER_CALL)
def _compute_on_gpu(texts: list[PromptedText], model: str, precision: str, reading: Reading | None, head: int | None):
    """[(text, entries)], or the DemoError: ZeroGPU wraps what is raised into an error of its own."""
    try:
        return list(LocalEngine._compute(_engine, texts, _engine._store.get(model, precision=precision), reading, head))
    except DemoError as error:
        return error
