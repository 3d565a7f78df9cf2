"""Labels: ones and zeros, grades, and classes, which are never taken for grades."""

from __future__ import annotations

import pytest

from demo.domain.errors import BadInput
from demo.files.columns import ColumnChoice
from demo.files.labelled import LabelledLimits, make_labelled_set
from demo.files.pairs import PairLimits, make_training_set
from demo.files.table import parse_table

SNLI = """premise,hypothesis,label
A man.,A person.,0
A man.,A boy.,1
A man.,A dog.,2
A cat.,An animal.,0
A cat.,A dog.,-1
"""


def read(content: str, **choice):
    limits = LabelledLimits()
    return make_labelled_set(parse_table(content.encode(), "set.csv", limits), limits, ColumnChoice(**choice))


def test_classes_are_no_grades():
    with pytest.raises(BadInput, match="The labels are -1, 0, 1, 2: these may be classes.*Name the column score"):
        read(SNLI)
    with pytest.raises(BadInput, match="The labels are 0, 1, 2"):
        read("A.,B.,0\nC.,D.,1\nE.,F.,2\n")
    found = read(SNLI, right=("0",))
    assert (found.graded, found.labels) == (False, (1, 0, 0, 1, 0))
    assert read(SNLI, grades=True).labels == (0, 1, 2, 0, -1)
    assert read(SNLI.replace("label", "score")).graded


def test_real_numbers_many_numbers_and_columns_named_for_grades_are_grades():
    assert read("q,a,label\nx,y,4.5\nx,z,1\n").graded
    assert read("q,a,label\n" + "".join(f"x{i},y{i},{i}\n" for i in range(11))).graded
    for name in ("score", "relevance", "similarity_score", "점수", "유사도"):
        assert read(f"q,a,{name}\nx,y,0\nx,z,1\nw,z,2\n").graded
        assert not read(f"q,a,{name}\nx,y,0\nx,z,1\nw,z,1\n").graded


def test_words_say_which_labels_are_right():
    content = "q,a,label\nx,y,entailment\nx,z,neutral\nw,z,contradiction\n"
    with pytest.raises(BadInput, match="“entailment” in row 2 is not a number"):
        read(content)
    assert read(content, right=("Entailment",)).labels == (1, 0, 0)
    with pytest.raises(BadInput, match="No pair is labelled 1"):
        read(content, right=("none of them",))
    table = parse_table(content.encode() + b"v,u,entailment\n", "s.csv", PairLimits())
    trained = make_training_set(table, "s", PairLimits(), choice=ColumnChoice(right=("entailment",)))
    assert [pair.question for pair in trained.pairs] == ["x", "v"]
    assert trained.notices == ("Rows labelled wrong that are left out: 2.",)


def test_copies_are_counted():
    assert "Pairs that stand more than once count once: 2 copies." in read("q,a\nx,y\nx,y\nx,y\nz,w\n").notices
