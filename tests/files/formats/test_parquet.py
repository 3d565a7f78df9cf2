"""Parquet: what pandas and PyArrow write is read as they read it; lists and objects as in JSON; bombs are not."""

from __future__ import annotations

import io

import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from demo.domain.errors import BadInput
from demo.files.limits import FileLimits
from demo.files.table import Table, parse_table

LIMITS = FileLimits()


def parquet(columns: dict, **options) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file, **options)
    return file.getvalue()


def read(data: bytes, limits: FileLimits = LIMITS) -> Table:
    return parse_table(data, "set.parquet", limits)


def test_what_pandas_writes_is_read_as_pandas_reads_it():
    frame = pandas.DataFrame(
        {
            "query": ["q, “1”\n", "질문"],
            "positive": ["a\t1", "답"],
            "label": [1, 0],
            "when": pandas.to_datetime(["2024-05-01"] * 2),
        },
        index=[7, 9],
    )
    file = io.BytesIO()
    frame.to_parquet(file)
    table = read(file.getvalue())
    assert table.names == ("query", "positive", "label", "when")
    assert [row[:3] for row in table.rows] == [("q, “1”", "a\t1", "1"), ("질문", "답", "0")]
    assert table.rows[0][3].startswith("2024-05-01")


def test_lists_are_texts_and_pictures_are_named():
    table = read(parquet({"query": ["q", "r"], "pos": [["a", "b"], []], "image": [b"png", b""]}))
    assert table.lists == {1: (("a", "b"), ())}
    assert table.unread == {"image": "objects with the keys “bytes”"}


def test_missing_values_are_blank():
    table = read(parquet({"q": ["x", None], "a": ["y", "z"], "score": np.array([0.5, 2.0])}))
    assert table.rows == (("x", "y", "0.5"), ("", "z", "2.0"))


def test_a_bomb_is_refused():
    small = FileLimits(bytes=2**20, rows=3_000_000)
    rows = 2_000_000
    data = parquet({"q": ["the same long text, " * 8] * rows, "a": ["b"] * rows})
    assert len(data) < small.bytes
    with pytest.raises(BadInput, match="unpacks to too much"):
        read(data, small)
    with pytest.raises(BadInput, match="more than 20,000 rows"):
        read(data)
    plain = parquet({"q": ["x" * 3_000_000] * 10, "a": ["b"] * 10}, use_dictionary=False, compression="zstd")
    assert len(plain) < small.bytes
    with pytest.raises(BadInput, match="unpacks to too much"):
        read(plain, small)


@pytest.mark.parametrize("data", [b"PAR1", b"PAR1" + b"\0" * 40 + b"PAR1", parquet({"q": ["x"], "a": ["y"]})[:-20]])
def test_a_damaged_file_is_refused(data):
    with pytest.raises(BadInput, match="The Parquet file is damaged"):
        read(data)
