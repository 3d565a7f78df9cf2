"""Labelled pairs: a table becomes a LabelledSet, or an error that names the row and what is accepted."""

from __future__ import annotations

import pytest

from demo.domain.errors import BadInput, TooManyCells
from demo.domain.results import LabelledSet
from demo.files.labelled import LabelledLimits, load_labelled, make_labelled_set
from demo.files.table import parse_table

SMALL = LabelledLimits(rows=4, characters=10, bytes=200, cells=9)


def parse(content: str, limits: LabelledLimits = LabelledLimits(), name: str = "set.csv") -> LabelledSet:  # noqa: B008
    return make_labelled_set(parse_table(content.encode(), name, limits), limits)


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
    labelled = parse("question\tsentence\tlabel\nq1\ta1\t0\nq1\ta2\ttrue\nq2\ta1\tno\n")
    assert labelled.pairs == ((0, 0), (0, 1), (1, 0))
    assert labelled.labels == (0, 1, 0)
    assert not labelled.graded


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.tsv", "score\tsentence1\tsentence2\n5.000\tA man.\tMen.\n0.25\tA man.\tA dog.\n"),
        ("set.csv", "a;q;score\nMen.;A man.;5,0\nA dog.;A man.;,25"),
        ("set.csv", "A man.;Men.;5\nA man.;A dog.;0,25"),
        ("set.json", '{"text1": ["A man.", "A man."], "text2": ["Men.", "A dog."], "gold": [5, 0.25]}'),
    ],
)
def test_other_numbers_are_grades(name, content):
    labelled = parse(content, name=name)
    assert labelled.graded
    assert (labelled.questions, labelled.answers) == (("A man.",), ("Men.", "A dog."))
    assert (labelled.pairs, labelled.labels) == (((0, 0), (0, 1)), (5.0, 0.25))


def test_a_question_is_its_text_whatever_its_id():
    """An id may number the rows: it must not tear a question's candidates apart."""
    labelled = parse("id,question,answer,label\n1,what?,this,1\n2,what?,that,0\n")
    assert labelled.pairs == ((0, 0), (0, 1))


def test_a_candidate_listed_twice_counts_once_but_grades_stay():
    assert parse("q,a,label\nx,y,1\nx,z,0\nx,y,1\n").pairs == ((0, 0), (0, 1))
    assert parse("q,a,score\nx,y,2\nx,y,3\n").labels == (2, 3), "two people's grades"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("question,answer", "holds no pairs"),
        ("q\ta\tlabel\n\n\t\t\n", "holds no pairs"),
        ("a1,b1,c1\n", "does not name the columns"),
        ("1,2,3,4\n", "does not name the columns"),
        ("frage,antwort,thema\nx,y,z", "No name of a column is known: “frage”, “antwort”, “thema”"),
        ("question,text\nx,y", "names no answer column"),
        ("answer,text\nx,y", "names no question column"),
        ("id,text\nx,y", "names no question column"),
        ("q,a,label,score\nx,y,1,2", "Several columns may be the label: “label”, “score”"),
        ("q,a\nx,y\n\nx,\n", "Row 4 has no answer"),
        ("q,a\n ,y\n", "Row 2 has no question"),
        ("q,a,label\nx,y,1\nx,z\n", "Row 3 has no label"),
        ("q,a,score\nx,y,2\nx,z,2\n", "same grade"),
        ("q,a,label\nx,y,0\nx,z,0\n", "labelled 1"),
        ("q,a\nx,y\nx,z\n", "Every answer belongs to every question"),
        ("q,a,label\nx,y,1\n\nx,z,0\nx,y,0\n", "Row 5 holds the pair of row 2 with another label"),
        *((f"label\tq\ta\n1\tx\ty\n{label}\tx\tz", "in row 3 is not a number")
          for label in ("nan", "inf", "-Infinity", "1e999", "right", "4,5x", "\x07", "9" * 5000 + "!")),
    ],
)  # fmt: skip
def test_pairs_that_cannot_be_used_are_refused_by_their_row(content, match):
    with pytest.raises(BadInput, match=match) as caught:
        parse(content)
    assert caught.value.field == "upload"
    assert "ccepted" in str(caught.value)
    assert len(str(caught.value)) < 400, "a long input is not repeated whole"


def test_exactly_the_limits_are_accepted_and_one_more_is_not():
    assert len(parse("q,a\n1,1\n2,2\n3,3\n", SMALL).pairs) == 9
    with pytest.raises(TooManyCells, match="12 cells. At most 9"):
        parse("q,a\n1,1\n2,2\n3,3\n4,3\n", SMALL)
    four = "q,a,label\n" + "".join(f"{row},a,{row % 2}\n" for row in range(4))
    assert len(parse(four, SMALL).pairs) == 4
    with pytest.raises(BadInput, match="more than 4 rows"):
        parse(four + "4,a,1\n", SMALL)
    filled = "q,a\nx,y\nz,w\n"
    assert parse(filled.ljust(200), SMALL) == parse(filled)
    with pytest.raises(BadInput, match="too large"):
        parse(filled.ljust(199) + "é", SMALL)


def test_a_file_is_a_set_named_after_it(tmp_path):
    file = tmp_path / "my pairs.csv"
    file.write_bytes("\ufeff하나,두리\r\nquestion,둘\r\n".encode())
    assert load_labelled(file, LabelledLimits()) == LabelledSet(
        "my pairs", ("하나", "question"), ("두리", "둘"), ((0, 0), (0, 1), (1, 0), (1, 1)), (1, 0, 0, 1)
    )
