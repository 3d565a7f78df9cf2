"""The file tab's text: notes, scores and lists of a large comparison, alternative text. Knows no widget.

Unchecked texts of a file are made fit to be shown, and escaped.
"""

from __future__ import annotations

from html import escape

import numpy as np

from demo.analysis.seriation import Orders
from demo.domain.datamodels import Pairing, Progress
from demo.domain.results import Interval, LargeComparison
from demo.files.pairing import PairingLimits
from demo.files.table import fit_to_show
from demo.ui.kit.html import Cell, render_cells
from demo.ui.kit.i18n import translate, translate_phrase
from demo.ui.kit.text import render_facts, render_notices, render_takehome, render_verdict
from demo.wording.numbers import two_digits

_MAX_LETTERS = 160  # of a text in a table
_WORST = 10  # questions
_TOP = 3  # answers of a question
_MAX_ROWS = 100  # of the table of best matches


def formats_note(language: str, limits: PairingLimits) -> str:
    """What is accepted."""
    size = f"{limits.bytes / 2**20:g}"
    return translate(language, "file.formats", count=f"{limits.texts:,}", size=size)


def plan_note(language: str, pairing: Pairing | None, reading: str) -> str:
    """The comparison that a click would start."""
    read = translate(language, "file.reading", reading=reading)
    if pairing is None:
        return read
    rows, columns, right = len(pairing.questions), len(pairing.answers), len(pairing.matches)
    counts = {
        "questions": f"{rows:,}",
        "answers": f"{columns:,}",
        "cells": f"{rows * columns:,}",
        "right": f"{right:,}",
    }
    return f"{translate(language, 'file.plan', **counts)} {read}"


def running_note(language: str, progress: Progress, texts: int, part: tuple[int, int] | None) -> str:
    """What a comparison of so many texts is doing. part: the shape of the matrix that is shown so far, if any."""
    if progress.stage != "embedding":
        return translate(language, f"file.{'scoring' if progress.stage == 'scoring' else 'starting'}")
    done = round((progress.fraction or 0) * texts)
    note = translate(language, "file.running", done=f"{done:,}", count=f"{texts:,}")
    return f"{note} {part_note(language, part)}" if part else note


def part_note(language: str, part: tuple[int, int]) -> str:
    """The shape of a part of the matrix, in words."""
    return translate(language, "file.part", rows=f"{part[0]:,}", columns=f"{part[1]:,}")


def render_result(language: str, result: LargeComparison) -> str:
    """The verdict, its reading, and notices."""
    notices = render_notices(tuple(translate_phrase(language, notice) for notice in result.notices))
    name = result.reading.label(name=result.provenance["model"])
    reading = translate(language, "file.answered", reading=name, seconds=f"{result.seconds:.1f}")
    take = render_takehome(language, result.reading, result.pairing)
    return f'{render_verdict(language, result)}<p class="hint">{escape(reading)} {take}</p>{notices}'


def render_scores(language: str, result: LargeComparison) -> str:
    """AUC, found first, margin and MRR, each with its 95 % interval."""
    scores, metrics = result.scores, result.metrics
    first = "–"
    if metrics.found_first is not None:
        values = {"found": f"{metrics.found_first:,}", "asked": f"{metrics.n_matched:,}"}
        first = translate(language, "metric.found.value", **values)
    signed = {"signed": True}
    facts = (
        ("auc", "metric.auc", _value(scores.auc), _range(scores.auc), translate(language, "metric.auc.hint")),
        ("found", "metric.found", first, _range(scores.top1, percent=True), translate(language, "metric.found.hint")),
        (
            "margin",
            "metric.margin",
            _value(result.margin, **signed),
            _range(result.margin, **signed),
            _means(language, result),
        ),
        ("mrr", "file.mrr", _value(scores.mrr), _range(scores.mrr), translate(language, "file.mrr.hint")),
    )
    return render_facts(
        (
            f"file-{name}",
            translate(language, title),
            value,
            range_ and translate(language, "file.interval", range=range_),
            hint,
        )
        for name, title, value, range_, hint in facts
    )


def render_worst(language: str, result: LargeComparison) -> str:
    """The questions whose right answer ranks last, with the wrong answer that ranks first."""
    ranks = result.ranks
    missed = [row for row in np.argsort(-ranks, kind="stable")[:_WORST] if ranks[row] > 1]
    if not missed:
        return ""
    mask = result.pairing.mask()
    rows = []
    for row in missed:
        cosines = result.similarity[row]
        right = int(np.where(mask[row], cosines, -np.inf).argmax())
        wrong = int(np.where(mask[row], -np.inf, cosines).argmax())
        rank = translate(language, "file.rank", rank=f"{ranks[row]:,}", count=f"{len(cosines):,}")
        rows.append([Cell(rank), _question(result, row), *(_answer(result, row, at) for at in (right, wrong))])
    head = [Cell(translate(language, f"file.worst.{name}")) for name in ("rank", "question", "right", "instead")]
    return render_cells(language, translate(language, "file.worst"), head, rows)


def render_best(language: str, result: LargeComparison, orders: Orders) -> str:
    """Each question's best answers in the order of the matrix, for those who cannot see it. Right ones are bold."""
    mask = result.pairing.mask()
    rows = []
    for row in orders[0][:_MAX_ROWS]:
        best = np.argsort(-result.similarity[row], kind="stable")[:_TOP]
        answers = (_answer(result, row, at, "right" if mask[row, at] else "") for at in best)
        rows.append([_question(result, row), *answers])
    places = range(1, min(_TOP, len(result.pairing.answers)) + 1)
    head = [translate(language, "file.worst.question"), *(translate(language, "file.place", place=at) for at in places)]
    counts = {"shown": f"{min(_MAX_ROWS, len(orders[0])):,}", "count": f"{len(orders[0]):,}"}
    table = render_cells(language, translate(language, "file.best", **counts), map(Cell, head), rows)
    return f"<details><summary>{escape(translate(language, 'view.table'))}</summary>{table}</details>"


def matrix_alt(language: str, similarity: np.ndarray, pairing: Pairing) -> str:
    """The matrix's text alternative."""
    rows, columns = similarity.shape
    low, high = (two_digits(float(end)) for end in (similarity.min(), similarity.max()))
    counts = {"rows": f"{rows:,}", "columns": f"{columns:,}", "right": f"{len(pairing.matches):,}"}
    return translate(language, "file.alt", low=low, high=high, **counts)


def _means(language: str, result: LargeComparison) -> str:
    right, other = result.metrics.matching_mean, result.metrics.other_mean
    if right is None or other is None:
        return translate(language, "metric.margin.hint")
    return translate(language, "file.margin.hint", right=two_digits(right), other=two_digits(other))


def _value(score: Interval | None, signed: bool = False) -> str:
    return two_digits(score and score.value, signed)


def _range(score: Interval | None, signed: bool = False, percent: bool = False) -> str:
    if score is None:
        return ""
    ends = (score.low, score.high)
    return " – ".join(f"{100 * end:.0f} %" if percent else two_digits(end, signed) for end in ends)


def _question(result: LargeComparison, row: int) -> Cell:
    return Cell(_clip(result.pairing.questions[row]), number=f"Q{row + 1}")


def _answer(result: LargeComparison, row: int, column: int, css: str = "") -> Cell:
    cosine = two_digits(float(result.similarity[row, column]))
    return Cell(_clip(result.pairing.answers[column]), number=f"A{column + 1}", cosine=cosine, css=css)


def _clip(text: str) -> str:
    return fit_to_show(text, _MAX_LETTERS)
