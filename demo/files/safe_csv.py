"""Safe CSV: tables for spreadsheets, in which no text is a formula, and which can be read back.

A spreadsheet computes a cell that begins with = + - @ or a tab, a carriage return or a line feed, and in East Asian
settings their full-width forms too; an apostrophe before it makes it text (OWASP, “CSV Injection”).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from typing import Any, TextIO

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")  # apostrophes count too, so that `restore` is exact


def write_rows(file: TextIO, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows as CSV. Numbers stay numbers, None is an empty cell; every text is harmless and quoted.

    Quotes, because another separator (a spreadsheet's own settings) would cut a text and begin a cell in its middle.
    """
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for row in rows:
        writer.writerow([make_harmless(cell) if isinstance(cell, str) else cell for cell in row])


def make_harmless(text: str) -> str:
    """The text with an apostrophe before it, if a spreadsheet would compute it."""
    return f"'{text}" if _FORMULA.match(text) else text


def restore(cell: str) -> str:
    """The inverse of `make_harmless`: takes its apostrophe away."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
