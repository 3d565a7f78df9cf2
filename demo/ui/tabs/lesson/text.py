"""Text of the Lesson tab: a step's question, a prediction beside the measurement, and findings in sentences.

Knows no widget and no lab. Every number in a sentence comes from a result. Everything is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Comparison
from demo.figures.explanation import spell_token
from demo.ui.kit.html import render, render_paragraph, render_table
from demo.ui.kit.i18n import translate, translate_error
from demo.ui.tabs.lesson.figures import reading_name
from demo.ui.tabs.lesson.handout import HANDOUT
from demo.ui.tabs.lesson.runs import Outcome
from demo.ui.tabs.lesson.steps import BY_NAME, COSINE, ENCODER, OPTIONS, STEPS, SUMMARY, Step, judge, load_texts
from demo.wording.numbers import two_digits

Guesses = Mapping[str, str | float]  # predictions by step
_CONE = 0.5  # strangers above this: a cosine means little by its height
_CROWD = 4  # as many questions that choose the same answer are mentioned
_LISTS = (("learned", 5), ("try", 4))  # of the summary, with their numbers of sentences


def render_step(language: str, name: str, gpt: str) -> str:
    """A step's heading, text and folded texts. gpt: the model that plays the untouched GPT."""
    heading = f'<h2 tabindex="-1">{escape(translate(language, f"lesson.{name}.title"))}</h2>'
    if name == SUMMARY:
        return heading + _handout_link(language)
    model = CATALOG[gpt].name if gpt in CATALOG else gpt
    sides = zip("QA", map(list, map(zip, load_texts("en"), load_texts(language))), strict=True)
    texts = render("tabs/lesson/texts.html", language, sides=sides)
    text = render_paragraph(translate(language, f"lesson.{name}.text", gpt=model))
    return heading + text + texts + _handout_link(language)


def _handout_link(language: str) -> str:
    """To the page that prints."""
    name = escape(translate(language, "lesson.handout"))
    return f'<p class="hint"><a href="{HANDOUT}?lang={language}" target="_blank" rel="noopener">{name}</a></p>'


def question_options(language: str, step: Step) -> dict[str, Any]:
    """The question with its choices, or with the range of its number, as a widget's options."""
    question = translate(language, f"lesson.{step.name}.question")
    if step.asks == OPTIONS:
        return {"label": question, "choices": [(format_value(language, step, name), name) for name in step.options]}
    low, high = map(_signed, step.limits)
    near = translate(language, f"lesson.near.{step.asks}")
    limits = translate(language, "lesson.number", low=low, high=high)
    return {"label": question, "info": f"{limits}. {near}", "step": 0.01 if step.asks == COSINE else 1}


def explain_refusal(language: str, step: Step, value: Any) -> str:
    """Why a value is no prediction."""
    if step.asks == OPTIONS or value in (None, ""):
        return translate(language, "lesson.choose")
    low, high = map(_signed, step.limits)
    kind = "bad_number" if step.asks == COSINE else "bad_count"
    return translate(language, f"lesson.{kind}", value=str(value)[:40], low=low, high=high)


def format_value(language: str, step: Step, value: str | float) -> str:
    """A prediction or a measurement in words."""
    if step.asks == OPTIONS:
        return translate(language, f"lesson.{step.name}.option.{value}")
    return two_digits(value) if step.asks == COSINE else str(int(value))


def render_judgement(language: str, outcome: Outcome, guess: str | float) -> str:
    """The prediction beside the measurement."""
    step, value = outcome.step, outcome.value
    if value is None:
        return render("tabs/lesson/judgement.html", language, css="", sentence=translate(language, "lesson.unmeasured"))
    verdict = "right" if judge(step, guess, value) else "wrong"
    return render(
        "tabs/lesson/judgement.html",
        language,
        css=f"lesson-{verdict}",
        sentence=translate(language, f"lesson.{verdict}"),
        facts=[
            ("lesson.guessed", format_value(language, step, guess)),
            ("lesson.measured", format_value(language, step, value)),
        ],
    )


def render_findings(language: str, outcome: Outcome) -> str:
    """The figures in sentences, their meaning, and readings that are missing."""
    step, sentences = outcome.step, []
    for reading, error in outcome.missing.items():
        values = {"reading": reading_name(language, reading), "reason": translate_error(language, error)}
        sentences.append(translate(language, "lesson.missing", **values))
    if outcome.value is not None:
        sentences.append(" ".join(_sentences(language, outcome)))
        if not judge(step, step.usual, outcome.value):
            usual = format_value(language, step, step.usual)
            sentences.append(translate(language, "lesson.differs", usual=usual))
        sentences.append(translate(language, f"lesson.{step.name}.why"))
    return "".join(map(render_paragraph, sentences))


def render_score(language: str, guesses: Guesses, outcomes: Mapping[str, Outcome]) -> str:
    """How many predictions were good, of those that could be measured, and which are still to be made."""
    counted = _measured(guesses, outcomes)
    left = [_step_name(language, step) for step in STEPS if step.name not in guesses]
    good = sum(judge(step, guesses[step.name], value) for step, value in counted)
    key = "score" if counted else "none"
    score = translate(language, f"lesson.summary.{key}", right=good, told=len(counted))
    waiting = translate(language, "lesson.summary.left", steps=", ".join(left)) if counted and left else ""
    return f'<h3 tabindex="-1">{escape(score)}</h3>{render_paragraph(waiting)}'


def render_summary(language: str, guesses: Guesses, outcomes: Mapping[str, Outcome]) -> str:
    """Each prediction beside the measurement, then the lists of the summary."""
    keys = ("lesson.figure.step", "lesson.guessed", "lesson.measured", "lesson.summary.good")
    heads = [translate(language, key) for key in keys]
    rows = [
        {
            "head": _step_name(language, step),
            "cells": [
                format_value(language, step, guesses[step.name]),
                format_value(language, step, value),
                translate(language, f"lesson.summary.{'yes' if judge(step, guesses[step.name], value) else 'no'}"),
            ],
        }
        for step, value in _measured(guesses, outcomes)
    ]
    table = render_table(language, translate(language, "lesson.summary.caption"), heads, rows) if rows else ""
    return render("tabs/lesson/summary.html", language, table_html=table, lists=_LISTS)


def _sentences(language: str, outcome: Outcome) -> list[str]:
    name, comparisons = outcome.step.name, list(outcome.comparisons.values())

    def say(key: str, **values: Any) -> str:
        return translate(language, f"lesson.{name}.{key}", **values)

    after = _metric_words(outcome.subject)
    if name == "untouched":
        answer, count = Counter(outcome.subject.similarity.argmax(axis=1).tolist()).most_common(1)[0]
        crowd = [say("same", count=count, asked=after["asked"], answer=f"A{answer + 1}")] if count >= _CROWD else []
        return [say("found", **after), *crowd]
    if name == "unrelated":
        wrong = outcome.subject.similarity[~outcome.subject.pairing.mask()]
        ends = {"low": two_digits(float(wrong.min())), "high": two_digits(float(wrong.max()))}
        kind = "cone" if outcome.value >= _CONE else "round"
        return [say("found", count=len(wrong), **ends, **after), say(kind, wrong=after["wrong"])]
    if name == "next":
        kinds = Counter(each.kind for each in outcome.tokens)
        token, times = Counter(each.token for each in outcome.tokens).most_common(1)[0]
        counts = {kind: kinds[kind] for kind in outcome.step.options}
        return [say("found", count=len(outcome.tokens), token=spell_token(token), times=times, **counts)]
    if name == "layer":
        aucs = [two_digits(layer.metrics.auc) for layer in outcome.layers]
        ends = {"first": aucs[0], "end": aucs[-1], "auc": aucs[outcome.best]}
        return [say("found", best=outcome.best, last=len(aucs) - 1, **ends, **after)]
    values = {f"{key}_before": value for key, value in _metric_words(comparisons[0]).items()}
    values |= {f"{key}_after": value for key, value in after.items()}
    values |= {"before": values["found_before"], "after": after["found"], "asked": after["asked"]}
    if name == "one_word":
        values["told"] = ", ".join(f"{each.name} “{spell_token(each.token)}”" for each in outcome.tokens)
    encoder = next((shown for reading, shown in outcome.comparisons.items() if reading.model == ENCODER), None)
    return [say("found", **values), *([say("encoder", **_metric_words(encoder))] if encoder else [])]


def _metric_words(comparison: Comparison) -> dict[str, Any]:
    metrics = comparison.metrics
    return {
        "found": metrics.found_first,
        "asked": metrics.n_matched,
        "right": two_digits(metrics.matching_mean),
        "wrong": two_digits(metrics.other_mean),
        "margin": two_digits(metrics.margin, signed=True),
    }


def _measured(guesses: Guesses, outcomes: Mapping[str, Outcome]) -> list[tuple[Step, str | float]]:
    """The steps that were predicted and measured, each with its value."""
    values = ((BY_NAME[name], outcomes[name].value) for name in BY_NAME if name in outcomes and name in guesses)
    return [(step, value) for step, value in values if value is not None]


def _step_name(language: str, step: Step) -> str:
    return translate(language, f"label.lesson_step_{step.name}")


def _signed(number: float) -> str:
    return f"−{-number}" if number < 0 else str(number)
