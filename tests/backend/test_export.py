"""A reading as a sentence-transformers folder: it loads, and gives the lab's vectors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demo import Lab
from demo.backend.export import export_sentence_transformer
from demo.domain.datamodels import Pooling
from demo.domain.errors import BadInput, ReadingRefused, WeightsUnavailable
from demo.export.snippet import LIBRARIES, export_prompts, name_source
from demo.settings import Settings
from tests.conftest import TEXTS, make_sentence_transformer, save_tiny
from tests.export.test_snippet import HIDDEN, run

STRIPPED = [text.strip() for text in TEXTS]  # as the lab takes them


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are tiny
    yield Lab(device="cpu", dtype="float32", cache_dir=tmp_path_factory.mktemp("cache"), public=False, memory_gb=4)
    torch.set_num_threads(threads)


def export(lab: Lab, model, out: Path, **asked) -> Path:
    """The folder of a reading, as the lab is to write it."""
    reading = lab.reading(str(model), **asked)
    prompts = export_prompts(reading, lab.open(str(model)))
    export_sentence_transformer(lab.engine._checkpoint(reading.model), reading, prompts, out)
    return out


def assert_same(lab: Lab, model, folder: Path, texts=STRIPPED, **asked) -> None:
    from sentence_transformers import SentenceTransformer

    exported = SentenceTransformer(str(folder), device="cpu")
    question, answer = (lab.embed(texts, model=str(model), role=role, **asked) for role in ("question", "answer"))
    scale = max(1.0, float(np.abs(answer).max()))
    encoders = (exported.encode_query, question), (exported.encode_document, answer), (exported.encode, answer)
    for encode, expected in encoders:
        np.testing.assert_allclose(encode(texts), expected, atol=1e-5 * scale)
    for role, expected in (("question", question), ("answer", answer)):  # and the lab reads what it wrote
        np.testing.assert_allclose(lab.embed(texts, model=str(folder), role=role), expected, atol=1e-5 * scale)
    lab.engine.release(str(folder))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "qwen3", "bert"])
@pytest.mark.parametrize("pooling", HIDDEN)
def test_every_pooling(lab, tiny, tmp_path, family, pooling):
    asked = {"prompt": "plain", "pooling": pooling.value}
    assert_same(lab, tiny(family), export(lab, tiny(family), tmp_path / "out", **asked), **asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "chat", "pooling": "last_token"},
        {"prompt": "chat", "pooling": "weighted_mean"},
        {"prompt": "e5_instruct", "pooling": "mean", "task": 'Say "why"'},
        {"prompt": "custom", "pooling": "mean", "template": 'A "text": {text}'},
        *({"prompt": "chat", "pooling": pooling.value} for pooling in HIDDEN),
    ],
)
def test_every_prompt_that_stands_before_the_text(lab, tiny, tmp_path, asked):
    folder = export(lab, tiny("llama"), tmp_path / "out", **asked)
    assert_same(lab, tiny("llama"), folder, **asked)
    assert (folder / "chat_template.jinja").exists() is (asked["prompt"] == "chat")


def test_a_checkpoints_own_reading(lab, tmp_path, tiny_tokenizer):
    """Prompts, normalization and a length at which texts are cut; the lab reads the folder as it read the original."""
    original = save_tiny(tmp_path / "st", "qwen3", tiny_tokenizer)
    make_sentence_transformer(original, "lasttoken", prompts={"query": "Q: ", "document": "D: "}, max_tokens=24)
    folder = export(lab, original, tmp_path / "out")
    assert_same(lab, original, folder)
    assert lab.open(str(folder)).max_tokens == 24
    for role in ("question", "answer"):
        again = lab.embed(STRIPPED, model=str(folder), role=role)
        np.testing.assert_allclose(again, lab.embed(STRIPPED, model=str(original), role=role), atol=1e-6)


def test_a_tokenizer_without_a_padding_token(lab, tmp_path, tiny_tokenizer):
    folder = save_tiny(tmp_path / "bare", "gpt2", tiny_tokenizer)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).exists():
            config = json.loads((folder / name).read_text())
            config.pop("pad_token", None)
            config["padding_side"] = "left"  # GPT-2 counts its positions from the first token, padding included
            (folder / name).write_text(json.dumps(config))
    asked = {"prompt": "plain", "pooling": "last_token"}
    assert_same(lab, folder, export(lab, folder, tmp_path / "out", **asked), **asked)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"pooling": "last_token_logits"}, "pooling"),
        ({"layer": 2}, "layer"),
        ({"eos": True}, "eos"),
        ({"prompt": "echo"}, "prompt"),
        ({"prompt": "prompteol"}, "prompt"),
        ({"postprocess": "whitening"}, "postprocess"),
    ],
)
def test_what_a_folder_cannot_hold_is_refused(lab, tiny, tmp_path, asked, field):
    asked = {"prompt": "plain", "pooling": "mean", **asked}
    with pytest.raises(ReadingRefused) as refused:
        export(lab, tiny("llama"), tmp_path / "out", **asked)
    assert refused.value.field == field
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"pooling": Pooling.LAST_TOKEN_LOGITS}, {"layer": 2}])
def test_the_writer_itself_refuses_too(lab, tiny, tmp_path, change):
    reading = replace(lab.reading(str(tiny("llama")), prompt="plain", pooling="mean"), **change)
    with pytest.raises(ReadingRefused):
        export_sentence_transformer(lab.engine._checkpoint(reading.model), reading, {}, tmp_path / "out")


def test_what_is_there_already_is_left_alone(lab, tiny, tmp_path):
    asked = {"prompt": "plain", "pooling": "mean"}
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out in (kept, tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInput) as refused:
            export(lab, tiny("llama"), out, **asked)
        assert str(out) in str(refused.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "kept"]
    (kept / "mine.txt").unlink()
    export(lab, tiny("llama"), kept, **asked)  # an empty folder is as good as a new one
    export(lab, tiny("llama"), tmp_path / "new" / "deep", **asked)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "kept", "new"], "nothing half-written stays"


def test_nothing_is_left_of_a_folder_that_could_not_be_finished(lab, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "demo.backend.export._card", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(BadInput, match="No space left"):
        export(lab, tiny("llama"), tmp_path / "out", prompt="plain", pooling="mean")
    assert list(tmp_path.iterdir()) == []


def test_the_card_says_what_the_folder_is(lab, tiny, tmp_path):
    folder = export(lab, tiny("llama"), tmp_path / "out", prompt="plain", pooling="mean")
    card, info = (folder / "README.md").read_text("utf-8"), lab.open(str(tiny("llama")))
    for fact in (info.revision, info.source, "float32", "plain · mean · last layer", str(info.max_tokens), "Licence"):
        assert fact in card
    assert not list(folder.rglob("*.bin"))


def test_bfloat16_is_kept(tiny, tmp_path):
    from sentence_transformers import SentenceTransformer

    lab = Lab(device="cpu", dtype="bfloat16", public=False, cache_dir=tmp_path / "cache")
    folder = export(lab, tiny("llama"), tmp_path / "out", prompt="plain", pooling="mean")
    found = SentenceTransformer(str(folder), device="cpu").encode(STRIPPED)
    expected = lab.embed(STRIPPED, model=str(tiny("llama")), prompt="plain", pooling="mean")
    cosines = np.sum(found * expected, axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.999
    assert "bfloat16" in (folder / "README.md").read_text("utf-8")


ARTICLE = [
    "Where is the headquarter of OpenAI?",
    "What is GPU?",
    "OpenAI is based at San Francisco.",
    "A graphics processing unit (GPU) is an electronic circuit.",
]


@pytest.fixture(scope="module")
def real():
    return Lab(Settings(device="cpu", dtype="float32", public=False))


def folder_of(lab: Lab, model: str) -> str:
    """Where a model's weights are, or a skip that says why they cannot be had."""
    from demo.backend.weights.locate import locate_weights

    try:
        lab.open(model)
        return str(locate_weights(model, lab.settings.cache_dir).folder)
    except WeightsUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.weights
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"prompt": "prompteol", "pooling": "last_token", "layer": 20},
        {"prompt": "token_prepending", "pooling": "last_token"},
        {"prompt": "echo", "pooling": "mean", "postprocess": "center"},
    ],
)
def test_a_script_of_smollm2(real, asked):
    """Without a hub: from where the weights lie."""
    names = run(real.code("smollm2-135m-instruct", **asked))
    measured = real.embed_pairing(names["questions"], names["answers"], model="smollm2-135m-instruct", **asked)
    expected = np.concatenate([measured.questions, measured.answers])
    np.testing.assert_allclose(names["vectors"], expected, atol=2e-5 * float(np.abs(expected).max()))


@pytest.mark.weights
def test_a_script_of_the_shipped_adapter_runs_elsewhere(real, tmp_path, monkeypatch):
    folder = folder_of(real, "smollm2-135m-instruct")
    code = real.code("smollm2-135m-instruct-contrastive", texts=([" What is GPU?\n"], ["A processor."]))
    [source] = [line for line in code.splitlines() if line.startswith("SOURCE = ")]
    monkeypatch.chdir(tmp_path)
    vectors = run(code.replace(source, f"SOURCE = {folder!r}"))["vectors"]  # no Hub here
    measured = real.embed_pairing([" What is GPU?\n"], ["A processor."], model="smollm2-135m-instruct-contrastive")
    expected = np.concatenate([measured.questions, measured.answers])
    np.testing.assert_allclose(vectors, expected, atol=2e-5 * float(np.abs(expected).max()))


@pytest.mark.weights
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_script_of_minilm(real, library):
    names = run(real.code("all-minilm-l6-v2", library))
    expected = real.embed([*names["questions"], *names["answers"]], model="all-minilm-l6-v2")
    np.testing.assert_allclose(names["vectors"], expected, atol=1e-5)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("all-minilm-l6-v2", {}),
        ("smollm2-135m-instruct", {"prompt": "chat", "pooling": "last_token"}),
        ("smollm2-135m-instruct", {"prompt": "plain", "pooling": "weighted_mean"}),
    ],
)
def test_a_folder_of_real_weights(real, tmp_path, model, asked):
    folder_of(real, model)
    assert_same(real, model, export(real, model, tmp_path / "out", **asked), texts=[*ARTICLE, *STRIPPED[4:6]], **asked)
    assert "Apache-2.0" in (tmp_path / "out" / "README.md").read_text("utf-8")
    assert name_source(real.open(model), "org/it", "f" * 40).startswith("org/it@")
