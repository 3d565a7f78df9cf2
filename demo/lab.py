"""Lab: the only file that knows the order of the rooms.

texts → prompts → backend → similarity → figures: from two lists of texts to a Comparison.
"""

from __future__ import annotations

import importlib.metadata
import platform
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from demo.backend import create_engine
from demo.backend.protocol import Engine
from demo.catalog import CATALOG
from demo.datamodels import (
    DEFAULT_TASK,
    LAST_LAYER,
    TEXT,
    Comparison,
    Device,
    Embedded,
    ModelInfo,
    ModelStatus,
    Pooling,
    Postprocess,
    Progress,
    Prompt,
    Reading,
    Role,
)
from demo.errors import ModelLoading, ModelNotAllowed, ModelNotFound, ReadingRefused, UnknownChoice
from demo.postprocess import fewest_texts, postprocess
from demo.prompts import render_prompt
from demo.settings import Settings
from demo.similarity import cos_sim, score_pairs
from demo.texts import Limits, parse_pairing, parse_template, parse_texts


class Lab:
    """Embeds and compares texts under any reading.

    `Lab()` takes this machine's best device; `Lab(device="cpu", dtype="float32")` or any other setting forces one.
    """

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
        self._loading: dict[str, _BackgroundLoad] = {}
        self._lock = threading.Lock()

    def device(self) -> Device:
        """What computes, in which precision, and why."""
        return self.engine.device()

    def models(self) -> list[ModelStatus]:
        """The catalogue, each with whether it can be chosen here, and why not."""
        return self.engine.models()

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

        options: eos, postprocess, task, template, as in Reading; post-processing is fitted on these texts.
        role ("question" or "answer") matters only to prompts that differ between the two; answers by default.
        """
        texts = parse_texts([texts] if isinstance(texts, str) else texts, "texts", self.limits)
        reading = self.reading(model, prompt, pooling, layer, **options)
        role = _choice(Role, role or Role.ANSWER.value, "role")
        vectors = self._embed(texts, reading, role).vectors
        return _postprocessed(reading.postprocess, vectors)[0]

    def compare(
        self,
        questions: str | Iterable[str],
        answers: str | Iterable[str],
        model: str | None = None,
        prompt: str | None = None,
        pooling: str | None = None,
        layer: int | None = None,
        matches: str | Sequence[Sequence[int]] | None = None,
        wait: bool = True,
        **options,
    ) -> Comparison:
        """Every question against every answer. Texts may be a list, or one string with a text a line.

        matches: which answer belongs to which question, "1-2, 2-1" or [[1, 2], [2, 1]]; else the i-th to the i-th.
        options: eos, postprocess, task, template, as in Reading; post-processing is fitted on these texts.
        wait=False never blocks on a model: it starts loading and raises ModelLoading. Raises DemoError.
        """
        started = time.perf_counter()
        pairing = parse_pairing(questions, answers, matches, self.limits)
        info = self.open(model, wait=wait)
        reading = self._resolve(info, prompt, pooling, layer, **options)
        asked = self._embed(pairing.questions, reading, Role.QUESTION)
        answered = self._embed(pairing.answers, reading, Role.ANSWER)
        similarity = cos_sim(*_postprocessed(reading.postprocess, asked.vectors, answered.vectors))
        return Comparison(
            pairing=pairing,
            similarity=similarity,
            metrics=score_pairs(similarity, pairing.mask()),
            reading=reading,
            provenance=self._provenance(info),
            notices=info.notices
            + _cut_notices(asked, "questions")
            + _cut_notices(answered, "answers")
            + _fit_notices(reading.postprocess, asked.vectors, answered.vectors),
            seconds=time.perf_counter() - started,
        )

    def reading(self, model=None, prompt=None, pooling=None, layer=None, wait: bool = True, **options) -> Reading:
        """A reading with nothing left open, checked against the model. Raises UnknownChoice or ReadingRefused."""
        return self._resolve(self.open(model, wait=wait), prompt, pooling, layer, **options)

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
            load = self._loading.get(model) or _BackgroundLoad(self.engine, model)
            known = model in self._loading
            if known and load.done.is_set():
                del self._loading[model]
                return load.result()
            self._loading[model] = load
        # A load that has just begun is always told of, however fast it ends: what it comes to is told once, next time.
        progress = load.progress
        raise ModelLoading(model=_name(model), stage=progress.stage, fraction=progress.fraction)

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
        if self.settings.public and model not in CATALOG:
            raise ModelNotAllowed(model=model[:200], accepted=", ".join(CATALOG))
        return model

    def _embed(self, texts: Sequence[str], reading: Reading, role: Role) -> Embedded:
        info = self.open(reading.model)
        prompted = [render_prompt(text, reading, role, info) for text in texts]
        # What is done after the model is none of the engine's business, nor of its cache.
        return self.engine.embed(prompted, replace(reading, postprocess=Postprocess.NONE))

    def _resolve(
        self, info: ModelInfo, prompt, pooling, layer, eos=False, postprocess=None, task=None, template=None
    ) -> Reading:
        """The model's default reading with what was asked for put over it."""
        default = info.default_reading
        reading = replace(
            default,
            prompt=_choice(Prompt, prompt, "prompt") if prompt else default.prompt,
            pooling=_choice(Pooling, pooling, "pooling") if pooling else default.pooling,
            layer=_layer(layer, info) if layer not in (None, "") else default.layer,
            eos=_flag(eos, "eos"),
            postprocess=_choice(Postprocess, postprocess, "postprocess") if postprocess else default.postprocess,
        )
        if reading.prompt is Prompt.E5_INSTRUCT:
            reading = replace(reading, task=parse_template(task, DEFAULT_TASK, "task", self.limits))
        if reading.prompt is Prompt.CUSTOM:
            reading = replace(reading, template=parse_template(template, TEXT, "template", self.limits))
        _refuse_impossible(info, reading)
        return reading

    def _provenance(self, info: ModelInfo) -> dict[str, str]:
        return {
            "model": info.name,
            "revision": info.revision,
            "source": info.source,
            "weights_precision": info.weights_precision,
            "precision": info.precision,
            "device": info.device,
            "versions": _versions(),
        }


class _BackgroundLoad:
    """One model on its way into memory, in a thread of its own."""

    def __init__(self, engine: Engine, model: str):
        self.progress = Progress("starting")
        self.done = threading.Event()
        self._outcome: ModelInfo | BaseException | None = None
        threading.Thread(target=self._run, args=(engine, model), name=f"load {model[:40]}", daemon=True).start()

    def result(self) -> ModelInfo:
        if isinstance(self._outcome, ModelInfo):
            return self._outcome
        raise self._outcome

    def _run(self, engine: Engine, model: str) -> None:
        try:
            self._outcome = engine.load(model, self._on_progress)
        except BaseException as error:
            # Not swallowed: whoever asked for the model gets it, whatever it is.
            self._outcome = error
        finally:
            self.done.set()

    def _on_progress(self, progress: Progress) -> None:
        self.progress = progress


def _refuse_impossible(info: ModelInfo, reading: Reading) -> None:
    """Raises ReadingRefused where this model has no part that the reading needs."""
    if reading.pooling is Pooling.LAST_TOKEN_LOGITS and not info.has_lm_head:
        raise ReadingRefused(
            field="pooling",
            model=info.name,
            reason="its checkpoint has no LM head, so it has no logits; a head made up on the spot would only be a "
            "random projection. Choose last_token instead.",
            instead=Pooling.LAST_TOKEN.value,
        )
    if reading.prompt is Prompt.CHAT and not info.has_chat_template:
        raise ReadingRefused(
            field="prompt",
            model=info.name,
            reason="its tokenizer has no chat template. Choose plain instead.",
            instead=Prompt.PLAIN.value,
        )
    if reading.prompt is Prompt.OWN and info.query_prompt is None and info.document_prompt is None:
        raise ReadingRefused(
            field="prompt",
            model=info.name,
            reason="its checkpoint names no prompts of its own. Choose plain instead.",
            instead=Prompt.PLAIN.value,
        )


def _choice(kind, value, name: str):
    try:
        return kind(value)
    except ValueError as error:
        accepted = ", ".join(member.value for member in kind)
        raise UnknownChoice(field=name, value=str(value)[:80], kind=name, accepted=accepted) from error


def _flag(value, name: str) -> bool:
    if not isinstance(value, bool) and value is not None:
        raise UnknownChoice(field=name, value=str(value)[:80], kind=name, accepted="true, false")
    return bool(value)


def _layer(value, info: ModelInfo) -> int:
    """A layer as LAST_LAYER or 0…n−1. Negative numbers count from the end."""
    try:
        layer = int(value)
        if layer != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        layer, cause = info.n_layers + 1, error
    else:
        cause = None
    if layer < 0:
        layer += info.n_layers + 1
    if not 0 <= layer <= info.n_layers:
        accepted = f"0 to {info.n_layers} ({info.name} has {info.n_layers} layers), or −1 for the last"
        raise UnknownChoice(field="layer", value=str(value)[:80], kind="layer", accepted=accepted) from cause
    return LAST_LAYER if layer == info.n_layers else layer


def _cut_notices(embedded: Embedded, box: str) -> tuple[str, ...]:
    if not embedded.cut:
        return ()
    numbers = ", ".join(str(i + 1) for i in embedded.cut[:10]) + ("…" if len(embedded.cut) > 10 else "")
    return (f"Longer than {embedded.token_limit:,} tokens and cut there: {box} {numbers}.",)


def _postprocessed(method: Postprocess, *sides: np.ndarray) -> list[np.ndarray]:
    """Each side's vectors, fitted on all of them together."""
    if method is Postprocess.NONE:
        return list(sides)
    reference = _distinct(*sides)
    return [postprocess(side, reference, method) for side in sides]


def _distinct(*sides: np.ndarray) -> np.ndarray:
    """Each vector once: a text that stands twice must not count twice. Not np.unique, which is slow on wide rows."""
    return np.stack(list({vector.tobytes(): vector for side in sides for vector in side}.values()))


def _fit_notices(method: Postprocess, *sides: np.ndarray) -> tuple[str, ...]:
    if method is Postprocess.NONE:
        return ()
    count, dim = _distinct(*sides).shape
    fewest = fewest_texts(method, dim)
    if count >= fewest:
        return ()
    few = f"{method.value} was fitted on {count} distinct texts"
    return (f"{few}; below {fewest:,} it says more about these texts than about the model.",)


def _name(model: str) -> str:
    return CATALOG[model].name if model in CATALOG else model


def _versions() -> str:
    packages = ("torch", "transformers")
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{p} {importlib.metadata.version(p)}" for p in packages)]
    )
