"""Bench: models, readings and vectors, which every study of the lab stands on.

texts → prompts → backend → postprocess: from two lists of texts and what was asked for to vectors ready to compare.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from demo.backend import create_engine
from demo.backend.model_loading import BackgroundLoad
from demo.backend.protocol import Engine
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import (
    Device,
    Embedded,
    ModelInfo,
    ModelStatus,
    Pairing,
    Postprocess,
    PromptedText,
    Reading,
    Reference,
    Role,
)
from demo.domain.errors import ModelLoading, ModelNotAllowed, ModelNotFound
from demo.domain.recipe import TRAINED
from demo.domain.server_address import REMOTE
from demo.files.bundled import load_reference
from demo.jobs.request_context import request_context
from demo.settings import Settings
from demo.stages.postprocess import Transform, fewest_texts, fit_postprocess
from demo.stages.prompts import render_prompt
from demo.stages.resolve_reading import parse_choice, resolve_reading
from demo.stages.texts import Limits, parse_pairing, parse_texts

_PATIENCE = 2.0  # seconds that a question which must not block waits for a server elsewhere


@dataclass(frozen=True, eq=False)
class Measured:
    """Two lists of texts under one reading, before and after post-processing."""

    pairing: Pairing
    info: ModelInfo
    reading: Reading
    asked: Embedded  # of the questions, as the engine gives them
    answered: Embedded
    fit: Transform  # the fitted post-processing
    notices: tuple[str, ...]

    @property
    def questions(self) -> np.ndarray:
        """float32 (n_questions, dim), post-processed."""
        return self.fit(self.asked.vectors)

    @property
    def answers(self) -> np.ndarray:
        """float32 (n_answers, dim), post-processed."""
        return self.fit(self.answered.vectors)


class Bench:
    """Makes models ready, settles readings, and turns texts into vectors."""

    def __init__(self, settings: Settings | None = None, engine: Engine | None = None, **options):
        if options:
            unknown = set(options) - set(Settings.model_fields)
            if unknown:
                # Settings leave aside what they do not know; a misspelt name must not look as if it worked.
                raise TypeError(f"Lab has no setting {', '.join(sorted(unknown))}.")
            settings = (settings or Settings()).model_copy(update=Settings(**options).model_dump(include=set(options)))
        self.settings = settings or Settings()
        self.engine = engine or create_engine(self.settings)
        self.limits = Limits(self.settings.max_texts, self.settings.max_characters, self.settings.max_cells)
        self._loading: dict[str, BackgroundLoad] = {}
        self._lock = threading.Lock()

    def device(self) -> Device:
        """What computes, in which precision, and why."""
        return self.engine.device()

    def models(self) -> list[ModelStatus]:
        """The catalogue, each with whether it can be chosen here, and why not."""
        return self.engine.models()

    def status(self, model: str) -> ModelStatus | None:
        """The status of one model; None if it is not in the list."""
        return next((status for status in self.models() if status.model == model), None)

    def embed(
        self,
        texts: str | Iterable[str],
        model: str | None = None,
        prompt: str | None = None,
        pooling: str | None = None,
        layer: int | None = None,
        role: str | None = None,
        **options,
    ) -> np.ndarray:
        """Embeddings of texts, float32 (n_texts, dim). What is not said is the model's default reading.

        options: eos, postprocess, reference, task, template, as in Reading.
        role ("question" or "answer") matters only to prompts that differ between the two; answers by default.
        """
        texts = parse_texts([texts] if isinstance(texts, str) else texts, "texts", self.limits)
        reading = self.reading(model, prompt, pooling, layer, **options)
        role = parse_choice(Role, role or Role.ANSWER.value, "role")
        vectors = self.vectors(texts, reading, role).vectors
        return self.fit(reading, vectors)(vectors)

    def reading(self, model=None, prompt=None, pooling=None, layer=None, wait: bool = True, **options) -> Reading:
        """A reading with nothing left open, checked against the model. Raises UnknownChoice or ReadingRefused."""
        info = self.open(model, wait=wait)
        return resolve_reading(info, self.limits, prompt, pooling, layer, **options)

    def open(self, model: str | None = None, wait: bool = True) -> ModelInfo:
        """Make a model ready. wait=False: start loading behind the scenes and raise ModelLoading until it is ready."""
        model = self._check(model)
        info = self.engine.loaded(model)
        if info is not None:
            # A finished load that stayed here would pass for a loaded model once the engine has let the model go.
            self._forget_finished(model)
            return info
        if wait:
            return self.engine.load(model)
        with self._lock:
            load = self._loading.get(model) or BackgroundLoad(self.engine, model)
            known = model in self._loading
            if known and load.done.is_set():
                del self._loading[model]
                return load.result()
            self._loading[model] = load
        # A load that has just begun is always told of, however fast it ends: what it comes to is told once, next time.
        progress = load.progress
        raise ModelLoading(model=_name(model), stage=progress.stage, fraction=progress.fraction)

    def measure(self, questions, answers, matches=None, model=None, wait: bool = True, **reading) -> Measured:
        """Both lists of texts as vectors. reading: prompt, pooling, layer and the other choices of Reading."""
        pairing = parse_pairing(questions, answers, matches, self.limits)
        info = self.open(model, wait=wait)
        settled = resolve_reading(info, self.limits, **reading)
        with request_context(timeout=None if wait else _PATIENCE):
            asked, answered = self.both(pairing.questions, pairing.answers, settled)
            return self.finish(pairing, info, settled, asked, answered)

    def finish(
        self, pairing: Pairing, info: ModelInfo, reading: Reading, asked: Embedded, answered: Embedded
    ) -> Measured:
        """What the engine made of both lists, ready to be compared: with its post-processing and its notices."""
        reference = self._reference(reading, asked.vectors, answered.vectors)
        return Measured(
            pairing=pairing,
            info=info,
            reading=reading,
            asked=asked,
            answered=answered,
            fit=fit_postprocess(reference, reading.postprocess),
            notices=info.notices
            + _cut_notices(asked, "questions")
            + _cut_notices(answered, "answers")
            + _fit_notices(reading, reference),
        )

    def prompted(self, texts: Sequence[str], reading: Reading, role: Role) -> list[PromptedText]:
        """The texts as the model shall receive them."""
        info = self.open(reading.model)
        return [render_prompt(text, reading, role, info) for text in texts]

    def vectors(self, texts: Sequence[str], reading: Reading, role: Role, keep: bool = True) -> Embedded:
        """The engine's embeddings, before post-processing. keep: as in Engine.embed."""
        return self.engine.embed(self.prompted(texts, reading, role), _before_postprocess(reading), keep)

    def both(self, questions: Sequence[str], answers: Sequence[str], reading: Reading) -> tuple[Embedded, Embedded]:
        """As `vectors`, of questions and answers, which share their passes."""
        prompted = self.prompted(questions, reading, Role.QUESTION) + self.prompted(answers, reading, Role.ANSWER)
        return self.engine.embed(prompted, _before_postprocess(reading)).split(len(questions))

    def fit(self, reading: Reading, *sides: np.ndarray) -> Transform:
        """The reading's post-processing, fitted on its reference set; sides: the vectors of the texts at hand."""
        return fit_postprocess(self._reference(reading, *sides), reading.postprocess)

    def _reference(self, reading: Reading, *sides: np.ndarray) -> np.ndarray:
        """Each distinct vector of the reference set once, (n, dim)."""
        if reading.postprocess is Postprocess.NONE:
            return sides[0]
        if reading.reference is Reference.CORPUS:
            # In both roles: prompts may differ by them, and equal ones run once.
            sides = tuple(self.vectors(load_reference(), reading, role).vectors for role in Role)
        return distinct(*sides)

    def provenance(self, info: ModelInfo) -> dict[str, str]:
        """What stands beside every figure; `host` where the texts were sent elsewhere."""
        return {
            "model": info.name,
            "revision": info.revision,
            "source": info.source,
            "weights_precision": info.weights_precision,
            "precision": info.precision,
            "device": info.device,
            "versions": _versions("openai") if info.host else _versions("torch", "transformers"),
            **({"host": info.host} if info.host else {}),
        }

    def _forget_finished(self, model: str) -> None:
        with self._lock:
            load = self._loading.get(model)
            if load is not None and load.done.is_set():
                del self._loading[model]

    def _check(self, model: str | None) -> str:
        """The model's id, if this host offers it; the Hub id of a listed model is that model."""
        if model is not None and not isinstance(model, str):
            raise ModelNotFound(model=str(model)[:200])
        model = (model or "").strip() or self.settings.model.strip()
        model = next((entry.id for entry in CATALOG.values() if entry.hub_id == model), model)
        # What was trained here has a name that nobody can guess, and holds nothing but what was trained here.
        listed = [*CATALOG, *(server.id for server in self.settings.servers)]
        if self.settings.public and model not in listed and not model.startswith(TRAINED):
            raise ModelNotAllowed(model=model[:200], accepted=", ".join(listed))
        return model


def _before_postprocess(reading: Reading) -> Reading:
    """What is done after the model is none of the engine's business, nor of its cache."""
    return replace(reading, postprocess=Postprocess.NONE, reference=Reference.TEXTS)


def distinct(*sides: np.ndarray) -> np.ndarray:
    """Each vector once: a text that stands twice must not count twice. Not np.unique, which is slow on wide rows."""
    return np.stack(list({vector.tobytes(): vector for side in sides for vector in side}.values()))


def _cut_notices(embedded: Embedded, box: str) -> tuple[str, ...]:
    if not embedded.cut:
        return ()
    numbers = ", ".join(str(i + 1) for i in embedded.cut[:10]) + ("…" if len(embedded.cut) > 10 else "")
    return (f"Longer than {embedded.token_limit:,} tokens and cut there: {box} {numbers}.",)


def _fit_notices(reading: Reading, reference: np.ndarray) -> tuple[str, ...]:
    count, dim = reference.shape
    fewest = fewest_texts(reading.postprocess, dim)
    if reading.postprocess is Postprocess.NONE or count >= fewest:
        return ()
    few = f"{reading.postprocess.value} was fitted on {count} distinct texts"
    return (f"{few}; below {fewest:,} it says more about these texts than about the model.",)


def _name(model: str) -> str:
    return CATALOG[model].name if model in CATALOG else model.removeprefix(REMOTE)


@functools.cache  # it reads files, and every figure carries it
def _versions(*packages: str) -> str:
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in packages)]
    )
