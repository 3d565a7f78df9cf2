"""Memoized results of the lesson: the readings of a step become an outcome, the same for everybody.

Knows no widget and no words. No method waits for a model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from demo.domain.catalog import DEFAULT_MODEL
from demo.domain.choices import Role
from demo.domain.datamodels import Comparison, Reading
from demo.domain.errors import DemoError, ModelLoading
from demo.lab import Lab
from demo.ui.kit.memo import Memo, memoized
from demo.ui.kit.presets import BASELINE_MODEL, preset_options
from demo.ui.tabs.lesson.steps import ENCODER, GPT, SUMMARY, TUNED, LessonReading, Step, load_texts
from demo.ui.tabs.story.runs import TUNED as TUNED_GPT
from demo.ui.tabs.story.runs import choose_available

_NEAR_ZERO = 0.3  # a mean cosine
_SAME = 0.1  # AUCs that differ by less, from the worst layer to the best, are about the same
_TIE = 1e-3  # of AUCs that differ by less, the earlier layer's counts
# Tokens that continue any text, whatever it is about.
_GOES_ON = frozenset(
    "a an and as at but by for from he her his how however i if in is it its my no not of on or our she so some that "
    "the their then there these they this to was we what when where which who why with yes you your".split()
)


@dataclass(frozen=True)
class FirstToken:
    """The likeliest token that the LM head reads from a text's embedding."""

    name: str  # Q1 … A8
    token: str
    chance: float
    kind: str  # own, topic or goes_on: an option of the step that asks for it


@dataclass(frozen=True, eq=False)
class Outcome:
    """A step's measurements."""

    step: Step
    value: str | float | None  # a prediction is compared with it; None if it cannot be measured here
    comparisons: dict[LessonReading, Comparison]
    missing: dict[LessonReading, DemoError]  # readings that are unavailable here, and why
    tokens: tuple[FirstToken, ...] = ()
    layers: tuple[Comparison, ...] = ()  # from the token embeddings to the last layer
    best: int = 0  # the layer with the highest AUC

    @property
    def subject(self) -> Comparison | None:
        """The reading in question."""
        return self.layers[self.best] if self.layers else self.comparisons.get(self.step.subject)


class LessonRuns:
    """The lesson's results. One instance serves every person."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.questions, self.answers = load_texts("en")  # in every language: small GPTs have read little else
        self.memo = Memo()
        self._outcomes: dict[str, Outcome] = {}

    def model(self, role: str) -> str:
        """The model that plays a role."""
        if role == GPT:
            return choose_available(self.lab, DEFAULT_MODEL, self.lab.settings.model)
        return {TUNED: TUNED_GPT, ENCODER: BASELINE_MODEL}[role]

    def measure(self, step: Step) -> Outcome:
        """A step's outcome on this machine; unavailable readings are listed in it. Raises ModelLoading."""
        comparisons: dict[LessonReading, Comparison] = {}
        missing: dict[LessonReading, DemoError] = {}
        tokens: tuple[FirstToken, ...] = ()
        layers: tuple[Comparison, ...] = ()
        for reading in step.readings:
            try:
                comparisons[reading] = self._compare(reading)
                if reading == step.subject:
                    if step.name in ("next", "one_word"):
                        tokens = self._first_tokens(comparisons[reading].reading)
                    if step.name == "layer":
                        layers = self._compare_layers(reading)
            except ModelLoading:
                raise
            except DemoError as error:
                missing[reading] = error
        measured = step.subject not in missing and step.readings[0] not in missing
        value = _VALUES[step.name](list(comparisons.values()), tokens, layers) if measured else None
        best = _best(layers) if layers else 0
        self._outcomes[step.name] = Outcome(step, value, comparisons, missing, tokens, layers, best)
        return self._outcomes[step.name]

    def cached(self, name: str) -> Outcome | None:
        """A step's outcome when it was measured last; computes nothing."""
        return self._outcomes.get(name)

    def reading(self, name: str) -> Reading | None:
        """A step's reading to open in the lab; of the summary, the last one that was measured."""
        names = [name] if name != SUMMARY else list(reversed(_VALUES))
        subjects = (outcome.subject for outcome in map(self.cached, names) if outcome)
        return next((subject.reading for subject in subjects if subject), None)

    @memoized
    def _compare(self, reading: LessonReading, layer: int | None = None) -> Comparison:
        info = self.lab.open(self.model(reading.model), wait=False)
        options = preset_options(reading.preset, info) | ({} if layer is None else {"layer": layer})
        return self.lab.compare(self.questions, self.answers, info.model, wait=False, **options)

    def _compare_layers(self, reading: LessonReading) -> tuple[Comparison, ...]:
        """All layers come from the forward pass of the first."""
        n_layers = self.lab.open(self.model(reading.model), wait=False).n_layers
        return tuple(self._compare(reading, layer) for layer in range(n_layers + 1))

    @memoized
    def _first_tokens(self, reading: Reading) -> tuple[FirstToken, ...]:
        tokens: list[FirstToken] = []
        for role, letter, texts in ((Role.QUESTION, "Q", self.questions), (Role.ANSWER, "A", self.answers)):
            vectors = self.lab.vectors(texts, reading, role).vectors
            likeliest = self.lab.engine.read_tokens(reading.model, vectors, reading.pooling, reading.layer, 1)
            for place, (text, [(token, chance)]) in enumerate(zip(texts, likeliest, strict=True), 1):
                tokens.append(FirstToken(f"{letter}{place}", token, chance, token_kind(token, text)))
        return tuple(tokens)


def token_kind(token: str, text: str) -> str:
    """goes_on: a mark, or a word that any text may go on with; own: begins a word of the text; topic: another word."""
    word = token.strip().lower()
    if token.startswith("<|") or word in _GOES_ON or not any(letter.isalpha() for letter in word):
        return "goes_on"
    return "own" if any(each.startswith(word) for each in re.findall(r"\w+", text.lower())) else "topic"


def _found(comparison: Comparison) -> int:
    return comparison.metrics.found_first or 0


def _best(layers: tuple[Comparison, ...]) -> int:
    aucs = [layer.metrics.auc for layer in layers]
    return next(place for place, auc in enumerate(aucs) if auc >= max(aucs) - _TIE)


def _untouched(shown, tokens, layers) -> str:
    found, asked = _found(shown[0]), shown[0].metrics.n_matched
    return "all" if found == asked else ("guess", "few", "most")[min(3 * found // asked, 2)]


def _mean(shown, tokens, layers) -> str:
    before, after = _found(shown[0]), _found(shown[1])
    return "same" if before == after else "more" if after > before else "fewer"


def _zscore(shown, tokens, layers) -> str:
    mean = shown[1].metrics.other_mean
    return "zero" if abs(mean) <= _NEAR_ZERO else "high" if mean > 0 else "minus"


def _layer(shown, tokens, layers) -> str:
    aucs = [layer.metrics.auc for layer in layers]
    if max(aucs) - min(aucs) < _SAME:
        return "equal"
    return ("first", "middle", "last")[3 * _best(layers) // len(layers)]


# The value that each step's prediction is compared with, from its comparisons, first tokens and layers.
_VALUES: dict[str, Callable[[list[Comparison], tuple, tuple], str | float]] = {
    "untouched": _untouched,
    "unrelated": lambda shown, tokens, layers: shown[0].metrics.other_mean,
    "next": lambda shown, tokens, layers: Counter(each.kind for each in tokens).most_common(1)[0][0],
    "mean": _mean,
    "one_word": lambda shown, tokens, layers: _found(shown[1]),
    "zscore": _zscore,
    "layer": _layer,
    "training": lambda shown, tokens, layers: shown[1].metrics.other_mean,
}
