"""Examples: the rows of a table under its columns, which every entrance makes its own value of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from demo.domain.errors import BadInput
from demo.files.columns import Columns
from demo.files.limits import FileLimits
from demo.files.table import Table
from demo.stages.texts import Limits, parse_texts


@dataclass(frozen=True)
class Example:
    """One row: a question, what is right, and what looks right and is wrong."""

    number: int  # of the row, as the file counts it
    question: str
    answers: tuple[str, ...]  # several where the file lists them; none where a cell is empty
    negatives: tuple[str, ...] = ()
    label: str = ""  # the cell that says whether the answers are right, where the file has labels


@dataclass(frozen=True)
class Capacity:
    """How much of a file an entrance takes: different texts. None: any number."""

    questions: int | None = None
    answers: int | None = None
    texts: int | None = None
    rows: int | None = None
    cells: int | None = None  # questions × answers


def read_examples(table: Table, columns: Columns) -> list[Example]:
    """Every row, its texts as they stand."""
    labelled = columns.label if isinstance(columns.label, int) else None
    return [
        Example(
            number,
            row[columns.question],
            _texts(table, place, row, columns.answer),
            tuple(text for column in columns.negatives for text in _texts(table, place, row, column)),
            "" if labelled is None else row[labelled],
        )
        for place, (row, number) in enumerate(zip(table.rows, table.row_numbers, strict=True))
    ]


def check_texts(examples: Sequence[Example], limits: FileLimits) -> None:
    """Raises TextTooLong, BadCharacter or NoTexts, naming the row as the file counts it."""
    for box in ("questions", "answers"):
        sides = (
            (one.number, [one.question] if box == "questions" else [*one.answers, *one.negatives]) for one in examples
        )
        numbered = [(number, text) for number, texts in sides for text in texts]
        try:
            parse_texts([text for _, text in numbered], box, Limits(len(numbered), limits.characters), drop_blank=True)
        except BadInput as error:
            values = dict(error.values)
            if "line" in values:
                values["line"] = numbered[values["line"] - 1][0]
            raise type(error)(field=limits.field, **values) from error


def note_copies(examples: Sequence[Example]) -> tuple[str, ...]:
    """A notice on pairs that stand in several rows; () where there is none."""
    pairs = [(one.question, text) for one in examples if one.question for text in one.answers]
    count = len(pairs) - len(set(pairs))
    return (f"Pairs that stand more than once count once: {count:,} copies.",) * bool(count)


def take_portion(table: Table, columns: Columns, capacity: Capacity, drawn: bool, seed: int = 0) -> Table:
    """Whole questions with all their rows, as many as fit: the first ones, or drawn at random. Rows keep their order.

    A notice says how many were taken; the whole table where all fit.
    """
    examples = read_examples(table, columns)
    rows_of: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        rows_of.setdefault(example.question or f"\0{place}", []).append(place)  # an answer alone is a group of its own
    order = list(rows_of)
    if drawn:
        order = [order[i] for i in np.random.default_rng(seed).permutation(len(order))]
    answers: set[str] = set()
    texts: set[str] = set()
    kept: list[int] = []
    taken = 0
    for question in order:
        rows = [examples[row] for row in rows_of[question]]
        own = {text for row in rows for text in (*row.answers, *row.negatives)}
        new_answers, new_texts = own - answers, (own | {rows[0].question}) - texts
        count = len(answers) + len(new_answers)
        sizes = (taken + 1, count, len(texts) + len(new_texts), len(kept) + len(rows), (taken + 1) * count)
        if any(most is not None and size > most for size, most in zip(sizes, astuple(capacity), strict=True)):
            break
        answers |= new_answers
        texts |= new_texts
        kept += rows_of[question]
        taken += 1
    if taken == len(order):
        return table
    how = "drawn at random" if drawn else "the first ones"
    notice = f"Of {len(order):,} questions {taken:,} are taken, {how}."
    return replace(table.select(sorted(kept)), notices=(*table.notices, notice), partial=True)


def _texts(table: Table, place: int, row: Sequence[str], column: int) -> tuple[str, ...]:
    """The texts of a cell."""
    if column in table.lists:
        return table.lists[column][place]
    return (row[column],) if row[column] else ()
