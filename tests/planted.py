"""A planted reading: an engine in which one reading tells the texts apart and all others are noise, on a clock."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from demo.analysis.labelled_sets import labelled_from_pairing
from demo.backend.fake import DIM, FakeEngine
from demo.domain.choices import LAST_LAYER
from demo.domain.datamodels import Embedded, Pooling, Prompt
from demo.domain.results import LabelledSet
from demo.stages.texts import parse_pairing
from demo.studies import recommend

MODELS = ["all-minilm-l6-v2", "smollm2-135m-instruct"]
PLANTED = ("smollm2-135m-instruct", Prompt.PROMPTEOL, Pooling.MEAN)


class Clock:
    """Time that passes only where somebody says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Planted(FakeEngine):
    """Models of two layers: random vectors, but those of one reading tell which number a text ends with.

    noise: of the planted reading's vectors. pace: seconds of the clock for each text. surveys: each one's texts.
    """

    def __init__(self, planted=PLANTED, noise=0.5, clock=None, pace=0.0):
        super().__init__()
        self.planted, self.noise, self.clock, self.pace = planted, noise, clock or Clock(), pace
        self.surveys: list[int] = []

    def load(self, model, on_progress=None):
        self._infos[model] = replace(super().load(model, on_progress), n_layers=2)
        return self._infos[model]

    def embed(self, texts, reading, keep=True):
        self.clock.now += self.pace * len(texts)
        return Embedded(np.stack([self._vector(text, reading) for text in texts]).astype(np.float32))

    def survey(self, texts, reading, poolings):
        self.surveys.append(len(texts))
        self.clock.now += self.pace * len(texts)
        return np.stack(
            [
                [
                    [self._vector(text, replace(reading, pooling=pooling, layer=layer)) for text in texts]
                    for layer in (0, 1, LAST_LAYER)
                ]
                for pooling in poolings
            ]
        ).astype(np.float32)

    def logits_of(self, model, states, layer):
        return np.asarray(states)

    def _vector(self, text, reading):
        own = _random(f"{text.text} {reading.label()}")
        here = (reading.model, Prompt.PROMPTEOL if "one word" in text.template else None, reading.pooling)
        if here != self.planted or "step by step" in text.template:
            return own
        return _random(text.text.split()[-1].strip('.?"')) + self.noise * own


@cache
def _random(label: str) -> np.ndarray:
    return np.random.default_rng(list(label.encode())).normal(size=DIM)


def pairs(count: int) -> LabelledSet:
    questions = [f"What is the meaning of {i}?" for i in range(count)]
    return labelled_from_pairing(parse_pairing(questions, [f"It is number {i}." for i in range(count)]))


def try_two_prompts(patch: pytest.MonkeyPatch) -> None:
    """Recommend has few arms: plain and PromptEOL of each model."""
    make = recommend.make_arms
    wanted = (Prompt.PLAIN, Prompt.PROMPTEOL)
    patch.setattr(recommend, "make_arms", lambda *of: [arm for arm in make(*of) if arm.reading.prompt in wanted])
