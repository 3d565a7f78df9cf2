"""The benchmark: a floor without a model, what a model can be given, the best layer, speed, and its commands."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from demo.__main__ import app
from demo.backend.fake import FakeEngine
from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Prompt
from demo.domain.errors import BadInput, ReadingRefused, Stopped, UnknownChoice
from demo.files.bundled import load_benchmark, load_titles
from demo.lab import Lab
from demo.settings import Settings
from demo.studies import benchmark
from demo.studies.benchmark import BEST_LAYER, FLOOR, LAST, ReadingGrid

GPT, BASE, ENCODER = "smollm2-135m-instruct", "gemma-3-270m", "all-minilm-l6-v2"
SET = load_benchmark()["astronomy-ko"]


@pytest.fixture
def lab() -> Lab:
    return Lab(Settings(engine="fake"), FakeEngine())


def run(lab, *wanted, on_progress=None) -> list:
    return list(lab.benchmark([SET], wanted, on_progress))


def test_the_floor_comes_first_and_needs_no_model(lab):
    floor = next(lab.benchmark([SET], [ReadingGrid(ENCODER)]))
    assert (floor.reading, floor.label, floor.texts_per_second, floor.provenance) == (None, FLOOR, None, {})
    assert floor.scores.auc is not None
    assert lab.engine.loads == []


def test_what_is_not_said_is_the_models_own_reading(lab):
    [_, row] = run(lab, ReadingGrid(ENCODER))
    assert row.reading == lab.reading(ENCODER)
    assert row.provenance["model"] == "all-MiniLM-L6-v2"
    assert row.texts_per_second > 0
    assert json.loads(json.dumps(row.to_dict()))["reading"]["model"] == ENCODER


def test_all_prompts_leaves_out_what_the_model_cannot_be_given(lab):
    _, *rows = run(lab, ReadingGrid(BASE, prompts=("all",), poolings=("mean",)))
    left_out = {Prompt.CUSTOM, Prompt.CHAT, Prompt.OWN}  # no custom template, no chat template, no prompts of its own
    assert [row.reading.prompt for row in rows] == [prompt for prompt in Prompt if prompt not in left_out]


def test_every_combination_is_measured_once(lab):
    poolings, methods = ("mean", "max", "mean"), ("none", "zscore")
    _, *rows = run(lab, ReadingGrid(ENCODER, prompts=("plain",), poolings=poolings, postprocess=methods))
    assert [(row.reading.pooling, row.reading.postprocess) for row in rows] == [
        (pooling, method)
        for pooling in (Pooling.MEAN, Pooling.MAX)
        for method in (Postprocess.NONE, Postprocess.ZSCORE)
    ]


def test_the_best_layer_is_no_worse_than_any_other(lab):
    layers = tuple(str(layer) for layer in range(7))
    _, best, *others = run(lab, ReadingGrid(ENCODER, layers=(BEST_LAYER, LAST, *layers)))
    assert best.label.endswith(" (best)")
    assert best.scores.auc.value == max(row.scores.auc.value for row in others)
    assert others[0].reading.layer == others[-1].reading.layer == LAST_LAYER
    assert [row.reading.layer for row in others[1:-1]] == list(range(6))


def test_logits_have_no_layers_to_choose_from(lab):
    [_, row] = run(lab, ReadingGrid(BASE, layers=(BEST_LAYER,)))
    assert (row.reading.pooling, row.reading.layer) == (Pooling.LAST_TOKEN_LOGITS, LAST_LAYER)


def test_a_layer_counts_from_the_end_too(lab):
    [_, row] = run(lab, ReadingGrid(ENCODER, layers=("-2",)))
    assert row.reading.layer == 5


@pytest.mark.parametrize("layer", ["x", "7", "-9", "1.5", ""])
def test_a_layer_that_is_not_there_is_named_with_what_is_accepted(lab, layer):
    with pytest.raises(UnknownChoice, match=re.escape(f"“{layer}” is not a layer. Accepted: last, best, or 0 to 6.")):
        run(lab, ReadingGrid(ENCODER, layers=(layer,)))


def test_unknown_and_impossible_choices_are_refused(lab):
    with pytest.raises(UnknownChoice, match=r"“haiku” is not a prompt\. Accepted: chat, plain"):
        run(lab, ReadingGrid(ENCODER, prompts=("haiku",)))
    with pytest.raises(UnknownChoice, match="“middle” is not a pooling"):
        run(lab, ReadingGrid(ENCODER, poolings=("middle",)))
    with pytest.raises(ReadingRefused, match="no LM head"):
        run(lab, ReadingGrid(ENCODER, poolings=("last_token_logits",)))


def test_a_set_that_would_fill_the_memory_is_refused_before_anything_is_computed(lab, monkeypatch):
    monkeypatch.setattr(benchmark, "_MOST_BYTES", 2**10)
    said = r"16 texts under 1 poolings need 0\.0 GiB for their vectors; 0 GiB is the limit\. Take fewer"
    with pytest.raises(BadInput, match=said):
        run(lab, ReadingGrid(ENCODER))
    assert lab.engine.embedded_texts == 0


def test_progress_names_set_model_and_prompt_and_may_stop_it(lab):
    told = []
    run(lab, ReadingGrid(ENCODER, prompts=("plain", "echo")), on_progress=told.append)
    assert {step.stage for step in told} == {
        f"astronomy-ko: all-MiniLM-L6-v2, {prompt}" for prompt in ("plain", "echo")
    }
    assert all(0 <= step.fraction < 1 for step in told)

    def stop(_):
        raise Stopped()

    with pytest.raises(Stopped):
        run(lab, ReadingGrid(ENCODER), on_progress=stop)


def test_every_subject_has_a_title_in_both_languages():
    titles = load_titles()
    assert {f"{subject}-{language}" for subject in titles for language in ("en", "ko")} <= set(load_benchmark())
    assert len(titles) == 10
    assert all(set(title) == {"en", "ko"} and all(title.values()) for title in titles.values())


# ---- the commands -----------------------------------------------------------------------------------------------


@pytest.fixture
def invoke(monkeypatch):
    monkeypatch.setenv("DEMO_ENGINE", "fake")
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def call(*arguments, code: int = 0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def pairs_file(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("question,answer\n" + "".join(f"what is {w}?,{w} is it\n" for w in "abcd"), encoding="utf-8")
    return path


def test_the_command_prints_a_table_and_says_where_it_comes_from(invoke):
    result = invoke("benchmark", "--set", "astronomy-ko", "--model", ENCODER)
    assert "astronomy-ko  60 pairs, 6 questions" in result.stdout
    assert re.search(rf"{re.escape(FLOOR)} +\S+ \[\S+, \S+\]", result.stdout)
    assert f"{ENCODER} · plain · mean · last layer" in result.stdout
    assert "all-MiniLM-L6-v2 · c9745ed1d9f2" in result.stdout


def test_about_so_many_pairs_are_drawn(invoke):
    options = ("--set", "astronomy-ko", "--model", ENCODER, "--pairs", "30", "--json")
    rows = json.loads(invoke("benchmark", *options).stdout)
    assert {row["scores"]["n_pairs"] for row in rows} == {30}  # three questions with their ten candidates


def test_a_file_of_ones_own_is_measured(invoke, pairs_file):
    rows = json.loads(invoke("benchmark", pairs_file, "--model", ENCODER, "--json").stdout)
    assert [row["set"] for row in rows] == ["pairs", "pairs"]
    assert rows[0]["scores"]["n_questions"] == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set", "cheese"), "“cheese” is not a set. Accepted: astronomy-en"),
        (("--set", "astronomy-ko", "--layer", "99"), "last, best, or 0 to 30"),
        (("--set", "astronomy-ko", "--prompt", "haiku"), "“haiku” is not a prompt"),
        (("no-such-file.csv",), "no-such-file.csv cannot be read"),
    ],
)
def test_what_cannot_be_measured_is_one_calm_line(invoke, options, said):
    result = invoke("benchmark", *options, code=2)
    assert said in result.stderr


def test_the_sweep_command_finds_a_reading(invoke, pairs_file):
    result = invoke("sweep", pairs_file, "--model", ENCODER, "--prompt", "plain")
    assert re.search(r"^best: all-minilm-l6-v2 · plain · .+ on the 4 questions that chose it", result.stdout, re.M)
