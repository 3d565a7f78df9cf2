"""Table: the one reader of uploaded files. Bytes and a file name become a frozen Table, or a sentence of refusal.

CSV, TSV and TXT in any usual dialect (delimited.py), JSON and JSONL (records.py); UTF-8, UTF-16 or Korean CP949; gzip
where the entrance takes it. What each entrance makes of a Table stands in pairing.py, labelled.py and pairs.py:

    labelled = load_labelled(path, LabelledLimits())    # Sweep, Benchmark: pairs with a label or a score
    training = load_pairs(path, PairLimits())           # Train: right pairs, each with a hard negative or none
    table = load_pairing_table(path, PairingLimits())   # Your file: rows, of which columns are chosen
    pairing = pair_up(table, guess_columns(table), limits)

All of them raise BadInput or UnreadableFile with the entrance's own field.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demo.domain.errors import BadInput, UnreadableFile
from demo.files.columns import name_roles, parse_label, places_by_role
from demo.files.delimited import split_rows
from demo.files.limits import FileLimits
from demo.files.records import parse_records
from demo.files.safe_csv import restore
from demo.stages.texts import Limits, parse_texts

_GZIP = b"\x1f\x8b"
_NO_TEXT = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", _GZIP, b"7z\xbc\xaf", b"Rar!", b"%PDF")  # how such files begin
_MOSTLY = 0.95  # of the letters of a Korean text are Hangul
_LINES = (".jsonl", ".ndjson")
_LONGEST_NAME = 60  # characters of a column's name that are shown


@dataclass(frozen=True)
class Table:
    """Rows and columns of a file, without blank rows and without spaces around a cell."""

    name: str  # of the file, with its ending
    cells: tuple[tuple[str, ...], ...]  # all rows, equally long; the first one may name the columns
    numbers: tuple[int, ...]  # the file's number of each row, from 1; 0 for the keys of JSON, which are no row
    named: bool  # whether the first row names the columns
    separator: str = ""  # of the cells; "" in JSON
    encoding: str = ""  # "UTF-16" or "CP949"; "" is UTF-8
    dropped: tuple[str, ...] = ()  # columns of JSON that hold lists or objects

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, fit to be shown; their places, from 1, where the file has none."""
        if self.named:
            return tuple(fit_to_show(cell, _LONGEST_NAME) for cell in self.cells[0])
        return tuple(str(place) for place in range(1, len(self.cells[0]) + 1))

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The rows below the names."""
        return self.cells[self.named :]

    @property
    def row_numbers(self) -> tuple[int, ...]:
        """The file's number of each of `rows`."""
        return self.numbers[self.named :]

    @property
    def may_be_unnamed(self) -> bool:
        """Whether the first row may hold texts instead of names: in JSON the names are no row."""
        return self.numbers[0] > 0

    def texts(self, place: int, box: str, limits: FileLimits) -> tuple[str, ...]:
        """The texts of a column, blank cells left out. Raises what `parse_texts` raises, with the file's row number."""
        try:
            text_limits = Limits(texts=len(self.rows), characters=limits.characters)
            return parse_texts([row[place] for row in self.rows], box, text_limits)
        except BadInput as error:
            values: dict[str, Any] = dict(error.values)
            if "line" in values:
                values["line"] = self.row_numbers[values["line"] - 1]
            raise type(error)(field=limits.field, **values) from error


def load_table(path: str | Path, limits: FileLimits) -> Table:
    """A file becomes a table. Raises UnreadableFile, which names no folder, and what `parse_table` raises."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            packed = limits.gzipped and file.peek(2)[:2] == _GZIP
            # Never more than the limit and one byte, however large the file, endless the device or small the packing.
            data = (gzip.GzipFile(fileobj=file) if packed else file).read(limits.bytes + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = str(error) if isinstance(error, ValueError) else getattr(error, "strerror", None) or "it is damaged"
        raise UnreadableFile(field=limits.field, path=path.name, reason=reason) from error
    return parse_table(data, path.name.removesuffix(".gz"), limits)


def parse_table(data: bytes, name: str, limits: FileLimits) -> Table:
    """A file's bytes become a table. name: with its ending, which tells JSON from the rest. Raises BadInput."""
    if len(data) > limits.bytes:
        raise limits.refuse(
            f"The file is too large. At most {limits.bytes / 2**20:g} MiB are accepted.", accepted=False
        )
    content, encoding = _decode(data, limits)
    if not content.strip():
        raise limits.refuse("The file is empty.")
    ending = Path(name).suffix.lower()
    if ending == ".json" or ending in _LINES:
        return make_table(parse_records(content, ending in _LINES, limits), name, limits, encoding)
    separator, rows = split_rows(content, limits)
    if not rows:  # quotes around nothing
        raise limits.refuse("The file is empty.")
    numbers, cells = zip(*rows, strict=True)
    limits.check_width(len(cells[0]))
    width = len(cells[0])
    cells = tuple(tuple(restore(cell) for cell in [*row, *[""] * width][:width]) for row in cells)
    roles = name_roles(cells[0])
    if len(cells) == 1:
        named = {"question", "answer"} <= set(roles)
    else:
        named = any(roles) or width > 3 or (width == 3 and parse_label(cells[0][2], separator) is None)
    return Table(name, cells, numbers, named, separator, encoding)


def make_table(
    records: Iterable[tuple[int, dict[str, Any]]], name: str, limits: FileLimits, encoding: str = ""
) -> Table:
    """Records with their row numbers become a table of all their keys. Raises BadInput."""
    records = list(records)
    keys = list(dict.fromkeys(key for _, record in records for key in record))
    nested = {key for _, record in records for key, value in record.items() if isinstance(value, list | dict)}
    kept = [key for key in keys if key not in nested]
    limits.check_width(len(kept))
    rows = [(number, tuple(_as_text(record.get(key)) for key in kept)) for number, record in records]
    numbers, cells = zip((0, tuple(kept)), *((number, row) for number, row in rows if any(row)), strict=True)
    return Table(name, cells, numbers, True, "", encoding, tuple(key for key in keys if key in nested))


def find_columns(table: Table, limits: FileLimits) -> tuple[Table, dict[str, list[int]]]:
    """(the table with its names told from its rows, the columns of each role in the order in which they count).

    Without names, two columns are question and answer, and a third one of numbers is the label. Raises BadInput.
    """
    names = table.cells[0]
    found = places_by_role(names)
    if not any(found.values()):
        labelled = len(names) == 3 and parse_label(names[2], table.separator) is not None
        if not table.may_be_unnamed or not (len(names) == 2 or labelled):
            raise limits.refuse("The first row does not name the columns.")
        return replace(table, named=False), {"question": [0], "answer": [1], "label": [2] * labelled, "negative": []}
    for role in ("question", "answer"):
        if not found[role]:
            raise limits.refuse(f"The first row names no {role} column.")
    return replace(table, named=True), found


def fit_to_show(text: str, most: int) -> str:
    """The beginning of an unchecked text, with a replacement mark for each control character and half surrogate."""
    cut = re.sub(r"\s", " ", text[: most - 1] + "…" if len(text) > most else text)
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in cut)


def _as_text(value: Any) -> str:
    """Numbers and truths as JSON writes them; null is no text."""
    return value.strip() if isinstance(value, str) else "" if value is None else json.dumps(value)


def _decode(data: bytes, limits: FileLimits) -> tuple[str, str]:
    """(the text with line feeds alone, its encoding). Raises BadInput."""
    if data.startswith(_NO_TEXT):
        raise limits.refuse("The file is a spreadsheet or an archive. Save it as CSV in UTF-8 first.")
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "UTF-16" if wide else ""
    try:
        content = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        content, encoding = "" if wide else _decode_korean(data), "CP949"
        if not content:
            name = "UTF-16" if wide else "UTF-8"
            raise limits.refuse(f"The file is not {name}: byte {error.start + 1:,} cannot be read.") from error
    if "\0" in content:
        raise limits.refuse("The file holds a NUL character, which no text has.")
    return content.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _decode_korean(data: bytes) -> str:
    """The text where it is Korean in CP949, else "". Others pass for CP949 too, but not as Hangul throughout."""
    try:
        content = data.decode("cp949")
    except UnicodeDecodeError:
        return ""
    foreign = [letter for letter in content if letter.isalpha() and not letter.isascii()]
    hangul = sum("가" <= letter <= "힣" for letter in foreign)
    return content if foreign and hangul >= _MOSTLY * len(foreign) else ""
