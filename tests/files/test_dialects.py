"""Generated files of every writer: each entrance reads what was written, or refuses with the reason. Seeded.

Three hundred of them here; `python -m tests.fuzz` tries two thousand others.
"""

from __future__ import annotations

from collections import Counter

from tests.files.dialects import check, write

COUNT = 300


def test_what_is_read_is_what_was_written():
    took = Counter(each for seed in range(COUNT) for each in check(seed))
    assert took["refused"] < took["read"] / 4, "most files are read"


def test_every_writer_has_its_turn():
    writers = {write(seed).how.split()[0] for seed in range(COUNT)}
    assert writers == {
        "csv.writer",
        "json.dumps",
        "openpyxl",
        *(f"pandas.to_{kind}" for kind in ("csv", "json", "excel", "parquet")),
    }
