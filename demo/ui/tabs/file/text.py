"""What the file tab says of a file and of a large comparison: preview, figures, lists, alt text. Knows no widget.

Every text of a person is escaped here; what nobody has checked yet is made fit to be shown first.
"""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from demo.analysis.seriation import Orders
from demo.domain.datamodels import Pairing, Progress
from demo.domain.results import Interval, LargeComparison
from demo.figures.similarity import two_digits
from demo.files.pairing import EACH_ROW, UNKNOWN, Columns, PairingLimits
from demo.files.table import Table, fit_to_show
from demo.ui.kit.i18n import translate, translate_phrase
from demo.ui.kit.text import render_notices, render_verdict

_PREVIEWED = 5  # rows
_MOST_COLUMNS = 8  # of the preview
_MOST_LETTERS = 160  # of a text in a table
_WORST = 10  # questions
_TOP = 3  # answers of a question
_MOST_ROWS = 100  # of the table of best matches


def formats_note(language: str, limits: PairingLimits) -> str:
    """What is accepted."""
    size = f"{limits.bytes / 2**20:g}"
    return translate(language, "file.formats", count=f"{limits.texts:,}", size=size)


def file_note(language: str, sheet: Table) -> str:
    """What was understood of a file."""
    name = fit_to_show(sheet.name, 80)
    note = translate(language, "file.read", name=name, rows=f"{len(sheet.rows):,}", columns=len(sheet.names))
    if sheet.encoding:
        note += " " + translate(language, "file.encoding", encoding=sheet.encoding)
    if sheet.dropped:
        names = ", ".join(fit_to_show(each, 40) for each in sheet.dropped[:5])
        note += " " + translate(language, "file.left_out", names=names)
    return note


def column_choices(language: str, sheet: Table) -> list[tuple[str, int]]:
    """The columns to choose from, each by a name of its own, and its place."""
    names = sheet.names
    numbered = translate(language, "file.column", place="{}")
    choices = []
    for place, name in enumerate(names):
        if not sheet.named or not name:
            name = numbered.format(place + 1)
        elif names.count(name) > 1:
            name = f"{name} ({place + 1})"
        choices.append((name, place))
    return choices


def label_choices(language: str, sheet: Table) -> list[tuple[str, Any]]:
    """What may say which belong together: nothing, each row, or a column."""
    fixed = [(translate(language, f"label.file_label_{name}"), name) for name in (EACH_ROW, UNKNOWN)]
    by_column = translate(language, "file.by_column", name="{}")
    return fixed + [(by_column.format(name), place) for name, place in column_choices(language, sheet)]


def render_preview(language: str, sheet: Table, columns: Columns) -> str:
    """The first rows as a table; the chosen columns say what they are, and are among those that are shown."""
    roles = {columns.question: "question", columns.answer: "answer"}
    if isinstance(columns.label, int):
        roles.setdefault(columns.label, "label")
    every = range(len(sheet.names))
    others = [place for place in every if place not in roles]
    shown = sorted([*(place for place in every if place in roles), *others[: max(0, _MOST_COLUMNS - len(roles))]])
    head = ""
    for name, place in column_choices(language, sheet):
        if place not in shown:
            continue
        role = roles.get(place)
        badge = f"<small>{escape(translate(language, f'file.role.{role}'))}</small>" if role else ""
        head += f"<th{' class=chosen' if role else ''}>{escape(name)}{badge}</th>"
    rows = ""
    for row in sheet.rows[:_PREVIEWED]:
        cells = (f"<td{' class=chosen' if place in roles else ''}>{_clip(row[place])}</td>" for place in shown)
        rows += f"<tr>{''.join(cells)}</tr>"
    caption = escape(translate(language, "file.preview", count=_PREVIEWED))
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def plan_note(language: str, pairing: Pairing | None, reading: str) -> str:
    """What a click will compare, and under which reading."""
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


def running_note(language: str, progress: Progress, before: int, stopping: bool, texts: int, part: Any) -> str:
    """How far it is, in words. part: the shape of the picture that is there so far, if any."""
    if stopping:
        return translate(language, "file.stopping")
    if before:
        return translate(language, "file.waiting", count=before)
    if progress.stage != "embedding":
        return translate(language, f"file.{'scoring' if progress.stage == 'scoring' else 'starting'}")
    done = round((progress.fraction or 0) * texts)
    note = translate(language, "file.running", done=f"{done:,}", count=f"{texts:,}")
    return f"{note} {part_note(language, part)}" if part else note


def part_note(language: str, part: tuple[int, int]) -> str:
    """What the picture shows that is not whole."""
    return translate(language, "file.part", rows=f"{part[0]:,}", columns=f"{part[1]:,}")


def render_found(language: str, found: LargeComparison) -> str:
    """The verdict, under which reading it holds, and what else is to be known."""
    notices = render_notices(tuple(translate_phrase(language, notice) for notice in found.notices))
    seconds = f"{found.seconds:.1f}"
    reading = translate(language, "file.answered", reading=reading_name(found), seconds=seconds)
    return f'{render_verdict(language, found)}<p class="hint">{escape(reading)}</p>{notices}'


def reading_name(found: LargeComparison) -> str:
    """Model and reading in one line."""
    return found.reading.label(name=found.provenance["model"])


def render_facts(language: str, found: LargeComparison) -> str:
    """AUC, found first, margin and MRR, each with its 95 % interval."""
    scores, metrics = found.scores, found.metrics
    first = "–"
    if metrics.found_first is not None:
        values = {"found": f"{metrics.found_first:,}", "asked": f"{metrics.n_matched:,}"}
        first = translate(language, "metric.found.value", **values)
    facts = (
        ("auc", _value(scores.auc), _range(scores.auc), translate(language, "metric.auc.hint")),
        ("found", first, _range(scores.top1, percent=True), translate(language, "metric.found.hint")),
        ("margin", _value(found.margin, signed=True), _range(found.margin, signed=True), _means(language, found)),
        ("mrr", _value(scores.mrr), _range(scores.mrr), translate(language, "file.mrr.hint")),
    )
    items = ""
    for name, value, range_, hint in facts:
        title = translate(language, "file.mrr" if name == "mrr" else f"metric.{name}")
        interval = f"<small>{escape(translate(language, 'file.interval', range=range_))}</small>" if range_ else ""
        items += (
            f'<div id="file-{name}"><dt>{escape(title)}</dt><dd>{escape(value)}{interval}</dd>'
            f'<dd class="hint">{escape(hint)}</dd></div>'
        )
    return f"<dl>{items}</dl>"


def render_worst(language: str, found: LargeComparison) -> str:
    """The questions whose right answer is found last."""
    ranks = found.ranks
    missed = [row for row in np.argsort(-ranks, kind="stable")[:_WORST] if ranks[row] > 1]
    if not missed:
        return ""
    mask = found.pairing.mask()
    rows = ""
    for row in missed:
        cosines = found.similarity[row]
        right = int(np.where(mask[row], cosines, -np.inf).argmax())
        wrong = int(np.where(mask[row], -np.inf, cosines).argmax())
        rank = translate(language, "file.rank", rank=f"{ranks[row]:,}", count=f"{len(cosines):,}")
        cells = [_text("Q", row, found.pairing.questions[row])]
        cells += [_text("A", at, found.pairing.answers[at], cosines[at]) for at in (right, wrong)]
        rows += f"<tr><td>{escape(rank)}</td>{''.join(cells)}</tr>"
    names = ("rank", "question", "right", "instead")
    title = translate(language, "file.worst")
    return _table(title, [translate(language, f"file.worst.{name}") for name in names], rows)


def render_best(language: str, found: LargeComparison, orders: Orders) -> str:
    """Each question's best answers, in the picture's order, for those who cannot see it. Right ones are bold."""
    mask = found.pairing.mask()
    rows = ""
    for row in orders[0][:_MOST_ROWS]:
        cosines = found.similarity[row]
        best = np.argsort(-cosines, kind="stable")[:_TOP]
        cells = "".join(_text("A", at, found.pairing.answers[at], cosines[at], mask[row, at]) for at in best)
        rows += f"<tr>{_text('Q', row, found.pairing.questions[row])}{cells}</tr>"
    places = min(_TOP, len(found.pairing.answers))
    head = [translate(language, "file.worst.question")]
    head += [translate(language, "file.place", place=place) for place in range(1, places + 1)]
    shown = {"shown": f"{min(_MOST_ROWS, len(orders[0])):,}", "count": f"{len(orders[0]):,}"}
    table = _table(translate(language, "file.best", **shown), head, rows)
    return f"<details><summary>{escape(translate(language, 'view.table'))}</summary>{table}</details>"


def picture_alt(language: str, similarity: np.ndarray, pairing: Pairing) -> str:
    """What a screen reader says of the picture."""
    rows, columns = similarity.shape
    low, high = (two_digits(float(end)) for end in (similarity.min(), similarity.max()))
    counts = {"rows": f"{rows:,}", "columns": f"{columns:,}", "right": f"{len(pairing.matches):,}"}
    return translate(language, "file.alt", low=low, high=high, **counts)


def _means(language: str, found: LargeComparison) -> str:
    right, other = found.metrics.matching_mean, found.metrics.other_mean
    if right is None or other is None:
        return translate(language, "metric.margin.hint")
    return translate(language, "file.margin.hint", right=two_digits(right), other=two_digits(other))


def _value(score: Interval | None, signed: bool = False) -> str:
    return "–" if score is None else two_digits(score.value, signed)


def _range(score: Interval | None, signed: bool = False, percent: bool = False) -> str:
    if score is None:
        return ""
    ends = (score.low, score.high)
    return " – ".join(f"{100 * end:.0f} %" if percent else two_digits(end, signed) for end in ends)


def _text(letter: str, number: int, text: str, cosine: float | None = None, strong: bool = False) -> str:
    """A cell: the text under its number, and its cosine."""
    value = "" if cosine is None else f" <i>{two_digits(float(cosine))}</i>"
    return f"<td{' class=right' if strong else ''}><b>{letter}{number + 1}</b>{value} {_clip(text)}</td>"


def _clip(text: str) -> str:
    return escape(fit_to_show(text, _MOST_LETTERS))


def _table(caption: str, head: list[str], rows: str) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{escape(caption)}</caption><thead><tr>{names}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
