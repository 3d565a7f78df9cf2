"""The fast pass equals transformers' own slow one: every layer, every family, the logits of the last token."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    DebertaV2Config,
    ElectraConfig,
    OPTConfig,
    RoFormerConfig,
)

from demo.backend.loader import load_checkpoint
from demo.backend.model.device import choose_device
from demo.backend.model.forward import hidden_states, logits
from demo.backend.model.pooling import pool
from demo.backend.weights.locate import Weights
from demo.domain.datamodels import LAST_LAYER, Pooling, Prompt, PromptedText, Reading
from demo.domain.errors import UnsupportedModel
from tests.conftest import CAUSAL_FAMILIES, FAMILIES, TEXTS

CPU = choose_device("cpu", "float32")
_SIZES = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
IDS = torch.tensor([[5, 9, 17, 33, 65], [7, 8, 11, 13, 12]])


def load(folder):
    return load_checkpoint(str(folder), Weights(folder, "r", "a test", "float32"), CPU, 512)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_every_layer_equals_transformers(tiny, family):
    checkpoint = load(tiny(family))
    slow = AutoModel.from_pretrained(tiny(family)).eval()
    expected = slow(IDS, output_hidden_states=True).hidden_states
    assert len(expected) == checkpoint.info.n_layers + 1
    for layer, states in enumerate(expected):
        torch.testing.assert_close(hidden_states(checkpoint.anatomy, IDS, None, layer), states, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        hidden_states(checkpoint.anatomy, IDS, None, LAST_LAYER), expected[-1], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("family", CAUSAL_FAMILIES)
@torch.inference_mode()
def test_logits_equal_the_causal_model(tiny, family):
    """Soft caps (Gemma 2), scales (Cohere, Granite) and tied heads included."""
    checkpoint = load(tiny(family))
    expected = AutoModelForCausalLM.from_pretrained(tiny(family)).eval()(IDS).logits[:, -1]
    states = hidden_states(checkpoint.anatomy, IDS, None, LAST_LAYER)[:, -1]
    torch.testing.assert_close(logits(checkpoint.anatomy, states, LAST_LAYER), expected, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def opt_350m(tmp_path_factory, tiny_tokenizer):
    """As OPT-350M: embeddings and last layer narrower than the states between them, norms after the blocks."""
    folder = tmp_path_factory.mktemp("opt")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
    config = OPTConfig(vocab_size=len(tiny_tokenizer), word_embed_proj_dim=16, do_layer_norm_before=False, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("layer", [0, 2, 4, -1])
@torch.inference_mode()
def test_a_last_layer_may_be_narrower(opt_350m, engine, layer):
    """Every pooling equals that of transformers' states, alone and of the profile; so do logits, by the lens."""
    model = AutoModelForCausalLM.from_pretrained(opt_350m).eval()
    ids = torch.tensor([AutoTokenizer.from_pretrained(opt_350m)(TEXTS[3])["input_ids"]])
    states = model(ids, output_hidden_states=True).hidden_states[layer]
    assert states.shape[-1] == (32 if layer in (0, 2) else 16)
    for pooling in (p for p in Pooling if p is not Pooling.OWN):
        if pooling is Pooling.LAST_TOKEN_LOGITS:
            narrow = states if states.shape[-1] == 16 else model.model.decoder.project_out(states)
            expected = model.lm_head(narrow)[:, -1]
        else:
            expected = pool(pooling, states, torch.ones_like(ids))
        reading = Reading(str(opt_350m), Prompt.PLAIN, pooling, layer)
        for keep in (False, True):  # as for a huge set, then with every layer cached
            found = engine.embed([PromptedText(TEXTS[3])], reading, keep=keep).vectors
            np.testing.assert_allclose(found, expected, atol=1e-5)
        assert engine.load(str(opt_350m)).width(pooling, layer) == found.shape[1]


@torch.inference_mode()
def test_states_that_are_not_transformers_are_refused(tmp_path, tiny_tokenizer):
    """A convolution after the first block (DeBERTa v2): layer 1 is not what leaves that block."""
    config = DebertaV2Config(**_SIZES, vocab_size=len(tiny_tokenizer), relative_attention=True, conv_kernel_size=3)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModel, match="hidden states that transformers gives"):
        load(tmp_path)


@pytest.mark.parametrize("config", [ElectraConfig, RoFormerConfig])
@torch.inference_mode()
def test_embeddings_may_be_narrower_than_states(tmp_path, tiny_tokenizer, config):
    torch.manual_seed(0)
    slow = AutoModel.from_config(config(**_SIZES, vocab_size=len(tiny_tokenizer), embedding_size=16)).eval()
    slow.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    anatomy = load(tmp_path).anatomy
    for layer, states in enumerate(slow(IDS, output_hidden_states=True).hidden_states):
        torch.testing.assert_close(hidden_states(anatomy, IDS, None, layer), states, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_blocks_above_the_layer_do_not_run(tiny):
    anatomy = load(tiny("llama")).anatomy
    before = [len(block._forward_hooks) for block in anatomy.blocks]  # transformers' own, asleep
    ran = []
    hooks = [
        block.register_forward_hook(lambda module, args, output, i=i: ran.append(i))
        for i, block in enumerate(anatomy.blocks)
    ]
    try:
        for layer, expected in ((2, [0, 1]), (0, []), (LAST_LAYER, [0, 1, 2, 3])):
            ran.clear()
            hidden_states(anatomy, IDS, None, layer)
            assert ran == expected
    finally:
        for hook in hooks:
            hook.remove()
    assert [len(block._forward_hooks) for block in anatomy.blocks] == before
    assert not any(block._forward_pre_hooks for block in anatomy.blocks)


@torch.inference_mode()
def test_logit_lens_at_the_last_layer_is_the_head(tiny):
    """One layer below the top the final norm is applied; at the top it already was."""
    anatomy = load(tiny("llama")).anatomy
    top = torch.randn(1, 32)
    assert not torch.allclose(logits(anatomy, top, 3), logits(anatomy, top, LAST_LAYER))
    torch.testing.assert_close(logits(anatomy, top, 3), logits(anatomy, anatomy.final_norm(top), LAST_LAYER))


@pytest.mark.parametrize("family", ["mistral", "llama", "qwen3"])
def test_no_head_is_ever_made_up(tiny, family):
    """e5-mistral's case: a backbone without a head, which transformers would load with a random one."""
    checkpoint = load(tiny(family, headless=True))
    assert checkpoint.anatomy.head is None
    assert not checkpoint.info.has_lm_head


def test_a_causal_config_over_headless_weights_gets_no_head(tiny, tmp_path, tiny_tokenizer):
    """The name in the config says CausalLM, the weights have no head, nothing is tied."""
    import json

    from tests.conftest import save_tiny

    folder = save_tiny(tmp_path, "mistral", tiny_tokenizer, headless=True)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["MistralForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config))
    checkpoint = load(folder)
    assert checkpoint.anatomy.head is None
    expected = AutoModel.from_pretrained(tiny("mistral", headless=True)).eval()(IDS).last_hidden_state
    found = hidden_states(checkpoint.anatomy, IDS, None, LAST_LAYER)
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=1e-5)
