"""Pairing: the chosen columns of a table become questions, answers and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.domain.datamodels import Pairing
from demo.domain.errors import TooManyTexts
from demo.files.columns import name_roles, parse_label, parse_truth, refuse_contradiction
from demo.files.limits import FileLimits
from demo.files.table import Table, load_table

EACH_ROW, UNKNOWN = "each_row", "unknown"  # in the place of a label column: a row is a right pair; nothing is known


@dataclass(frozen=True, kw_only=True)
class PairingLimits(FileLimits):
    """How much one file may hold."""

    texts: int = 1_000  # different questions, and different answers
    bytes: int = 4 * 2**20

    accepted = (
        "Accepted: CSV, TSV or TXT with a question and an answer in each row; JSON, a list of objects or one object "
        "with two lists; JSONL; all in UTF-8, UTF-16 or Korean CP949."
    )


@dataclass(frozen=True)
class Columns:
    """Which columns hold what, by their places."""

    question: int
    answer: int
    label: int | str = EACH_ROW  # a column of ones and zeros, or EACH_ROW, or UNKNOWN


def load_pairing_table(path: str | Path, limits: PairingLimits) -> Table:
    """A file becomes a table to choose columns from. Raises UnreadableFile and BadInput."""
    table = load_table(path, limits)
    if not table.rows:
        raise limits.refuse("The file holds names of columns and nothing below them.")
    return table


def guess_columns(table: Table) -> Columns:
    """By their names, else the first two columns that hold words.

    Without names, two columns are question and answer, and a third one of ones and zeros is the label.
    """
    width = len(table.names)
    labelled = width == 3 and all(parse_label(row[2], table.separator) in (0, 1) for row in table.rows)
    if not table.named and (width == 2 or labelled):
        return Columns(0, 1, 2 if labelled else EACH_ROW)
    roles = name_roles(table.cells[0]) if table.named else [None] * width
    found = {role: roles.index(role) for role in ("question", "answer", "label") if role in roles}
    # Then columns without a known name, those with words first, in their order; ids and labels come last.
    others = [place for place in range(len(roles)) if place not in (found.get("question"), found.get("answer"))]
    others.sort(key=lambda place: (roles[place] is not None, not _holds_words(table, place)))
    for role in ("question", "answer"):
        if role not in found:
            found[role] = others.pop(0)
    if found.get("label") in (found["question"], found["answer"]):
        del found["label"]
    return Columns(**found)


def pair_up(table: Table, columns: Columns, limits: PairingLimits) -> Pairing:
    """The chosen columns as questions and answers, each different text once, and which belong together.

    A row with a question alone or an answer alone adds its text and no pair: two lists need not be equally long.
    Raises BadInput, naming the row as the file counts it.
    """
    width = len(table.names)
    chosen = [place for place in (columns.question, columns.answer, columns.label) if isinstance(place, int)]
    if not all(0 <= place < width for place in chosen):
        raise limits.refuse(f"There is no such column. Accepted: one of the file's {width:,} columns.", False)
    if columns.question == columns.answer:
        raise limits.refuse("Question and answer are the same column. Accepted: two different columns.", False)
    sides: dict[str, dict[str, int]] = {}  # each different text's place
    for box, place in (("questions", columns.question), ("answers", columns.answer)):
        sides[box] = {text: index for index, text in enumerate(dict.fromkeys(table.texts(place, box, limits)))}
        if len(sides[box]) > limits.texts:
            raise TooManyTexts(field=limits.field, box=box, count=len(sides[box]), limit=limits.texts)
    labels: dict[tuple[int, int], tuple[bool, int]] = {}  # whether a pair belongs together, and which row says so
    for number, row in zip(table.row_numbers, table.rows, strict=True):
        question, answer = row[columns.question], row[columns.answer]
        if not question or not answer or columns.label == UNKNOWN:
            continue
        right = columns.label == EACH_ROW or parse_truth(row[columns.label], number, table.separator, limits)
        pair = sides["questions"][question], sides["answers"][answer]
        known, other = labels.setdefault(pair, (right, number))
        if known != right:
            raise refuse_contradiction(number, other, limits)
    matches = frozenset(pair for pair, (right, _) in labels.items() if right)
    return Pairing(tuple(sides["questions"]), tuple(sides["answers"]), matches)


def _holds_words(table: Table, place: int) -> bool:
    """Whether a column is a text: it has letters in more than half of its cells."""
    cells = [row[place] for row in table.rows if row[place]]
    return sum(any(letter.isalpha() for letter in cell) for cell in cells) > len(cells) / 2
