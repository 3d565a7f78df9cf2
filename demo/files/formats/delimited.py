"""Delimited text: the dialect of a CSV, TSV or TXT file is detected, and its rows are split.

Separators are tabs, commas and semicolons, or what Excel's first line `sep=;` says. Quoting follows RFC 4180. A file
with tabs may also be raw, as data sets are (a double quote is part of a text) or quoted, as pandas and Excel write it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice

from demo.files.formats import Rows
from demo.files.labels import parse_label
from demo.files.limits import FileLimits
from demo.files.roles import name_roles

_DECLARED = re.compile(r'"?sep=([^\w\s"]|\t)"?\n', re.IGNORECASE)
_QUOTED_CELL = re.compile(r'(?:^|\t)"', re.MULTILINE)
_SAMPLE = 2**16  # characters in which the separator is looked for
_SAMPLE_ROWS = 20


def split_rows(content: str, limits: FileLimits) -> tuple[str, Rows]:
    """(separator, rows without blank ones). A row may be shorter than the first one. Raises BadInput.

    content: with line feeds alone.
    """
    declared = _DECLARED.match(content)
    separator = declared[1] if declared else find_separator(content)
    body = content[declared.end() :] if declared else content
    number = above = 1 if declared else 0  # of the last row that was read
    quoted = separator != "\t" or _is_quoted_tsv(body, above, limits)
    rows: Rows = []
    try:
        for number, cells in enumerate(_split(body, separator, quoted), start=above + 1):
            if any(cell.strip() for cell in cells):
                rows.append((number, cells))
                limits.check_rows(len(rows) - 1)
    except csv.Error as error:
        raise _unreadable(number + 1, limits) from error
    return separator, rows


def find_separator(content: str) -> str:
    """A tab wins, because prose holds none; else names of columns, rows of one width, and the wider row decide."""
    first_line = next((line for line in content[:_SAMPLE].split("\n") if line.strip()), "")
    samples = {separator: _sample(content, separator) for separator in "\t;,"}
    if "\t" in first_line and (
        len(samples["\t"][0] if samples["\t"] else ()) > 1
        or not any(rows and len(rows[0]) > 1 for rows in (samples[";"], samples[","]))
    ):
        return "\t"

    def fitness(separator: str) -> tuple[bool, bool, int]:
        rows = samples[separator]
        width = len(rows[0]) if rows else 0
        return width > 1 and any(name_roles(rows[0])), width > 1 and _is_even(rows), width

    return max(";,", key=fitness)


def _split(content: str, separator: str, quoted: bool, strict: bool = True) -> Iterator[list[str]]:
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    return csv.reader(io.StringIO(content, newline=""), delimiter=separator, quoting=quoting, strict=strict)


def _sample(content: str, separator: str) -> list[list[str]]:
    """The first rows under a separator that may be the wrong one."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        for cells in islice(_split(content[:_SAMPLE], separator, quoted=True, strict=False), _SAMPLE_ROWS):
            rows += [cells] if any(cell.strip() for cell in cells) else []
    return rows[:-1] if len(content) > _SAMPLE and 1 < len(rows) < _SAMPLE_ROWS else rows  # the last one may be cut


def _is_quoted_tsv(content: str, above: int, limits: FileLimits) -> bool:
    """Whether double quotes enclose the texts of a TSV, and are no part of them. Raises BadInput where both can be.

    They enclose texts where only this gives rows of one width, where they are doubled within a text, or where they
    enclose every text. above: rows above the content.
    """
    if not _QUOTED_CELL.search(content):
        return False
    try:
        raw = [cells for cells in _split(content, "\t", quoted=False) if any(cells)]
        numbered = list(enumerate(_split(content, "\t", quoted=True), start=above + 1))
    except csv.Error:
        return False
    quoted = [cells for _, cells in numbered if any(cells)]
    if not _is_even(quoted):
        return False
    if not _is_even(raw) or len(raw[0]) != len(quoted[0]):
        return True
    broken = next((row for row, cells in numbered if any("\n" in cell for cell in cells)), None)
    if broken is not None and len(raw) != len(quoted):  # else the rows in excess hold nothing but quotes
        raise _unreadable(broken, limits)
    texts = [cell for cells in raw for cell in cells if cell.strip() and parse_label(cell, "\t") is None]
    enclosed = [cell for cell in texts if cell.startswith('"')]
    return len(enclosed) == len(texts) or any('""' in cell[1:-1] for cell in enclosed)


def _is_even(rows: list[list[str]]) -> bool:
    return len({len(cells) for cells in rows}) == 1


def _unreadable(row: int, limits: FileLimits):
    return limits.refuse(
        f"Row {row:,} cannot be read. Accepted: texts of at most {limits.characters:,} characters; in CSV, a text in "
        "double quotes ends with one, and a double quote within it is written twice.",
        accepted=False,
    )
