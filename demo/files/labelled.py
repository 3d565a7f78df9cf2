"""Labelled pairs: a table of pairs, with labels or scores or without, becomes a LabelledSet to evaluate readings on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from demo.domain.errors import BadInput, TooManyCells
from demo.domain.results import LabelledSet
from demo.files.columns import ANY, ColumnChoice, Columns, settle_columns
from demo.files.examples import Capacity, Example, check_texts, note_copies, read_examples, take_portion
from demo.files.labels import parse_label, parse_labels, refuse_contradiction
from demo.files.limits import FileLimits
from demo.files.table import Table, load_table

Pairs = list[tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class LabelledLimits(FileLimits):
    """How much one file may hold."""

    cells: int = 250_000  # questions × answers, where every answer is a candidate of every question

    field = "upload"


def load_labelled(
    path: str | Path,
    limits: LabelledLimits,
    choice: ColumnChoice = ANY,
    capacity: Capacity | None = None,
    drawn: bool = False,
) -> LabelledSet:
    """A file becomes a set named after it. Raises UnreadableFile and BadInput.

    capacity: what is taken of a larger file: the first questions, or drawn ones.
    """
    return make_labelled_set(load_table(path, limits), limits, choice, capacity, drawn)


def make_labelled_set(
    table: Table,
    limits: LabelledLimits,
    choice: ColumnChoice | Columns = ANY,
    capacity: Capacity | None = None,
    drawn: bool = False,
) -> LabelledSet:
    """A table becomes a LabelledSet. Raises BadInput, naming the row as the file counts it.

    No labels, or only ones: every answer and hard negative is a candidate of every question, right where a row says
    so. Zeros and ones: the candidates are those listed. Grades: the pairs as they stand. A question is its text,
    whatever its id.
    """
    table, columns = settle_columns(table, limits, choice)
    if capacity:
        marked = isinstance(columns.label, int) and any(
            parse_label(row[columns.label], table.separator) != 1 for row in table.rows
        )
        capacity = replace(capacity, cells=None) if marked else capacity  # the candidates are those listed
        table = take_portion(table, columns, capacity, drawn)
    if not table.rows:
        raise limits.refuse("The file holds no pairs.")
    examples, without = _answered(read_examples(table, columns), columns.answer in table.lists, limits)
    check_texts(examples, limits)
    notices = table.notices + (f"Questions without an answer that are left out: {without:,}.",) * bool(without)
    labels, graded = [1.0] * len(examples), False
    if isinstance(columns.label, int):
        for one in examples:
            if not one.label:
                raise _refuse_empty(one.number, "label", limits)
        cells, numbers = [one.label for one in examples], [one.number for one in examples]
        labels, graded = parse_labels(cells, numbers, table.separator, limits, columns.right, columns.grades)
    if not graded and 1 not in labels:
        raise limits.refuse("No pair is labelled 1. At least one right pair is accepted.", False)
    questions = _places(one.question for one in examples)
    answers = _places(text for one in examples for text in (*one.answers, *one.negatives))
    listed = [
        (one.number, (questions[one.question], answers[text]), label)
        for one, label in zip(examples, labels, strict=True)
        for text in one.answers
    ]
    wrong = {(questions[one.question], answers[text]) for one in examples for text in one.negatives}
    if graded:
        pairs, values = [pair for _, pair, _ in listed], [label for *_, label in listed]
    elif min(labels) == 1:
        pairs, values = _every_pair({pair for _, pair, _ in listed}, len(questions), len(answers), limits)
    else:
        found = _without_copies(listed, limits)
        found |= dict.fromkeys(sorted(wrong - found.keys()), 0.0)
        pairs, values = list(found), list(found.values())
    if not graded:
        notices += note_copies(examples)
        both = len(wrong & {pair for _, pair, label in listed if label == 1})
        notices += (f"Hard negatives that are right answers too count as right: {both:,}.",) * bool(both)
    name = Path(table.name).stem
    return LabelledSet(
        name, tuple(questions), tuple(answers), tuple(pairs), tuple(values), graded, notices, table.partial
    )


def _answered(examples: list[Example], listed: bool, limits: FileLimits) -> tuple[list[Example], int]:
    """(the examples that can be used, how many hold nothing). listed: whether answers are lists, which may be empty."""
    for one in examples:
        if not one.question:
            raise _refuse_empty(one.number, "question", limits)
        if not one.answers and not one.negatives and not listed:
            raise _refuse_empty(one.number, "answer", limits)
    kept = [one for one in examples if one.answers or one.negatives]
    return kept, len(examples) - len(kept)


def _refuse_empty(row: int, role: str, limits: FileLimits) -> BadInput:
    return limits.refuse(
        f"Row {row:,} has no {role}. Accepted: rows without empty cells in the named columns.", accepted=False
    )


def _places(texts) -> dict[str, int]:
    """The distinct texts in order of appearance, with their places."""
    return {text: place for place, text in enumerate(dict.fromkeys(texts))}


def _every_pair(right: set, n_questions: int, n_answers: int, limits: LabelledLimits) -> tuple[Pairs, list[float]]:
    """Every answer with every question: 1 where a row pairs them, else 0."""
    count = n_questions * n_answers
    if count > limits.cells:
        error = TooManyCells(field=limits.field, rows=n_questions, columns=n_answers, count=count, limit=limits.cells)
        raise limits.refuse(f"{error} {limits.portion_advice}", accepted=False) if limits.portion_advice else error
    if len(right) == count:
        raise limits.refuse(
            "Every answer belongs to every question. At least one wrong pair is accepted.", accepted=False
        )
    pairs = [(question, answer) for question in range(n_questions) for answer in range(n_answers)]
    return pairs, [float(pair in right) for pair in pairs]


def _without_copies(listed: Sequence, limits: FileLimits) -> dict[tuple[int, int], float]:
    """A candidate counts once, however often it is listed; right and wrong at once is refused."""
    first: dict[tuple[int, int], tuple[int, float]] = {}
    for number, pair, label in listed:
        other, known = first.setdefault(pair, (number, label))
        if known != label:
            raise refuse_contradiction(number, other, limits)
    return {pair: label for pair, (_, label) in first.items()}
