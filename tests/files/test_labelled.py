"""Tables: files of pairs become a LabelledSet, or an error that names the row and what is accepted."""

from __future__ import annotations

import csv
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.domain.errors import BadCharacter, BadInput, DemoError, TextTooLong, TooManyCells, UnreadableFile
from demo.domain.results import LabelledSet
from demo.files.labelled import TableLimits, load_labelled, parse_labelled

LIMITS = TableLimits()
SMALL = TableLimits(pairs=4, characters=10, bytes=200, cells=9)


def parse(content: str, limits: TableLimits = LIMITS) -> LabelledSet:
    return parse_labelled(content, "set", limits)


def refused(content: str, match: str, limits: TableLimits = LIMITS) -> BadInput:
    with pytest.raises(BadInput, match=match) as caught:
        parse(content, limits)
    assert caught.value.field == "upload"
    assert "ccepted" in str(caught.value)
    str(caught.value).encode("utf-8")  # the message itself can be printed
    return caught.value


def test_without_labels_every_answer_is_a_candidate_of_every_question():
    labelled = parse("question,answer\nq1,a1\nq2,a2\nq1,a3\n")
    assert labelled == LabelledSet(
        name="set",
        questions=("q1", "q2"),
        answers=("a1", "a2", "a3"),
        pairs=((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)),
        labels=(1, 0, 1, 0, 1, 0),
    )


def test_labels_that_are_all_one_say_no_more_than_no_labels():
    assert parse("q,a,label\nq1,a1,1\nq2,a2,1.0\n") == parse("q,a\nq1,a1\nq2,a2\n")


def test_zeros_and_ones_are_the_candidates_as_listed():
    labelled = parse("question\tsentence\tlabel\nq1\ta1\t0\nq1\ta2\t1\nq2\ta1\t0\n")
    assert labelled.pairs == ((0, 0), (0, 1), (1, 0))
    assert labelled.labels == (0, 1, 0)
    assert not labelled.graded


def test_other_numbers_are_grades_in_the_order_of_the_sts_benchmark():
    labelled = parse('score\tsentence1\tsentence2\n5.000\tA "man".\tA man.\n0.25\tA "man".\t"A dog\n')
    assert labelled.graded
    assert (labelled.questions, labelled.answers) == (('A "man".',), ("A man.", '"A dog')), "TSV knows no quoting"
    assert (labelled.pairs, labelled.labels) == (((0, 0), (0, 1)), (5.0, 0.25))


def test_the_columns_of_wikiqa():
    labelled = parse("question_id\tquestion\tsentence\tlabel\nQ1\twhat?\tthis\t1\nQ1\twhat?\tthat\t0\n")
    assert (labelled.questions, labelled.answers, labelled.labels) == (("what?",), ("this", "that"), (1, 0))


def test_a_question_is_its_text_whatever_its_id():
    """An id may number the rows: it must not tear a question's candidates apart."""
    labelled = parse("id,question,answer,label\n1,what?,this,1\n2,what?,that,0\n")
    assert labelled.pairs == ((0, 0), (0, 1))


@pytest.mark.parametrize(
    "header",
    [
        "question,answer",
        "질문,답변",
        "Query, Passage",
        "SENTENCE1,Sentence 2",
        "text-1,text_2",
        "q,A",
        "\ufeffquestion,document",
    ],
)
def test_columns_by_any_of_their_names(header):
    assert parse(header + "\nq1,a1\nq2,a2").questions == ("q1", "q2")


@pytest.mark.parametrize("name", ["label", "Score", "relevance", "gold", "similarity"])
def test_labels_by_any_of_their_names(name):
    assert parse(f"{name},other,a,q\n1,x,a1,q1\n3,y,a2,q1").labels == (1, 3)


def test_without_a_header_two_columns_are_question_and_answer():
    assert parse("one?\tthis, that, it\ntwo?\tnot; it").answers == ("this, that, it", "not; it")


def test_without_a_header_a_third_column_of_numbers_is_the_label():
    assert parse("one?;this;0\none?;that;1").labels == (0, 1)


def test_a_decimal_comma_where_semicolons_separate():
    assert parse("a;q;score\nx;y;4,5\nx;z;0,5").labels == (4.5, 0.5)


def test_quotes_separators_and_lines_within_a_csv_text():
    labelled = parse('question,answer\r\n"one, two","a ""b""\r\nc"\r\nthree,d;e;f\r\n')
    assert labelled.questions == ("one, two", "three")
    assert labelled.answers == ('a "b"\nc', "d;e;f")


def test_blank_rows_and_columns_without_a_name_do_not_matter():
    assert parse("\n , \nq,a,,\n\nq1,a1,,\n,,\n q2 , a2 \n\n") == parse("q,a\nq1,a1\nq2,a2")


def test_a_candidate_listed_twice_counts_once_but_grades_stay():
    assert parse("q,a,label\nx,y,1\nx,z,0\nx,y,1\n").pairs == ((0, 0), (0, 1))
    assert parse("q,a,label\nx,y,2\nx,y,3\n").labels == (2, 3), "two people's grades"
    refused("q,a,label\nx,y,1\n\nx,z,0\nx,y,0\n", "Row 5 holds the pair of row 2 with another label")


@pytest.mark.parametrize("content", ["", " \n\r\n\t", "\ufeff", "question,answer", "q\ta\tlabel\n\n\t\t\n"])
def test_no_pairs(content):
    refused(content, "holds no pairs")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("just a line", "does not name the columns"),
        ("a1,b1,c1\n", "does not name the columns"),
        ("1,2,3,4\n", "does not name the columns"),
        ('"never closed,b\n' + "x,y\n" * 50_000, "does not name the columns"),
        ("question,text\nx,y", "names no answer column"),
        ("answer,text\nx,y", "names no question column"),
        ("id,text\nx,y", "names no question column"),
        ("question,query,answer\nx,y,z", "names the question column more than once"),
        ("q,a,label,score\nx,y,1,2", "names the label column more than once"),
        ("q,a\nx,y\n\nx,\n", "Row 4 has no answer"),
        ("q,a\n ,y\n", "Row 2 has no question"),
        ("q,a,label\nx,y,1\nx,z\n", "Row 3 has no label"),
        ("q,a\nx,y\nx,y, and z\n", "Row 3 has 3 columns, the first row has 2"),
        ('q,a\nx,y\n"x" z,y\n', "Row 3 cannot be read"),
        ('q,a\nx,y\nx,"y\n', "Row 3 cannot be read"),
        ('q,a\nx,"' + "y" * 140_000, "Row 2 cannot be read"),
        ("q,a,label\nx,y,2\nx,z,2\n", "same grade"),
        ("q,a,label\nx,y,0\nx,z,0\n", "labelled 1"),
        ("q,a\nx,y\nx,z\n", "Every answer belongs to every question"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_row(content, match):
    refused(content, match)


@pytest.mark.parametrize(
    "label", ["nan", "inf", "-Infinity", "1e999", "yes", "4,5x", "\ud83d", "\x00", "9" * 5000 + "!"]
)
def test_a_label_that_is_no_finite_number_is_refused_by_its_row(label):
    error = refused(f"label\tq\ta\n1\tx\ty\n{label}\tx\tz", "in row 3 is not a number")
    assert len(str(error)) < 300, "a long input is not repeated whole"


@pytest.mark.parametrize(("character", "shown"), [("\x00", "U\\+0000"), ("\x1b", "U\\+001B"), ("\ud83d", "U\\+D83D")])
def test_control_characters_and_half_surrogates_are_refused_by_their_row(character, shown):
    assert isinstance(refused(f"q,a\nx,y\n\nx{character},z", f"Line 4 of the questions .*{shown}"), BadCharacter)


def test_exactly_the_limits_are_accepted_and_one_more_is_not():
    assert len(parse("q,a\n1,1\n2,2\n3,3\n", SMALL).pairs) == 9
    error = refused("q,a\n1,1\n2,2\n3,3\n4,3\n", "12 cells. At most 9", SMALL)
    assert isinstance(error, TooManyCells)
    four = "q,a,label\n" + "".join(f"{row},a,{row % 2}\n" for row in range(4))
    assert len(parse(four, SMALL).pairs) == 4
    refused(four + "4,a,1\n", "more than 4 pairs", SMALL)
    assert parse(f"q,a\n{'x' * 10},y\nx,z", SMALL).questions[0] == "x" * 10
    assert isinstance(refused(f"q,a\nx,y\nx,{'é' * 11}", "Line 3 of the answers has 11", SMALL), TextTooLong)
    filled = "q,a\nx,y\nz,w\n"
    assert parse(filled.ljust(200), SMALL) == parse(filled)
    refused(filled.ljust(199) + "é", "too large", SMALL)


def test_five_mebibytes_is_said_in_words():
    refused("x" * (5 * 2**20 + 1), "At most 5 MiB")


def test_a_file_with_a_byte_order_mark_is_a_set_named_after_it(tmp_path):
    file = tmp_path / "my pairs.csv"
    file.write_bytes("\ufeff하나,두리\r\nquestion,둘\r\n".encode())
    assert load_labelled(file, LIMITS) == LabelledSet(
        "my pairs", ("하나", "question"), ("두리", "둘"), ((0, 0), (0, 1), (1, 0), (1, 1)), (1, 0, 0, 1)
    )


def test_a_file_that_cannot_be_read_says_why_and_not_where_it_lies(tmp_path):
    for path, reason in ((tmp_path / "none.csv", "No such file"), (tmp_path, "directory")):
        with pytest.raises(UnreadableFile, match=reason) as caught:
            load_labelled(path, LIMITS)
        assert caught.value.field == "upload"
        assert str(tmp_path.parent) not in str(caught.value)
    with pytest.raises(UnreadableFile):
        load_labelled("a\x00b", LIMITS)


@pytest.mark.parametrize(
    ("data", "match"),
    [(b"q,a\ncaf\xe9,x", "not UTF-8: byte 8"), (b"PK\x03\x04", "an archive"), ("q,a".encode("utf-16-le"), "NUL")],
)
def test_bytes_that_are_no_text_are_refused_in_words(tmp_path, data, match):
    (tmp_path / "set.csv").write_bytes(data)
    with pytest.raises(BadInput, match=match) as caught:
        load_labelled(tmp_path / "set.csv", LIMITS)
    assert caught.value.field == "upload"
    assert "Accepted: a question column" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
def test_what_excel_writes_is_read(tmp_path, encoding):
    (tmp_path / "set.csv").write_bytes("질문,답변\r\n수도는?,서울\r\n'=1+1,'-2\r\n".encode(encoding))
    labelled = load_labelled(tmp_path / "set.csv", LIMITS)
    assert (labelled.questions, labelled.answers) == (("수도는?", "=1+1"), ("서울", "-2"))


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no endless device here")
def test_an_endless_file_is_read_to_the_limit_only():
    with pytest.raises(BadInput, match="too large"):
        load_labelled("/dev/zero", SMALL)


CELL = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=12).filter(str.strip)


@given(st.lists(st.tuples(CELL, CELL, st.integers(0, 5)), min_size=2, max_size=12), st.sampled_from(",;"))
def test_what_csv_writes_is_read_back(rows, separator):
    rows.append(("a last question", "a last answer", 7))
    rows.append(("a last question", "another last answer", 6))
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator)
    writer.writerows([("question", "answer", "score"), *rows])
    labelled = parse(file.getvalue())
    read = [(labelled.questions[q], labelled.answers[a]) for q, a in labelled.pairs]
    assert read == [(question.strip(), answer.strip()) for question, answer, _ in rows]
    assert list(labelled.labels) == [label for *_, label in rows]
    assert len(set(labelled.questions)) == len(labelled.questions)


TABLES = st.one_of(
    st.text(st.characters(), max_size=120),
    st.text('qa01,;\t"\n\r x.', max_size=80),
    st.text('qa01,;\t"\n\r x.', max_size=80).map("q,a,label\n".__add__),
    st.text('qa01\t"\n x.', max_size=80).map("score\tq\ta\n".__add__),
)


@given(TABLES)
def test_arbitrary_text_gives_a_labelled_set_or_a_demo_error(content):
    try:
        labelled = parse(content, SMALL)
    except DemoError as error:
        refusal = error
    else:
        refusal = None
    if refusal:
        assert refusal.field == "upload"
        str(refusal).encode("utf-8")
        return
    assert len(labelled.pairs) == len(labelled.labels) <= SMALL.cells
    assert len(set(labelled.labels)) >= 2
    assert labelled.graded or set(labelled.labels) == {0, 1}
    assert {question for question, _ in labelled.pairs} == set(range(len(labelled.questions)))
    assert {answer for _, answer in labelled.pairs} == set(range(len(labelled.answers)))
    assert all(text == text.strip() and 1 <= len(text) <= 10 for text in labelled.questions + labelled.answers)
