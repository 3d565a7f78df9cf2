"""A pasted table without a browser: its rows become the boxes' texts, as a file's rows do."""

from __future__ import annotations

import json

import pytest

gr = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.files.columns import propose_columns  # noqa: E402
from demo.files.pairing import PairingLimits, pair_up  # noqa: E402
from demo.files.table import parse_table  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.settings import Settings  # noqa: E402
from demo.stages.texts import parse_pairing  # noqa: E402
from demo.ui.page_file.pasted import read_pasted  # noqa: E402
from demo.ui.page_file.registry import LIMITS, PAGE_FILES  # noqa: E402


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab(Settings(engine="fake", max_texts=3), FakeEngine())


def paste(lab: Lab, rows, language: str = "en") -> dict:
    return read_pasted(language, lab, "nobody", json.dumps(rows))


ROWS = {
    "two columns": [["What is it?", "A thing."], ["Who wrote it?", "A poet."]],
    "names": [["question", "answer"], ["a?", "b."], ["c?", "d."]],
    "names, the other way round": [["답변", "질문"], ["b.", "a?"], ["d.", "c?"]],
    "questions that repeat": [["a?", "b."], ["a?", "c."], ["d?", "b."]],
    "labels": [["question", "answer", "label"], ["a?", "b.", "1"], ["a?", "c.", "0"], ["d?", "c.", "1"]],
    "labels without names": [["a?", "b.", "1"], ["a?", "c.", "0"], ["d?", "c.", "1"]],
    "a line break": [["a\nand b?", 'say "c"'], ["d?", "e."]],
    "one side alone": [["a?", "b."], ["c?", ""], ["", "d."]],
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_become_what_the_same_file_is(lab, name):
    rows = ROWS[name]
    quoted = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    table = parse_table(quoted.encode(), "set.csv", LIMITS)
    expected = pair_up(table, propose_columns(table, LIMITS)[0], PairingLimits())
    answer = paste(lab, rows)
    found = parse_pairing(**answer["fields"])
    assert found.questions == tuple(" ".join(text.split()) for text in expected.questions)
    assert found.answers == tuple(" ".join(text.split()) for text in expected.answers)
    assert found.matches == expected.matches
    assert f"{len(found.questions)} questions, {len(found.answers)} answers" in answer["said"]
    assert ("Line breaks" in answer["said"]) == (name == "a line break")
    assert ("Matching pairs" in answer["said"]) == bool(answer["fields"]["matches"])
    assert "질문" in paste(lab, rows, "ko")["said"]


def test_what_is_too_large_for_the_boxes_becomes_the_pages_file(lab):
    rows = [["question", "answer"], *([f"q{i}?", f"a{i}."] for i in range(4))]
    many = paste(lab, rows)
    file = PAGE_FILES.get("nobody")
    assert (many["file"], "fields" in many) == (True, False)
    assert "At most 3 are accepted" in many["said"]
    assert "4 rows are now this page's file" in many["said"]
    assert (file.table.name, [list(row) for row in file.table.rows]) == ("Pasted table", rows[1:])
    again = paste(lab, rows)
    assert "file" not in again
    assert "This page has a file already" in again["said"]
    assert PAGE_FILES.get("nobody") is file
    PAGE_FILES.close("nobody")
    assert "붙여넣은 표" in (paste(lab, rows, "ko")["file"] and PAGE_FILES.get("nobody").table.name)
    PAGE_FILES.close("nobody")


def test_what_cannot_be_said_in_the_boxes_is_a_sentence(lab):
    assert "neither 1 nor 0" in paste(lab, [["sentence1", "sentence2", "score"], ["a", "b", "4.5"]])["said"]
    assert "No pair is labelled 1" in paste(lab, [["q", "a", "label"], ["b", "c", "0"]])["said"]
    for nothing in ([], [[]], {}, None, 3, [["a", ""], ["b", ""]], "x", [1]):
        assert "fields" not in paste(lab, nothing)
    assert read_pasted("en", lab, "nobody", None) == {}
    assert "fields" not in read_pasted("en", lab, "nobody", "[" * 100_000)
