"""Table: the one reader of uploaded files. Bytes and a file name become a frozen Table, or a sentence of refusal.

CSV, TSV and TXT in any usual dialect, JSON and JSONL, Excel's .xlsx, Parquet (formats/); text in UTF-8, UTF-16 or
Korean CP949; gzip. Which column holds what is decided in columns.py; examples.py reads the rows under these columns,
and each entrance makes its own value of them:

    labelled = load_labelled(path, LabelledLimits())    # Sweep, Benchmark: pairs with a label or a score
    training = load_pairs(path, PairLimits())           # Train: right pairs, each with a hard negative or none
    table = load_pairing_table(path, PairingLimits())   # Your file: rows, of which columns are chosen
    pairing = pair_up(table, guess_columns(table), limits)

All of them raise BadInput or UnreadableFile with the entrance's own field.
"""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from demo.domain.errors import UnreadableFile
from demo.domain.whitespace import normalize_whitespace
from demo.files.formats import Records, Rows
from demo.files.formats.delimited import split_rows
from demo.files.formats.encoding import GZIP, PARQUET, ZIP, decode
from demo.files.formats.nested import flatten
from demo.files.formats.parquet import read_parquet
from demo.files.formats.records import is_json, parse_records
from demo.files.formats.workbook import is_workbook, read_workbook
from demo.files.labels import parse_label
from demo.files.limits import FileLimits
from demo.files.roles import look_like_names, name_roles
from demo.files.safe_csv import restore

_LINES = (".jsonl", ".ndjson")
_LONGEST_NAME = 60  # characters of a column's name that are shown
_BETWEEN = " | "  # texts of a cell that holds several, where it is shown

Cells = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Table:
    """Rows and columns of a file, without blank rows and without spaces around a cell."""

    name: str  # of the file, with its ending
    cells: Cells  # all rows, equally long; the first one may name the columns
    numbers: tuple[int, ...]  # the file's number of each row, from 1; 0 for the keys of JSON, which are no row
    named: bool  # whether the first row names the columns
    separator: str = ""  # of the cells; "" where nothing separates them
    lists: Mapping[int, Cells] = field(
        default_factory=dict
    )  # by column: the texts of each of `rows`, where it has many
    unread: Mapping[str, str] = field(default_factory=dict)  # columns that hold no texts: name → what they hold
    notices: tuple[str, ...] = ()  # on how the file was read, for the person
    partial: bool = False  # whether these are some of the file's rows

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, fit to be shown; their places, from 1, where the file has none."""
        if self.named:
            return tuple(fit_to_show(cell, _LONGEST_NAME) for cell in self.cells[0])
        return tuple(str(place) for place in range(1, len(self.cells[0]) + 1))

    @property
    def rows(self) -> Cells:
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

    def select(self, rows: Sequence[int]) -> Table:
        """The table of some of its `rows`, by their places, in this order."""
        head = self.named
        return replace(
            self,
            cells=self.cells[:head] + tuple(self.rows[row] for row in rows),
            numbers=self.numbers[:head] + tuple(self.row_numbers[row] for row in rows),
            lists={place: tuple(texts[row] for row in rows) for place, texts in self.lists.items()},
        )


def load_table(path: str | Path, limits: FileLimits) -> Table:
    """A file becomes a table. Raises UnreadableFile, which names no folder, and what `parse_table` raises."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == GZIP
            # Never more than the limit and one byte, however large the file, endless the device or small the packing.
            data = (gzip.GzipFile(fileobj=file) if packed else file).read(limits.bytes + 1)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = str(error) if isinstance(error, ValueError) else getattr(error, "strerror", None) or "it is damaged"
        raise UnreadableFile(field=limits.field, path=path.name, reason=reason) from error
    return parse_table(data, path.name.removesuffix(".gz"), limits)


def parse_table(data: bytes, name: str, limits: FileLimits) -> Table:
    """A file's bytes become a table; its beginning, then the name's ending tell the format. Raises BadInput."""
    if len(data) > limits.bytes:
        raise limits.refuse(
            f"The file is too large. At most {limits.bytes / 2**20:g} MiB are accepted.", accepted=False
        )
    if data.startswith(ZIP) and is_workbook(data):
        rows, notices = read_workbook(data, limits)
        return table_of_rows(rows, name, limits, "", notices)
    if data.startswith(PARQUET):
        return make_table(read_parquet(data, limits), name, limits)
    content, encoding = decode(data, limits)
    if not content.strip():
        raise limits.refuse("The file is empty.")
    notices = (f"Its letters were read as {encoding}: look whether they are right.",) if encoding else ()
    ending = Path(name).suffix.lower()
    if ending == ".json" or ending in _LINES or is_json(content):
        return make_table(parse_records(content, ending in _LINES, limits), name, limits, notices)
    separator, rows = split_rows(content, limits)
    restored = [(number, [restore(cell.strip()) for cell in cells]) for number, cells in rows]
    return table_of_rows(restored, name, limits, separator, notices)


def make_table(records: Records, name: str, limits: FileLimits, notices: tuple[str, ...] = ()) -> Table:
    """Records with their row numbers become a table of all their keys. Raises BadInput."""
    records, unread = flatten(records)
    keys = list(dict.fromkeys(key for _, record in records for key in record))
    causes = tuple(
        f"The column “{fit_to_show(key, 40)}” is not read: it holds {fit_to_show(cause, 200)}."
        for key, cause in list(unread.items())[:5]
    )
    if unread and len(keys) < 2:
        raise limits.refuse(f"Fewer than two columns can be read. {' '.join(causes)}")
    limits.check_width(len(keys) + len(unread))
    tidy = _Tidy()
    many = [place for place, key in enumerate(keys) if any(isinstance(one.get(key), list) for _, one in records)]
    numbers, cells = [0], [tuple(keys)]
    lists: dict[int, list[tuple[str, ...]]] = {place: [] for place in many}
    for number, record in records:
        values = [record.get(key) for key in keys]
        texts = {place: tuple(map(tidy, _as_list(values[place]))) for place in many}
        row = tuple(
            _BETWEEN.join(texts[place]) if place in texts else tidy(_as_text(value))
            for place, value in enumerate(values)
        )
        if any(row):
            numbers.append(number)
            cells.append(row)
            for place in many:
                lists[place].append(texts[place])
    held = {place: tuple(column) for place, column in lists.items()}
    notices += tidy.notices + causes
    return Table(name, tuple(cells), tuple(numbers), True, "", held, unread, notices)


def fit_to_show(text: str, most: int) -> str:
    """The beginning of an unchecked text, with a replacement mark for each control character and half surrogate."""
    cut = re.sub(r"\s", " ", text[: most - 1] + "…" if len(text) > most else text)
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in cut)


class _Tidy:
    """Cells without spaces around them, their white space normalised; counts the cells that this changed."""

    def __init__(self) -> None:
        self.changed = 0

    def __call__(self, cell: str) -> str:
        if not cell.isprintable():  # quick, and true of nearly all: only control characters are to be normalised
            normal = normalize_whitespace(cell)
            self.changed += normal != cell.replace("\r\n", "\n").replace("\r", "\n")
            cell = normal
        return cell.strip()

    @property
    def notices(self) -> tuple[str, ...]:
        """What was changed, in a sentence."""
        said = f"Form feeds and other control characters that are white space became spaces: cells {self.changed:,}."
        return (said,) * bool(self.changed)


def table_of_rows(
    rows: Rows, name: str, limits: FileLimits, separator: str = "", notices: tuple[str, ...] = ()
) -> Table:
    """Rows of cells become a table: blank ones are left out, and whether the first one names the columns is settled."""
    tidy = _Tidy()
    tidied = ((number, list(map(tidy, cells))) for number, cells in rows)
    kept = [(number, cells) for number, cells in tidied if any(cells)]
    if not kept:  # quotes around nothing
        raise limits.refuse("The file is empty.")
    width = len(kept[0][1])
    for number, cells in kept:
        if any(cells[width:]):
            raise limits.refuse(
                f"Row {number:,} has {len(cells):,} columns, the first row has {width:,}. Accepted: the same number in "
                "every row; in CSV, a text that holds the separator stands in double quotes.",
                accepted=False,
            )
    limits.check_width(width)
    numbers = tuple(number for number, _ in kept)
    cells = tuple(tuple([*row, *[""] * width][:width]) for _, row in kept)
    roles = name_roles(cells[0])
    if len(cells) == 1:
        named = {"question", "answer"} <= set(roles)
    else:
        wide = width > 3 or (width == 3 and parse_label(cells[0][2], separator) is None)
        named = any(roles) or wide or look_like_names(cells[0], cells[1:])
    blank = numbers[-1] - numbers[0] + 1 - len(numbers)
    notices += tidy.notices + (f"Blank rows that are left out: {blank:,}.",) * bool(blank)
    return Table(name, cells, numbers, named, separator, notices=notices)


def _as_text(value: Any) -> str:
    """Numbers and truths as JSON writes them; null is no text."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _as_list(value: Any) -> Iterable[str]:
    return value if isinstance(value, list) else filter(None, [_as_text(value)])
