"""Adapters: each kind that PEFT writes gives PEFT's own states and logits to 1e-5, or is refused with a sentence."""

from __future__ import annotations

import copy
import json
from functools import cache

import numpy as np
import peft
import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from demo.backend.loader import load_checkpoint
from demo.backend.local import LocalEngine
from demo.backend.model.device import choose_device
from demo.backend.model.forward import every_layer, logits
from demo.backend.weights.locate import locate_weights
from demo.domain.datamodels import LAST_LAYER, Kind, Pooling, Prompt, PromptedText, Reading
from demo.domain.errors import DemoError, UnsafeWeights, UnsupportedModel
from demo.settings import Settings
from tests.conftest import save_tiny

CPU = choose_device("cpu", "float32")
CAUSAL, BARE = AutoModelForCausalLM, AutoModel
TEXT = "What is GPU? <new> What is <two>?"


@cache
def network_of(auto, base):
    return auto.from_pretrained(base)


def fresh(auto, base):
    """A network of one's own: PEFT changes what it gets."""
    return copy.deepcopy(network_of(auto, base))


def load(folder):
    return load_checkpoint(str(folder), locate_weights(str(folder), folder), CPU, 512, own_pass=False)


def make_adapter(folder, base, auto, config, tokens=()):
    """A random adapter over a checkpoint, as PEFT saves it; tokens: added to the tokenizer, saved with it."""
    torch.manual_seed(1)
    network = fresh(auto, base)
    if tokens:
        tokenizer = AutoTokenizer.from_pretrained(base)
        tokenizer.add_tokens(list(tokens))
        network.resize_token_embeddings(len(tokenizer))
        tokenizer.save_pretrained(folder)
    network = get_peft_model(network, config)
    network.peft_config["default"].base_model_name_or_path = str(base)
    for parameter in network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(folder)
    return folder


def edit(folder, **changes):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@torch.inference_mode()
def assert_equals_peft(folder, base, auto, checkpoint):
    """Every layer's states and, where there is a head, the logits."""
    network = fresh(auto, base)
    own = (folder / "tokenizer_config.json").exists()
    tokenizer = AutoTokenizer.from_pretrained(folder if own else base)
    if len(tokenizer) > len(network.get_input_embeddings().weight):
        network.resize_token_embeddings(len(tokenizer))  # as AutoPeftModel does
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    untouched = network.eval()(ids, output_hidden_states=True).hidden_states[-1]
    oracle = PeftModel.from_pretrained(network, folder).eval()
    assert checkpoint.tokenizer(TEXT)["input_ids"] == ids[0].tolist()
    expected = oracle(input_ids=ids, output_hidden_states=True)
    states = every_layer(checkpoint.anatomy, ids, None, lambda states: states)
    for ours, theirs in zip(states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (untouched - states[-1]).abs().max() > 1e-4, "the adapter changes something"
    if auto is CAUSAL and checkpoint.anatomy.head is not None:
        ours = logits(checkpoint.anatomy, states[-1][0], LAST_LAYER)
        torch.testing.assert_close(ours, expected.logits[0], atol=1e-5, rtol=1e-4)


def lora(**options):
    return peft.LoraConfig(**({"r": 4, "target_modules": ["q_proj", "up_proj"]} | options))


QV = ["q_proj", "v_proj"]
KINDS = {
    "lora": lora(),
    "rslora": lora(use_rslora=True, lora_alpha=3),
    "dora": lora(use_dora=True),
    "patterns": lora(rank_pattern={"model.layers.1.self_attn.q_proj": 2}, alpha_pattern={"up_proj": 5}),
    "some-layers": lora(layers_to_transform=[1, 3]),
    "regex": lora(target_modules=r".*layers\.[02]\..*(q|k)_proj"),
    "all-linear": lora(target_modules="all-linear"),
    "bias": lora(bias="all", target_modules=["q_proj"]),
    "pissa": lora(init_lora_weights="pissa"),
    "embed_tokens": lora(target_modules=["q_proj", "embed_tokens"]),
    "lm_head": lora(target_modules=["q_proj", "lm_head"]),
    "saved-lm_head": lora(modules_to_save=["lm_head"]),
    "saved-embeddings": lora(modules_to_save=["embed_tokens", "lm_head"]),
    "saved-norm": lora(modules_to_save=["norm"]),
    "trained-tokens": lora(trainable_token_indices=[33, 60, 68]),
    "replicated-layers": lora(layer_replication=[[0, 3], [1, 4]]),
    "trainable-tokens": peft.TrainableTokensConfig(token_indices=list(range(30, 99))),
    "adalora": peft.AdaLoraConfig(target_modules=QV, total_step=10),
    "ia3": peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "loha": peft.LoHaConfig(r=4, target_modules=QV),
    "lokr": peft.LoKrConfig(r=4, target_modules=QV),
    "oft": peft.OFTConfig(oft_block_size=8, target_modules=["q_proj"]),
    "vera": peft.VeraConfig(r=4, target_modules=["q_proj"]),
    "fourierft": peft.FourierFTConfig(n_frequency=50, target_modules=QV),
    "hra": peft.HRAConfig(r=4, target_modules=["q_proj"]),
    "ln-tuning": peft.LNTuningConfig(target_modules=["input_layernorm"]),
    "vblora": peft.VBLoRAConfig(vector_length=4, num_vectors=8, topk=2, target_modules=["q_proj"]),
    "randlora": peft.RandLoraConfig(r=4, target_modules=["q_proj"]),
    "miss": peft.MissConfig(r=4, target_modules=["q_proj"]),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory, tiny_tokenizer):
    """Tiny checkpoints: with a head, with a tied one, a backbone alone, an encoder."""
    folder = tmp_path_factory.mktemp("bases")
    families = ("llama", "gpt2", "gemma3_text", "bert")
    bases = {family: save_tiny(folder / family, family, tiny_tokenizer) for family in families}
    return bases | {"backbone": save_tiny(folder / "backbone", "llama", tiny_tokenizer, headless=True)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_equals_peft(bases, tmp_path, kind):
    folder = make_adapter(tmp_path / kind, bases["llama"], CAUSAL, KINDS[kind])
    assert_equals_peft(folder, bases["llama"], CAUSAL, load(folder))


TIED = {
    "embed_tokens": lora(target_modules=["q_proj", "embed_tokens"]),
    "saved-embeddings": lora(modules_to_save=["embed_tokens"]),
    "trained-tokens": lora(trainable_token_indices=[33, 60, 68]),
}


@pytest.mark.parametrize("kind", TIED)
def test_a_head_that_is_tied_stays_as_peft_leaves_it(bases, tmp_path, kind):
    folder = make_adapter(tmp_path / kind, bases["gemma3_text"], CAUSAL, TIED[kind])
    assert_equals_peft(folder, bases["gemma3_text"], CAUSAL, load(folder))


WHERE = {  # the base folder, what the adapter was saved over, what it adapts
    "backbone over a folder with a head": ("llama", BARE, lora(task_type="FEATURE_EXTRACTION")),
    "backbone over a folder with a tied head": ("gemma3_text", BARE, lora()),
    "backbone over GPT-2": ("gpt2", BARE, lora(target_modules=["c_attn"], fan_in_fan_out=True)),
    "backbone, its embeddings too": ("llama", BARE, lora(target_modules=["q_proj", "embed_tokens"])),
    "backbone over a backbone": ("backbone", BARE, lora()),
    "model with a head over a backbone": ("backbone", CAUSAL, lora(target_modules=["q_proj", "up_proj"])),
    "model with a head over a backbone, by pattern": (
        "backbone",
        CAUSAL,
        lora(target_modules=r"model\.layers.*q_proj"),
    ),
    "encoder over an encoder": ("bert", BARE, lora(target_modules=["query"])),
    "masked language model over an encoder": ("bert", AutoModelForMaskedLM, lora(target_modules=["query"])),
    "GPT-2 with its head": ("gpt2", CAUSAL, lora(target_modules=["c_attn", "c_fc"], fan_in_fan_out=True)),
}


@pytest.mark.parametrize("where", WHERE)
def test_an_adapter_is_put_where_it_was_trained(bases, tmp_path, where):
    base, auto, config = WHERE[where]
    folder = make_adapter(tmp_path / "adapter", bases[base], auto, config)
    checkpoint = load(folder)
    assert_equals_peft(folder, bases[base], auto, checkpoint)
    assert checkpoint.info.kind is (Kind.ENCODER if base == "bert" else Kind.TUNED_GPT)
    assert checkpoint.info.source.endswith("with the adapter adapter")
    logits_first = checkpoint.info.default_reading.pooling is Pooling.LAST_TOKEN_LOGITS
    assert logits_first is (auto is CAUSAL and base != "backbone")  # what was trained on states is read by them


NEW = ("<new>", "<two>")
TOKENS = {  # how an adapter holds what its tokens mean
    "resized, saved whole": (CAUSAL, lora(), "llama"),
    "resized, tied": (CAUSAL, lora(), "gemma3_text"),
    "resized and adapted": (CAUSAL, lora(target_modules=["q_proj", "embed_tokens"]), "llama"),
    "resized and saved as modules": (CAUSAL, lora(modules_to_save=["embed_tokens", "lm_head"]), "llama"),
    "resized backbone": (BARE, lora(), "llama"),
}


@pytest.mark.parametrize("tokens", TOKENS)
def test_an_adapter_brings_its_tokenizer(bases, tmp_path, tokens):
    auto, config, base = TOKENS[tokens]
    folder = make_adapter(tmp_path / "adapter", bases[base], auto, config, tokens=NEW)
    checkpoint = load(folder)
    assert_equals_peft(folder, bases[base], auto, checkpoint)
    assert checkpoint.info.vocab_size == len(checkpoint.tokenizer)
    assert checkpoint.tokenizer("<new>")["input_ids"] == [len(checkpoint.tokenizer) - 2]


def test_tokens_without_an_embedding_are_refused(bases, tmp_path):
    """A tokenizer with a padding token of its own, as many adapters bring it, and no row for it."""
    tokenizer = AutoTokenizer.from_pretrained(bases["llama"])
    folder = make_adapter(tmp_path / "adapter", bases["llama"], CAUSAL, lora())
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    engine = LocalEngine(Settings(device="cpu", dtype="float32", cache_dir=tmp_path / "cache"))
    reading = Reading(str(folder), Prompt.PLAIN, Pooling.MEAN)
    vectors = engine.embed(
        [PromptedText("What is GPU?"), PromptedText("A longer text, beside which it is padded")], reading
    )
    assert np.isfinite(vectors.vectors).all()
    with pytest.raises(DemoError, match="has no embedding"):
        engine.embed([PromptedText("a [PAD] b")], reading)


def test_a_head_without_rows_for_new_tokens_is_not_offered(bases, tmp_path):
    folder = make_adapter(tmp_path / "adapter", bases["llama"], BARE, lora(), tokens=NEW)
    info = load(folder).info
    assert not info.has_lm_head
    assert any("no rows for the tokens" in notice for notice in info.notices)


REFUSED = {
    "prompt tuning": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "prefix tuning": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    "p-tuning": peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4, encoder_hidden_size=8),
    "adaption prompt": peft.AdaptionPromptConfig(task_type="CAUSAL_LM", adapter_len=4, adapter_layers=2),
    "activated lora": lora(task_type="CAUSAL_LM", alora_invocation_tokens=[5, 9]),
    "a bias where the layer has none": lora(lora_bias=True),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_part_of_the_weights_is_refused(bases, tmp_path, kind):
    folder = make_adapter(tmp_path / "adapter", bases["llama"], CAUSAL, REFUSED[kind])
    with pytest.raises(UnsupportedModel, match="adapter"):
        load(folder)


def damage_weights(folder, change):
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(change(tensors), folder / "adapter_model.safetensors")


DAMAGES = {
    "a tensor less": (lambda t: dict(list(t.items())[1:]), "not every weight"),
    "a tensor more": (lambda t: t | {min(t).replace("layers.0", "layers.9"): t[min(t)] + 0}, "not every weight"),
    "other names": (
        lambda t: {name.replace("layers", "blocks"): value for name, value in t.items()},
        "not every weight",
    ),
    "another shape": (lambda t: {name: value[:1].clone() for name, value in t.items()}, "does not fit"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_weight_must_find_its_place(bases, tmp_path, damage):
    folder = make_adapter(tmp_path / "adapter", bases["llama"], CAUSAL, lora())
    change, words = DAMAGES[damage]
    damage_weights(folder, change)
    with pytest.raises(UnsupportedModel, match=words):
        load(folder)


CONFIGS = {
    "unknown kind": ({"peft_type": "TOMORROW"}, "does not know adapters of the type TOMORROW"),
    "no base": ({"base_model_name_or_path": None}, "does not name the model"),
    "no such base": ({"base_model_name_or_path": "/no/such/folder"}, "neither on the Hub nor on this disk"),
    "code": ({"megatron_config": {"a": 1}, "megatron_core": "evil"}, "names code to be imported"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_configuration_that_cannot_be_followed_is_refused(bases, tmp_path, case):
    folder = make_adapter(tmp_path / "adapter", bases["llama"], CAUSAL, lora())
    changes, words = CONFIGS[case]
    edit(folder, **changes)
    with pytest.raises(DemoError, match=words):
        load(folder)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(UnsupportedModel, match="not readable"):
        load(folder)


def test_an_adapter_over_an_adapter_is_refused(bases, tmp_path):
    below = make_adapter(tmp_path / "below", bases["llama"], CAUSAL, lora())
    folder = make_adapter(tmp_path / "adapter", bases["llama"], CAUSAL, lora())
    edit(folder, base_model_name_or_path=str(below))
    with pytest.raises(UnsupportedModel, match="trained on another adapter"):
        load(folder)


def test_a_setting_that_peft_does_not_know_is_named(bases, tmp_path):
    folder = make_adapter(tmp_path / "adapter", bases["llama"], CAUSAL, lora())
    edit(folder, use_tomorrows_trick=True, another_default=None)
    [notice] = load(folder).info.notices
    assert "use_tomorrows_trick" in notice
    assert "another_default" not in notice


def test_a_pickled_adapter_is_refused(bases, tmp_path):
    folder = make_adapter(tmp_path / "adapter", bases["llama"], CAUSAL, lora())
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(UnsafeWeights, match="adapter_model.bin holds pickled weights"):
        load(folder)


def test_a_classifying_adapter_says_so(bases, tmp_path):
    folder = make_adapter(
        tmp_path / "adapter", bases["llama"], AutoModelForSequenceClassification, lora(task_type="SEQ_CLS")
    )
    checkpoint = load(folder)
    assert_equals_peft(folder, bases["llama"], AutoModelForSequenceClassification, checkpoint)
    assert any("trained to classify" in notice for notice in checkpoint.info.notices)
    assert any("score" in notice for notice in checkpoint.info.notices)


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json", "tokenizer_config.json"])
def test_the_revision_is_a_hash_of_all_that_is_read(bases, tmp_path, file):
    folder = make_adapter(tmp_path / "adapter", bases["llama"], CAUSAL, lora(), tokens=NEW)
    before = locate_weights(str(folder), tmp_path).revision
    (folder / "README.md").write_text("Another card.")
    assert locate_weights(str(folder), tmp_path).revision == before
    if file.endswith(".json"):
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    else:
        damage_weights(folder, lambda tensors: {name: 2 * value for name, value in tensors.items()})
    assert locate_weights(str(folder), tmp_path).revision != before
