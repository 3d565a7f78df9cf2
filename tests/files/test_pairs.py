"""Training pairs: files and data sets of the Hub become a TrainingSet of right answers, or are refused."""

import gzip
import json
import sys
from types import SimpleNamespace

import pytest

from demo.domain.errors import BadInput
from demo.domain.recipe import Pair, TrainingSet
from demo.files.bundled import load_benchmark, load_reference, load_training
from demo.files.columns import ColumnChoice
from demo.files.pairs import PairLimits, load_hub_pairs, load_pairs, make_training_set
from demo.files.table import parse_table


def parse(content: str | list, name: str = "x.json", limits: PairLimits | None = None) -> TrainingSet:
    limits = limits or PairLimits()
    data = (content if isinstance(content, str) else json.dumps(content)).encode()
    return make_training_set(parse_table(data, name, limits), "x", limits)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_may_be_gzipped_and_hold_hard_negatives(tmp_path, packed):
    data = b'{"query": "q1", "positive": "a1", "negative": "n"}\n{"query": "q2", "positive": "a2", "negative": null}'
    path = tmp_path / ("a.jsonl" + ".gz" * packed)
    path.write_bytes(gzip.compress(data) if packed else data)
    found = load_pairs(path, weight=0.3)
    assert (found.name, found.weight, found.notices) == ("a", 0.3, ())
    assert found.pairs == (Pair("q1", "a1", "n"), Pair("q2", "a2"))


@pytest.mark.parametrize(
    "names",
    [("query", "passage", "neg"), ("anchor", "positive", "negative"), ("premise", "entailment", "contradiction")],
)
def test_columns_have_the_names_that_data_sets_give_them(names):
    rows = [dict(zip(names, (f"q{i}", "a", "no"), strict=True)) for i in range(2)]
    assert parse(rows).pairs == (Pair("q0", "a", "no"), Pair("q1", "a", "no"))


def test_of_two_columns_with_one_role_the_first_known_name_counts_and_the_other_is_named():
    found = parse([{"passage": "p", "query": f"q{i}", "answer": "a", "anchor": "b"} for i in range(2)])
    assert found.pairs == (Pair("q0", "a"), Pair("q1", "a"))
    assert found.notices == ("Questions: “query”. Answers: “answer”. Not used: passage, anchor.",)


def test_copies_count_once_and_long_texts_lose_their_end():
    rows = [{"question": "q " * 5000, "answer": "a"}] * 3 + [{"question": " a\n b ", "answer": "c"}]
    first, second = parse(rows, limits=PairLimits(characters=9)).pairs
    assert (first.question, second.question) == ("q q q q q", "a b")


@pytest.mark.parametrize("wrong", ["0", "0.0", "false", "No"])
def test_rows_labelled_wrong_are_not_trained_as_right_answers(wrong):
    found = parse(f"질문,답,라벨\nq1,right,1\nq1,wrong,{wrong}\nq2,also,true\n", "x.csv")
    assert found.pairs == (Pair("q1", "right"), Pair("q2", "also"))
    assert found.notices == ("Rows labelled wrong that are left out: 1.",)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ('{"x": 1, "y": 2}\n', "x.jsonl", "No name of a column is known"),
        ("question,answer\nq,a\nq,\n", "x.csv", "Row 3 of x has no question or no answer"),
        ("question,answer\nq,a\nq,a\n", "x.csv", "x has fewer than two pairs"),
        ("question,answer,label\nq,a,1\nq,b,0\n", "x.csv", "fewer than two pairs"),
        ("question,answer,score\nq,a,4.5\nq,b,1\n", "x.csv", "“4.5” in row 2 is neither 1 nor 0"),
    ],
)
def test_a_file_without_pairs_to_train_on_is_refused(content, name, message):
    with pytest.raises(BadInput, match=message) as raised:
        parse(content, name)
    assert raised.value.field == "pairs"
    assert "ccepted" in str(raised.value)


def test_distinct_pairs_count_against_the_limit():
    rows = [{"question": f"q{i}", "answer": "a"} for i in range(4)]
    assert len(parse(rows * 2, limits=PairLimits(pairs=4)).pairs) == 4
    with pytest.raises(BadInput, match="At most 4 are accepted"):
        parse([*rows, {"question": "q", "answer": "a"}], limits=PairLimits(pairs=4))


def test_a_data_set_of_the_hub(monkeypatch):
    asked = []

    def load_dataset(name, split, streaming):
        asked.append((name, split, streaming))
        return ({"anchor": f"q{i}", "positive": "a", "picture": b"png"} for i in range(10**9))

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    found = load_hub_pairs("owner/name@dev", most=5, weight=2.0)
    assert (len(found.pairs), found.name, found.weight) == (5, "owner/name", 2.0)
    assert asked == [("owner/name", "dev", True)]


def test_a_data_set_of_the_hub_may_hold_lists_and_names_that_nobody_knows(monkeypatch):
    rows = [{"frage": f"q{i}", "gut": ["a", "b"], "neg": ["n"], "picture": b"png"} for i in range(2)]
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda *args, **more: iter(rows)))
    with pytest.raises(BadInput, match="The first row names no question column: “frage”, “gut”, “neg”"):
        load_hub_pairs("owner/name")
    found = load_hub_pairs("owner/name", choice=ColumnChoice(question="frage", answer="gut"))
    assert found.pairs[:2] == (Pair("q0", "a", "n"), Pair("q0", "b", "n"))
    assert "The column “picture” is not read: it holds objects with the keys “bytes”." in found.notices


def test_a_data_set_out_of_reach_and_a_missing_package_are_told_of(monkeypatch):
    def load_dataset(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(BadInput, match="could not be read from the Hugging Face Hub: no route"):
        load_hub_pairs("owner/name")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadInput, match="pip install datasets"):
        load_hub_pairs("owner/name")


def test_the_labs_own_pairs_are_whole_and_keep_away_from_what_measures():
    sets = load_training()
    assert sum(len(one.pairs) for one in sets.values()) > 3_500
    pairs = [pair for one in sets.values() for pair in one.pairs]
    assert all(pair.question and pair.answer and pair.negative for pair in pairs)
    assert all(len({pair.question, pair.answer, pair.negative}) == 3 for pair in pairs)
    measured = {text.lower() for one in load_benchmark().values() for text in (*one.questions, *one.answers)}
    measured |= {text.lower() for text in load_reference()}
    trained = {text.lower() for pair in pairs for text in (pair.question, pair.answer, pair.negative)}
    assert not measured & trained
