"""Excel workbooks: the first sheet that shows data becomes rows of the texts that a person sees in its cells.

Read by openpyxl. Formulas count by the results that were saved with them.
"""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from typing import Any

from demo.domain.errors import BadInput
from demo.files.formats import Rows
from demo.files.limits import FileLimits

_BOOK = "xl/workbook.xml"
_FORMULA = re.compile(rb"<(\w+:)?f[ />]")
_PERCENT = re.compile(r"0(?:\.(0+))?%")


def is_workbook(data: bytes) -> bool:
    """Whether a ZIP archive holds an .xlsx or .xlsm workbook."""
    try:
        return _BOOK in zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        return False


def read_workbook(data: bytes, limits: FileLimits) -> tuple[Rows, tuple[str, ...]]:
    """(rows with their numbers as Excel counts them, blank ones too; notices). Raises BadInput."""
    from openpyxl import load_workbook  # takes a while to import: only where somebody brings a workbook

    try:
        members = zipfile.ZipFile(io.BytesIO(data)).infolist()
        limits.check_unpacked(sum(member.file_size for member in members))  # no member yields more than it states
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            rows = _read_sheet(sheet, limits) if sheet.sheet_state == "visible" else []
            if rows:
                if _holds_formulas(data):
                    formulas = load_workbook(io.BytesIO(data), read_only=True, keep_links=False)[sheet.title]
                    _refuse_unsaved(formulas, dict(rows), limits)
                several = f"Of {len(book.sheetnames):,} sheets, “{sheet.title[:60]}” was read."
                return rows, (several,) * (len(book.sheetnames) > 1)
    except BadInput:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged part leads to
        raise limits.refuse("The Excel workbook is damaged and cannot be read.") from error
    raise limits.refuse("The file is empty.")


def _read_sheet(sheet: Any, limits: FileLimits) -> Rows:
    """The rows down to the last one that holds anything."""
    rows: Rows = []
    characters = last = filled = 0
    sheet.reset_dimensions()  # what a sheet states of its size need not be true
    for number, row in enumerate(sheet.iter_rows(), start=1):
        cells = [_shown(cell) for cell in row]
        while cells and not cells[-1].strip():
            cells.pop()
        rows.append((number, cells))
        if cells:
            last, filled = number, filled + 1
            characters += sum(map(len, cells))
            limits.check_unpacked(characters, texts=True)  # a text that many cells share is stored once
            limits.check_rows(filled - 1)
            if len(cells) > limits.columns:
                limits.check_width(len(cells))
    return rows[:last]


def _shown(cell: Any) -> str:
    """The text of a cell: dates as ISO 8601 has them, numbers as the format General or a percentage shows them."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime):
        dated = re.sub(r"\[[^\]]*\]|\"[^\"]*\"", "", cell.number_format or "")
        timed = value.time() != datetime.time.min or re.search("[hHsS]", dated)
        return value.isoformat(" ", "seconds") if timed else value.date().isoformat()
    if isinstance(value, float | int):
        percent = _PERCENT.fullmatch(cell.number_format or "")
        if percent:
            return f"{value:.{len(percent[1] or '')}%}"
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.15g}"
    return str(value)


def _holds_formulas(data: bytes) -> bool:
    archive = zipfile.ZipFile(io.BytesIO(data))
    sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
    return any(_FORMULA.search(archive.read(name)) for name in sheets)


def _refuse_unsaved(sheet: Any, rows: dict[int, list[str]], limits: FileLimits) -> None:
    """Raises BadInput for a formula without a result: programs that compute nothing write such cells."""
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(), start=1):
        for place, cell in enumerate(row):
            shown = rows.get(number, [])
            if getattr(cell, "data_type", "") == "f" and not (place < len(shown) and shown[place]):
                raise limits.refuse(
                    f"The cell {cell.coordinate} holds a formula without its result. Open the file in Excel and save "
                    "it, or paste the values.",
                    accepted=False,
                )
