"""ZeroGpuEngine: the local engine on a Space whose GPU is lent for one call at a time.

A GPU call runs in a forked process, and what that process loads is lost with it. So the fixed models are put on the
GPU when this file's engine is made, the cache stays with the parent, and only NumPy arrays come back.
"""

from __future__ import annotations

import spaces  # before torch touches CUDA, or ZeroGPU refuses to start
import torch

from demo.backend.loader import Checkpoint
from demo.backend.local import LocalEngine
from demo.backend.model.device import Placement
from demo.backend.scheduler.scheduler import Scheduler
from demo.domain.datamodels import Device, ModelStatus, PromptedText, Reading
from demo.domain.errors import DemoError, ModelNotAllowed, ReadingRefused
from demo.settings import Settings

_SECONDS_PER_CALL = 30  # what a call asks of the visitor's quota at most

# The forked process finds the models here; an engine passed as an argument would be pickled.
_engine: ZeroGpuEngine | None = None


class ZeroGpuEngine(LocalEngine):
    """Loads the fixed models eagerly; embeds what is not cached in one GPU call."""

    fast = False  # a decoder is proven on the device when it is made, and here the device is not yet lent

    def __init__(self, settings: Settings):
        global _engine
        super().__init__(settings)
        reason = "CUDA, lent by ZeroGPU for each call; bfloat16, because its GPUs compute it natively."
        info = Device("ZeroGPU", "cuda", "bfloat16", reason)
        self.placement = Placement(self._gpu(), torch.bfloat16, info)
        # A thread does not survive the fork: each call runs its own texts.
        self._scheduler = Scheduler(self._runner.run, 16_384, threaded=False)
        self._kept: set[str] = set()
        for model in settings.preload:
            self.load(model)
            self._kept.add(model)
        _engine = self

    def models(self) -> list[ModelStatus]:
        """The catalogue; what is not kept ready cannot be chosen."""
        return [status for status in super().models() if status.model in self._kept]

    def _checkpoint(self, model: str, on_progress=None) -> Checkpoint:
        if self._kept and model not in self._kept and model not in self.settings.preload:
            raise ModelNotAllowed(model=model, accepted=", ".join(self._kept))
        return super()._checkpoint(model, on_progress)

    def _compute(self, texts: list[PromptedText], checkpoint: Checkpoint, reading: Reading | None, head=None):
        outcome = _compute_on_gpu(texts, checkpoint.info.model, reading, head)
        if isinstance(outcome, DemoError):
            raise outcome
        yield from outcome

    def train(self, recipe, pairs, sources, guide=None):
        raise ReadingRefused(
            field="model",
            model=self.load(recipe.reading.model).name,
            reason="a GPU that is lent for one call cannot train for minutes. Train on a machine of your own.",
        )

    @staticmethod
    def _gpu() -> torch.device:
        return torch.device("cuda")


@spaces.GPU(duration=_SECONDS_PER_CALL)
def _compute_on_gpu(texts: list[PromptedText], model: str, reading: Reading | None, head: int | None):
    """[(text, Entry)], or the DemoError: ZeroGPU wraps whatever is raised into an error of its own."""
    try:
        return list(LocalEngine._compute(_engine, texts, _engine._checkpoint(model), reading, head))
    except DemoError as error:
        return error
