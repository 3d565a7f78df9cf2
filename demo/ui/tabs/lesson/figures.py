"""Figures of the Lesson tab, with their tables and text alternatives in plain text. Knows no widget and no lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from demo.domain.datamodels import Comparison
from demo.figures.explanation import spell_token
from demo.figures.lesson import plot_layer_auc, plot_prediction, plot_top1, plot_top_tokens
from demo.ui.kit.i18n import translate, translate_group
from demo.ui.kit.view import captioned_figure
from demo.ui.tabs.compare.text import describe, preset_name, reading_payload
from demo.ui.tabs.lesson.runs import Outcome
from demo.ui.tabs.lesson.steps import BY_NAME, COSINE, LessonReading, load_texts
from demo.wording.numbers import fine_percent, two_digits

_ROW, _AXES = 46, 104  # pixels of a figure with a row for each reading
_HEATMAPS = ("untouched", "mean", "one_word", "training")  # steps whose readings are shown cell by cell


def step_figures(language: str, outcome: Outcome, guess: str | float) -> list[dict[str, Any]]:
    """A step's readings as pictures."""
    step, figures = outcome.step, []
    if step.name in ("unrelated", "zscore", "training") and outcome.comparisons:
        figures.append(_pairs_figure(language, outcome, guess))
    if step.name in _HEATMAPS:
        figures += [
            reading_payload(language, f"lesson-{reading.model}-{reading.preset}", describe(language, shown), shown)
            for reading, shown in outcome.comparisons.items()
            if step.name != "training" or reading is not step.readings[0]
        ]
    figures += [_tokens_figure(language, outcome)] if outcome.tokens else []
    return figures + ([_layers_figure(language, outcome)] if outcome.layers else [])


def summary_figures(language: str, outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Questions found first by every reading that the person has seen, in the order of the lesson."""
    comparisons: dict[str, Comparison] = {}
    for outcome in outcomes.values():
        comparisons |= {reading_name(language, reading): shown for reading, shown in outcome.comparisons.items()}
    if not comparisons:
        return []
    words = translate_group(language, "lesson.figure")
    found = [comparison.metrics.found_first or 0 for comparison in comparisons.values()]
    asked = next(iter(comparisons.values())).metrics.n_matched
    rows = [[name, str(count)] for name, count in zip(comparisons, found, strict=True)]
    figure = captioned_figure(
        language,
        "lesson-found",
        "lesson.found",
        plot_top1(list(comparisons), found, asked, words),
        height=_AXES + 34 * len(rows),
        head=[words["reading"], words["found"]],
        rows=rows,
        asked=asked,
        told="; ".join(map(": ".join, rows)),
    )
    return [figure]


def reading_name(language: str, reading: LessonReading) -> str:
    """`GPT, last token`."""
    return translate(language, f"lesson.way.{reading.model}.{reading.preset}")


def _pairs_figure(language: str, outcome: Outcome, guess: str | float) -> dict[str, Any]:
    words = translate_group(language, "lesson.figure")
    comparisons = list(outcome.comparisons.values())
    rows = [
        [reading_name(language, reading), two_digits(shown.metrics.matching_mean), two_digits(shown.metrics.other_mean)]
        for reading, shown in outcome.comparisons.items()
    ]
    sentences = (translate(language, "lesson.pairs.told", reading=name, right=a, wrong=b) for name, a, b in rows)
    guess = guess if outcome.step.asks == COSINE else None
    return captioned_figure(
        language,
        "lesson-pairs",
        "lesson.pairs",
        plot_prediction([name for name, *_ in rows], comparisons, guess, words),
        height=_AXES + _ROW * len(rows) + 24,
        head=[words["reading"], words["right"], words["wrong"]],
        rows=rows,
        told="; ".join(sentences),
    )


def _tokens_figure(language: str, outcome: Outcome) -> dict[str, Any]:
    words, tokens = translate_group(language, "lesson.figure"), outcome.tokens
    texts = [text for side in load_texts("en") for text in side]
    kinds = {kind: translate(language, f"lesson.kind.{kind}") for kind in BY_NAME["next"].options}
    spelled = [(each.name, spell_token(each.token), fine_percent(each.chance)) for each in tokens]
    return captioned_figure(
        language,
        "lesson-words",
        "lesson.words",
        plot_top_tokens([(each.name, each.token, each.chance) for each in tokens], words),
        height=_AXES - 20 + 22 * len(tokens),
        head=[words["text"], words["token"], words["chance"], translate(language, "lesson.figure.kind")],
        rows=[
            [f"{name} {text}", token, chance, kinds[each.kind]]
            for text, each, (name, token, chance) in zip(texts, tokens, spelled, strict=True)
        ],
        reading=describe(language, outcome.subject),
        told="; ".join(f"{name} “{token}” {chance}" for name, token, chance in spelled),
    )


def _layers_figure(language: str, outcome: Outcome) -> dict[str, Any]:
    words, layers = translate_group(language, "lesson.figure"), outcome.layers
    aucs = [two_digits(layer.metrics.auc) for layer in layers]
    return captioned_figure(
        language,
        "lesson-layers",
        "lesson.layers",
        plot_layer_auc(layers, outcome.best, words),
        height=320,
        head=[words["layer"], words["auc"], words["found"]],
        rows=[
            [str(place), auc, str(layer.metrics.found_first)]
            for place, (auc, layer) in enumerate(zip(aucs, layers, strict=True))
        ],
        reading=preset_name(language, outcome.step.readings[0].preset),
        first=aucs[0],
        end=aucs[-1],
        last=len(layers) - 1,
        best=outcome.best,
        auc=aucs[outcome.best],
    )
