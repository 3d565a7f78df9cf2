"""File formats: bytes of one format become rows of cells or records, or are refused with a sentence."""

from typing import Any

Rows = list[tuple[int, list[str]]]  # number of the row as a spreadsheet counts it, and its cells
Records = list[tuple[int, dict[str, Any]]]  # number of the object, or of its line, from 1
