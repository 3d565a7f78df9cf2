"""Tables: a file of pairs, with labels or without, becomes a LabelledSet. Every limit on a file is checked here.

One row a pair. The first row names the columns; without names two columns are question and answer, a third one of
numbers the label. Columns stand apart by tabs, commas or semicolons. Knows no model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from demo.domain.errors import BadInput, TooManyCells
from demo.domain.results import LabelledSet
from demo.files.table import (
    decode,
    find_separator,
    first_row,
    load_data,
    name_roles,
    refuse_width,
    split_rows,
    unify_lines,
)
from demo.stages.texts import Limits, parse_texts

FIELD = "upload"
_NEEDED = (
    "Accepted: a question column (question, query, sentence1 …), an answer column (answer, sentence, sentence2 …) and, "
    "if any, a label column (label, score …); without names in the first row, two columns or a third one of numbers."
)


@dataclass(frozen=True)
class TableLimits:
    """How much one file may hold."""

    pairs: int = 20_000
    characters: int = 20_000  # of a text
    bytes: int = 5 * 2**20
    cells: int = 250_000  # questions × answers, where every answer is a candidate of every question


def load_labelled(path: str | Path, limits: TableLimits) -> LabelledSet:
    """A file of pairs becomes a set named after it. Raises UnreadableFile and what `parse_labelled` raises."""
    path = Path(path)
    data = load_data(path, limits.bytes, FIELD)
    _check_size(len(data), limits)
    content, _ = decode(data, FIELD, _NEEDED)
    return parse_labelled(content, path.stem, limits)


def parse_labelled(content: str, name: str, limits: TableLimits) -> LabelledSet:
    """The text of a CSV or TSV file becomes a LabelledSet. Raises BadInput, naming the row as a spreadsheet counts it.

    No labels, or only ones: every answer is a candidate of every question, right where a row says so. Zeros and ones:
    the candidates are those listed. Other numbers: grades. A question is its text, whatever its id.
    """
    _check_size(len(content.encode("utf-8", "surrogatepass")), limits)
    questions, answers, labels = _columns(content.removeprefix("\ufeff"), limits)
    rows = [row for row, text in enumerate(questions, start=1) if text]
    question_texts, question_of = _distinct(_texts(questions, "questions", limits))
    answer_texts, answer_of = _distinct(_texts(answers, "answers", limits))
    pairs = list(zip(question_of, answer_of, strict=True))
    values = set(labels)
    graded = not values <= {0, 1}
    if graded and len(values) < 2:
        raise _bad("All pairs have the same grade. At least two different grades are accepted.")
    if values == {0}:
        raise _bad("No pair is labelled 1. At least one right pair is accepted.")
    if values <= {1}:
        pairs, labels = _every_pair(pairs, len(question_texts), len(answer_texts), limits)
    elif not graded:
        pairs, labels = _without_copies(pairs, labels, rows)
    return LabelledSet(name, question_texts, answer_texts, tuple(pairs), tuple(labels), graded)


def _bad(problem: str) -> BadInput:
    return BadInput(field=FIELD, problem=problem)


def _check_size(count: int, limits: TableLimits) -> None:
    if count > limits.bytes:
        raise _bad(f"The file is too large. At most {limits.bytes / 2**20:g} MiB are accepted.")


def _columns(content: str, limits: TableLimits) -> tuple[list[str], list[str], list[float]]:
    """Questions and answers, one for each row of the file ("" where there is no pair), and the pairs' labels."""
    content = unify_lines(content)
    if not content.strip():
        raise _bad(f"The file holds no pairs. {_NEEDED}")
    separator, roles, width, named = _layout(content)
    questions: list[str] = []
    answers: list[str] = []
    labels: list[float] = []
    count = 0
    for number, cells in enumerate(split_rows(content, separator, limits.characters, FIELD), start=1):
        blank = not any(cells)
        if blank or named:
            named = named and blank  # the names stand in the first row that is not blank
            questions.append("")
            answers.append("")
            continue
        if any(cells[width:]):
            raise refuse_width(number, len(cells), width, FIELD)
        found = {role: cells[column] if column < len(cells) else "" for role, column in roles.items()}
        for role, cell in found.items():
            if not cell:
                raise _bad(f"Row {number:,} has no {role}. Accepted: rows without empty cells in the named columns.")
        count += 1
        if count > limits.pairs:
            raise _bad(f"The file holds more than {limits.pairs:,} pairs. At most {limits.pairs:,} are accepted.")
        questions.append(found["question"])
        answers.append(found["answer"])
        if "label" in found:
            labels.append(_label(found["label"], number, separator))
    if not count:
        raise _bad(f"The file holds no pairs. {_NEEDED}")
    return questions, answers, labels


def _layout(content: str) -> tuple[str, dict[str, int], int, bool]:
    """Separator, column of each role, number of columns, and whether the first row names them."""
    separator = find_separator(content)
    cells = first_row(content, separator)
    found = name_roles(cells)
    if not any(found):
        by_place = dict(zip(("question", "answer", "label"), range(len(cells)), strict=False))
        if len(cells) not in (2, 3) or (len(cells) == 3 and not _is_number(cells[2], separator)):
            raise _bad(f"The first row does not name the columns. {_NEEDED}")
        return separator, by_place, len(cells), False
    for role in ("question", "answer", "label"):
        if found.count(role) > 1:
            raise _bad(f"The first row names the {role} column more than once. {_NEEDED}")
    roles = {role: found.index(role) for role in ("question", "answer", "label") if role in found}
    for role in ("question", "answer"):
        if role not in roles:
            raise _bad(f"The first row names no {role} column. {_NEEDED}")
    return separator, roles, len(cells), True


def _number(cell: str, separator: str) -> float:
    """4.5, and 4,5 where semicolons separate. Raises ValueError."""
    number = float(cell.replace(",", ".") if separator == ";" else cell)
    if not math.isfinite(number):
        raise ValueError(cell)
    return number


def _is_number(cell: str, separator: str) -> bool:
    try:
        _number(cell, separator)
    except ValueError:
        return False
    return True


def _label(cell: str, row: int, separator: str) -> float:
    try:
        return _number(cell, separator)
    except ValueError as error:
        shown = repr(cell[:20])[1:-1]  # repr: half a surrogate pair or a control character must not reach the page
        raise _bad(
            f"The label “{shown}” in row {row:,} is not a number. Accepted: 1 for right and 0 for wrong, or grades."
        ) from error


def _texts(column: list[str], box: str, limits: TableLimits) -> tuple[str, ...]:
    try:
        return parse_texts(column, box, Limits(texts=limits.pairs, characters=limits.characters))
    except BadInput as error:
        error.field = FIELD  # the texts stand in no box of the page
        raise


def _distinct(texts: tuple[str, ...]) -> tuple[tuple[str, ...], list[int]]:
    """The distinct texts in order of appearance, and where each text is among them."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return tuple(places), [places[text] for text in texts]


def _every_pair(right, n_questions: int, n_answers: int, limits: TableLimits):
    """Every answer with every question: 1 where a row pairs them, else 0."""
    count = n_questions * n_answers
    if count > limits.cells:
        raise TooManyCells(field=FIELD, rows=n_questions, columns=n_answers, count=count, limit=limits.cells)
    right = set(right)
    if len(right) == count:
        raise _bad("Every answer belongs to every question. At least one wrong pair is accepted.")
    pairs = [(question, answer) for question in range(n_questions) for answer in range(n_answers)]
    return pairs, [float(pair in right) for pair in pairs]


def _without_copies(pairs, labels: list[float], rows: list[int]):
    """A candidate counts once, however often it is listed; right and wrong at once is refused."""
    first: dict[tuple[int, int], int] = {}
    for place, pair in enumerate(pairs):
        other = first.setdefault(pair, place)
        if labels[other] != labels[place]:
            raise _bad(
                f"Row {rows[place]:,} holds the pair of row {rows[other]:,} with another label. Accepted: one label a "
                "pair, 0 or 1."
            )
    return list(first), [labels[place] for place in first.values()]
