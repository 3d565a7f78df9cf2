"""The command line: the article's lines, JSON, CSV, files and exit codes, over the fake engine."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from demo.__main__ import app
from demo.backend.fake import FakeEngine

ROOT = Path(__file__).parents[1]
TWO_BY_TWO = ["--question", "alpha", "--question", "beta", "--answer", "alpha", "--answer", "gamma"]


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch):
    for name in list(os.environ):
        if name.startswith("DEMO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DEMO_ENGINE", "fake")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def invoke(*arguments, code: int = 0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def start(*arguments, **environment) -> subprocess.CompletedProcess:
    """`python -m demo …` as a person starts it."""
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "DEMO_ENGINE": "fake", **environment},
        capture_output=True,
        timeout=60,
    )


def test_a_real_process_prints_the_articles_two_lines_a_pair_without_colour_in_a_pipe():
    done = start("compare")
    assert done.returncode == 0
    assert done.stderr == b""
    output = done.stdout.decode()
    assert "\x1b" not in output
    lines = output.splitlines()
    assert lines[0] == "question: Where is the headquarter of OpenAI? and ans: OpenAI is based at San Francisco."
    assert lines[6].startswith("question: What is GPU? and ans: A graphics processing unit (GPU) is")
    assert lines[6].endswith("calculations quickly"), "no line is broken at the terminal's width"
    assert all(re.match(r"result: -?[01]\.\d{4}( |$)", line) for line in lines[1:8:2])
    assert ["matching" in line for line in lines[1:8:2]] == [True, False, False, True]
    assert "smollm2-135m-instruct · chat · last_token_logits · last layer" in output


def test_a_real_process_refuses_calmly():
    done = start("compare", "--question", "a", "--answer", "b\x07", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert "U+0007" in line


def test_colour_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in invoke("compare").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[\d;]*3\dm", invoke("compare").stdout), "NO_COLOR wins"


def test_the_numbers_printed_are_those_of_the_json():
    answer = json.loads(invoke("compare", *TWO_BY_TWO, "--json").stdout)
    output = invoke("compare", *TWO_BY_TWO).stdout
    printed = [float(number) for number in re.findall(r"result: (\S+)", output)]
    np.testing.assert_allclose(printed, np.ravel(answer["similarity"]), atol=6e-5)
    assert f"AUC {answer['metrics']['auc']:.4f}" in output
    assert f"found first {answer['metrics']['found_first']} of 2" in output


def test_json_is_the_whole_answer_and_nothing_else():
    answer = json.loads(invoke("compare", *TWO_BY_TWO, "--json", "--pooling", "mean", "--layer", "-2").stdout)
    assert answer["similarity"][0][0] == pytest.approx(1, abs=1e-6)
    assert answer["reading"] == {
        "model": "smollm2-135m-instruct",
        "prompt": "chat",
        "pooling": "mean",
        "layer": 29,
        "normalize": False,
        "eos": False,
        "postprocess": "none",
        "reference": "texts",
        "task": "",
        "template": "",
    }
    assert {"metrics", "provenance", "notices"} <= set(answer)


def test_matches_are_heard():
    crossed = json.loads(invoke("compare", *TWO_BY_TWO, "--json", "--matches", "1-2, 2-1").stdout)
    assert crossed["matches"] == [[1, 2], [2, 1]]


def test_csv_has_questions_down_and_answers_across():
    texts = ["--question", "one, two", "--question", '"q"', "--answer", "A", "--answer", "한국어", "--answer", "C"]
    rows = list(csv.reader(io.StringIO(invoke("compare", *texts, "--csv").stdout)))
    assert rows[0] == ["", "A", "한국어", "C"]
    assert [row[0] for row in rows[1:]] == ["one, two", '"q"']
    similarity = json.loads(invoke("compare", *texts, "--json").stdout)["similarity"]
    np.testing.assert_allclose([[float(cell) for cell in row[1:]] for row in rows[1:]], similarity, atol=1e-6)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")'])
def test_a_spreadsheet_runs_no_text_as_a_formula(text):
    rows = list(csv.reader(io.StringIO(invoke("compare", "--question", text, "--answer", text, "--csv").stdout)))
    assert rows[0][1] == rows[1][0] == f"'{text}"
    float(rows[1][1])  # numbers stay numbers


@pytest.mark.parametrize("text", ["[red]a[/red]", "[/]", "[link=http://x]y[/link]", "<b>&lt;</b>", ":smile:", "{x}"])
def test_texts_are_shown_literally(text):
    first = invoke("compare", "--question", text, "--answer", text).stdout.splitlines()[0]
    assert first == f"question: {text} and ans: {text}"


def test_files_and_options_go_together(tmp_path):
    questions, answers = tmp_path / "q.txt", tmp_path / "a.txt"
    questions.write_text("\ufefffrom the file\r\n\r\n", encoding="utf-8")
    answers.write_text("x\ny\n", encoding="utf-8")
    result = invoke(
        "compare", "--question", "typed", "--questions-file", questions, "--answers-file", answers, "--json"
    )
    answer = json.loads(result.stdout)
    assert answer["questions"] == ["typed", "from the file"]
    assert answer["answers"] == ["x", "y"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "--question", "a"], "answers"),
        (["compare", "--question", " ", "--answer", "b"], "questions"),
        (["compare", "--questions-file", "/no/such/file", "--answer", "b"], "/no/such/file"),
        (["compare", "--model", "qwen/qwen9"], "qwen/qwen9"),
        (["compare", "--model", "[red]"], "[red]"),
        (["compare", "--model", "gpt2"], "GPT-2"),
        (["compare", "--model", "two\nlines"], "two lines"),
        (["compare", "--layer", "99"], "0 to 30"),
        (["compare", "--matches", "1-9"], "1-9"),
        (["compare", "--prompt", "own"], "plain"),
        (["compare", "--dtype", "float8"], "float32"),
        (["compare", "--question", "x" * 20_001, "--answer", "b"], "20,000"),
        (["embed"], "texts"),
        (["embed", "--text", "a", "--out", "x.csv"], ".npz"),
        (["embed", "--text", "a", "--out", "/no/such/folder/x.npz"], "/no/such/folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_code_2(arguments, said):
    result = invoke(*arguments, code=2)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize(
    "arguments",
    [["compare", "--bogus"], ["compare", "--layer", "x"], ["compare", "--json", "--csv"], ["nothing"], [],
     ["compare", "--pooling", "meen"], ["embed", "--role", "judge"]],
)  # fmt: skip
def test_a_wrong_use_has_code_2_too(arguments):
    invoke(*arguments, code=2)


def test_a_wrong_choice_lists_the_right_ones():
    assert "weighted_mean" in invoke("compare", "--pooling", "meen", code=2).stderr


def test_ctrl_c_has_code_130(monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeEngine, "embed", interrupted)
    assert invoke("compare", code=130).stdout == ""


def test_environment_twins_work_and_flags_win(monkeypatch):
    monkeypatch.setenv("DEMO_MODEL", "all-minilm-l6-v2")
    monkeypatch.setenv("DEMO_DTYPE", "nonsense")
    invoke("compare", code=2)
    answer = json.loads(invoke("compare", "--dtype", "float32", "--json").stdout)
    assert answer["reading"]["model"] == "all-minilm-l6-v2"


def test_embed_prints_json():
    answer = json.loads(invoke("embed", "--text", "한국어", "--text", "two", "--pooling", "mean").stdout)
    assert np.array(answer["embeddings"]).shape == (2, 96)
    assert answer["texts"] == ["한국어", "two"]
    assert answer["reading"]["pooling"] == "mean"


def test_embed_writes_files_that_hold_the_same(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("one\n\n둘\n", encoding="utf-8")
    for name in ("v.npz", "v.json"):
        assert invoke("embed", "--texts-file", texts, "--out", tmp_path / name).stdout == ""
    arrays = np.load(tmp_path / "v.npz", allow_pickle=False)
    written = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert arrays["embeddings"].dtype == np.float32
    np.testing.assert_array_equal(arrays["embeddings"], np.array(written["embeddings"], dtype=np.float32))
    assert arrays["texts"].tolist() == written["texts"] == ["one", "둘"]
    assert json.loads(str(arrays["reading"])) == written["reading"]


def test_embed_takes_the_prompt_of_the_side_it_is_told():
    sides = [
        json.loads(invoke("embed", "--text", "a", "--model", "qwen3-embedding-0.6b", "--role", role).stdout)
        for role in ("question", "answer")
    ]
    assert sides[0]["embeddings"] != sides[1]["embeddings"]


def test_models_are_listed_with_licence_and_reason():
    output = invoke("models").stdout
    statuses = json.loads(invoke("models", "--json").stdout)
    assert len(statuses) == 9
    for status in statuses:
        (line,) = [line for line in output.splitlines() if line.startswith(f"{status['model']} ")]
        assert status["licence"] in line
        assert status["reason"] in line
    assert {status["kind"] for status in statuses} == {"gpt", "tuned_gpt", "encoder"}


@pytest.mark.parametrize("command", [[], ["compare"], ["embed"], ["models"]])
def test_help_is_there(command):
    assert "Usage" in invoke(*command, "--help").stdout
