"""Files of pairs: every format, what is refused and how it is said, and nothing that a file can do to the machine."""

import contextlib
import csv
import gzip
import io
import json
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.domain.errors import BadInput, DemoError, UnreadableFile
from demo.domain.recipe import Pair
from demo.files.bundled import load_benchmark, load_reference, load_training
from demo.files.pairs import PairLimits, load_hub_pairs, load_pairs, parse_pairs

ROWS = [
    {"question": "What is GPU?", "answer": "A graphics processor.", "negative": "A city."},
    {"question": "Where, exactly?", "answer": "In “San Francisco”; California", "negative": ""},
]
PAIRS = tuple(Pair(**row) for row in ROWS)


def table(separator: str) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, ROWS[0], delimiter=separator)
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue()


FILES = {
    "a.jsonl": "\n".join(map(json.dumps, ROWS)) + "\n\n",
    "a.json": json.dumps(ROWS),
    "a.csv": table(","),
    "a.tsv": table("\t"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_gives_the_same_pairs(tmp_path, name, packed):
    data = FILES[name].encode("utf-8")
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(data) if packed else data)
    found = load_pairs(path, weight=0.3)
    assert (found.name, found.pairs, found.weight) == ("a", PAIRS, 0.3)


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (("query", "passage"), {}),
        (("anchor", "positive", "negative"), {"negative": "no"}),
        (("Sentence1", "SENTENCE2"), {}),
        (("premise", "entailment", "contradiction"), {"negative": "no"}),
    ],
)
def test_columns_have_the_names_that_data_sets_give_them(names, row):
    values = dict(zip(names, ["q", "a", "no"], strict=False))
    rows = "\n".join(json.dumps({**values, names[0]: f"q{i}"}) for i in range(2))
    assert parse_pairs(rows, "jsonl", "x").pairs == tuple(Pair(f"q{i}", "a", row.get("negative", "")) for i in range(2))


def test_copies_count_once_and_long_texts_lose_their_end():
    rows = [{"question": "q " * 5000, "answer": "a"}] * 3 + [{"question": " a\n b ", "answer": "c"}]
    first, second = parse_pairs(json.dumps(rows), "json", "x", PairLimits(characters=9)).pairs
    assert (first.question, second.question) == ("q q q q q", "a b")


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ("{}\n", "jsonl", "Row 1 of x has no question or no answer"),
        ("[1]\n", "jsonl", "Line 1 of x is not a JSON object"),
        ("{", "json", "x is not JSON"),
        ("[" * 100_000, "json", "x is not JSON"),
        ('{"question": "q"}', "json", "not a list of objects"),
        ("question,answer\nq,a\n", "csv", "fewer than two pairs"),
        ("a,b\nq,a\n", "csv", "Row 1 of x has no question"),
        ("", "csv", "fewer than two pairs"),
        ("q", "pkl", "no known ending"),
        ('question,answer\n"' + "x" * 200_000 + '",a\n', "csv", "not a table"),
    ],
)
def test_what_is_no_file_of_pairs_is_said(content, kind, said):
    with pytest.raises(BadInput, match=said) as raised:
        parse_pairs(content, kind, "x")
    assert "Accepted are JSONL" in str(raised.value)


def test_limits(tmp_path):
    rows = json.dumps([{"question": f"q{i}", "answer": "a"} for i in range(5)])
    with pytest.raises(BadInput, match="At most 4 are accepted"):
        parse_pairs(rows, "json", "x", PairLimits(pairs=4))
    bomb = tmp_path / "bomb.jsonl.gz"
    bomb.write_bytes(gzip.compress(b" " * 5_000_000))
    with pytest.raises(BadInput, match="At most 1 MiB"):
        load_pairs(bomb, PairLimits(bytes=2**20))


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.csv", b"\xff\xfe\x00"), ("a.jsonl.gz", b"\x1f\x8bnot gzip at all"), ("none.csv", None)],
)
def test_a_file_that_cannot_be_read_is_said(tmp_path, name, data):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableFile):
        load_pairs(tmp_path / name)


@given(content=st.text(max_size=300), kind=st.sampled_from(["jsonl", "json", "csv", "tsv", "txt", "exe"]))
def test_whatever_a_file_holds_is_pairs_or_a_sentence(content, kind):
    with contextlib.suppress(DemoError):
        found = parse_pairs(content, kind, "x")
        assert len(found.pairs) >= 2
        assert all(pair.question and pair.answer for pair in found.pairs)


def test_a_data_set_of_the_hub(monkeypatch):
    asked = []

    def load_dataset(name, split, streaming):
        asked.append((name, split, streaming))
        return ({"anchor": f"q{i}", "positive": "a"} for i in range(10**9))

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    found = load_hub_pairs("owner/name@dev", most=5, weight=2.0)
    assert (len(found.pairs), found.name, found.weight) == (5, "owner/name", 2.0)
    assert asked == [("owner/name", "dev", True)]


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
