"""Nested data sets: the shapes in which the field's data sets come are read alike at every entrance, or named."""

from __future__ import annotations

import json

import pytest

from demo.domain.errors import BadInput
from demo.domain.recipe import Pair
from demo.files.columns import ColumnChoice, guess_columns
from demo.files.labelled import LabelledLimits, make_labelled_set
from demo.files.pairing import PairingLimits, pair_up
from demo.files.pairs import PairLimits, make_training_set
from demo.files.table import parse_table


def read_everywhere(content, name: str = "set.json", **choice) -> tuple[set, set]:
    """(right pairs, hard negatives with their question), which every entrance reads alike."""
    data = (content if isinstance(content, str) else json.dumps(content)).encode()
    limits, wanted = LabelledLimits(), ColumnChoice(**choice)
    labelled = make_labelled_set(parse_table(data, name, limits), limits, wanted)
    right = {
        (labelled.questions[question], labelled.answers[answer])
        for (question, answer), label in zip(labelled.pairs, labelled.labels, strict=True)
        if label == 1
    }
    pairs = make_training_set(parse_table(data, name, PairLimits()), "x", PairLimits(), choice=wanted).pairs
    assert {(pair.question, pair.answer) for pair in pairs} == right
    if not choice:
        table = parse_table(data, name, PairingLimits())
        found = pair_up(table, guess_columns(table), PairingLimits())
        assert {(found.questions[question], found.answers[answer]) for question, answer in found.matches} == right
        assert set(found.answers) == set(labelled.answers)
    negatives = {(pair.question, pair.negative) for pair in pairs if pair.negative}
    assert {negative for _, negative in negatives} <= set(labelled.answers), "hard negatives are candidates"
    return right, negatives


SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Seoul",
            "paragraphs": [
                {
                    "context": "Seoul is the capital of Korea.",
                    "qas": [
                        {
                            "id": "1",
                            "question": "What is the capital?",
                            "answers": [{"text": "Seoul", "answer_start": 0}, {"text": "Seoul is", "answer_start": 0}],
                        },
                        {
                            "id": "2",
                            "question": "Of what?",
                            "answers": [{"text": "Korea", "answer_start": 24}],
                            "is_impossible": False,
                        },
                        {"id": "3", "question": "Who?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}
SQUAD_RIGHT = {("What is the capital?", "Seoul"), ("What is the capital?", "Seoul is"), ("Of what?", "Korea")}


def test_squad_and_korquad():
    assert read_everywhere(SQUAD) == (SQUAD_RIGHT, set())
    found = {"What is the capital?": ["Seoul", "Seoul is"], "Of what?": ["Korea"]}
    rows = [
        {"id": "1", "context": "c", "question": question, "answers": {"text": texts, "answer_start": [0] * len(texts)}}
        for question, texts in found.items()
    ]
    assert read_everywhere(rows) == (SQUAD_RIGHT, set())
    asked = [
        {"id": "1", "question": question, "answer": {"text": text, "answer_start": 0, "html_answer_text": "<b>"}}
        for question, text in (("수도는?", "서울"), ("나라는?", "한국"))
    ]
    second = {"version": "2.0", "data": [{"title": "서울", "context": "<html>", "qas": asked}]}
    assert read_everywhere(second) == ({("수도는?", "서울"), ("나라는?", "한국")}, set())
    other = {"context": "Other.", "qas": [{"id": "4", "question": "Else?", "answers": [{"text": "o"}]}]}
    more = {"version": "x", "data": [*SQUAD["data"], {"title": "t", "paragraphs": [other]}]}
    passages, _ = read_everywhere(more, answer="context")
    assert {answer for _, answer in passages} == {"Seoul is the capital of Korea.", "Other."}


def test_questions_without_an_answer_are_left_out_and_counted():
    limits = LabelledLimits()
    found = make_labelled_set(parse_table(json.dumps(SQUAD).encode(), "s.json", limits), limits)
    assert "Questions without an answer that are left out: 1." in found.notices
    assert found.questions == ("What is the capital?", "Of what?")


def test_flag_embedding():
    lines = [
        {
            "query": "q1",
            "pos": ["p1", "p2"],
            "neg": ["n1", "n2", "n3"],
            "pos_scores": [1, 2],
            "prompt": "Find.",
            "type": "x",
        },
        {"query": "q2", "pos": ["p3"], "neg": ["n1"], "pos_scores": [1], "prompt": "Find.", "type": "x"},
    ]
    right, negatives = read_everywhere("\n".join(map(json.dumps, lines)), "set.jsonl")
    assert right == {("q1", "p1"), ("q1", "p2"), ("q2", "p3")}
    assert negatives == {("q1", "n1"), ("q1", "n2"), ("q1", "n3"), ("q2", "n1")}


def test_passages_of_ms_marco():
    passages = [([0, 1], ["n1", "p1"]), ([1, 0], ["p2", "n2"]), ([0], ["n3"])]
    marco = [
        {
            "query": f"q{i}",
            "answers": ["short"],
            "wellFormedAnswers": [],
            "passages": {"is_selected": selected, "passage_text": texts, "url": ["u"] * len(texts)},
        }
        for i, (selected, texts) in enumerate(passages, start=1)
    ]
    wanted = {("q1", "p1"), ("q2", "p2")}, {("q1", "n1"), ("q2", "n2")}
    assert read_everywhere(marco) == wanted
    original = {name: {str(i): record[name] for i, record in enumerate(marco)} for name in ("query", "answers")}
    original["passages"] = {
        str(i): [{"is_selected": mark, "passage_text": text} for mark, text in zip(selected, texts, strict=True)]
        for i, (selected, texts) in enumerate(passages)
    }
    assert read_everywhere(original) == wanted


def test_passages_of_tevatron_and_dpr():
    def passage(title: str, text: str) -> list[dict]:
        return [{"docid": "a", "title": title, "text": text}]

    tevatron = [
        {"query": f"q{i}", "positive_passages": passage("T", f"p{i}"), "negative_passages": passage("", f"n{i}")}
        for i in range(2)
    ]
    assert read_everywhere(tevatron) == ({("q0", "T p0"), ("q1", "T p1")}, {("q0", "n0"), ("q1", "n1")})
    dpr = [
        {
            "question": f"q{i}",
            "answers": ["short"],
            "positive_ctxs": passage("T", f"p{i}"),
            "negative_ctxs": [],
            "hard_negative_ctxs": passage("T", f"n{i}"),
        }
        for i in range(2)
    ]
    assert read_everywhere(dpr) == ({("q0", "T p0"), ("q1", "T p1")}, {("q0", "T n0"), ("q1", "T n1")})


def message(role: str, content) -> dict:
    return {"role": role, "content": content}


def test_chats():
    turns = [("human", "q1"), ("gpt", "a1"), ("human", "q2"), ("gpt", "a2")]
    openai = [message("system", "Be kind."), message("user", "q1"), message("assistant", "a1")]
    openai += [message("user", [{"type": "text", "text": "q2"}]), message("assistant", "a2")]
    share = {"id": "x", "conversations": [{"from": role, "value": text} for role, text in turns]}
    for chat in ({"messages": openai}, share):
        assert read_everywhere(json.dumps(chat), "set.jsonl") == ({("q1", "a1"), ("q2", "a2")}, set())


def test_preferences():
    plain = [{"prompt": f"q{i}", "chosen": f"a{i}", "rejected": f"n{i}"} for i in range(2)]
    chats = [{name: [message("user", text)] for name, text in record.items()} for record in plain]
    for records in (plain, chats):
        assert read_everywhere(records) == ({("q0", "a0"), ("q1", "a1")}, {("q0", "n0"), ("q1", "n1")})


def test_right_answers_of_a_question_are_never_wrong_ones():
    limits = LabelledLimits()
    records = [{"query": "q1", "pos": ["p1", "p2"], "neg": ["p2", "n1"]}, {"query": "q2", "pos": ["p3"], "neg": []}]
    found = make_labelled_set(parse_table(json.dumps(records).encode(), "s.json", limits), limits)
    labels = dict(zip(found.pairs, found.labels, strict=True))
    assert found.answers == ("p1", "p2", "n1", "p3")
    assert [labels[0, place] for place in range(4)] == [1, 1, 0, 0]
    assert "Hard negatives that are right answers too count as right: 1." in found.notices
    labelled = [
        {"query": "q1", "answer": "p", "neg": ["n1"], "label": 1},
        {"query": "q1", "answer": "w", "neg": [], "label": 0},
    ]
    found = make_labelled_set(parse_table(json.dumps(labelled).encode(), "s.json", limits), limits)
    assert [(found.answers[answer], label) for (_, answer), label in zip(found.pairs, found.labels, strict=True)] == [
        ("p", 1), ("w", 0), ("n1", 0),
    ]  # fmt: skip


def test_right_answers_and_negatives_are_dealt_out_to_pairs():
    records = [{"query": "q", "pos": ["p1", "p2"], "neg": ["n1", "n2", "n3"]}]
    table = parse_table(json.dumps(records).encode(), "s.json", PairLimits())
    pairs = make_training_set(table, "s", PairLimits()).pairs
    assert pairs == (Pair("q", "p1", "n1"), Pair("q", "p2", "n2"), Pair("q", "p1", "n3"))


HELD = "holds objects with the keys “start”"


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ({"question": "q", "answer": {"start": 1, "end": 2}, "x": "y"}, f"The column “answer” {HELD}, “end”"),
        ({"question": "q", "answer": [["a"]], "x": "y"}, "The column “answer” holds lists within lists"),
        ({"question": ["q", "r"], "answer": "a"}, "The column “question” holds several texts in a row"),
        (
            {"question": "q", "answer": {"start": 1}},
            f"Fewer than two columns can be read. The column “answer” is not read: it {HELD}",
        ),
    ],
)
def test_other_shapes_are_refused_by_naming_the_column_and_its_cause(record, cause):
    with pytest.raises(BadInput) as caught:
        read_everywhere([record, record])
    assert cause in str(caught.value)


@pytest.mark.parametrize("orient", ["columns", "records", "split", "index", "table"])
def test_orientations_of_pandas(orient):
    pandas = pytest.importorskip("pandas", reason="pandas comes with gradio")
    content = pandas.DataFrame({"question": ["q1", "q2"], "answer": ["a1", "a2"]}).to_json(orient=orient)
    assert read_everywhere(content) == ({("q1", "a1"), ("q2", "a2")}, set())
