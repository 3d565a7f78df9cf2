"""Mixtures of readings, the reference corpus, and taking a reading home on the command line."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from demo.__main__ import app
from demo.analysis.evaluation import score
from demo.analysis.labelled_sets import labelled_from_pairing, sample
from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Reference
from demo.domain.errors import BadInput, UnreadableFile
from demo.files.bundled import load_benchmark
from demo.lab import Lab
from demo.settings import Settings
from demo.stages.similarity import cos_sim
from demo.stages.texts import parse_pairing
from demo.studies.mixture import load_mixture, run_mixture
from tests import ROOT

QUESTIONS, ANSWERS = (
    ["What is a cat?", "What is rain?", "Who wrote it?"],
    ["An animal.", "Water from clouds.", "She did."],
)


@pytest.fixture
def lab() -> Lab:
    return Lab(Settings(engine="fake"), FakeEngine())


def save(tmp_path, **said):
    path = tmp_path / "mix.json"
    path.write_text(json.dumps(said))
    return path


def test_a_mixture_is_the_weighted_mean_of_its_cosines(lab, tmp_path):
    parts = [{"weight": 3, "prompt": "plain", "pooling": "mean"}, {"prompt": "echo", "pooling": "max", "layer": 2}]
    mixture = load_mixture(save(tmp_path, model="smollm2-135m-instruct", parts=parts))
    labelled = labelled_from_pairing(parse_pairing(QUESTIONS, ANSWERS))
    row = run_mixture(lab, labelled, mixture, lambda progress: None)
    one = lab.compare(QUESTIONS, ANSWERS, prompt="plain", pooling="mean").similarity
    two = lab.compare(QUESTIONS, ANSWERS, prompt="echo", pooling="max", layer=2).similarity
    assert row.scores == score((0.75 * one + 0.25 * two).ravel(), labelled)
    assert "a mixture of 2 readings" in row.label


def test_it_equals_the_cosine_of_vectors_set_side_by_side(lab):
    sides = []
    for weight, prompt in ((3, "plain"), (1, "echo")):
        vectors = lab.embed(QUESTIONS + ANSWERS, prompt=prompt, pooling="mean")
        sides.append(np.sqrt(weight) * vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    joined = np.concatenate(sides, axis=1)
    cosines = [lab.compare(QUESTIONS, ANSWERS, prompt=p, pooling="mean").similarity for p in ("plain", "echo")]
    np.testing.assert_allclose(cos_sim(joined[:3], joined[3:]), 0.75 * cosines[0] + 0.25 * cosines[1], atol=1e-5)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"parts": []},
        {"parts": [{}] * 9},
        {"parts": [{"weight": 0}]},
        {"parts": [{"weight": "1"}]},
        {"parts": [{"weight": True}]},
        {"parts": [{"nonsense": 1}]},
        {"parts": ["plain"]},
    ],
)
def test_what_is_no_mixture_is_said(tmp_path, said):
    with pytest.raises(BadInput, match="is not a mixture of readings"):
        load_mixture(save(tmp_path, **said))


def test_a_file_that_is_not_json_is_said(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(UnreadableFile, match="x.json"):
        load_mixture(tmp_path / "x.json")
    with pytest.raises(UnreadableFile):
        load_mixture(tmp_path / "none.json")


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "mixtures").glob("*.json")), ids=lambda path: path.stem)
def test_the_examples_can_be_measured(lab, path):
    row = run_mixture(lab, sample(load_benchmark()["astronomy-en"], 60), load_mixture(path), lambda progress: None)
    assert row.scores.auc is not None


def test_on_the_corpus_a_pair_does_not_depend_on_the_texts_beside_it(lab):
    reading = {"prompt": "plain", "pooling": "mean", "postprocess": "zscore", "reference": "corpus"}
    few = lab.compare(QUESTIONS[:1], ANSWERS[:1], **reading)
    many = lab.compare(QUESTIONS, ANSWERS, **reading)
    assert few.similarity[0, 0] == pytest.approx(many.similarity[0, 0], abs=1e-6)
    assert not few.notices, "240 sentences are enough"
    assert few.reading.reference is Reference.CORPUS
    assert few.reading.label().endswith("zscore on the corpus")
    fitted_on_these = lab.compare(QUESTIONS, ANSWERS, **{**reading, "reference": "texts"})
    assert not np.allclose(fitted_on_these.similarity, many.similarity)


def test_without_post_processing_there_is_nothing_to_fit(lab):
    assert lab.reading(reference="corpus").reference is Reference.TEXTS


def invoke(monkeypatch, *arguments: str):
    monkeypatch.setenv("DEMO_ENGINE", "fake")
    return CliRunner().invoke(app, list(arguments))


def test_code_prints_a_script_and_nothing_else(monkeypatch):
    done = invoke(monkeypatch, "code", "--prompt", "prompteol", "--pooling", "mean", "--postprocess", "soft_whitening")
    assert done.exit_code == 0
    compile(done.stdout, "reading.py", "exec")
    assert "means in one word" in done.stdout
    done = invoke(monkeypatch, "code", "--pooling", "last_token_logits", "--library", "sentence-transformers")
    assert done.exit_code == 2
    assert "logits" in done.stderr


def test_an_engine_without_weights_exports_nothing(monkeypatch, tmp_path):
    done = invoke(monkeypatch, "export", str(tmp_path / "out"), "--prompt", "plain", "--pooling", "mean")
    assert done.exit_code == 2
    assert "no weights to write" in done.stderr
    assert not (tmp_path / "out").exists()


def test_export_writes_a_folder_that_sentence_transformers_loads(settings, engine, tiny, tmp_path):
    from sentence_transformers import SentenceTransformer

    lab, folder = Lab(settings, engine), str(tiny("llama"))
    reading = {"model": folder, "prompt": "plain", "pooling": "weighted_mean"}
    lab.export(tmp_path / "encoder", **reading)
    theirs = SentenceTransformer(str(tmp_path / "encoder"), device="cpu").encode(ANSWERS)
    np.testing.assert_allclose(theirs, lab.embed(ANSWERS, **reading), atol=1e-5)
    assert lab.code(library="transformers", **reading).startswith("# As the lab")
