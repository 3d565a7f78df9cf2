"""The example sets keep what examples/README.md promises, and the article's script runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.stages.texts import parse_pairing
from tests import ROOT

EXAMPLES = ROOT / "examples"
FILES = sorted((EXAMPLES / "sets").glob("*.json"))
EVERY_SET = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def load(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))


def test_there_are_at_least_eight_and_no_two_share_a_place():
    sets = [load(file) for file in FILES]
    assert len(sets) >= 8
    assert sorted(one["order"] for one in sets) == list(range(1, len(sets) + 1))
    assert len({one["title"]["en"] for one in sets}) == len(sets)


def test_the_promised_subjects_are_there():
    assert {"article", "negation", "polysemy", "paraphrase", "english-korean"} <= {file.stem for file in FILES}


@EVERY_SET
def test_a_set_has_the_keys_of_its_format_and_no_others(file):
    one = load(file)
    assert set(one) - {"matches"} == {"id", "order", "title", "teaches", "questions", "answers"}
    assert one["id"] == file.stem
    assert re.fullmatch(r"[a-z0-9-]+", one["id"])
    assert type(one["order"]) is int
    for key in ("title", "teaches"):
        assert set(one[key]) == {"en", "ko"}
        assert all(isinstance(text, str) and text.strip() for text in one[key].values())
        assert re.search("[가-힣]", one[key]["ko"]), "Korean is written in Korean"
    assert all(len(title) < 32 for title in one["title"].values())


@EVERY_SET
def test_the_lab_takes_a_set_as_it_is(file):
    one = load(file)
    pairing = parse_pairing(one["questions"], one["answers"], one.get("matches"))
    assert (list(pairing.questions), list(pairing.answers)) == (one["questions"], one["answers"])
    assert pairing.mask().any(axis=1).all(), "every question has an answer"
    boxes = parse_pairing("\n".join(one["questions"]), "\n".join(one["answers"]), one.get("matches"))
    assert boxes == pairing, "typed into the boxes, a set is the same"


@EVERY_SET
def test_texts_are_single_lines_of_a_readable_length_and_differ(file):
    one = load(file)
    for texts in (one["questions"], one["answers"]):
        assert len(set(texts)) == len(texts)
    if file.stem != "article":
        assert 4 <= len(one["questions"]) <= 8
        assert all(15 <= len(text) <= 160 and "\t" not in text for text in one["questions"] + one["answers"])


@EVERY_SET
def test_a_set_is_in_the_readmes_table(file):
    one = load(file)
    row = f"| {one['order']} | `{one['id']}` | {len(one['questions'])} | {len(one['answers'])} |"
    assert row in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_article_set_the_command_line_and_the_script_have_the_same_texts():
    from demo.studies.article import ANSWERS, QUESTIONS

    article = load(EXAMPLES / "sets" / "article.json")
    assert article["questions"] == list(QUESTIONS) == ["Where is the headquarter of OpenAI?", "What is GPU?"]
    assert article["answers"] == list(ANSWERS)


def test_the_articles_script_is_short_and_runs_from_anywhere(tmp_path):
    script = EXAMPLES / "article.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) < 30
    environment = {**os.environ, "DEMO_ENGINE": "fake", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    article = load(EXAMPLES / "sets" / "article.json")
    pairs = [(question, answer) for question in article["questions"] for answer in article["answers"]]
    assert lines[::2] == [f"question: {question} and ans: {answer}" for question, answer in pairs]
    assert all(re.fullmatch(r"result: -?[01]\.\d{4}", line) for line in lines[1::2])
    assert len(lines) == 8
