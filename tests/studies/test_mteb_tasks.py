"""The bridge to mteb: tasks made of lists, over the fake engine, and what is said where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import numpy as np
import pytest
from scipy.stats import spearmanr

from demo import Lab, Settings
from demo.backend.fake import FakeEngine
from demo.domain.choices import Role
from demo.domain.errors import BadInput, ReadingRefused, Stopped
from demo.stages.similarity import cos_sim
from demo.studies.mteb_tasks import MtebEncoder, _hub_name, run_mteb
from demo.ui.kit.i18n import translate_phrase
from tests import ROOT

GPT, ENCODER, TUNED = "smollm2-135m-instruct", "all-minilm-l6-v2", "qwen3-embedding-0.6b"
FIRST = ["A cat purrs.", "The moon is far.", "Something.", "Two is a number.", "A cat purrs."]
SECOND = ["A cat is purring.", "The moon is far away.", "Nothing.", "Bread is baked.", "대한민국의 수도"]
GRADES = [4.5, 4.0, 0.5, 1.0, 0.0]
QUERIES = {"q1": "Where is the moon?", "q2": "What is a cat?"}
CORPUS = {"d1": "The moon is far.", "d2": "A cat is an animal.", "d3": "Two is a number.", "d4": "Bread is baked."}
RELEVANT = {"q1": {"d1": 1}, "q2": {"d2": 1}}


@pytest.fixture
def lab(tmp_path) -> Lab:
    return Lab(Settings(public=False, cache_dir=tmp_path / "cache"), FakeEngine())


@pytest.fixture
def own_tasks(monkeypatch):
    """mteb with two tasks more, made of lists."""
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset, DatasetDict
    from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    def describe(name: str, kind: str, main_score: str) -> TaskMetadata:
        return TaskMetadata(
            name=name,
            description="Made of lists.",
            dataset={"path": "nobody/nothing", "revision": "1"},
            type=kind,
            eval_langs=["eng-Latn"],
            eval_splits=["test"],
            main_score=main_score,
        )

    class TinySTS(AbsTaskSTS):
        metadata = describe("TinySTS", "STS", "cosine_spearman")

        def load_data(self, *args, **kwargs):
            rows = {"sentence1": FIRST, "sentence2": SECOND, "score": GRADES}
            self.dataset = DatasetDict({"test": Dataset.from_dict(rows)})
            self.data_loaded = True

    class TinyRetrieval(AbsTaskRetrieval):
        metadata = describe("TinyRetrieval", "Retrieval", "ndcg_at_10")

        def load_data(self, *args, **kwargs):
            self.queries, self.corpus, self.relevant_docs = ({"test": s} for s in (QUERIES, CORPUS, RELEVANT))
            self.data_loaded = True

    known, own = mteb.get_task, {"TinySTS": TinySTS, "TinyRetrieval": TinyRetrieval}

    def get_task(name, eval_splits=None, **filters):
        task = own[name]().filter_eval_splits(eval_splits) if name in own else None
        return task or known(name, eval_splits=eval_splits, **filters)

    monkeypatch.setattr(mteb, "get_task", get_task)
    return mteb


def refusal(rows) -> str:
    with pytest.raises(BadInput) as caught:
        list(rows)
    return str(caught.value)


@pytest.mark.parametrize(
    "choices",
    [{"model": GPT}, {"model": ENCODER, "layer": 2}, {"model": GPT, "postprocess": "center", "reference": "corpus"}],
)
def test_the_main_score_is_the_one_that_our_own_vectors_give(lab, own_tasks, choices):
    reading = lab.reading(**choices)
    [row] = run_mteb(lab, reading, ["TinySTS"])
    first, second = (lab.embed(side, **choices) for side in (FIRST, SECOND))
    assert row.main_score == pytest.approx(spearmanr(np.diag(cos_sim(first, second)), GRADES)[0], abs=1e-6)
    assert (row.task, row.metric, row.reading) == ("TinySTS", "cosine_spearman", reading)
    assert row.seconds > 0
    assert row.provenance["mteb"] == own_tasks.__version__
    assert row.provenance["revision"] == lab.open(choices["model"]).revision
    assert row.to_dict()["reading"]["model"] == choices["model"]


def test_retrieval_finds_what_our_own_cosines_find_and_queries_are_questions(lab, own_tasks):
    reading = lab.reading(TUNED, prompt="own")
    [row] = run_mteb(lab, reading, ["TinyRetrieval"])
    asked = lab.vectors(list(QUERIES.values()), reading, Role.QUESTION).vectors
    answered = lab.vectors(list(CORPUS.values()), reading, Role.ANSWER).vectors
    ranks = np.argsort(-cos_sim(asked, answered), axis=1).argsort(axis=1)[[0, 1], [0, 1]]
    assert row.metric == "ndcg_at_10"
    assert row.main_score == pytest.approx(np.mean(1 / np.log2(ranks + 2)), abs=1e-4)  # mteb rounds


def test_vectors_are_the_labs_in_the_order_of_the_texts_and_roles_count(lab, own_tasks):
    reading = lab.reading(TUNED, prompt="own")
    seen = []
    encoder = MtebEncoder(lab, reading, seen.append)
    texts = [f"{'long ' * (i % 7)}text {i % 150}" for i in range(200)]
    batches = [{"text": texts[:128]}, {"text": texts[128:]}]
    task = types.SimpleNamespace(name="T")
    where = {"task_metadata": task, "hf_split": "test", "hf_subset": "default"}
    for prompt_type, role in (("query", Role.QUESTION), ("document", Role.ANSWER), (None, Role.ANSWER)):
        vectors = encoder.encode(batches, **where, prompt_type=prompt_type, batch_size=32)
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, lab.embed(texts, TUNED, prompt="own", role=role.value))
    assert encoder.encode([{"text": [""]}], **where).shape == (1, vectors.shape[1])
    assert seen[0].stage == f"T: {encoder.info.name}"
    assert [done.fraction for done in seen[:2]] == [0, pytest.approx(64 / len(set(texts)))]


def test_it_is_an_encoder_as_mteb_asks_for_one(lab, own_tasks):
    from mteb.models import CrossEncoderProtocol, EncoderProtocol, SearchProtocol

    encoder = MtebEncoder(lab, lab.reading(GPT))
    assert isinstance(encoder, EncoderProtocol)
    assert not isinstance(encoder, (CrossEncoderProtocol, SearchProtocol))
    meta = encoder.mteb_model_meta
    assert meta.name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert meta.revision == encoder.info.revision
    type(meta).model_validate(meta.model_dump())
    other = MtebEncoder(lab, lab.reading(GPT, layer=3)).mteb_model_meta
    assert hash(meta) != hash(other)  # mteb keeps the results of two readings apart
    left, right = np.eye(3, 4, dtype=np.float32), np.ones((3, 4), dtype=np.float32)
    np.testing.assert_allclose(encoder.similarity(left, right), cos_sim(left, right), atol=1e-6)
    np.testing.assert_allclose(encoder.similarity_pairwise(left, right), np.full(3, 0.5), atol=1e-6)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (GPT, "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("intfloat/e5-small", "intfloat/e5-small"),
        ("gpt2-small", "local/gpt2-small"),
        ("/home/me/my-model", "local/my-model"),
        ("./models/mine.gguf", "local/mine.gguf"),
    ],
)
def test_a_folder_keeps_its_way_to_itself(model, name):
    assert _hub_name(model) == name


def test_nothing_is_kept_outside_the_cache_folder(lab, own_tasks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    list(run_mteb(lab, lab.reading(ENCODER), ["TinySTS"]))
    assert not home.exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


def test_the_import_leaves_no_folder_at_home(tmp_path):
    pytest.importorskip("mteb")
    code = (
        "from demo import Lab, Settings\n"
        "from demo.backend.fake import FakeEngine\n"
        "from demo.studies.mteb_tasks import MtebEncoder\n"
        f"lab = Lab(Settings(public=False, cache_dir={str(tmp_path / 'cache')!r}), FakeEngine())\n"
        "MtebEncoder(lab, lab.reading('all-minilm-l6-v2'))\n"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("MTEB_CACHE", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**kept, "HOME": str(tmp_path / "home")}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "home" / ".cache" / "mteb").exists()


def test_post_processing_is_fitted_on_the_corpus_only(lab, own_tasks):
    with pytest.raises(ReadingRefused, match="--reference corpus") as caught:
        MtebEncoder(lab, lab.reading(GPT, postprocess="zscore"))
    assert (caught.value.field, caught.value.instead) == ("reference", "corpus")


def test_too_many_vectors_are_refused_before_they_are_computed(lab, own_tasks, monkeypatch):
    monkeypatch.setattr("demo.studies.mteb_tasks._MOST_BYTES", 1000)
    assert "under last_token_logits need" in refusal(run_mteb(lab, lab.reading(GPT), ["TinySTS"]))
    assert lab.engine.embedded_texts == 0


def test_stopping_stops(lab, own_tasks):
    def stop(progress):
        raise Stopped()

    with pytest.raises(Stopped):
        list(run_mteb(lab, lab.reading(GPT), ["TinySTS"], on_progress=stop))


def test_without_mteb_it_says_what_to_install(lab, monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    said = 'The package mteb is not installed. Run: pip install "mteb>=2.26,<2.27".'
    assert refusal(run_mteb(lab, lab.reading(GPT), ["STSBenchmark"])) == said
    assert (
        translate_phrase("ko", said)
        == 'mteb 패키지가 설치되어 있지 않아요. 실행할 명령: pip install "mteb>=2.26,<2.27".'
    )


def test_another_version_is_told_of(lab, monkeypatch):
    old = types.ModuleType("mteb")
    old.__version__, old.__path__ = "1.39.7", []
    monkeypatch.setitem(sys.modules, "mteb", old)
    monkeypatch.setitem(sys.modules, "mteb.similarity_functions", types.ModuleType("mteb.similarity_functions"))
    assert "1.39.7 is installed" in refusal(run_mteb(lab, lab.reading(GPT), ["STSBenchmark"]))


@pytest.mark.parametrize(
    ("names", "filters", "said"),
    [
        (["TinySTS", "stsbenchmrk"], {}, "mteb has no task “stsbenchmrk”. The nearest names: STSBenchmark"),
        (["하나"], {}, "mteb has no task “하나”. The nearest names: "),
        (["STSBenchmark"], {"languages": ["kor"]}, "has no texts in kor. It has: eng."),
        (["STSBenchmark"], {"languages": ["English"]}, "has no texts in English. It has: eng."),
        (["CIFAR10ZeroShot"], {}, "is not made of texts alone but of text, image."),
        (["TinySTS"], {"splits": ["dev"]}, "The data set of TinySTS has no split dev."),
    ],
)
def test_what_cannot_be_run_is_told_in_words(lab, own_tasks, names, filters, said):
    assert said in refusal(run_mteb(lab, lab.reading(GPT), names, **filters))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["STSBenchmark", "NFCorpus", "CQADupstackRetrieval"])
def test_a_data_set_out_of_reach_is_told_of_at_once(lab, own_tasks, name, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)  # whatever this machine has fetched before
    said = refusal(run_mteb(lab, lab.reading(GPT), [name]))
    assert said.startswith("The data set of")
    assert "not on this disk and could not be fetched from the Hugging Face Hub" in said
    assert "OfflineModeIsEnabled" in said


def test_what_mteb_stumbles_over_is_told_without_a_traceback(lab, own_tasks, monkeypatch):
    def stumble(*args, **kwargs):
        raise RuntimeError("a leg\nand more")

    monkeypatch.setattr(own_tasks, "evaluate", stumble)
    said = refusal(run_mteb(lab, lab.reading(GPT), ["TinySTS"]))
    assert said == "The task TinySTS could not be run. mteb's answer: RuntimeError, a leg."
    assert translate_phrase("ko", said) == "TinySTS 과제를 돌리지 못했어요. mteb의 대답: RuntimeError, a leg."
