"""Sheets: any usual file of questions and answers becomes a Pairing, or a sentence on what is wrong with it."""

from __future__ import annotations

import codecs
import gzip
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.domain.errors import BadCharacter, BadInput, DemoError, TextTooLong, TooManyTexts, UnreadableFile
from demo.files.pairing import (
    EACH_ROW,
    UNKNOWN,
    Columns,
    Sheet,
    SheetLimits,
    fit_to_show,
    guess_columns,
    load_sheet,
    pair_up,
    parse_sheet,
)
from demo.files.safe_csv import write_rows

LIMITS = SheetLimits()
SMALL = SheetLimits(texts=2, characters=10, bytes=200, rows=4, columns=3)


def read(content: str | bytes, name: str = "set.csv", limits: SheetLimits = LIMITS) -> Sheet:
    return parse_sheet(content if isinstance(content, bytes) else content.encode(), name, limits)


def pairs(content: str | bytes, name: str = "set.csv", columns: Columns | None = None, limits: SheetLimits = LIMITS):
    sheet = read(content, name, limits)
    found = pair_up(sheet, columns or guess_columns(sheet), limits)
    return found.questions, found.answers, sorted(found.matches)


def refused(content: str | bytes, match: str, name: str = "set.csv", limits: SheetLimits = LIMITS, columns=None):
    with pytest.raises(DemoError, match=match) as caught:
        pairs(content, name, columns, limits)
    assert "ccepted" in str(caught.value)
    str(caught.value).encode("utf-8")  # the message itself can be printed
    return caught.value


PAIRS = (("q1", "q2"), ("a1", "a2"), [(0, 0), (1, 1)])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.csv", "question,answer\nq1,a1\nq2,a2\n"),
        ("set.csv", "q1;a1\nq2;a2"),
        ("set.tsv", "Query\tPassage\r\nq1\ta1\r\nq2\ta2\r\n"),
        ("set.txt", "\n\nq1\ta1\nq2\ta2\n\n"),
        ("SET.CSV", '\ufeff질문,답변\n"q1","a1"\nq2,a2'),
        ("set.json", '[{"question": "q1", "answer": "a1"}, {"answer": "a2", "question": "q2"}]'),
        ("set.json", '{"questions": ["q1", "q2"], "answers": ["a1", "a2"]}'),
        ("set.jsonl", '{"q": "q1", "a": "a1"}\n\n{"q": "q2", "a": "a2"}\n'),
        ("set.json", '{"q": "q1", "a": "a1"}\n{"q": "q2", "a": "a2"}'),
    ],
)
def test_the_same_pairs_in_every_form(name, content):
    assert pairs(content, name) == PAIRS


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
    assert guess_columns(read("id,label,answer,question\n1,1,a,b")) == Columns(3, 2, 1)
    assert guess_columns(read("nr,frage,antwort,thema\n1,wo,hier,ort\n2,was,das,ding")) == Columns(1, 2)
    assert guess_columns(read("1,wo,5\n2,was,6\n")) == Columns(1, 0)
    assert guess_columns(read("question,label\na,1")) == Columns(0, 1)
    assert guess_columns(read("question,question\na,b")) == Columns(0, 1)
    assert guess_columns(read("question,answer,response\na,b,c")) == Columns(0, 1)


def test_the_first_row_may_be_taken_for_names_or_not():
    assert read("question,answer\nq1,a1").named
    assert not read("q1,a1\nq2,a2").named
    assert read("frage,antwort,thema\nq1,a1,x").named, "three columns whose third one is no label"
    assert not read("question,answer").named, "a single row is all there is"
    sheet = read("q1,a1\nq2,a2")
    assert (sheet.names, sheet.may_be_unnamed) == (("1", "2"), True)
    assert not read('[{"q": "x", "a": "y"}]', "set.json").may_be_unnamed


def test_columns_of_json_that_are_no_texts_are_left_out():
    sheet = read(
        '[{"q": "x", "tags": ["b"], "a": 4.5, "n": null}, {"q": "y", "meta": {"c": 1}, "a": true}]', "set.json"
    )
    assert (sheet.names, sheet.left_out) == (("q", "a", "n"), ("tags", "meta"))
    assert sheet.rows == (("x", "4.5", ""), ("y", "true", ""))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize(("name", "separator"), [("set.csv", ","), ("set.txt", "\t"), ("set.csv", ";")])
def test_what_excel_writes_is_read_and_its_encoding_is_told(encoding, name, separator):
    rows = (("질문", "답변"), ("수도는 어디?", "서울이에요"), ("What is GPU?", "똠방각하"))
    content = "\r\n".join(separator.join(row) for row in rows).encode(encoding)
    assert pairs(content, name)[:2] == (("수도는 어디?", "What is GPU?"), ("서울이에요", "똠방각하"))
    assert read(content, name).encoding == {"utf-8-sig": "", "utf-16": "UTF-16", "cp949": "CP949"}[encoding]


def test_what_was_made_harmless_for_a_spreadsheet_is_the_text_again():
    assert pairs("question,answer\n'=1+1,'-2\n'+3,'plain'\n")[:2] == (("=1+1", "+3"), ("-2", "'plain'"))
    file = io.StringIO()
    texts = ("=1+1", "'=x", "@home", "-0.12", "“quoted”, and\nmore")
    write_rows(file, [("question", "answer"), *((text, text) for text in texts)])
    assert pairs(file.getvalue())[0] == texts


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("set.csv", "", "is empty"),
        ("set.csv", chr(34) * 2, "is empty"),
        ("set.csv", " \n\n", "is empty"),
        ("set.json", '{"questions": [], "answers": []}', "single column|nothing below"),
        ("set.csv", "only\none column", "a single column"),
        ("set.json", '[{"q": "x"}]', "a single column"),
        ("set.csv", b"q,a\ncaf\xe9,x", "not UTF-8: byte 8"),
        ("set.csv", b"q,a\nx,y\xb0", "not UTF-8: byte 8"),
        ("set.csv", "北京,巴黎\n首都,城市\n".encode("gbk"), "not UTF-8: byte 1"),
        ("set.csv", codecs.BOM_UTF16_LE + b"\x00\xd8", "not UTF-16: byte 3"),
        ("set.csv", b"PK\x03\x04" + b"\0" * 50, "a spreadsheet or an archive"),
        ("set.csv", gzip.compress(b"q,a", mtime=0), "a spreadsheet or an archive"),
        ("set.csv", b"\xd0\xcf\x11\xe0rest", "a spreadsheet or an archive"),
        ("set.csv", "q,a\nx,y".encode("utf-16-le"), "a NUL character"),
        ("set.csv", "x" * 200_000 + ",y", "Row 1 cannot be read"),
        ("set.csv", "x," * 200_000, "200,001 columns"),
        ("set.json", '[{"q": "x", "a": "' + "y" * 200_000 + '"}]', "200,000 characters"),
        ("set.json", '{"q": [' + "0," * 500_000 + '0], "a": []}', "more than 20,000 rows"),
        ("set.json", "{" + ",".join(f'"{i}": []' for i in range(100_000)) + ', "a": [1, 2]}', "100,001 columns"),
        ("set.jsonl", "\n" * 100_000 + "{}", "more than 20,000 rows"),
        ("set.json", '[{"q": ' + "[" * 50_000 + "]" * 50_000 + ', "a": "y"}]', "nested too deeply"),
        ("set.json", '{"a": ' * 20_000 + "1" + "}" * 20_000, "nested too deeply|neither a list"),
        ("set.xlsx", b"PK\x03\x04rest", "a spreadsheet or an archive"),
        ("set.csv", "q,a\nx,y\0z", "a NUL character"),
        ("set.csv", 'q,a\nx,"y', "Row 2 cannot be read"),
        ("set.csv", "q,a\n\nx,y,z", "Row 3 has 3 columns"),
        ("set.json", "[" * 200_000, "nested too deeply"),
        ("set.jsonl", '{"q":' * 200_000, "nested too deeply"),
        ("set.json", "[1" + "0" * 5000 + "]", "a number that is too long"),
        ("set.json", '[{"q": "x",\n"a": }]', "line 2, column 6"),
        ("set.jsonl", '{"q": "x", "a": "y"}\n{"q": ', "line 2"),
        ("set.jsonl", '{"q": "x", "a": "y"}\n["q"]', "Line 2 is not a JSON object"),
        ("set.json", '["x", "y"]', "neither a list of objects"),
        ("set.json", '"x"', "neither a list of objects"),
        ("set.csv", "q,a,label\nx,y,4.5", "“4.5” in row 2"),
        ("set.csv", "q,a,label\nx,y,", "“” in row 2"),
        ("set.csv", "q,a,label\nx,y,1\nx,y,0", "Row 3 holds the pair of row 2"),
        ("set.csv", "q,a\n,\n", "nothing below"),
    ],
)
def test_what_is_wrong_and_what_is_accepted(name, content, match):
    refused(content, match, name)


def test_a_bad_character_is_named_with_its_row():
    assert refused("\nq,a\n\nx\u0007,y", "Line 4").values["character"] == "U+0007"
    with pytest.raises(BadCharacter):
        pairs('[{"q": "\\ud800", "a": "x\\u0000"}]', "set.json")


def test_every_limit():
    refused("x" * 201, "larger than", limits=SMALL)
    refused("q,a,b,c\n1,2,3,4", "4 columns. At most 3", limits=SMALL)
    refused("q,a\n" + "x,y\n" * 5, "more than 4 rows", limits=SMALL)
    refused('{"q": 1, "a": 2}\n' * 5, "more than 4 rows", "set.jsonl", SMALL)
    error = refused("q,a\nx,1\ny,1\nz,1\n", "3 questions", limits=SMALL)
    assert isinstance(error, TooManyTexts)
    assert error.field == "file"
    with pytest.raises(TextTooLong, match="Line 2 of the answers has 11"):
        pairs("q,a\nx,12345678901", limits=SMALL)
    assert len(pairs("q,a\nx,1\ny,1\nx,2\ny,2\n", limits=SMALL)[0]) == 2, "different texts count, not rows"


@pytest.mark.parametrize("columns", [Columns(0, 0), Columns(-1, 1), Columns(0, 9)])
def test_columns_that_cannot_be(columns):
    refused("q,a\nx,y", "column", columns=columns)


def test_files_are_read_up_to_the_limit_and_their_place_is_not_told(tmp_path):
    file = tmp_path / "my set.jsonl"
    file.write_text('{"question": "q", "answer": "a"}')
    assert load_sheet(file, LIMITS).name == "my set.jsonl"
    with pytest.raises(UnreadableFile) as caught:
        load_sheet(tmp_path / "nothing.csv", LIMITS)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(BadInput, match="larger than"):
        load_sheet("/dev/zero", SMALL)


def test_what_nobody_has_checked_is_made_fit_to_be_shown():
    assert fit_to_show("a\ud800\0b\tc", 10) == "a\ufffd\ufffdb c"
    assert fit_to_show("x" * 20, 5) == "xxxx…"
    names = read('[{"\\ud800": "x", "' + "n" * 99 + '": "y"}]', "set.json").names
    "".join(names).encode("utf-8")
    assert max(map(len, names)) == 60


TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Z")), min_size=1, max_size=8)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8))
def test_what_was_written_is_what_is_read(rows):
    """Whatever the texts and the form, the pairs come back."""
    expected = {(question.strip(), answer.strip()) for question, answer in rows}
    table = io.StringIO()
    write_rows(table, [("question", "answer"), *rows])
    records = [{"question": question, "answer": answer} for question, answer in rows]
    lists = {"questions": [row[0] for row in rows], "answers": [row[1] for row in rows]}
    lines = "\n".join(json.dumps(record) for record in records)
    for name, content in (
        ("s.csv", table.getvalue()),
        ("s.json", json.dumps(records, ensure_ascii=False)),
        ("s.json", json.dumps(lists)),
        ("s.jsonl", lines),
    ):
        questions, answers, matches = pairs(content, name)
        assert {(questions[question], answers[answer]) for question, answer in matches} == expected
        assert len(set(questions)) == len(questions)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["s.csv", "s.tsv", "s.txt", "s.json", "s.jsonl", "s", ""]))
def test_any_bytes_are_a_pairing_or_a_sentence(content, name):
    try:
        sheet = parse_sheet(content, name, LIMITS)
        pair_up(sheet, guess_columns(sheet), LIMITS)
    except DemoError as error:
        str(error).encode("utf-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["q", "a", "label", ""]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON, st.sampled_from(["s.json", "s.jsonl"]))
def test_any_json_is_a_pairing_or_a_sentence(value, name):
    try:
        sheet = parse_sheet(json.dumps(value).encode(), name, LIMITS)
        pair_up(sheet, guess_columns(sheet), LIMITS)
    except DemoError as error:
        str(error).encode("utf-8")
