"""The command line: the article's lines, JSON, CSV, files and exit codes, over the fake engine."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from demo.__main__ import app
from demo.backend.fake import FakeEngine
from demo.cli import options
from demo.cli.printing import print_json
from tests import ROOT

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


def test_csv_has_questions_down_and_answers_across():
    texts = ["--question", "one, two", "--question", '"q"', "--answer", "A", "--answer", "한국어", "--answer", "C"]
    rows = list(csv.reader(io.StringIO(invoke("compare", *texts, "--csv").stdout)))
    assert rows[0][:4] == ["", "A", "한국어", "C"]
    assert [row[0] for row in rows[1:]] == ["one, two", '"q"']
    similarity = json.loads(invoke("compare", *texts, "--json").stdout)["similarity"]
    np.testing.assert_allclose([[float(cell) for cell in row[1:4]] for row in rows[1:]], similarity, atol=1e-6)
    told = dict(zip(rows[0][4:], rows[1][4:], strict=True))
    assert (told["right answers"], told["model"]) == ("1", "SmolLM2-135M-Instruct")
    assert json.loads(told["settings"])["pooling"] == told["reading"].split(" · ")[2]


def test_a_comparison_is_saved_by_the_files_ending(tmp_path):
    similarity = json.loads(invoke("compare", *TWO_BY_TWO, "--json").stdout)["similarity"]
    for ending in ("csv", "npz", "safetensors", "html"):
        done = invoke("compare", *TWO_BY_TWO, "--json", "--out", str(tmp_path / f"c.{ending}"), "--language", "ko")
        assert json.loads(done.stdout)["similarity"] == similarity
        assert f"c.{ending}" in done.stderr
    with np.load(tmp_path / "c.npz", allow_pickle=False) as arrays:
        sides = [
            arrays[name] / np.linalg.norm(arrays[name], axis=1, keepdims=True) for name in ("questions", "answers")
        ]
    np.testing.assert_allclose(sides[0] @ sides[1].T, similarity, atol=1e-6)
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert '<html lang="ko">' in page
    assert "import torch" in page


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
    ("arguments", "message"),
    [
        (["compare", "--question", "a"], "answers"),
        (["compare", "--question", " ", "--answer", "b"], "questions"),
        (["compare", "--questions-file", "/no/such/file", "--answer", "b"], "/no/such/file"),
        (["compare", "--model", "qwen/qwen9"], "qwen/qwen9"),
        (["compare", "--model", "[red]"], "[red]"),
        (["compare", "--model", "two\nlines"], "two lines"),
        (["compare", "--model", "gpt2"], "cannot be reached"),
        (["compare", "--model", "mistral-7b-instruct-v0.1"], "16.2 GiB"),
        (["compare", "--layer", "99"], "0 to 30"),
        (["compare", "--matches", "1-9"], "1-9"),
        (["compare", "--prompt", "own"], "plain"),
        (["compare", "--dtype", "float8"], "float32"),
        (["compare", "--question", " ", "--answer", "b"], "Text 1 of the questions is blank"),
        (["embed"], "texts"),
        (["embed", "--text", "a", "--out", "x.csv"], ".npz"),
        (["compare", "--out", "x.xlsx"], ".safetensors"),
        (["compare", "--out", "/no/such/folder/x.html"], "/no/such/folder"),
        (["compare", "--out", "/no/such/folder/x.safetensors"], "/no/such/folder"),
        (["embed", "--text", "a", "--out", "/no/such/folder/x.npz"], "/no/such/folder"),
    ],
)
def test_a_failure_is_one_line_with_code_2_for_wrong_input_and_else_1(arguments, message):
    code = 1 if arguments[-1] in ("gpt2", "mistral-7b-instruct-v0.1") else 2
    result = invoke(*arguments, code=code)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert message in line


@pytest.mark.parametrize(
    "arguments",
    [["compare", "--bogus"], ["compare", "--layer", "x"], ["compare", "--json", "--csv"], ["nothing"], [],
     ["compare", "--pooling", "meen"], ["embed", "--role", "judge"]],
)  # fmt: skip
def test_a_wrong_use_has_code_2_too(arguments):
    said = invoke(*arguments, code=2).stderr
    assert "meen" not in arguments or "weighted_mean" in said, "a wrong choice lists the right ones"


def test_ctrl_c_has_code_130(monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(FakeEngine, "embed", interrupted)
    assert invoke("compare", code=130).stdout == ""


def run_with(patch: str, *arguments, **options) -> subprocess.Popen:
    """`python -m demo …` as a process, with a few lines run before it."""
    code = f"import sys, time\nfrom demo.backend.fake import FakeEngine\n{patch}\nfrom demo.__main__ import run\nrun()"
    command = [sys.executable, "-c", code, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DEMO_ENGINE": "fake"}, **pipes)


def test_a_real_process_is_interrupted_quietly():
    # In short sleeps: a signal that comes just before a long one begins is noticed after it.
    slow = (
        "def embed(*asked, **options):\n"
        "    print('computing', file=sys.stderr, flush=True)\n"
        "    for _ in range(600):\n"
        "        time.sleep(0.1)\n"
        "FakeEngine.embed = embed"
    )
    process = run_with(slow, "compare")
    assert process.stderr.readline() == b"computing\n"
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (130, b"", b"")


@pytest.mark.parametrize("arguments", [["compare"], ["compare", "--json"], ["models"]])
def test_who_reads_only_the_beginning_hears_no_complaint(arguments):
    """As `| head -0`: the reader has left before a word is written."""
    reader, writer = os.pipe()
    os.close(reader)
    process = run_with("", *arguments, stdout=writer)
    os.close(writer)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_said_with_code_1():
    with open("/dev/full", "wb") as full:
        process = run_with("", "compare", "--json", stdout=full)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 1
    assert stderr.decode().splitlines() == ["The output: No space left on device."]


def test_json_has_no_number_that_json_has_no_word_for(capsys):
    print_json({"auc": float("nan"), "speed": float("inf"), "all": [1.5, (float("-inf"), "NaN")]})
    said = capsys.readouterr().out
    assert json.loads(said, parse_constant=pytest.fail) == {"auc": None, "speed": None, "all": [1.5, [None, "NaN"]]}


def test_json_is_valid_where_a_number_has_no_meaning():
    """One question and its answer: no wrong pair, so no margin and no AUC."""
    said = invoke("compare", "--question", "a", "--answer", "b", "--json").stdout
    assert json.loads(said, parse_constant=pytest.fail)["metrics"]["auc"] is None


def test_environment_twins_work_and_flags_win(monkeypatch):
    monkeypatch.setenv("DEMO_MODEL", "all-minilm-l6-v2")
    monkeypatch.setenv("DEMO_DTYPE", "nonsense")
    invoke("compare", code=2)
    answer = json.loads(invoke("compare", "--dtype", "float32", "--json").stdout)
    assert answer["reading"]["model"] == "all-minilm-l6-v2"


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


def test_a_big_download_is_asked_about_on_a_terminal_alone(monkeypatch):
    """Else the sentence says how to allow it. --yes: without a question."""
    from demo.backend import fake

    created = []

    class Unfetched(fake.FakeEngine):
        def __init__(self):
            super().__init__()
            self.unfetched.add("smollm2-135m-instruct")
            created.append(self)

    monkeypatch.setattr("demo.pipeline.create_engine", lambda settings: Unfetched())
    texts = ("compare", "--question", "a", "--answer", "b")
    assert "--yes on the command line" in " ".join(invoke(*texts, code=1).stderr.split())
    monkeypatch.setattr(options, "confirm_download", lambda question: answers.append(question) or yes)
    monkeypatch.setattr(options, "on_terminal", lambda: True)
    for yes in (False, True):
        answers = []
        invoke(*texts, code=0 if yes else 1)
        assert [question.values["size"] for question in answers] == ["14.5 GB"]
        assert created[-1].unfetched == (set() if yes else {"smollm2-135m-instruct"})
    assert options.make_lab(None, None, yes=True).settings.big_downloads == "always"


COMMANDS = ["compare", "article", "embed", "models", "sweep", "recommend", "benchmark", "train", "code", "export"]


def test_the_help_lists_every_command_in_the_order_of_use_and_the_exit_codes():
    said = invoke("--help").stdout
    listed = re.findall(r"^│ (\w+)  ", said, flags=re.MULTILINE)
    assert listed == ["app", *COMMANDS]
    assert "Exit codes: 0 done; 1 " in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_says_what_it_does_with_an_example(command):
    said = invoke(command, "--help").stdout
    assert f"Usage: python -m demo {command}" in said.replace("Usage: root", "Usage: python -m demo")
    assert "The machine" in said
    if command != "models":
        assert f"python -m demo {command}" in said.partition("Example")[2]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.jsonl", '{"질문": "q1", "답": "a1", "라벨": 1}\n{"질문": "q2", "답": "a2", "라벨": true}\n'
                        '{"질문": "q1", "답": "a2", "라벨": 0}\n{"질문": "q2", "답": "a1", "라벨": 0}\n'),
        ("pairs.csv", "sep=;\nquery;passage;label\nq1;a1;1\nq2;a2;1\nq1;a2;0\nq2;a1;0\n"),
        ("pairs.tsv", 'question\tanswer\tlabel\n"q1\n"\ta1\t1\nq2\ta2\tyes\nq1\ta2\tno\nq2\ta1\t0\n'),
    ],
)  # fmt: skip
def test_every_command_reads_a_file_of_pairs_alike(tmp_path, name, content, encoding):
    file = tmp_path / name
    file.write_text(content, encoding=encoding)
    sweep = json.loads(invoke("sweep", file, "--prompt", "plain", "--json").stdout)
    assert sweep["criterion"] == "auc"
    row = json.loads(invoke("benchmark", file, "--json").stdout)[0]
    assert (row["set"], row["scores"]["n_pairs"], row["scores"]["n_questions"]) == ("pairs", 4, 2)
    train = invoke("train", "--pairs", file, "--out", tmp_path / "out", "--steps", "1", "--batch", "2", "--json")
    assert json.loads(train.stdout)["data"] == [{"name": "pairs", "pairs": 2, "weight": 1.0}]
    assert "pairs: Rows labelled wrong that are left out: 2." in train.stderr


def test_embed_takes_more_lines_than_a_page_and_names_blank_ones(tmp_path):
    lines = [f"text {i}" for i in range(600)]
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join([*lines[:300], "", " ", *lines[300:], "", ""]), encoding="utf-8")
    done = invoke("embed", "--texts-file", texts, "--model", "all-minilm-l6-v2")
    written = json.loads(done.stdout)
    assert written["texts"] == lines
    assert len(written["embeddings"]) == 600
    assert done.stderr.strip() == f"{texts}: 2 blank lines in it are no texts."


def test_embed_names_what_is_cut_or_refuses_it(monkeypatch):
    embed = FakeEngine.embed
    monkeypatch.setattr(FakeEngine, "embed", lambda *given: replace(embed(*given), cut=(1,), token_limit=512))
    texts = ["embed", "--text", "a", "--text", "b"]
    assert "Longer than 512 tokens and cut there: texts 2." in invoke(*texts).stderr
    assert "texts 2" in invoke(*texts, "--no-truncate", code=2).stderr


ASKED = ["What is it?", "Who is it?", "Where is it?", "When is it?", "Why is it?"]
READS = ("sweep", "recommend", "benchmark", "train")


def read_file(command: str, file: Path, tmp_path: Path, *options, code: int = 0):
    """A command over a file: its result, with nothing computed that need not be."""
    how = {
        "sweep": [file, "--prompt", "plain", "--json"],
        "recommend": [file, "--model", "all-minilm-l6-v2", "--json"],
        "benchmark": [file, "--json"],
        "train": ["--pairs", file, "--out", tmp_path / f"out-{len(options)}", "--steps", "1", "--batch", "2", "--json"],
    }
    return invoke(command, *how[command], *options, code=code)


@pytest.mark.parametrize("command", READS)
def test_every_command_is_told_what_a_files_columns_hold(tmp_path, command):
    file = tmp_path / "faq.csv"
    rows = [f"{text},Thing {i}.,{'ja' if i else 'nein'}" for i, text in enumerate(ASKED)]
    file.write_text("Frage,Antwort,passt\n" + "\n".join([*rows, "What is it?,That one.,ja"]))
    refused = read_file(command, file, tmp_path, code=2).stderr
    assert "No name of a column is known: “Frage”, “Antwort”, “passt”" in refused
    assert "--question-column and --answer-column" in refused.replace("\n", " ")
    columns = ["--question-column", "Frage", "--answer-column", "2", "--label-column", "passt"]
    refused = read_file(command, file, tmp_path, *columns, code=2).stderr
    assert "“nein” in row 2" in refused
    found = read_file(command, file, tmp_path, *columns, "--right", "ja")
    if command == "train":
        assert json.loads(found.stdout)["data"] == [{"name": "faq", "pairs": 5, "weight": 1.0}]
        assert "Rows labelled wrong that are left out: 1." in found.stderr
    assert "Questions: “Frage”. Answers: “Antwort”. Labels: “passt”." in found.stderr


@pytest.mark.parametrize("command", READS)
def test_every_command_takes_a_part_of_a_file(tmp_path, command):
    file = tmp_path / "faq.jsonl"
    file.write_text("\n".join(json.dumps({"q": text, "a": text + " Yes."}) for text in ASKED))
    assert "Of 5 questions 3 are taken, the first ones." in read_file(command, file, tmp_path, "--first", 3).stderr
    assert "drawn at random." in read_file(command, file, tmp_path, "--draw", 3, "--no-header").stderr
    assert "exclude each other" in read_file(command, file, tmp_path, "--first", 3, "--draw", 3, code=2).stderr


def test_the_benchmark_leaves_out_what_a_model_refuses_and_says_so():
    models = ["--model", "all-minilm-l6-v2", "--model", "smollm2-135m-instruct"]
    options = ["--set", "astronomy-en", "--prompt", "plain", "--pooling", "last_token_logits", "--json"]
    done = invoke("benchmark", *models, *options)
    assert [row["reading"]["model"] for row in json.loads(done.stdout) if row["reading"]] == ["smollm2-135m-instruct"]
    assert "Left out: all-MiniLM-L6-v2: its checkpoint has no LM head" in done.stderr
    assert "No reading is left" in invoke("benchmark", *models[:2], *options, code=2).stderr


def test_a_refused_model_ends_the_process_with_one_sentence(tiny, tmp_path):
    """No abort of the threads that began to load it ("terminate called without an active exception")."""
    config = {"peft_type": "TOMORROW", "base_model_name_or_path": str(tiny("llama"))}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    done = start("embed", "--text", "a", "--model", str(tmp_path), DEMO_ENGINE="local", DEMO_DEVICE="cpu")
    assert done.returncode == 1
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert "TOMORROW" in line


def test_an_adapter_that_is_a_prompt_is_refused_with_one_sentence(tiny, tmp_path, monkeypatch):
    config = {"peft_type": "PROMPT_TUNING", "base_model_name_or_path": str(tiny("llama"))}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DEMO_ENGINE", "local")
    done = invoke("embed", "--text", "a", "--model", tmp_path, "--device", "cpu", code=1)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "PROMPT_TUNING" in line


QUICK = ("--model", "all-minilm-l6-v2")


def recommended(file: Path, *options) -> dict:
    return json.loads(invoke("recommend", file, *QUICK, "--json", *options).stdout)


def test_recommend_reads_text_csv_and_json_alike_and_says_when_texts_are_too_few(tmp_path):
    pairs = [(text, f"Thing {i}.") for i, text in enumerate(ASKED)]
    files = {
        "pairs.csv": "question,answer\n" + "\n".join(f"{q},{a}" for q, a in pairs),
        "pairs.txt": "question\tanswer\n" + "\n".join(f"{q}\t{a}" for q, a in pairs),
        "pairs.json": json.dumps([{"question": q, "answer": a} for q, a in pairs]),
    }
    answers = []
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        answers.append(recommended(tmp_path / name))
    for answer in answers:
        assert answer["verdict"] == "too_few"
        assert answer["sentence"].startswith("Too few texts for a recommendation: 5 questions chose")
        assert answer["best"] == answers[0]["best"]
        assert answer["readings"][0]["provenance"]["model"] == "all-MiniLM-L6-v2"


def test_recommend_prints_a_table_a_sentence_and_the_way_home(tmp_path):
    file, script = tmp_path / "faq.csv", tmp_path / "reading.py"
    file.write_text(
        "question,answer\n" + "\n".join(f"What is word{i} of {i * 7}?,It is word{i} {i * 7}." for i in range(16))
    )
    done = invoke("recommend", file, *QUICK, "--seconds", "120", "--code", script)
    assert done.stdout.startswith("on 8 held-out questions; in brackets 95 % by bootstrap")
    assert re.search(r"^all-MiniLM-L6-v2 · .* finds \d of 8; ", done.stdout, flags=re.MULTILINE)
    home = done.stdout.partition("take it home: python -m demo ")[2].split()
    assert home[0] == "code"
    assert "may be chance" in done.stdout or "that chose nothing" in done.stdout
    assert " of 120 s" in done.stderr
    compile(script.read_text(encoding="utf-8"), "reading.py", "exec")
    assert "고르는 데 쓰지 않은 질문 8개" in invoke("recommend", file, *QUICK, "--language", "ko").stdout


def test_recommend_asked_for_wrongly_ends_with_two_and_without_weights_with_one(tmp_path):
    file = tmp_path / "faq.csv"
    file.write_text("question,answer\nWhat is it?,It.\nWho is it?,She.\n")
    assert "One above 0 is accepted" in invoke("recommend", file, "--seconds", "0", code=2).stderr
    assert "nonsense" in invoke("recommend", file, "--model", "nonsense", code=2).stderr
    assert "no such file" in invoke("recommend", tmp_path / "none.csv", code=2).stderr.lower()
    assert "could not be fetched" in invoke("recommend", file, "--model", "gpt2", code=1).stderr
    assert "cannot be written" in invoke("recommend", file, *QUICK, "--code", tmp_path, code=2).stderr
