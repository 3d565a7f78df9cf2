"""Our pass through an encoder equals the model's own, for every family, length, layer and company of texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel

from demo.backend.encoder.encoder import make_encoder
from demo.backend.encoder.packing import pack
from demo.backend.model.forward import every_layer, find_anatomy
from demo.domain.datamodels import LAST_LAYER

CPU = torch.device("cpu")
LONGEST = 200
PROBE = [1, *range(20, 33), 2]
LENGTHS = (15, 1, 40, 2, LONGEST, 15, 39, 40)  # 40 and more lie outside of ModernBERT's window below
COMMON = {"vocab_size": 400, "max_position_embeddings": 220, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
FAMILIES = {
    "bert": SIZES,
    "roberta": SIZES,
    "xlm-roberta": SIZES,
    "camembert": SIZES,
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64},
    "mpnet": SIZES,
    "modernbert": SIZES | {"local_attention": 16, "cls_token_id": 1, "sep_token_id": 2},
}


def make_anatomy(family: str, dtype=torch.float32, **changed):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **COMMON, **(FAMILIES[family] | changed))
    model = AutoModel.from_config(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # else norms and biases would be ones and zeros
    return find_anatomy(model.to(dtype), False), config


def make_batch(lengths) -> tuple[np.ndarray, np.ndarray]:
    """Padded ids (batch, width), as a tokenizer writes them, and where they are real."""
    random = np.random.default_rng(0)
    real = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return np.where(real, random.integers(3, 400, real.shape), 0), real


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    anatomy, config = make_anatomy(request.param)
    return anatomy, make_encoder(anatomy, config, LONGEST, PROBE)


def test_every_layer_equals_the_models_own(family):
    anatomy, encoder = family
    ids, real = make_batch(LENGTHS)
    mask = torch.from_numpy(real)
    expected = every_layer(anatomy, torch.from_numpy(ids), mask.long(), lambda states: states[mask])
    packed = pack(ids, np.array(LENGTHS), CPU)
    states = encoder.every_layer(packed, lambda states: states[mask])
    assert len(states) == len(expected) == len(encoder) + 1
    for ours, theirs in zip(states, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    for layer in (0, 1, len(encoder), LAST_LAYER):
        torch.testing.assert_close(encoder.hidden_states(packed, layer)[mask], states[layer])


def test_a_text_is_the_same_alone_and_in_company(family):
    _, encoder = family
    ids, _ = make_batch(LENGTHS)
    together = encoder.hidden_states(pack(ids, np.array(LENGTHS), CPU), LAST_LAYER)
    for row, length in enumerate(LENGTHS):
        alone = encoder.hidden_states(pack(ids[row : row + 1, :length], np.array([length]), CPU), LAST_LAYER)
        torch.testing.assert_close(together[row, :length], alone[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_bfloat16_stays_as_near_to_float32_as_the_models_own(name):
    ids, real = make_batch(LENGTHS)
    mask = torch.from_numpy(real)
    exact, config = make_anatomy(name)
    expected = every_layer(exact, torch.from_numpy(ids), mask.long(), lambda states: states[mask])[-1]
    half, _ = make_anatomy(name, torch.bfloat16)
    theirs = every_layer(half, torch.from_numpy(ids), mask.long(), lambda states: states[mask])[-1].float()
    ours = make_encoder(half, config, LONGEST, PROBE).hidden_states(pack(ids, np.array(LENGTHS), CPU), LAST_LAYER)[mask]
    error, their_error = ((each - expected).norm(dim=-1).median() for each in (ours, theirs))
    assert error <= 1.1 * their_error
    assert torch.cosine_similarity(ours, expected).min() > 0.999


def test_another_build_is_left_to_the_model():
    anatomy, config = make_anatomy("bert")
    anatomy.blocks[1].register_forward_hook(lambda module, args, output: output * 1.01)
    assert make_encoder(anatomy, config, LONGEST, PROBE) is None
    anatomy, config = make_anatomy("bert", is_decoder=True)
    assert make_encoder(anatomy, config, LONGEST, PROBE) is None


def test_the_engine_uses_it(engine, tiny):
    assert engine._checkpoint(str(tiny("bert"))).encoder is not None


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_packing_keeps_every_token_once_and_goes_back(lengths):
    ids, real = make_batch(lengths)
    packed = pack(ids, np.array(lengths), CPU)
    flat = packed.pack(packed.input_ids[..., None])
    assert len(flat) == sum(lengths) == sum(texts * length for texts, length in packed.groups)
    assert np.array_equal(packed.unpack(flat)[..., 0].numpy()[real], ids[real])
