"""Excel workbooks: every cell becomes the text that a person sees, the first sheet with data is read, bombs are not."""

from __future__ import annotations

import datetime
import io
import zipfile

import openpyxl
import pandas
import pytest

from demo.domain.errors import BadInput
from demo.files.limits import FileLimits
from demo.files.table import Table, parse_table

LIMITS = FileLimits()


def workbook(*sheets: list[list], titles: tuple[str, ...] = (), change=lambda book: None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for place, rows in enumerate(sheets):
        sheet = book.create_sheet(titles[place] if titles else f"Sheet{place + 1}")
        for row in rows:
            sheet.append(row)
    change(book)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def read(data: bytes, limits: FileLimits = LIMITS) -> Table:
    return parse_table(data, "set.xlsx", limits)


HEAD = ["question", "answer"]


def test_a_cell_is_the_text_that_a_person_sees():
    shown = [
        ("text", "text"),
        (5, "5"),
        (5.0, "5"),
        (0.1 + 0.2, "0.3"),
        (1e20, "1e+20"),
        (True, "TRUE"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (datetime.datetime(2024, 5, 1, 13, 30), "2024-05-01 13:30:00"),
        (datetime.time(9, 5), "09:05:00"),
        ("=1 is no formula", "=1 is no formula"),
        ("two\nlines", "two\nlines"),
        ("'quoted", "'quoted"),
        ("#N/A", "#N/A"),
        ("가나다", "가나다"),
    ]

    def as_text(book):
        for row in book.active.iter_rows(min_row=2, max_col=1):
            if isinstance(row[0].value, str):
                row[0].data_type = "s"  # openpyxl takes what begins with = for a formula

    table = read(workbook([HEAD, *([value, "a"] for value, _ in shown)], change=as_text))
    assert [row[0] for row in table.rows] == [text for _, text in shown]
    assert table.notices == ()


def test_percentages_and_blank_cells():
    def as_percent(book):
        book.active["A2"].number_format = "0.0%"

    table = read(
        workbook([["question", "answer", "note"], [0.125, "b", None], [None] * 3, ["c", "d"]], change=as_percent)
    )
    assert table.rows == (("12.5%", "b", ""), ("c", "d", ""))
    assert table.row_numbers == (2, 4)
    assert table.notices == ("Blank rows that are left out: 1.",)


def test_the_first_visible_sheet_with_data_is_read_and_named():
    def hide(book):
        book["hidden"].sheet_state = "hidden"

    data = workbook(
        [["x", "y"]] * 3, [], [HEAD, ["q", "a"]], [["z"]], titles=("hidden", "empty", "FAQ", "later"), change=hide
    )
    table = read(data)
    assert table.rows == (("q", "a"),)
    assert table.notices == ("Of 4 sheets, “FAQ” was read.",)


def test_texts_are_those_that_pandas_reads():
    rows = [[f"질문 {i}?", f"a, “{i}”;\t\nb"] for i in range(50)]
    frame = pandas.DataFrame(rows, columns=HEAD)
    file = io.BytesIO()
    frame.to_excel(file, index=False)
    by_pandas = pandas.read_excel(io.BytesIO(file.getvalue()), dtype=str)
    assert read(file.getvalue()).rows == tuple(by_pandas.itertuples(index=False, name=None))


def test_a_formula_counts_by_its_saved_result_and_is_refused_without_one():
    data = workbook([HEAD, ["q", '=CONCATENATE("a","b")']])
    with pytest.raises(BadInput, match="The cell B2 holds a formula without its result. Open the file in Excel"):
        read(data)
    parts = {
        name: zipfile.ZipFile(io.BytesIO(data)).read(name) for name in zipfile.ZipFile(io.BytesIO(data)).namelist()
    }
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = (
        parts[sheet]
        .replace(b'<c r="B2">', b'<c r="B2" t="str">')
        .replace(b"<v />", b"<v>ab</v>")
        .replace(b"<v></v>", b"<v>ab</v>")
    )
    assert b"<v>ab</v>" in parts[sheet]
    assert read(packed(parts)).rows == (("q", "ab"),)


def packed(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_a_bomb_is_refused_before_it_is_unpacked():
    small = FileLimits(bytes=2**20)
    data = packed({"xl/workbook.xml": b"", "xl/worksheets/sheet1.xml": b" " * (21 * 2**20)})
    assert len(data) < small.bytes
    with pytest.raises(BadInput, match="unpacks to too much. At most 20 MiB"):
        read(data, small)
    shared = workbook([HEAD, *[["x" * 30_000, "a"]] * 1_000])
    assert len(shared) < small.bytes
    with pytest.raises(BadInput, match="unpacks to too much"):
        read(shared, small)


def test_limits_and_damaged_files():
    with pytest.raises(BadInput, match="more than 3 rows"):
        read(workbook([HEAD, *[["q", "a"]] * 4]), FileLimits(rows=3))
    assert len(read(workbook([HEAD, *[["q", "a"]] * 3]), FileLimits(rows=3)).rows) == 3
    with pytest.raises(BadInput, match="16,384 columns"):
        read(workbook([HEAD, ["q"] * 16_384]))
    with pytest.raises(BadInput, match="damaged"):
        read(packed({"xl/workbook.xml": b"<not xml"}))
    with pytest.raises(BadInput, match="is empty"):
        read(workbook([]))
