"""Sheets: a file of questions and answers becomes rows and columns; the columns that are chosen become a Pairing.

CSV, TSV or TXT (tabs, commas or semicolons), JSON (a list of objects, or one object of lists) and JSONL. Columns are
guessed by the names that tables.py knows. Every limit on such a file is checked here. Knows no model.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from demo.domain.datamodels import Pairing
from demo.domain.errors import BadInput, TooManyTexts
from demo.files.table import decode, find_separator, load_data, name_roles, refuse_width, split_rows
from demo.stages.texts import Limits, parse_texts

FIELD = "file"
EACH_ROW, UNKNOWN = "each_row", "unknown"  # in the place of a label column: a row is a right pair; nothing is known
_ACCEPTED = (
    "Accepted: CSV, TSV or TXT with a question and an answer in each row; JSON, a list of objects or one object with "
    "two lists; JSONL; all in UTF-8, UTF-16 or Korean CP949."
)
_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
_LINES = (".jsonl", ".ndjson")
_LONGEST_NAME = 60  # characters of a column's name that are shown


@dataclass(frozen=True)
class SheetLimits:
    """How much one file may hold."""

    texts: int = 1_000  # different questions, and different answers
    characters: int = 20_000  # of a text
    bytes: int = 4 * 2**20
    rows: int = 20_000
    columns: int = 64


@dataclass(frozen=True)
class Sheet:
    """A file as a table. Blank rows stay, so that a row has the number that the file gives it."""

    name: str
    cells: tuple[tuple[str, ...], ...]  # every row, equally long; the first one may name the columns
    first: int  # the file's number of the first row; 0 where the columns' names stand in no row (JSON)
    named: bool  # whether the first row names the columns
    left_out: tuple[str, ...] = ()  # columns of JSON that hold lists or objects
    encoding: str = ""  # how its letters were read, where that is not UTF-8

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, fit to be shown; of a file without names the places, from 1."""
        if self.named:
            return tuple(fit_to_show(cell, _LONGEST_NAME) for cell in self.cells[0])
        return tuple(str(place) for place in range(1, len(self.cells[0]) + 1))

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The rows of texts."""
        return self.cells[1:] if self.named else self.cells

    @property
    def may_be_unnamed(self) -> bool:
        """Whether it can be asked if the first row names the columns: in JSON the names are no row."""
        return self.first > 0


@dataclass(frozen=True)
class Columns:
    """Which columns hold what, by their places."""

    question: int
    answer: int
    label: int | str = EACH_ROW  # a column of ones and zeros, or EACH_ROW, or UNKNOWN


def load_sheet(path: str | Path, limits: SheetLimits) -> Sheet:
    """A file becomes a sheet named after it. Raises UnreadableFile and what `parse_sheet` raises."""
    path = Path(path)
    return parse_sheet(load_data(path, limits.bytes, FIELD), path.name, limits)


def parse_sheet(data: bytes, name: str, limits: SheetLimits) -> Sheet:
    """A file's bytes become a sheet. name: with its ending, which says the format. Raises BadInput."""
    if len(data) > limits.bytes:
        raise _bad(
            f"The file is larger than {limits.bytes / 2**20:g} MiB. At most {limits.bytes / 2**20:g} MiB are accepted."
        )
    content, encoding = decode(data, FIELD, _ACCEPTED)
    if not content.strip():
        raise _bad(f"The file is empty. {_ACCEPTED}")
    ending = Path(name).suffix.lower()
    if ending == ".json" or ending in _LINES:
        sheet = _from_records(_read_json(content, ending in _LINES, limits), name, limits)
    else:
        sheet = _from_table(content, name, limits)
    if not any(any(row) for row in sheet.rows):
        raise _bad(f"The file holds names of columns and nothing below them. {_ACCEPTED}")
    return replace(sheet, encoding=encoding)


def guess_columns(sheet: Sheet) -> Columns:
    """By their names, else the first two columns that hold words; a label column by its name alone."""
    roles = name_roles(sheet.names) if sheet.named else [None] * len(sheet.names)
    found = {role: roles.index(role) for role in ("question", "answer", "label") if role in roles}
    # Then columns without a known name, those with words first, in their order; ids and labels come last.
    others = [place for place in range(len(roles)) if place not in (found.get("question"), found.get("answer"))]
    others.sort(key=lambda place: (roles[place] is not None, not _holds_words(sheet, place)))
    for role in ("question", "answer"):
        if role not in found:
            found[role] = others.pop(0)
    if found.get("label") in (found["question"], found["answer"]):
        del found["label"]
    if "label" not in found and len(roles) == 3 and not sheet.named:
        [last] = {0, 1, 2} - {found["question"], found["answer"]}
        if all(_label(row[last]) is not None for row in sheet.rows if any(row)):
            found["label"] = last
    return Columns(**found)


def pair_up(sheet: Sheet, columns: Columns, limits: SheetLimits) -> Pairing:
    """The chosen columns as questions and answers, each different text once, and which belong together.

    A row with a question alone or an answer alone adds its text and no pair: two lists need not be equally long.
    Raises BadInput, naming the row as the file counts it.
    """
    width = len(sheet.names)
    chosen = [place for place in (columns.question, columns.answer, columns.label) if isinstance(place, int)]
    if not all(0 <= place < width for place in chosen):
        raise _bad(f"There is no such column. Accepted: one of the file's {width:,} columns.")
    if columns.question == columns.answer:
        raise _bad("Question and answer are the same column. Accepted: two different columns.")
    start = sheet.first + sheet.named  # the file's number of the first row of texts
    sides: dict[str, dict[str, int]] = {}  # each different text's place
    for box, place in (("questions", columns.question), ("answers", columns.answer)):
        texts = _texts([*[""] * (start - 1), *(row[place] for row in sheet.rows)], box, limits)
        sides[box] = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        if len(sides[box]) > limits.texts:
            raise TooManyTexts(field=FIELD, box=box, count=len(sides[box]), limit=limits.texts)
    told: dict[tuple[int, int], tuple[bool, int]] = {}  # whether a pair belongs together, and which row says so
    for number, row in enumerate(sheet.rows, start):
        question, answer = row[columns.question].strip(), row[columns.answer].strip()
        if not question or not answer or columns.label == UNKNOWN:
            continue
        right = columns.label == EACH_ROW or _read_label(row[columns.label], number)
        known, other = told.setdefault((sides["questions"][question], sides["answers"][answer]), (right, number))
        if known != right:
            raise _bad(
                f"Row {number:,} holds the pair of row {other:,} with another label. Accepted: one label a pair, 0 or "
                "1."
            )
    matches = frozenset(pair for pair, (right, _) in told.items() if right)
    return Pairing(tuple(sides["questions"]), tuple(sides["answers"]), matches)


def _bad(problem: str) -> BadInput:
    return BadInput(field=FIELD, problem=problem)


def fit_to_show(text: str, most: int) -> str:
    """The beginning of a text that nobody has checked yet, with marks in the place of what is no character."""
    cut = re.sub(r"\s", " ", text[: most - 1] + "…" if len(text) > most else text)
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in cut)


# ---- tables ---------------------------------------------------------------------------------------------------------


def _from_table(content: str, name: str, limits: SheetLimits) -> Sheet:
    separator = find_separator(content)
    rows: list[list[str]] = []
    first = 1
    for number, cells in enumerate(split_rows(content, separator, limits.characters, FIELD), start=1):
        if not rows and not any(cells):
            continue  # blank rows above the table
        if not rows:
            first = number
            _check_width(len(cells), limits)
        if rows and any(cells[len(rows[0]) :]):
            raise refuse_width(number, len(cells), len(rows[0]), FIELD)
        rows.append(cells)
        _check_rows(len(rows) - 1, limits)
    if not rows:  # quotes around nothing
        raise _bad(f"The file is empty. {_ACCEPTED}")
    width = len(rows[0])
    cells = tuple(tuple([*row, *[""] * width][:width]) for row in rows)
    by_name = any(name_roles(cells[0]))
    by_shape = width > 3 or (width == 3 and _label(cells[0][2]) is None)
    return Sheet(name, cells, first, named=len(cells) > 1 and (by_name or by_shape))


def _check_width(count: int, limits: SheetLimits) -> None:
    if count < 2:
        raise _bad(f"The file has a single column. {_ACCEPTED}")
    if count > limits.columns:
        raise _bad(f"The file has {count:,} columns. At most {limits.columns:,} are accepted.")


def _check_rows(count: int, limits: SheetLimits) -> None:
    if count > limits.rows:
        raise _bad(f"The file has more than {limits.rows:,} rows. At most {limits.rows:,} are accepted.")


# ---- JSON -----------------------------------------------------------------------------------------------------------


def _read_json(content: str, by_line: bool, limits: SheetLimits) -> list[dict[str, Any]]:
    """The file's objects; one object of lists becomes an object for each place in them."""
    lines = content.split("\n")
    if not by_line:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            if not (isinstance(error, json.JSONDecodeError) and error.msg == "Extra data" and len(lines) > 1):
                raise _not_json(error, 1) from error
        else:
            return _objects(value, limits)
    records = []
    for number, line in enumerate(lines, start=1):  # an object a line, whatever the file's ending says
        try:
            record = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            raise _not_json(error, number) from error
        if not isinstance(record, dict):
            raise _bad(f"Line {number:,} is not a JSON object. {_ACCEPTED}")
        records.append(record)
        _check_rows(len(records), limits)
    return records


def _not_json(error: Exception, line: int) -> BadInput:
    if isinstance(error, RecursionError):
        return _bad(f"The JSON is nested too deeply. {_ACCEPTED}")
    if isinstance(error, json.JSONDecodeError):
        return _bad(f"The file is not JSON: line {line + error.lineno - 1:,}, column {error.colno:,}. {_ACCEPTED}")
    return _bad(f"The JSON holds a number that is too long. {_ACCEPTED}")


def _objects(value: Any, limits: SheetLimits) -> list[dict[str, Any]]:
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        # Before the table is made: a long list beside many names would be a table of all the memory there is.
        _check_width(len(value), limits)
        _check_rows(max(map(len, value.values())), limits)
        return [dict(zip(value, row, strict=True)) for row in zip_longest(*value.values())]
    if isinstance(value, list) and all(isinstance(record, dict) for record in value):
        return value
    raise _bad(f"The JSON is neither a list of objects nor an object of lists. {_ACCEPTED}")


def _from_records(records: Sequence[dict[str, Any]], name: str, limits: SheetLimits) -> Sheet:
    _check_rows(len(records), limits)
    keys = list(dict.fromkeys(key for record in records for key in record))
    nested = {key for record in records for key, value in record.items() if isinstance(value, list | dict)}
    kept = [key for key in keys if key not in nested]
    _check_width(len(kept), limits)
    rows = (tuple(_as_text(record.get(key)).strip() for key in kept) for record in records)
    return Sheet(name, (tuple(kept), *rows), 0, named=True, left_out=tuple(key for key in keys if key in nested))


def _as_text(value: Any) -> str:
    """Numbers and truths as JSON writes them; null is no text."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


# ---- columns --------------------------------------------------------------------------------------------------------


def _holds_words(sheet: Sheet, place: int) -> bool:
    """Whether a column is a text: it has letters in more than half of its cells."""
    cells = [row[place] for row in sheet.rows if row[place]]
    return sum(any(letter.isalpha() for letter in cell) for cell in cells) > len(cells) / 2


def _label(cell: str) -> bool | None:
    word = cell.strip().casefold()
    return True if word in _TRUE else False if word in _FALSE else None


def _read_label(cell: str, row: int) -> bool:
    label = _label(cell)
    if label is None:
        shown = repr(cell[:20])[1:-1]  # repr: half a surrogate pair or a control character must not reach the page
        raise _bad(
            f"The label “{shown}” in row {row:,} is neither 1 nor 0. Accepted: 1 or true where the answer belongs to "
            "the question, 0 or false where it does not."
        )
    return label


def _texts(column: list[str], box: str, limits: SheetLimits) -> tuple[str, ...]:
    try:
        return parse_texts(column, box, Limits(texts=limits.rows, characters=limits.characters))
    except BadInput as error:
        error.field = FIELD  # the texts stand in no box of the page
        raise
