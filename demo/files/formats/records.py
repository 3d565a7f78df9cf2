"""JSON and JSONL: a list of objects, an object of lists, or an object a line become records with their row numbers."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any

from demo.domain.errors import BadInput
from demo.files.formats import Records
from demo.files.formats.nested import unwrap
from demo.files.limits import FileLimits


def is_json(content: str) -> bool:
    """Whether a file is JSON, whatever its ending: it begins as an object or a list, and so does no table of texts."""
    start = content.lstrip()[:1]
    if start not in ("{", "["):
        return False
    line = next(line for line in content.split("\n") if line.strip())
    try:
        return isinstance(json.loads(line), dict | list)
    except (ValueError, RecursionError):
        return line.strip() in ("{", "[") or '":' in line


def parse_records(content: str, by_line: bool, limits: FileLimits) -> Records:
    """The objects of a file. by_line: of JSONL; other files may hold an object a line too. Raises BadInput."""
    lines = content.split("\n")
    if not by_line:
        try:
            return _objects(json.loads(content), limits)
        except (ValueError, RecursionError) as error:
            if not (isinstance(error, json.JSONDecodeError) and error.msg == "Extra data" and len(lines) > 1):
                raise _not_json(error, 1, limits) from error
    records: Records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _not_json(error, number, limits) from error
        if not isinstance(record, dict):
            raise limits.refuse(f"Line {number:,} is not a JSON object.")
        records.append((number, record))
        limits.check_rows(len(records))
    return records


def _objects(value: Any, limits: FileLimits) -> Records:
    value = unwrap(value)
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        # Before the table is made: a long list beside many names would be a table of all the memory there is.
        limits.check_width(len(value))
        limits.check_rows(max(map(len, value.values())))
        value = [dict(zip(value, row, strict=True)) for row in zip_longest(*value.values())]
    if isinstance(value, list) and all(isinstance(record, dict) for record in value):
        limits.check_rows(len(value))
        return list(enumerate(value, start=1))
    raise limits.refuse("The JSON is neither a list of objects nor an object of lists.")


def _not_json(error: Exception, line: int, limits: FileLimits) -> BadInput:
    if isinstance(error, RecursionError):
        return limits.refuse("The JSON is nested too deeply.")
    if isinstance(error, json.JSONDecodeError):
        return limits.refuse(f"The file is not JSON: line {line + error.lineno - 1:,}, column {error.colno:,}.")
    return limits.refuse("The JSON holds a number that is too long.")
