"""Rows: a file's bytes become letters, and letters rows of cells. The one way in which the lab reads CSV and TSV.

UTF-8, UTF-16 or Korean CP949; tabs, commas or semicolons. What `cells.py` made harmless is the text again. Knows no
question and no answer, but the names that their columns go by.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from demo.domain.errors import BadInput, UnreadableFile
from demo.files.safe_csv import restore

_NAMES = {
    "question": ("question", "query", "sentence1", "text1", "q", "anchor", "questions", "queries", "질문"),
    "answer": (
        *("answer", "sentence2", "sentence", "text2", "passage", "document", "a", "positive"),
        *("answers", "passages", "documents", "답", "답변"),
    ),
    "label": ("label", "score", "relevance", "gold", "similarity", "라벨"),
    "id": ("questionid", "id"),
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names}
_NO_TEXT = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"%PDF")  # how such files begin
_MOSTLY = 0.95  # of the letters of a Korean text are Hangul


def load_data(path: Path, most: int, field: str) -> bytes:
    """A file's first bytes, one more than `most` where it is larger. Raises UnreadableFile, which names no folder."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)  # never more, however large the file or endless the device
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableFile(field=field, path=path.name, reason=reason) from error


def decode(data: bytes, field: str, accepted: str) -> tuple[str, str]:
    """(the text, its encoding where it is not UTF-8). What Excel writes in Korea and as "Unicode text" is read too.

    Raises BadInput, which ends with `accepted`.
    """
    if data.startswith(_NO_TEXT):
        problem = "The file is a spreadsheet or an archive. Save it as CSV in UTF-8 first."
        raise BadInput(field=field, problem=f"{problem} {accepted}")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "UTF-16" if wide else ""
    try:
        content = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        content, encoding = "" if wide else _decode_korean(data), "CP949"
        if not content:
            problem = f"The file is not {'UTF-16' if wide else 'UTF-8'}: byte {error.start + 1:,} cannot be read."
            raise BadInput(field=field, problem=f"{problem} {accepted}") from error
    if "\0" in content:
        raise BadInput(field=field, problem=f"The file holds a NUL character, which no text has. {accepted}")
    return unify_lines(content), encoding


def unify_lines(content: str) -> str:
    """Every line ends with a line feed."""
    return content.replace("\r\n", "\n").replace("\r", "\n")


def split_rows(content: str, separator: str, characters: int, field: str) -> Iterator[list[str]]:
    """The rows of a file, blank ones too, without spaces around a cell. TSV knows no quoting: a mark is part of a text.

    characters: of a text, at most; named where a row cannot be read. Raises BadInput.
    """
    style = {"quoting": csv.QUOTE_NONE} if separator == "\t" else {"strict": True}
    row = 1
    try:
        for cells in csv.reader(io.StringIO(content, newline=""), delimiter=separator, **style):
            yield [restore(cell.strip()) for cell in cells]
            row += 1
    except csv.Error as error:
        raise BadInput(
            field=field,
            problem=f"Row {row:,} cannot be read. Accepted: texts of at most {characters:,} characters; in CSV, a text "
            "in double quotes ends with one, and a double quote within it is written twice.",
        ) from error


def find_separator(content: str) -> str:
    """A tab wins: prose holds none. Else what splits the first row most; prose holds more commas than semicolons."""
    if "\t" in next((line for line in content.split("\n") if line.strip()), ""):
        return "\t"
    return max(";,", key=lambda separator: len(first_row(content, separator)))


def first_row(content: str, separator: str) -> list[str]:
    """The first row that is not blank, under a separator that may be the wrong one."""
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    try:
        rows = csv.reader(io.StringIO(content, newline=""), delimiter=separator, quoting=quoting)
        return next((cells for cells in rows if any(cell.strip() for cell in cells)), [])
    except csv.Error:  # a quote that is never closed
        return []


def refuse_width(row: int, count: int, width: int, field: str) -> BadInput:
    """What is said of a row that is longer than the first one."""
    return BadInput(
        field=field,
        problem=f"Row {row:,} has {count:,} columns, the first row has {width:,}. Accepted: the same number in every "
        "row; in CSV, a text that holds the separator stands in double quotes.",
    )


def name_roles(names: Iterable[str]) -> list[str | None]:
    """What columns are by their names: "question", "answer", "label", "id", or None where a name says nothing."""
    return [_ROLES.get(re.sub(r"[\s_-]", "", name).casefold()) for name in names]


def _decode_korean(data: bytes) -> str:
    """The text where it is Korean in CP949, else "". Others pass for CP949 too, but not as Hangul throughout."""
    try:
        content = data.decode("cp949")
    except UnicodeDecodeError:
        return ""
    foreign = [letter for letter in content if letter.isalpha() and not letter.isascii()]
    hangul = sum("가" <= letter <= "힣" for letter in foreign)
    return content if foreign and hangul >= _MOSTLY * len(foreign) else ""
