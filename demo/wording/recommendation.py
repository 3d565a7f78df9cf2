"""Recommendation in words: one sentence on which reading to take, and how sure that is; plain text."""

from __future__ import annotations

from demo.domain.results import BenchmarkRow, Recommendation
from demo.wording.numbers import interval, two_digits
from demo.wording.translate import translate, translate_group

_SAME_SPEED = 1.25  # up to so many times as fast counts as equally fast


def describe_recommendation(language: str, found: Recommendation) -> str:
    """What the best reading finds beside the next one, at which cost, and whether that may be chance."""
    best, other, verdict = found.rows[0], found.other, found.verdict
    graded = found.criterion == "spearman"
    unit = "pairs" if graded else "questions"
    if verdict == "too_few":
        key = f"recommend.too_few.{unit}"
        return translate(language, key, count=f"{found.chosen_on:,}", reading=_name(language, best))
    parts = [_reached(language, best, graded)]
    if other is None:
        return translate(language, "recommend.alone", reached=parts[0])
    parts.append(_reached(language, other, graded) + _speed(language, best, other))
    lead = found.leads.get(other.reading)
    figure = translate(language, f"sweep.score.{found.criterion}")
    value = f"{figure} {interval(lead.difference, signed=True)}" if lead else "–"
    parts.append(translate(language, f"recommend.{verdict}.{unit}", count=f"{found.held_out:,}", lead=value))
    return translate(language, "recommend.sentence", best=parts[0], other=parts[1], verdict=parts[2])


def _name(language: str, row: BenchmarkRow) -> str:
    return row.reading.label(translate_group(language, "sweep.figure"), row.provenance["model"])


def _reached(language: str, row: BenchmarkRow, graded: bool) -> str:
    """`SmolLM2 · echo · mean · layer 29 finds 25 of 30`."""
    name, scores = _name(language, row), row.scores
    if graded or scores.top1 is None:
        value = two_digits(scores.headline.value) if scores.headline else "–"
        return translate(language, "recommend.spearman" if graded else "recommend.auc", reading=name, value=value)
    count = round(scores.top1.value * scores.n_questions)
    return translate(language, "recommend.finds", reading=name, found=f"{count:,}", asked=f"{scores.n_questions:,}")


def _speed(language: str, best: BenchmarkRow, other: BenchmarkRow) -> str:
    if not best.texts_per_second or not other.texts_per_second:
        return ""
    times = other.texts_per_second / best.texts_per_second
    if 1 / _SAME_SPEED < times < _SAME_SPEED:
        return translate(language, "recommend.same_speed")
    key, times = ("faster", times) if times > 1 else ("slower", 1 / times)
    return translate(language, f"recommend.{key}", times=f"{times:.0f}" if times >= 10 else f"{times:.1f}")
