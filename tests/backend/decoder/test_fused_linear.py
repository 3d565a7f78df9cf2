"""A block's products: fused and packed, they are the linear layers' own."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu, linear, relu, silu

from demo.backend.decoder import fused_linear as products
from demo.backend.decoder.decoder import make_decoder
from demo.backend.decoder.fused_linear import UnexpectedArchitecture, fuse, fuse_gate, worth_packing
from tests.backend.decoder.test_decoder import PROBE, load, with_tree

ACTIVATIONS = {"silu": silu, "gelu": gelu, "gelu tanh": partial(gelu, approximate="tanh"), "another": relu}


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def dtype(request):
    """oneDNN multiplies bfloat16 only where the processor has AVX512 at least."""
    if request.param is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no bfloat16 products")
    return request.param


def layers(*outs, bias=False, inputs=48, dtype=torch.bfloat16):
    torch.manual_seed(3)
    return [nn.Linear(inputs, out, bias=bias, dtype=dtype).requires_grad_(False) for out in outs]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [(1,), (3, 7), (300,)])
@torch.inference_mode()
def test_a_packed_product_is_the_product(dtype, bias, rows):
    near = {"atol": 1e-2, "rtol": 1e-2} if dtype is torch.bfloat16 else {"atol": 1e-5, "rtol": 1e-5}
    parts = layers(64, 16, 16, bias=bias, dtype=dtype)
    states = torch.randn(*rows, 48)
    expected = torch.cat([part(states.to(dtype)) for part in parts], dim=-1)
    packed, plain = fuse(*parts, pack=True), fuse(*parts, pack=False)
    assert packed.packed is not None
    assert packed.packed_bytes == dtype.itemsize * 96 * 48
    torch.testing.assert_close(plain(states), expected)
    torch.testing.assert_close(packed(states), expected, **near)
    states = torch.randn(5, 48, dtype=dtype)
    torch.testing.assert_close(parts[1](states), packed(states)[:, 64:80], **near)  # a view still


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("bias", [False, True])
@torch.inference_mode()
def test_a_gate_ends_with_its_activation(dtype, name, bias):
    near = 2e-2 if dtype is torch.bfloat16 else 1e-5
    gate, up = layers(96, 96, bias=bias, dtype=dtype)
    states = torch.randn(2, 20, 48)
    rounded = states.to(dtype).double()
    exact = [linear(rounded, part.weight.double(), part.bias.double() if bias else None) for part in (gate, up)]
    expected = (ACTIVATIONS[name](exact[0]) * exact[1]).float()
    found = fuse_gate(gate, up, ACTIVATIONS[name], pack=True)
    assert (found.packed is not None) == (name != "another" and not bias)
    assert found.packed_bytes == (dtype.itemsize * 192 * 48 if found.packed else 0)
    for product in (found, fuse_gate(gate, up, ACTIVATIONS[name], pack=False)):
        torch.testing.assert_close(product(states).float(), expected, atol=near, rtol=near)


def test_a_torch_that_cannot_pack_multiplies_as_it_is(monkeypatch):
    def refuse(*args):
        raise RuntimeError("mkldnn_reorder_linear_weight: bf16 path needs the cpu support avx512bw")

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse)
    [part] = layers(64)
    product = fuse(part, pack=True)
    assert product.packed is None
    assert product.packed_bytes == 0
    states = torch.randn(4, 48)
    torch.testing.assert_close(product(states), part(states.bfloat16()))


def test_what_is_in_memory_twice(monkeypatch):
    assert worth_packing(layers(64, 64))
    assert worth_packing([part.float() for part in layers(64, 64)])
    assert not worth_packing([part.half() for part in layers(64, 64)])
    monkeypatch.setattr(products, "_MOST_PACKED_BYTES", 2 * 128 * 48 - 1)
    assert not worth_packing(layers(64, 64))


def test_layers_that_do_not_fit_together_are_another_build():
    with pytest.raises(UnexpectedArchitecture):
        fuse(nn.Linear(4, 4), nn.Linear(4, 4, bias=False), pack=False)
    with pytest.raises(UnexpectedArchitecture):
        fuse(nn.Identity(), pack=False)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "gemma3_text"])
@torch.inference_mode()
def test_a_decoder_of_packed_products_is_the_decoder(dtype, tiny, family, monkeypatch):
    """In bfloat16 they are as far from float32 as those that are not packed; in float32 they are the same."""
    network, anatomy = load(tiny(family), dtype)
    packed = make_decoder(anatomy, network.config, 64, PROBE)
    assert packed.packed_bytes > 0
    monkeypatch.setattr(products, "_MOST_PACKED_BYTES", 0)
    network, anatomy = load(tiny(family), dtype)
    plain = make_decoder(anatomy, network.config, 64, PROBE)
    assert plain.packed_bytes == 0
    network, anatomy = load(tiny(family))
    exact = make_decoder(anatomy, network.config, 64, PROBE)
    ids = torch.arange(32).reshape(4, 8) + 5  # Gemma's window
    expected = exact.hidden_states(with_tree(ids), -1)
    found = [decoder.hidden_states(with_tree(ids), -1) for decoder in (packed, plain)]
    distances = [(states - expected).norm() / expected.norm() for states in found]
    assert distances[0] < 1.3 * distances[1] + (1e-3 if dtype is torch.bfloat16 else 1e-5)
    alone = torch.cat([packed.hidden_states(with_tree(row[None, :6]), -1) for row in ids])
    together = packed.hidden_states(with_tree(ids), -1)[:, :6]
    if dtype is torch.float32:
        torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    assert torch.cosine_similarity(alone, together, dim=-1).min() > 0.999
