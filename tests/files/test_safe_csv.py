"""Cells: no text of a table is ever a formula, numbers stay numbers, and what was written can be read back."""

from __future__ import annotations

import ast
import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.files.safe_csv import make_harmless, restore, write_rows
from tests import ROOT

DEMO = ROOT / "demo"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")', "\tx", "\rx", "\n=x", "＝1", "＋1", "－1", "＠x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_compute_gets_an_apostrophe(text):
    assert make_harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a", "a=b", "'quoted'", " =1", "1-2", "’=", "한국어", '"=1"'])
def test_everything_else_stays_as_it_is(text):
    assert make_harmless(text) == restore(text) == text


@settings(deadline=None)
@given(st.text(st.sampled_from("'=+-@\t\r\n＝a1 "), max_size=6))
def test_what_was_written_is_what_is_read(text):
    assert restore(make_harmless(text)) == text
    assert not make_harmless(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))


@settings(deadline=None)
@given(st.lists(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=5), min_size=2, max_size=2)))
def test_rows_come_back_through_csv(rows):
    file = io.StringIO(newline="")
    write_rows(file, rows)
    file.seek(0)
    assert [[restore(cell) for cell in row] for row in csv.reader(file)] == rows


def test_numbers_stay_numbers_and_another_separator_begins_no_cell():
    file = io.StringIO()
    write_rows(file, [["a;=1+1", -0.12, 3, None, "-0.12"]])
    assert file.getvalue() == '"a;=1+1",-0.12,3,"","\'-0.12"\n'


def test_nobody_writes_tables_in_another_way():
    for file in DEMO.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and file.name != "safe_csv.py":
                assert ast.unparse(node.func) not in ("csv.writer", "csv.DictWriter"), file
