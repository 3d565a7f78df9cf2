"""Private names of other libraries: each does what the lab relies on in the installed release."""

import pytest
import torch
from huggingface_hub import HfApi, constants
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn.functional import gelu, linear
from transformers import AutoModelForCausalLM

from demo.backend import private_apis
from demo.backend.training.learners import LoraLearner
from tests.backend.training.test_contrastive import randomize, recipe_for


def test_torch_answers_whether_the_processor_has_bfloat16_units():
    for query in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        assert isinstance(getattr(torch.cpu, query)(), bool)
    assert set(private_apis.cpu_bfloat16_units()) <= {"AMX", "AVX512-BF16"}


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_packed_products_equal_torchs_linear():
    generator = torch.Generator().manual_seed(0)
    states, weight, bias, factor = (
        torch.randn(*shape, generator=generator) for shape in ((5, 32), (48, 32), (48,), (5, 48))
    )
    packed = private_apis.pack_linear_weight(weight, 5)
    assert packed is not None
    expected = gelu(linear(states, weight, bias), approximate="tanh")
    torch.testing.assert_close(private_apis.packed_linear(states, packed, bias, "gelu", "tanh"), expected)
    torch.testing.assert_close(
        private_apis.packed_linear_times(states, packed, factor), linear(states, weight) * factor
    )


def test_a_weight_that_onednn_cannot_pack_stays_unpacked():
    assert private_apis.pack_linear_weight(torch.ones(4, 4, dtype=torch.int32), 1) is None


def test_transformers_lists_causal_and_masked_language_models():
    assert private_apis.CAUSAL_LANGUAGE_MODELS["llama"] == "LlamaForCausalLM"
    assert private_apis.MASKED_LANGUAGE_MODELS["bert"] == "BertForMaskedLM"
    assert "distilbert" not in private_apis.CAUSAL_LANGUAGE_MODELS


def test_linear_kinds_cover_gpt2(tiny):
    network = AutoModelForCausalLM.from_pretrained(tiny("gpt2"))
    assert isinstance(network.transformer.h[0].mlp.c_fc, private_apis.LINEAR_KINDS)
    assert isinstance(nn.Linear(2, 2), private_apis.LINEAR_KINDS)


def test_a_model_with_the_marks_of_a_quantized_file_can_be_saved(tiny, tmp_path):
    network = AutoModelForCausalLM.from_pretrained(tiny("llama"))
    network.config.quantization_config = {"quant_method": "gguf"}
    network.hf_quantizer, network.is_quantized = object(), True
    private_apis.unmark_quantized(network)
    network.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("family", ["llama", "gpt2"])  # nn.Linear, Conv1D
def test_the_lean_lora_forward_equals_pefts(engine, tiny, family):
    learner = LoraLearner(engine._checkpoint(str(tiny(family))), recipe_for(tiny(family)))
    randomize(learner)
    layers = [module for module in learner._network.modules() if isinstance(module, LoraLayer)]
    assert layers
    for layer in layers:
        states = torch.randn(2, 3, layer.in_features)
        torch.testing.assert_close(layer.forward(states), type(layer).forward(layer, states), atol=1e-5, rtol=1e-5)


def test_a_dead_hub_raises_the_transport_error(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(private_apis.HUB_TRANSPORT_ERROR):
        HfApi(endpoint="http://127.0.0.1:1").model_info("a/b", timeout=1)
