"""Columns: what a person says, known names, ones and zeros of any name; everything else is refused and says how."""

from __future__ import annotations

import re

import pytest

from demo.domain.errors import BadInput
from demo.files.columns import ColumnChoice, Columns, choose_columns
from demo.files.examples import Capacity, read_examples, take_portion
from demo.files.limits import FileLimits
from demo.files.roles import look_like_names
from demo.files.table import Table, parse_table
from demo.wording.translate import translate_phrase

LIMITS = FileLimits()


def read(content: str, name: str = "set.csv") -> Table:
    return parse_table(content.encode(), name, LIMITS)


def choose(content: str, name: str = "set.csv", **choice) -> Columns:
    return choose_columns(read(content, name), LIMITS, ColumnChoice(**choice))[1]


UNKNOWN = "frage,antwort\nWas ist eine GPU?,Ein Prozessor.\nWer schrieb Hamlet?,Shakespeare.\n"


def test_unknown_names_are_no_pair_and_are_refused_with_what_helps():
    for content in (UNKNOWN, UNKNOWN.replace(",", "\t"), UNKNOWN.replace("frage,antwort", "Die Frage,Die Antwort")):
        with pytest.raises(BadInput, match="No name of a column is known: .* Name the columns question and answer"):
            choose(content)
    assert choose(UNKNOWN, question="frage", answer="Antwort") == Columns(0, 1)
    assert choose(UNKNOWN, question="2", answer="1") == Columns(1, 0)
    table, _ = choose_columns(read(UNKNOWN), LIMITS, ColumnChoice(header=False))
    assert table.rows[0] == ("frage", "antwort")


@pytest.mark.parametrize("names", ["prompt,completion", "instruction,output", "질문 내용,답변 내용", "Anchor,Positive"])
def test_names_of_well_known_data_sets_are_known(names):
    assert choose(f"{names}\nx?,y.\nz?,w.\n") == Columns(0, 1)


def test_texts_are_no_names():
    rows = [("Is it so?", "Yes."), ("Why not?", "No.")]
    assert look_like_names(("frage", "antwort"), rows)
    assert not look_like_names(("Is it?", "Yes"), rows), "a mark of a sentence"
    assert not look_like_names(("cat", "Katze"), [("dog", "Hund"), ("Is it so?", "Yes.")]), "rows like it follow"
    assert not look_like_names(("one two three", "four"), rows)
    assert choose("cat,Katze\ndog,Hund\n") == Columns(0, 1)


@pytest.mark.parametrize(
    "cells", [("1", "0"), ("true", "false"), ("TRUE", "FALSE"), ("yes", "no"), ("참", "거짓"), ("1.0", "0.0")]
)
def test_a_column_of_ones_and_zeros_of_any_name_is_the_label(cells):
    content = f"id,question1,question2,similar\n0,a?,b.,{cells[0]}\n1,c?,d.,{cells[1]}\n"
    table, columns = choose_columns(read(content), LIMITS)
    assert columns == Columns(1, 2, 3)
    assert table.notices == ("Questions: “question1”. Answers: “question2”. Labels: “similar”.",)
    assert choose(content, label="none") == Columns(1, 2)
    assert choose(content.replace("similar", "label")) == Columns(1, 2, 3)


def test_two_columns_that_may_be_the_label_are_refused_and_can_be_told_apart():
    content = "q,a,good,new\nx,y,1,0\nz,w,0,1\n"
    with pytest.raises(BadInput, match="Several columns may be the label: “good”, “new”"):
        choose(content)
    assert choose(content, label="good").label == 2
    assert choose(content.replace("good,new", "index,")) == Columns(0, 1), "an index is no label"


def test_hard_negatives_may_stand_in_several_columns():
    assert choose("anchor,positive,negative_1,negative_2\nx,y,v,w\n").negatives == (2, 3)


def test_a_column_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(BadInput, match="There is no column “text”. Accepted: “frage”, “antwort”, or a place from 1"):
        choose(UNKNOWN, question="text", answer="antwort", header=True)
    with pytest.raises(BadInput, match="the same column"):
        choose(UNKNOWN, question="frage", answer="1")


def test_what_is_not_used_is_named():
    table, _ = choose_columns(read("instruction,input,output\nx,y,z\n"), LIMITS)
    assert table.notices == ("Questions: “instruction”. Answers: “output”. Not used: input.",)


def test_whole_questions_are_taken_the_first_or_drawn_ones():
    rows = [f"q{i % 10},a{i},{int(i < 10)}" for i in range(40)]
    table, columns = choose_columns(read("q,a,label\n" + "\n".join(rows)), LIMITS)
    first = take_portion(table, columns, Capacity(questions=3), drawn=False)
    assert {one.question for one in read_examples(first, columns)} == {"q0", "q1", "q2"}
    assert len(first.rows) == 12, "with all their rows"
    assert first.row_numbers == tuple(i + 2 for i in range(40) if i % 10 < 3), "in the file's order and numbers"
    assert (first.partial, first.notices[-1]) == (True, "Of 10 questions 3 are taken, the first ones.")
    drawn = take_portion(table, columns, Capacity(questions=3), drawn=True)
    assert drawn == take_portion(table, columns, Capacity(questions=3), drawn=True), "seeded"
    assert len({one.question for one in read_examples(drawn, columns)}) == 3
    assert take_portion(table, columns, Capacity(questions=10, answers=40, texts=50, rows=40, cells=400), True) is table
    for capacity, taken in (
        (Capacity(answers=9), 2),
        (Capacity(texts=9), 1),
        (Capacity(rows=9), 2),
        (Capacity(cells=15), 1),
    ):
        assert len(take_portion(table, columns, capacity, drawn=False).rows) == 4 * taken


NOTICED = [
    ("sep=;\nq;a\n\nx;y\n", "set.csv"),
    ("q,a,new\nx\x0cx,y,2\n", "set.csv"),
    ("one,two\nthree,four\n", "set.csv"),
    ('[{"q": "x", "pos": ["y"], "neg": ["z"], "meta": {"b": 1}, "n": [[1]]}]', "set.json"),
]


@pytest.mark.parametrize(("content", "name"), NOTICED)
def test_every_notice_is_said_in_korean(content, name):
    table, _ = choose_columns(read(content, name), LIMITS)
    assert table.notices
    for notice in table.notices:
        korean = translate_phrase("ko", notice)
        assert re.search("[가-힣]", korean)
        assert not re.search(r"\b(the|its?|is|holds|are|read)\b", korean, re.IGNORECASE), korean


@pytest.mark.parametrize("letter", ["\x0b", "\x0c", "\x1c", "\x85", "\x7f"])
def test_one_control_character_in_a_cell_is_white_space(letter):
    table = read(f"q,a\none{letter}two,y\nz,w\n")
    assert table.rows[0][0] == ("onetwo" if letter == "\x7f" else "one two")
    assert table.notices == ("Form feeds and other control characters that are white space became spaces: cells 1.",)
