"""What the lesson asks the lab: a step's readings of the lesson's texts become an outcome. Knows no widget, no words.

The texts and readings are the same for everybody: what was computed once in this process is not computed again.
Nothing here waits for a model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from demo.domain.catalog import DEFAULT_MODEL
from demo.domain.datamodels import Comparison, Reading, Role
from demo.domain.errors import DemoError, ModelLoading
from demo.lab import Lab
from demo.ui.kit.memo import Memo
from demo.ui.kit.presets import YARDSTICK, Slot
from demo.ui.tabs.lesson.steps import ENCODER, GPT, SUMMARY, TUNED, Step, Way, load_texts
from demo.ui.tabs.story.runs import TUNED as TUNED_GPT
from demo.ui.tabs.story.runs import offered

_NEAR_ZERO = 0.3  # a mean cosine
_SAME = 0.1  # AUCs that differ by less, from the worst layer to the best, are about the same
_TIE = 1e-3  # of AUCs that differ by less, the earlier layer's counts
# What a text goes on with, whatever it is about.
_GOES_ON = frozenset(
    "a an and as at but by for from he her his how however i if in is it its my no not of on or our she so some that "
    "the their then there these they this to was we what when where which who why with yes you your".split()
)


@dataclass(frozen=True)
class Word:
    """What the LM head reads first from a text's embedding."""

    name: str  # Q1 … A8
    token: str
    chance: float
    kind: str  # own, topic or goes_on: an option of the step that asks for it


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a step came to."""

    step: Step
    value: str | float | None  # what a prediction is compared with; None where it cannot be known here
    shown: dict[Way, Comparison]
    missing: dict[Way, DemoError]  # readings that cannot be had here, and why
    words: tuple[Word, ...] = ()
    layers: tuple[Comparison, ...] = ()  # from the token embeddings to the last layer
    best: int = 0  # the layer with the highest AUC

    @property
    def subject(self) -> Comparison | None:
        """The reading in question."""
        return self.layers[self.best] if self.layers else self.shown.get(self.step.ways[self.step.about])


class LessonRuns:
    """The lesson's questions to the lab. One instance serves every person."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.questions, self.answers = load_texts("en")  # in every language: small GPTs have read little else
        self._memo = Memo()
        self._told: dict[str, Outcome] = {}

    def model(self, part: str) -> str:
        """The model that plays a part."""
        if part == GPT:
            return offered(self.lab, DEFAULT_MODEL, self.lab.settings.model)
        return {TUNED: TUNED_GPT, ENCODER: YARDSTICK}[part]

    def measure(self, step: Step) -> Outcome:
        """What the step comes to on this machine. A reading that cannot be had is told of. Raises ModelLoading."""
        shown: dict[Way, Comparison] = {}
        missing: dict[Way, DemoError] = {}
        words: tuple[Word, ...] = ()
        layers: tuple[Comparison, ...] = ()
        for way in step.ways:
            try:
                shown[way] = self._memo.get(("compared", way), lambda way=way: self._compare(way))
                if way == step.ways[step.about]:
                    if step.name in ("next", "one_word"):
                        words = self._memo.get(("words", way), lambda way=way: self._say(shown[way].reading))
                    if step.name == "layer":
                        layers = self._memo.get(("layers", way), lambda way=way: self._sweep(way))
            except ModelLoading:
                raise
            except DemoError as error:
                missing[way] = error
        known = step.ways[step.about] not in missing and step.ways[0] not in missing
        value = _VALUES[step.name](list(shown.values()), words, layers) if known else None
        best = _best(layers) if layers else 0
        self._told[step.name] = Outcome(step, value, shown, missing, words, layers, best)
        return self._told[step.name]

    def told(self, name: str) -> Outcome | None:
        """What a step came to when it was measured last."""
        return self._told.get(name)

    def reading(self, name: str) -> Reading | None:
        """The reading of a step that is worth a look in the lab; of the summary, the last one that is known."""
        names = [name] if name != SUMMARY else list(reversed(_VALUES))
        subjects = (outcome.subject for outcome in map(self.told, names) if outcome)
        return next((subject.reading for subject in subjects if subject), None)

    # ---- asking the lab -------------------------------------------------------------------------------------------

    def _compare(self, way: Way, layer: int | None = None) -> Comparison:
        info = self.lab.open(self.model(way.part), wait=False)
        options = Slot(info.model, way.preset).options(info)
        if layer is not None:
            options["layer"] = layer
        return self.lab.compare(self.questions, self.answers, info.model, wait=False, **options)

    def _sweep(self, way: Way) -> tuple[Comparison, ...]:
        """Every layer comes from the forward pass of the first."""
        n_layers = self.lab.open(self.model(way.part), wait=False).n_layers
        return tuple(self._compare(way, layer) for layer in range(n_layers + 1))

    def _say(self, reading: Reading) -> tuple[Word, ...]:
        words: list[Word] = []
        for role, letter, texts in ((Role.QUESTION, "Q", self.questions), (Role.ANSWER, "A", self.answers)):
            vectors = self.lab.vectors(texts, reading, role).vectors
            says = self.lab.engine.read_tokens(reading.model, vectors, reading.pooling, reading.layer, 1)
            for place, (text, [(token, chance)]) in enumerate(zip(texts, says, strict=True), 1):
                words.append(Word(f"{letter}{place}", token, chance, word_kind(token, text)))
        return tuple(words)


def word_kind(token: str, text: str) -> str:
    """goes_on: a mark, or a word that any text may go on with; own: begins a word of the text; topic: another word."""
    said = token.strip().lower()
    if token.startswith("<|") or said in _GOES_ON or not any(letter.isalpha() for letter in said):
        return "goes_on"
    return "own" if any(word.startswith(said) for word in re.findall(r"\w+", text.lower())) else "topic"


def _found(comparison: Comparison) -> int:
    return comparison.metrics.found_first or 0


def _best(layers: tuple[Comparison, ...]) -> int:
    aucs = [layer.metrics.auc for layer in layers]
    return next(place for place, auc in enumerate(aucs) if auc >= max(aucs) - _TIE)


def _untouched(shown, words, layers) -> str:
    found, asked = _found(shown[0]), shown[0].metrics.n_matched
    return "all" if found == asked else ("guess", "few", "most")[min(3 * found // asked, 2)]


def _next(shown, words, layers) -> str:
    return Counter(word.kind for word in words).most_common(1)[0][0]


def _mean(shown, words, layers) -> str:
    before, after = _found(shown[0]), _found(shown[1])
    return "same" if before == after else "more" if after > before else "fewer"


def _zscore(shown, words, layers) -> str:
    mean = shown[1].metrics.other_mean
    return "zero" if abs(mean) <= _NEAR_ZERO else "high" if mean > 0 else "minus"


def _layer(shown, words, layers) -> str:
    aucs = [layer.metrics.auc for layer in layers]
    if max(aucs) - min(aucs) < _SAME:
        return "equal"
    return ("first", "middle", "last")[3 * _best(layers) // len(layers)]


# What each step's prediction is compared with, by the comparisons of its ways, its words and its layers.
_VALUES: dict[str, Callable[[list[Comparison], tuple, tuple], str | float]] = {
    "untouched": _untouched,
    "unrelated": lambda shown, words, layers: shown[0].metrics.other_mean,
    "next": _next,
    "mean": _mean,
    "one_word": lambda shown, words, layers: _found(shown[1]),
    "zscore": _zscore,
    "layer": _layer,
    "training": lambda shown, words, layers: shown[1].metrics.other_mean,
}
