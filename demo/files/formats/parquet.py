"""Parquet: the rows of a file become records, read by PyArrow."""

from __future__ import annotations

import datetime
import io
from decimal import Decimal
from typing import Any

from demo.domain.errors import BadInput
from demo.files.formats import Records
from demo.files.limits import FileLimits

_AT_ONCE = 1_000  # rows
_INDEX = "__index_level_"  # how pandas names the index that it writes beside the columns


def read_parquet(data: bytes, limits: FileLimits) -> Records:
    """The records, numbered from 1. Raises BadInput.

    Sizes are checked against what the file states before anything is unpacked, and while it is read.
    """
    try:
        import pyarrow.parquet as parquet  # takes a while to import: only where somebody brings such a file
    except ImportError as error:
        problem = "Parquet is read by the package pyarrow, which is not installed here. Run: pip install pyarrow."
        raise limits.refuse(problem, accepted=False) from error
    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        stated = file.metadata
        limits.check_width(len(file.schema_arrow.names))
        limits.check_rows(stated.num_rows)
        limits.check_unpacked(sum(stated.row_group(i).total_byte_size for i in range(stated.num_row_groups)))
        names = [name for name in file.schema_arrow.names if not name.startswith(_INDEX)]
        records: Records = []
        unpacked = 0
        for batch in file.iter_batches(_AT_ONCE, columns=names):
            unpacked += batch.nbytes
            limits.check_unpacked(unpacked, texts=True)  # a text that many rows share is stored once
            for record in batch.to_pylist():
                records.append((len(records) + 1, {name: as_json(value) for name, value in record.items()}))
        return records
    except BadInput:
        raise
    except Exception as error:  # PyArrow raises whatever a damaged part leads to
        raise limits.refuse("The Parquet file is damaged and cannot be read.") from error


def as_json(value: Any) -> Any:
    """A value as JSON has it; dates as ISO 8601 has them. Bytes and pictures become an object without a text."""
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Decimal | datetime.timedelta):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | bool) else {type(value).__name__: 1}
