"""Apart: a training run in a process of its own, which loads the model once more, for whoever trains beside people.

In one process the thread that trains and the one that answers share Python's lock: of thirty people who typed on two
cores beside a sweep and a training run, half waited 3 s for an answer so, and .5 s with this (measured; both at the
priority of demo/jobs.py). Must not know what a step is.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from demo.backend.checkpoint import Checkpoint
from demo.backend.protocol import Guide
from demo.datamodels import PromptedText
from demo.errors import DemoError, TrainingLost
from demo.settings import Settings
from demo.training import PromptedPair, Recipe, TrainStep
from demo.turns import current_turn

_END_SECONDS = 1.0  # that are waited for its end
_ANSWER, _ERROR, _GUIDE = "answer", "error", "guide"  # what comes back

logger = logging.getLogger("demo")


def should_be_apart(checkpoint: Checkpoint, room: int) -> bool:
    """Whether people wait beside this run, on a processor that both need, and the model fits once more into `room`."""
    return not current_turn().urgent and checkpoint.device.type == "cpu" and checkpoint.info.memory_bytes <= room


class TrainingApart:
    """A Training (protocol.py) elsewhere. Raises what the other process raises, TrainingLost where it has gone.

    The process has the priority of the thread that makes this, and ends with it.
    """

    def __init__(
        self,
        settings: Settings,
        recipe: Recipe,
        pairs: Sequence[PromptedPair],
        sources: Sequence[tuple[int, float]],
        guide: Guide | None = None,
    ):
        self.done = 0
        self._guide = guide
        context = multiprocessing.get_context("spawn")  # a fork would share torch's locks
        self._line, far = context.Pipe()
        asked = (recipe, list(pairs), list(sources))
        process = context.Process(target=_serve, args=(far, settings, asked, guide is not None), daemon=True)
        process.start()
        far.close()
        self._end = weakref.finalize(self, _end, self._line, process)
        self.trainable: int = self._ask("trainable")

    def steps(self) -> Iterator[TrainStep]:
        while (step := self._ask("step")) is not None:
            self.done = step.step
            yield step

    def embed(self, texts: Sequence[PromptedText]) -> np.ndarray:
        return self._ask("embed", list(texts))

    def save(self, folder: Path, info: dict[str, Any], card: str = "") -> None:
        self._ask("save", folder, info, card)

    def save_state(self, folder: Path) -> None:
        self._ask("save_state", folder)

    def load_state(self, folder: Path) -> None:
        self.done = self._ask("load_state", folder)

    def end(self) -> None:
        self._end()

    def _ask(self, name: str, *values: Any) -> Any:
        self._send((name, values))
        while True:
            kind, said = self._receive()
            if kind == _ANSWER:
                return said
            if kind == _ERROR:
                try:
                    raise said
                finally:
                    del said  # the error holds this frame: in a circle they would hold the process
            try:
                vectors = self._guide(said)
            except BaseException:
                self.end()  # it waits for vectors that will never come
                raise
            self._send(vectors)

    def _send(self, said: Any) -> None:
        try:
            self._line.send(said)
        except OSError as error:
            raise TrainingLost() from error

    def _receive(self) -> tuple[str, Any]:
        try:
            return self._line.recv()
        except (EOFError, OSError) as error:
            raise TrainingLost() from error


def _end(line: Connection, process: multiprocessing.Process) -> None:
    line.close()
    process.terminate()  # whoever asks waits for the answer, so that nothing is half done
    process.join(_END_SECONDS)


def _serve(line: Connection, settings: Settings, asked: tuple, guided: bool) -> None:
    """In the process: train, and answer one question after the other until nobody is left to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who stops the page from a terminal stops the page; this ends with it
    from demo.backend.local import LocalEngine

    def ask_guide(texts: Sequence[str]) -> np.ndarray:
        line.send((_GUIDE, list(texts)))
        return line.recv()

    def load_state(folder: Path) -> int:
        training.load_state(folder)
        return training.done

    with suppress(EOFError, OSError):  # nobody asks any more
        engine = LocalEngine(settings.model_copy(update={"disk_cache_mb": 0}))
        engine.fast = False  # nothing is asked of it but to train
        kind, training = _try(engine.train, (*asked, ask_guide if guided else None))
        if kind == _ERROR:
            line.send((kind, training))
            return
        steps = training.steps()
        answers: dict[str, Callable] = {
            "trainable": lambda: training.trainable,
            "step": lambda: next(steps, None),
            "embed": training.embed,
            "save": training.save,
            "save_state": training.save_state,
            "load_state": load_state,
        }
        while True:
            name, values = line.recv()
            line.send(_try(answers[name], values))


def _try(do: Callable, values: tuple) -> tuple[str, Any]:
    try:
        return _ANSWER, do(*values)
    except EOFError:
        raise
    except (DemoError, OSError) as error:
        return _ERROR, error
    except Exception as error:  # what it was is told here, and there only that it was: it may hold texts
        logger.error("%s while training:\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        return _ERROR, RuntimeError(f"{type(error).__name__} in the process that trains")
