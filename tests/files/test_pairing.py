"""Pairing: the chosen columns of a table become a Pairing, or a sentence on what is wrong with them."""

from __future__ import annotations

import pytest

from demo.domain.errors import DemoError, TooManyTexts
from demo.files.columns import EACH_ROW, UNKNOWN, Columns, guess_columns
from demo.files.pairing import PairingLimits, load_pairing_table, pair_up
from demo.files.table import parse_table

LIMITS = PairingLimits()


def guess(content: str) -> Columns:
    return guess_columns(parse_table(content.encode(), "set.csv", LIMITS))


def pairs(content: str, name: str = "set.csv", columns: Columns | None = None, limits: PairingLimits = LIMITS):
    table = parse_table(content.encode(), name, limits)
    found = pair_up(table, columns or guess_columns(table), limits)
    return found.questions, found.answers, sorted(found.matches)


def test_a_text_that_stands_twice_is_one_and_keeps_all_its_pairs():
    assert pairs("q,a\nx,1st\ny,1st\nx,2nd\n") == (("x", "y"), ("1st", "2nd"), [(0, 0), (0, 1), (1, 0)])


def test_two_lists_need_not_be_equally_long():
    questions, answers, matches = pairs('{"questions": ["q1", "q2", "q3"], "answers": ["a1"]}', "set.json")
    assert (len(questions), answers, matches) == (3, ("a1",), [(0, 0)])
    assert pairs("q,a\nq1,a1\n,a2\n")[1] == ("a1", "a2")


def test_a_label_column_says_what_belongs_together():
    content = "question,answer,label\nx,right,1\nx,wrong,0\ny,also,true\n"
    assert pairs(content)[2] == [(0, 0), (1, 2)]
    assert pairs(content, columns=Columns(0, 1, EACH_ROW))[2] == [(0, 0), (0, 1), (1, 2)]
    assert pairs(content, columns=Columns(0, 1, UNKNOWN))[2] == []
    assert pairs("q1\ta1\t0\nq1\ta2\t1\n")[2] == [(0, 1)], "a third column of ones and zeros needs no name"
    records = '[{"q": "x", "a": "y", "label": true}, {"q": "x", "a": "z", "label": 0}]'
    assert pairs(records, "set.json")[2] == [(0, 0)]


def test_columns_are_guessed_by_name_else_by_what_they_hold():
    assert guess("id,label,answer,question\n1,1,a,b") == Columns(3, 2, 1)
    assert guess("nr,frage,antwort,thema\n1,wo,hier,ort\n2,was,das,ding") == Columns(1, 2)
    assert guess("1,wo,5\n2,was,6\n") == Columns(1, 0)
    assert guess("1,wo,1\n2,was,0\n") == Columns(0, 1, 2)
    assert guess("1,wo\n2,was\n") == Columns(0, 1)
    assert guess("question,label\na,1") == Columns(0, 1)
    assert guess("question,question\na,b") == Columns(0, 1)
    assert guess("question,answer,response\na,b,c") == Columns(0, 1)
    assert guess("negative,질문,답\na,b,c") == Columns(1, 2, negatives=(0,))


@pytest.mark.parametrize(
    ("content", "columns", "match"),
    [
        ("q,a,label\nx,y,4.5", None, "“4.5” in row 2"),
        ("q,a,label\nx,y,", None, "“” in row 2"),
        ("q,a,label\nx,y,1\nx,y,0", None, "Row 3 holds the pair of row 2"),
        ("q,a\nx,y", Columns(0, 0), "the same column"),
        ("q,a\nx,y", Columns(-1, 1), "no such column"),
        ("q,a\nx,y", Columns(0, 9), "no such column"),
    ],
)
def test_columns_that_cannot_be_paired_are_refused(content, columns, match):
    with pytest.raises(DemoError, match=match) as caught:
        pairs(content, columns=columns)
    assert "ccepted" in str(caught.value)
    assert caught.value.field == "file"


def test_a_list_of_questions_is_refused_and_one_of_answers_is_not():
    records = '[{"a": ["x", "y"], "b": ["z"], "c": "w"}]'
    assert pairs(records, "set.json", Columns(2, 0)) == (("w",), ("x", "y"), [(0, 0), (0, 1)])
    with pytest.raises(DemoError, match="The column “a” holds several texts in a row"):
        pairs(records, "set.json", Columns(0, 1))


def test_different_texts_count_and_not_rows():
    limits = PairingLimits(texts=2)
    assert len(pairs("q,a\nx,1\ny,1\nx,2\ny,2\n", limits=limits)[0]) == 2
    with pytest.raises(TooManyTexts, match="3 questions") as caught:
        pairs("q,a\nx,1\ny,1\nz,1\n", limits=limits)
    assert caught.value.field == "file"


def test_a_table_keeps_the_name_of_its_file(tmp_path):
    file = tmp_path / "my set.jsonl"
    file.write_text('{"question": "q", "answer": "a"}')
    assert load_pairing_table(file, LIMITS).name == "my set.jsonl"
    file.write_text('{"question": "", "answer": null}')
    with pytest.raises(DemoError, match="nothing below"):
        load_pairing_table(file, LIMITS)
