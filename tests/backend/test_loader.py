"""What is known of a checkpoint once it is in memory, and what is refused before anything is read from it."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from demo.backend.loader import count_parameters, load_checkpoint
from demo.backend.model.device import choose_device
from demo.backend.model.forward import looks_back_only
from demo.backend.weights.locate import Weights, locate_weights
from demo.domain.datamodels import Kind, Pooling, Prompt
from demo.domain.errors import UnsafeWeights, UnsupportedModel
from tests.conftest import make_sentence_transformer, save_tiny, tiny_config

CPU = choose_device("cpu", "float32")


def load(folder, max_tokens=2048):
    return load_checkpoint(str(folder), Weights(folder, "r", "a test", "float32"), CPU, max_tokens)


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_pure_gpt_is_read_as_in_the_article(tiny):
    info = load(tiny("llama")).info
    assert (info.kind, info.n_layers, info.dim, info.has_lm_head) == (Kind.GPT, 4, 32, True)
    default = info.default_reading
    assert (default.prompt, default.pooling, default.normalize) == (Prompt.CHAT, Pooling.LAST_TOKEN_LOGITS, False)


def test_without_a_chat_template_the_text_is_read_plain(tmp_path, tiny_tokenizer):
    folder = save_tiny(tmp_path, "gpt2", tiny_tokenizer)
    (folder / "chat_template.jinja").unlink()
    info = load(folder).info
    assert not info.has_chat_template
    assert info.default_reading.prompt is Prompt.PLAIN


def test_an_encoder_is_read_by_its_mean(tiny):
    info = load(tiny("bert")).info
    assert (info.kind, info.has_lm_head) == (Kind.ENCODER, False)
    assert info.default_reading.pooling is Pooling.MEAN


def test_a_tuned_gpt_is_known_by_its_own_reading(tmp_path, tiny_tokenizer):
    folder = save_tiny(tmp_path, "qwen3", tiny_tokenizer)
    make_sentence_transformer(folder, "lasttoken", prompts={"query": "Find: ", "document": ""}, max_tokens=100)
    info = load(folder).info
    assert (info.kind, info.query_prompt, info.document_prompt) == (Kind.TUNED_GPT, "Find: ", "")
    assert info.default_reading.prompt is Prompt.OWN
    assert info.default_reading.normalize
    assert info.max_tokens == 100


def test_max_tokens_is_the_smallest_of_what_is_said(tiny):
    assert load(tiny("llama")).info.max_tokens == 512
    assert load(tiny("llama"), max_tokens=64).info.max_tokens == 64


def test_parameters_are_counted_from_the_headers(tiny):
    checkpoint = load(tiny("mistral"))
    assert count_parameters(tiny("mistral")) == checkpoint.info.parameters
    assert checkpoint.info.memory_bytes >= 4 * checkpoint.info.parameters


def test_code_of_a_checkpoint_is_never_run(tmp_path, tiny_tokenizer):
    folder = save_tiny(tmp_path, "llama", tiny_tokenizer)
    witness = tmp_path / "it-ran"
    (folder / "modeling_own.py").write_text(f"open({str(witness)!r}, 'w')\n")
    edit_config(folder, model_type="own", auto_map={"AutoConfig": "modeling_own.Own", "AutoModel": "modeling_own.Own"})
    with pytest.raises(UnsafeWeights, match="run code"):
        load(folder)
    assert not witness.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "no-such-family"}, "does not know its architecture"),
        ({"is_encoder_decoder": True}, "encoder–decoder"),
        ({"quantization_config": {"quant_method": "tomorrow"}}, "how its weights are quantized .tomorrow"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "weights cannot be loaded"),
        ({"use_bidirectional_attention": True}, "both directions"),  # which transformers' Llama does not know
        ({"num_hidden_layers": 5, "layer_types": None}, "lacks weights"),  # transformers would fill them at random
    ],
)
def test_an_unsupported_checkpoint_is_refused_with_the_reason(tmp_path, tiny_tokenizer, changes, words):
    folder = save_tiny(tmp_path, "llama", tiny_tokenizer)
    edit_config(folder, **changes)
    with pytest.raises(UnsupportedModel, match=words):
        load(folder)


def test_a_folder_without_a_tokenizer_is_said(tmp_path, tiny_tokenizer):
    folder = save_tiny(tmp_path, "llama", tiny_tokenizer)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(UnsupportedModel, match="tokenizer"):
        load(folder)


def test_a_head_that_the_lab_reads_wrongly_is_not_offered(tiny, monkeypatch):
    """Some family may do more after its head than soft caps and scales: then no wrong logits, and the page says why."""
    from demo.backend import network as room

    monkeypatch.setattr(room, "logits", lambda anatomy, states, layer: anatomy.head(states).float().flip(-1))
    checkpoint = load(tiny("llama"))
    assert not checkpoint.info.has_lm_head
    assert checkpoint.anatomy.head is None
    assert any("not offered" in notice for notice in checkpoint.info.notices)
    assert checkpoint.info.default_reading.pooling is Pooling.LAST_TOKEN


GTE_CODE = {"AutoModel": "modeling_qwen.Qwen2Model", "AutoModelForCausalLM": "modeling_qwen.Qwen2ForCausalLM"}


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("config.json", GTE_CODE),  # the class is transformers' own, its attention is not
        ("tokenizer_config.json", {"AutoTokenizer": ["tokenization_qwen.Qwen2Tokenizer", None]}),
        ("config.json", {"AutoModel": "elsewhere/code--modeling_encoder.MistralEncoderModel"}),
    ],
)
def test_code_that_makes_the_vectors_is_refused(tmp_path, tiny_tokenizer, file, code):
    folder = save_tiny(tmp_path, "qwen3", tiny_tokenizer)
    if "MistralEncoder" not in str(code):
        make_sentence_transformer(folder, "lasttoken")
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": code}))
    with pytest.raises(UnsafeWeights, match=f"auto_map in its {file} names code of its own"):
        load(folder)


def test_a_stale_copy_of_a_known_class_is_named_everywhere(tmp_path, tiny_tokenizer, caplog):
    """As Phi-3 and Falcon carry it: read as transformers reads it, and said in the name, the notices and the log."""
    folder = save_tiny(tmp_path, "llama", tiny_tokenizer)
    edit_config(folder, auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"})
    info = load(folder).info
    assert info.name.endswith("(without its own code)")
    assert "modeling_llama.LlamaForCausalLM" in info.notices[0]
    assert info.notices[0] in caplog.text


@pytest.mark.parametrize(("labels", "words"), [(1, "cross-encoder"), (3, "trained to classify")])
def test_a_classifier_is_no_encoder_without_a_word(tmp_path, tiny_tokenizer, labels, words):
    config = tiny_config("bert", len(tiny_tokenizer))
    config.num_labels = labels
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    [notice] = load(tmp_path).info.notices
    assert words in notice
    assert "never trained for cosines" in notice


def test_weights_without_a_place_are_named(tmp_path, tiny_tokenizer):
    """What is in the file and not in the class changes what its maker would get: ColBERT's projection, more layers."""
    folder = save_tiny(tmp_path, "bert", tiny_tokenizer)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"linear.weight": torch.zeros(2, 32)}, folder / "model.safetensors", {"format": "pt"})
    assert any("linear.weight" in notice for notice in load(folder).info.notices)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert load(folder).info.notices == ()


@pytest.mark.parametrize("file", ["model.safetensors", "2_Dense/model.safetensors"])
def test_pickled_weights_are_refused_wherever_they_are(tmp_path, tiny_tokenizer, file):
    folder = make_sentence_transformer(save_tiny(tmp_path, "bert", tiny_tokenizer))
    (folder / "2_Dense").mkdir(exist_ok=True)
    path = folder / file
    path.unlink(missing_ok=True)
    (path.parent / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnsafeWeights, match="pickle"):
        locate_weights(str(folder), tmp_path / "cache")


def test_attention_in_both_directions_is_followed_where_transformers_does(tmp_path, tiny_tokenizer):
    """`is_causal: false`, as gte-Qwen2 says: every path sees what follows, the lab's own pass stands aside."""
    folder = save_tiny(tmp_path, "qwen3", tiny_tokenizer)
    edit_config(folder, is_causal=False)
    checkpoint = load(folder)
    assert checkpoint.decoder is None
    assert not looks_back_only(checkpoint.network)
