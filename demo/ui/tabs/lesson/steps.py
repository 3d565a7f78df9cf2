"""The lesson as data: its texts, its steps and their questions, and the results in the handout.

Knows no lab and no widget. A reading is named as in the Compare tab (`PRESETS`), a model by the role it plays.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from demo.domain.example_files import EXAMPLES

_TEXTS = EXAMPLES / "lesson.json"
OPTIONS, COSINE, COUNT = "options", "cosine", "count"  # kinds of prediction; COUNT: of questions
SUMMARY = "summary"
GPT, TUNED, ENCODER = "gpt", "tuned", "encoder"  # the untouched GPT, the same one after training, an embedding model
NEAR = {COSINE: 0.1, COUNT: 1}  # a predicted number this close is good
_ROUNDING = 1e-6


@dataclass(frozen=True)
class LessonReading:
    """One reading of the lesson's texts."""

    model: str  # GPT, TUNED or ENCODER
    preset: str  # a name of PRESETS


@dataclass(frozen=True)
class Step:
    """One question to the class. Its measurement is defined in runs.py, its sentences in the locales."""

    name: str
    asks: str  # OPTIONS, COSINE or COUNT
    readings: tuple[LessonReading, ...]
    usual: str | float  # measured with SmolLM2-135M-Instruct when the handout was written
    options: tuple[str, ...] = ()
    about: int = -1  # the place of the reading in question

    @property
    def subject(self) -> LessonReading:
        """The reading in question."""
        return self.readings[self.about]

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest number that can be predicted."""
        return (0, len(load_texts("en")[0])) if self.asks == COUNT else (-1, 1)


_ARTICLE, _LAST, _MEAN = LessonReading(GPT, "article"), LessonReading(GPT, "last_token"), LessonReading(GPT, "mean")
_ONE_WORD, _ZSCORE = LessonReading(GPT, "prompteol"), LessonReading(GPT, "prompteol_zscore")
STEPS = (
    Step("untouched", OPTIONS, (_ARTICLE,), "guess", ("guess", "few", "most", "all")),
    Step("unrelated", COSINE, (_LAST,), 0.83),
    Step("next", OPTIONS, (_LAST,), "goes_on", ("own", "topic", "goes_on")),
    Step("mean", OPTIONS, (_LAST, _MEAN), "more", ("more", "same", "fewer")),
    Step("one_word", COUNT, (_MEAN, _ONE_WORD), 5),
    Step("zscore", OPTIONS, (_ONE_WORD, _ZSCORE), "zero", ("high", "zero", "minus")),
    Step("layer", OPTIONS, (_ONE_WORD,), "last", ("first", "middle", "last", "equal")),
    Step("training", COSINE, (_ONE_WORD, LessonReading(TUNED, "own"), LessonReading(ENCODER, "own")), 0.21, about=1),
)
NAMES = (*(step.name for step in STEPS), SUMMARY)
BY_NAME = {step.name: step for step in STEPS}


@lru_cache(maxsize=2)
def load_texts(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(questions, answers): answer i belongs to question i, the answers left over belong to none."""
    texts = json.loads(_TEXTS.read_text(encoding="utf-8"))[language]
    return tuple(texts["questions"]), tuple(texts["answers"])


def parse_guess(step: Step, value: Any) -> str | float | None:
    """An unchecked prediction; None if it is not valid."""
    if step.asks == OPTIONS:
        return value if isinstance(value, str) and value in step.options else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    low, high = step.limits
    whole = step.asks == COSINE or value == int(value)
    return value if whole and low <= value <= high else None


def judge(step: Step, guess: str | float, value: str | float) -> bool:
    """Whether a prediction equals the measured value, or a number is NEAR it."""
    if step.asks == OPTIONS:
        return guess == value
    return abs(guess - value) <= NEAR[step.asks] + _ROUNDING
