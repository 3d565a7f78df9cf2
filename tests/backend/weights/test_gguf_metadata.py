"""GGUF files: the declared pooling is the file's own reading, and keys that change vectors are followed or refused."""

from __future__ import annotations

import numpy as np
import pytest

from demo import Lab
from demo.backend.weights.gguf import _weights_counted, convert_gguf
from demo.domain.datamodels import Pooling, Prompt
from demo.domain.errors import Stopped, UnsupportedModel
from tests.backend.weights.test_locate import write_gguf

TEXTS = ["a", "ab c", "what else is there?"]


@pytest.fixture
def lab(tmp_path):
    return Lab(device="cpu", dtype="float32", cache_dir=tmp_path / "cache", public=False, memory_gb=4, disk_cache_mb=0)


def states_of(file, text: str, causal: bool = True) -> np.ndarray:
    """The last layer's states, (tokens, dim), of what transformers makes of the file."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    network = AutoModel.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32).eval()
    network.config.is_causal = causal
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    with torch.inference_mode():
        return network(torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0].numpy()


POOLED = {
    1: (Pooling.MEAN, lambda states: states.mean(axis=0)),
    2: (Pooling.FIRST_TOKEN, lambda states: states[0]),
    3: (Pooling.LAST_TOKEN, lambda states: states[-1]),
}


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", POOLED)
def test_the_declared_pooling_is_the_own_reading(lab, tmp_path, kind, causal):
    """Normalized, as llama.cpp gives its embeddings; not causal, where the file says so."""
    file = tmp_path / "tiny.gguf"
    write_gguf(file, {"llama.pooling_type": kind, "llama.attention.causal": causal})
    pooling, pooled = POOLED[kind]
    default = lab.open(str(file)).default_reading
    assert (default.prompt, default.pooling, default.normalize) == (Prompt.PLAIN, pooling, True)
    for text, vector in zip(TEXTS, lab.embed(TEXTS, model=str(file)), strict=True):
        expected = pooled(states_of(file, text, causal))
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-5)


def test_without_a_pooling_it_is_read_as_any_gpt(lab, tmp_path):
    file = tmp_path / "tiny.gguf"
    write_gguf(file, {"llama.pooling_type": 0})
    info = lab.open(str(file))
    assert info.default_reading.pooling is Pooling.LAST_TOKEN_LOGITS
    assert info.notices == ()


def test_a_key_that_nobody_knows_is_named_each_time(lab, tmp_path):
    file = tmp_path / "tiny.gguf"
    more = {"general.author": "x", "llama.rope.dimension_count": 8, "tokenizer.ggml.pre": "tekken"}
    write_gguf(file, {"llama.surprise": 1, **more})
    for _ in range(2):
        assert lab.open(str(file)).notices == ("Not read of the GGUF file: surprise, tokenizer.ggml.pre (tekken).",)
        lab.engine.release(str(file))


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"llama.pooling_type": 4}, "scores pairs"),
        ({"llama.pooling_type": 9}, "does not know"),
        ({"llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4.0}, "rope.scaling"),
        ({"llama.rope.scale_linear": 2.0}, "rope.scale_linear"),
        ({"tokenizer.ggml.add_space_prefix": True}, "add_space_prefix"),
        ({"llama.attention.sliding_window": 8}, "sliding_window"),
        ({"llama.attention.key_length": [8, 8]}, "key_length"),
        ({"llama.final_logit_softcapping": 30.0}, "final_logit_softcapping"),
    ],
)
def test_what_would_change_the_vectors_is_refused(lab, tmp_path, metadata, words):
    file = tmp_path / "tiny.gguf"
    write_gguf(file, metadata)
    with pytest.raises(UnsupportedModel, match=words):
        lab.open(str(file))


def test_modules_beside_a_file_are_not_left_out_without_a_word(lab, tmp_path):
    write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "modules.json").write_text('[{"path": "", "type": "sentence_transformers.models.Transformer"}]')
    with pytest.raises(UnsupportedModel, match="modules.json"):
        lab.open(str(tmp_path))
    lab.open(str(tmp_path / "tiny.gguf"))


def test_scaled_rotations_in_a_tensor_are_refused(lab, tmp_path):
    """Llama 3.1 and later: transformers leaves that tensor out without a word."""
    for factor, name in ((1.0, "none"), (8.0, "some")):
        file = tmp_path / f"{name}.gguf"
        write_gguf(file, tensors={"rope_freqs.weight": np.full(4, factor, dtype=np.float32)})
        if factor == 1.0:
            lab.open(str(file))
            continue
        with pytest.raises(UnsupportedModel, match="rope_freqs"):
            lab.open(str(file))


def test_a_conversion_reports_its_tensors_and_equals_the_whole_one(tmp_path, monkeypatch):
    """Rows of a tensor are read apart; stopping leaves gguf as it was."""
    gguf, torch = pytest.importorskip("gguf"), pytest.importorskip("torch")
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    file = tmp_path / "tiny.gguf"
    write_gguf(file)
    network = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32)
    seen, whole = [], gguf.dequantize
    monkeypatch.setattr("demo.backend.weights.gguf._WEIGHTS_AT_ONCE", 512)
    (tmp_path / "made").mkdir()
    convert_gguf(file, tmp_path / "made", "tiny", seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 2 * len(network.state_dict())
    assert seen[-1] == pytest.approx(0.9), "the rest is writing"
    made = load_file(tmp_path / "made" / "model.safetensors")
    for name, tensor in network.state_dict().items():
        assert name not in made or torch.equal(made[name], tensor), name

    def stop(done: float) -> None:
        if done > 0.3:
            raise Stopped()

    with pytest.raises(Stopped):
        convert_gguf(file, tmp_path / "made", "tiny", stop)
    assert gguf.dequantize is whole
    kind = gguf.GGMLQuantizationType.Q4_1
    packed = gguf.quantize(np.random.default_rng(0).normal(size=(33, 64)).astype(np.float32), kind)
    with _weights_counted(file, lambda done: None):
        assert gguf.dequantize is not whole
        assert np.array_equal(gguf.dequantize(packed, kind), whole(packed, kind))
