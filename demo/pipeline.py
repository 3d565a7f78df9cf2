"""Pipeline: loads models, resolves readings, and turns texts into vectors; the lab's studies build on it.

texts → prompts → backend (tokenize, forward, pool) → post-processing
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import psutil
from tqdm import tqdm

from demo.backend import create_engine
from demo.backend.model_loading import ModelLoader
from demo.backend.protocol import Engine
from demo.domain.catalog import CATALOG
from demo.domain.choices import Role
from demo.domain.datamodels import (
    Device,
    Embedded,
    ModelInfo,
    ModelStatus,
    Pairing,
    Pooling,
    Postprocess,
    Progress,
    PromptedText,
    Reading,
    Reference,
)
from demo.domain.errors import BigDownload, ModelLoading, ModelNotAllowed, ModelNotFound, ReadingRefused, TooManyTokens
from demo.domain.recipe import TRAINED
from demo.domain.server_address import REMOTE
from demo.files.bundled import load_reference
from demo.jobs.request_context import request_context
from demo.settings import Settings
from demo.stages.postprocess import Transform, fewest_texts, fit_postprocess
from demo.stages.prompts import render_prompt
from demo.stages.resolve_reading import parse_choice, refuse_too_many_numbers, resolve_reading
from demo.stages.texts import UNLIMITED, Limits, cut_notice, name_some, normalized_notice, parse_pairing, parse_texts

_NUMBER_BYTES = 8  # of a vector's number: float32, twice where parts are joined
_CELL_BYTES = 32  # of a cosine: float32, and what its metrics sort
_PART = 512  # texts that are embedded at once; of more a progress bar shows how many are
_BAR_SECONDS = 1.0  # until it is shown
_SERVER_SECONDS = 2.0  # that a call with wait=False waits for a server elsewhere
_POLL_SECONDS = 0.1
_PROGRESS_SECONDS = 0.5  # between two reports of a pass through weights on disk
Answer = TypeVar("Answer")


@dataclass(frozen=True, eq=False)
class EmbeddedPairing:
    """Two lists of texts embedded under one reading, before and after post-processing."""

    pairing: Pairing
    info: ModelInfo
    reading: Reading
    raw_questions: Embedded  # as the engine returns them
    raw_answers: Embedded
    fit: Transform  # the fitted post-processing
    notices: tuple[str, ...]

    @property
    def questions(self) -> np.ndarray:
        """float32 (n_questions, dim), post-processed."""
        return self.fit(self.raw_questions.vectors)

    @property
    def answers(self) -> np.ndarray:
        """float32 (n_answers, dim), post-processed."""
        return self.fit(self.raw_answers.vectors)


class Pipeline:
    """Loads models, resolves readings, and embeds texts."""

    def __init__(
        self,
        settings: Settings | None = None,
        engine: Engine | None = None,
        limited: bool | None = None,
        consent: Callable[[BigDownload], bool] | None = None,
        **options,
    ):
        """limited: by all of a page's limits, as by default over given settings; else by those that are set alone.
        consent: answers BigDownload, which is raised else."""
        limited = settings is not None if limited is None else limited
        if options:
            unknown = set(options) - set(Settings.model_fields)
            if unknown:
                # Settings ignore unknown names; a misspelt one must not look as if it worked.
                raise TypeError(f"Lab has no setting {', '.join(sorted(unknown))}.")
            settings = (settings or Settings()).model_copy(update=Settings(**options).model_dump(include=set(options)))
        self.settings = settings or Settings()
        if not limited:  # there is no page that others reach, whatever the environment says of one
            self.settings = self.settings.model_copy(update={"host": "127.0.0.1", "behind_proxy": False})
        self.engine = engine or create_engine(self.settings)
        limits = {field.name: f"max_{field.name}" for field in fields(Limits)}
        limits = {to: name for to, name in limits.items() if limited or name in self.settings.model_fields_set}
        cells = psutil.virtual_memory().available // _CELL_BYTES
        named = {to: getattr(self.settings, name) for to, name in limits.items()}
        self.limits = replace(UNLIMITED, **{"cells": cells, **named})
        self.loader = ModelLoader(self.engine, consent)

    def device(self) -> Device:
        """What computes, in which precision, and why."""
        return self.engine.device()

    def models(self) -> list[ModelStatus]:
        """The listed models, each with whether it can be chosen here, and why not."""
        return self.engine.models()

    def status(self, model: str) -> ModelStatus | None:
        """The status of one listed model; None for any other."""
        return next((status for status in self.models() if status.model == model), None)

    def embed(
        self,
        texts: str | Iterable[str],
        model: str | None = None,
        prompt: str | None = None,
        pooling: str | None = None,
        layer: int | None = None,
        role: str | None = None,
        truncate: bool = True,
        **options,
    ) -> np.ndarray:
        """Embeddings of texts, float32 (n_texts, dim). Choices left out are those of the model's default reading.

        options: eos, postprocess, reference, task, template, as in Reading.
        role ("question" or "answer") matters only to prompts that differ between the two; answers by default.
        truncate: cut what is longer than the model takes, with a warning; False raises TooManyTokens instead.
        """
        given = [texts] if isinstance(texts, str) else list(texts)
        texts = parse_texts(given, "texts", self.limits)
        reading = self.reading(model, prompt, pooling, layer, **options)
        embedded = self.embed_texts(texts, reading, parse_choice(Role, role or Role.ANSWER.value, "role"), truncate)
        for notice in (*normalized_notice(given, "texts"), *cut_notice(embedded, "texts")):
            warnings.warn(notice, stacklevel=2)
        return embedded.vectors

    def embed_texts(
        self, texts: Sequence[str], reading: Reading, role: Role, truncate: bool = True, keep: bool = True
    ) -> Embedded:
        """Post-processed embeddings, and which texts were cut. keep: as in Engine.embed.

        truncate=False: raises TooManyTokens where a text is cut, ReadingRefused where only a server would know.
        """
        info = self.open(reading.model)
        if not truncate and info.host:
            reason = "it runs elsewhere, and only its server knows whether it cuts a text."
            raise ReadingRefused(field="truncate", model=info.name, reason=reason)
        refuse_too_many_numbers(info, reading, len(texts), psutil.virtual_memory().available // _NUMBER_BYTES)
        embedded = self.vectors(texts, reading, role, keep)
        if embedded.cut and not truncate:
            numbers = name_some([i + 1 for i in embedded.cut])
            limit = embedded.token_limit
            raise TooManyTokens(field="texts", box="texts", numbers=numbers, model=info.name, limit=limit)
        return replace(embedded, vectors=self.fit(reading, embedded.vectors)(embedded.vectors))

    def reading(self, model=None, prompt=None, pooling=None, layer=None, wait: bool = True, **options) -> Reading:
        """A complete reading, checked against the model. Raises UnknownChoice or ReadingRefused."""
        info = self.open(model, wait=wait)
        return resolve_reading(info, self.limits, prompt, pooling, layer, **options)

    def open(self, model: str | None = None, wait: bool = True) -> ModelInfo:
        """Load a model. wait=False: load in the background, and raise ModelLoading until it is loaded."""
        model = self._check(model)
        return self.loader.open(model, _name(model), wait)

    def permit_download(self, model: str) -> None:
        """Say yes to the download that BigDownload asks about: the next `open` begins it."""
        self.engine.permit_download(self._check(model))

    @staticmethod
    def wait_for_model(call: Callable[[], Answer], on_wait: Callable[[ModelLoading], None]) -> Answer:
        """Repeat a call with wait=False until its model is loaded.

        on_wait receives the progress several times a second; what it raises ends the wait.
        """
        while True:
            try:
                return call()
            except ModelLoading as loading:
                on_wait(loading)
            time.sleep(_POLL_SECONDS)

    def wait_with_progress(self, call: Callable[[], Answer], report: Callable[[Progress], None]) -> Answer:
        """call(), which reads weights from disk, with reports of how far it is; `report` may raise to end it."""

        def on_wait(loading: ModelLoading) -> None:
            report(Progress("embedding", loading.values.get("fraction")))

        with request_context(timeout=_PROGRESS_SECONDS):
            return self.wait_for_model(call, on_wait)

    def embed_pairing(
        self, questions, answers, matches=None, model=None, wait: bool = True, **reading
    ) -> EmbeddedPairing:
        """Both lists of texts as vectors. reading: READING_FIELDS."""
        questions, answers = (texts if isinstance(texts, str) else _listed(texts) for texts in (questions, answers))
        pairing = parse_pairing(questions, answers, matches, self.limits)
        info = self.open(model, wait=wait)
        resolved = resolve_reading(info, self.limits, **reading)
        count = len(pairing.questions) + len(pairing.answers)
        refuse_too_many_numbers(info, resolved, count, psutil.virtual_memory().available // _NUMBER_BYTES)
        with request_context(timeout=None if wait else _SERVER_SECONDS):
            measured = self.fit_pairing(
                pairing, info, resolved, *self.embed_both(pairing.questions, pairing.answers, resolved)
            )
        normalized = normalized_notice(questions, "questions") + normalized_notice(answers, "answers")
        return replace(measured, notices=measured.notices + normalized)

    def fit_pairing(
        self, pairing: Pairing, info: ModelInfo, reading: Reading, questions: Embedded, answers: Embedded
    ) -> EmbeddedPairing:
        """The engine's embeddings of both lists, with the fitted post-processing and the notices."""
        reference = self._reference(reading, questions.vectors, answers.vectors)
        return EmbeddedPairing(
            pairing=pairing,
            info=info,
            reading=reading,
            raw_questions=questions,
            raw_answers=answers,
            fit=fit_postprocess(reference, reading.postprocess),
            notices=info.notices
            + _module_notices(info, reading)
            + cut_notice(questions, "questions")
            + cut_notice(answers, "answers")
            + _fit_notices(reading, reference),
        )

    def prompted(self, texts: Sequence[str], reading: Reading, role: Role) -> list[PromptedText]:
        """The texts with their prompts, as the engine takes them."""
        info = self.open(reading.model)
        return [render_prompt(text, reading, role, info) for text in texts]

    def vectors(self, texts: Sequence[str], reading: Reading, role: Role, keep: bool = True) -> Embedded:
        """The engine's embeddings, before post-processing. keep: as in Engine.embed."""
        return self._embed(self.prompted(texts, reading, role), reading, keep)

    def embed_both(
        self, questions: Sequence[str], answers: Sequence[str], reading: Reading, keep: bool = True
    ) -> tuple[Embedded, Embedded]:
        """`vectors` of both in one call, so that they share their batches. keep: as in Engine.embed."""
        prompted = self.prompted(questions, reading, Role.QUESTION) + self.prompted(answers, reading, Role.ANSWER)
        return self._embed(prompted, reading, keep).split(len(questions))

    def _embed(self, prompted: list[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        """Many texts in parts, so that other requests run between them."""
        reading = _before_postprocess(reading)
        if len(prompted) <= _PART or self.open(reading.model).streams:
            return self.engine.embed(prompted, reading, keep)
        parts = []
        with tqdm(total=len(prompted), unit=" texts", delay=_BAR_SECONDS, disable=None) as bar:
            for start in range(0, len(prompted), _PART):
                parts.append(self.engine.embed(prompted[start : start + _PART], reading, keep=False))
                bar.update(len(parts[-1].vectors))
        return Embedded.join(parts)

    def fit(self, reading: Reading, *sides: np.ndarray) -> Transform:
        """The reading's post-processing, fitted on its reference set; sides: the vectors of the texts at hand."""
        return fit_postprocess(self._reference(reading, *sides), reading.postprocess)

    def _reference(self, reading: Reading, *sides: np.ndarray) -> np.ndarray:
        """The distinct vectors of the reference set, (n, dim)."""
        if reading.postprocess is Postprocess.NONE:
            return sides[0]
        if reading.reference is Reference.CORPUS:
            # In both roles: prompts may differ by them, and equal ones run once.
            sides = tuple(self.vectors(load_reference(), reading, role).vectors for role in Role)
        return distinct(*sides)

    def provenance(self, info: ModelInfo, reading: Reading | None = None) -> dict[str, str]:
        """Where a figure comes from: model, revision, precision, device, versions; `host` of a server elsewhere.

        reading: the figure's; without one, the precision is that of the model itself.
        """
        return {
            "model": info.name,
            "revision": info.revision,
            "source": info.source,
            "weights_precision": info.weights_precision,
            "precision": info.precision_of(reading) if reading else info.precision,
            "device": info.device,
            "versions": _versions("openai") if info.host else _versions("torch", "transformers"),
            **({"host": info.host} if info.host else {}),
        }

    def _check(self, model: str | None) -> str:
        """The model's id, if this host offers it; the Hub id of a listed model is that model."""
        if model is not None and not isinstance(model, str):
            raise ModelNotFound(model=str(model)[:200])
        model = (model or "").strip() or self.settings.model.strip()
        model = next((entry.id for entry in CATALOG.values() if entry.hub_id == model), model)
        # A model trained here has an unguessable name, and cannot hold anything else than a trained adapter.
        listed = [*CATALOG, *(server.id for server in self.settings.servers)]
        if self.settings.public and model not in listed and not model.startswith(TRAINED):
            raise ModelNotAllowed(model=model[:200], accepted=", ".join(listed))
        return model


def _before_postprocess(reading: Reading) -> Reading:
    """The reading without its post-processing: the engine and its cache do not depend on it."""
    return replace(reading, postprocess=Postprocess.NONE, reference=Reference.TEXTS)


def distinct(*sides: np.ndarray) -> np.ndarray:
    """Each vector once: a text that stands twice must not count twice. Not np.unique, which is slow on wide rows."""
    return np.stack(list({vector.tobytes(): vector for side in sides for vector in side}.values()))


def _listed(texts: Iterable[str]) -> Iterable[str]:
    """A list of what can be read once only; what is no list is refused where texts are parsed."""
    return list(texts) if isinstance(texts, Iterable) else texts


def _module_notices(info: ModelInfo, reading: Reading) -> tuple[str, ...]:
    if not info.own_modules or reading.pooling is Pooling.OWN:
        return ()
    return (f"This pooling leaves the checkpoint's own modules out: {' → '.join(info.own_modules)}.",)


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
