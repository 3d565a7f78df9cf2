"""The lesson as data: its texts, its steps, what each one asks, and what came out when the handout was written.

Knows no lab and no widget. A reading is named as in the Compare tab (`PRESETS`), a model by the part it plays.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_TEXTS = Path(__file__).resolve().parents[4] / "examples" / "lesson.json"
OPTIONS, COSINE, COUNT = "options", "cosine", "count"  # what a prediction is: a choice, a cosine, or how many questions
SUMMARY = "summary"
GPT, TUNED, ENCODER = "gpt", "tuned", "encoder"  # the untouched GPT, the same one after training, an embedding model
NEAR = {COSINE: 0.1, COUNT: 1}  # a number this close was well predicted
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Way:
    """One reading of the lesson's texts."""

    part: str  # GPT, TUNED or ENCODER
    preset: str  # a name of PRESETS


@dataclass(frozen=True)
class Step:
    """One question to the class. What it measures is `lesson_runs.py`'s, what it says the locales'."""

    name: str
    asks: str  # OPTIONS, COSINE or COUNT
    ways: tuple[Way, ...]  # the readings that it shows; the one in question is the last, unless `about` names another
    usual: str | float  # what came out with SmolLM2-135M-Instruct, as the handout says
    options: tuple[str, ...] = ()
    about: int = -1  # the place of the reading in question

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest number that can be predicted."""
        return (0, len(load_texts("en")[0])) if self.asks == COUNT else (-1, 1)


_ARTICLE, _LAST, _MEAN = Way(GPT, "article"), Way(GPT, "last_token"), Way(GPT, "mean")
_ONE_WORD, _ZSCORE = Way(GPT, "prompteol"), Way(GPT, "prompteol_zscore")
STEPS = (
    Step("untouched", OPTIONS, (_ARTICLE,), "guess", ("guess", "few", "most", "all")),
    Step("unrelated", COSINE, (_LAST,), 0.83),
    Step("next", OPTIONS, (_LAST,), "goes_on", ("own", "topic", "goes_on")),
    Step("mean", OPTIONS, (_LAST, _MEAN), "more", ("more", "same", "fewer")),
    Step("one_word", COUNT, (_MEAN, _ONE_WORD), 5),
    Step("zscore", OPTIONS, (_ONE_WORD, _ZSCORE), "zero", ("high", "zero", "minus")),
    Step("layer", OPTIONS, (_ONE_WORD,), "last", ("first", "middle", "last", "equal")),
    Step("training", COSINE, (_ONE_WORD, Way(TUNED, "own"), Way(ENCODER, "own")), 0.21, about=1),
)
NAMES = (*(step.name for step in STEPS), SUMMARY)
BY_NAME = {step.name: step for step in STEPS}


@lru_cache(maxsize=2)
def load_texts(language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(questions, answers): answer i belongs to question i, the answers left over belong to none."""
    told = json.loads(_TEXTS.read_text(encoding="utf-8"))[language]
    return tuple(told["questions"]), tuple(told["answers"])


def parse_guess(step: Step, value: Any) -> str | float | None:
    """A prediction as a browser sends it; None for what is none."""
    if step.asks == OPTIONS:
        return value if isinstance(value, str) and value in step.options else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    low, high = step.limits
    whole = step.asks == COSINE or value == int(value)
    return value if whole and low <= value <= high else None


def judge(step: Step, guess: str | float, value: str | float) -> bool:
    """Whether a prediction agrees with what was measured, or a number is NEAR it."""
    if step.asks == OPTIONS:
        return guess == value
    return abs(guess - value) <= NEAR[step.asks] + _ROUNDING
