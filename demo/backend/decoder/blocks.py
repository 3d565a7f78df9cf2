"""Blocks of a Llama-like GPT as the decoder computes them: norms, fused products and angles, read off its modules.

What is not built so raises UnexpectedArchitecture.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from demo.backend.decoder.fused_linear import FusedGate, FusedLinear, fuse, fuse_gate, require

_PLAIN_ROPE = {"default", "linear", "llama3", "yarn"}  # whose angles do not depend on the text's length


@dataclass(frozen=True, eq=False)
class Norm:
    """x / rms(x) · weight, float32."""

    weight: Tensor
    eps: float

    def __call__(self, states: Tensor) -> Tensor:
        mean = torch.linalg.vector_norm(states, dim=-1, keepdim=True).square_().div_(states.shape[-1])
        return (states * mean.add_(self.eps).rsqrt_()).mul_(self.weight)


@dataclass(frozen=True, eq=False)
class Block:
    """One layer: attention and gated MLP, each with its norms."""

    before_attention: Norm
    qkv: FusedLinear
    query_norm: Norm | None
    key_norm: Norm | None
    out: FusedLinear
    after_attention: Norm | None  # Gemma norms what it adds, too
    before_mlp: Norm
    gate_up: FusedGate
    down: FusedLinear
    after_mlp: Norm | None
    cos: Tensor  # (positions, 1, head_dim) float32
    sin: Tensor
    scaling: float

    @property
    def products(self) -> tuple[FusedLinear, ...]:
        return self.qkv, self.out, self.gate_up.product, self.down


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (RoFormer, arXiv 2104.09864). heads: (batch, tokens, heads, head_dim) float32."""
    return torch.addcmul(heads * cos, heads.roll(heads.shape[-1] // 2, -1), sin)


def read_block(block: nn.Module, rotary: nn.Module, angles: dict, longest: int, device, pack: bool) -> Block:
    attention, mlp = block.self_attn, block.mlp
    four = hasattr(block, "pre_feedforward_layernorm")  # Gemma
    queries = getattr(attention, "q_norm", None)
    kind = getattr(attention, "layer_type", None)
    if kind not in angles:
        angles[kind] = _read_angles(rotary, kind, longest, device)
    cos, sin = angles[kind]
    return Block(
        before_attention=_need_norm(block.input_layernorm),
        qkv=fuse(attention.q_proj, attention.k_proj, attention.v_proj, pack=pack),
        query_norm=_need_norm(queries) if queries is not None else None,
        key_norm=_need_norm(attention.k_norm) if queries is not None else None,
        out=fuse(attention.o_proj, pack=pack),
        after_attention=_need_norm(block.post_attention_layernorm) if four else None,
        before_mlp=_need_norm(block.pre_feedforward_layernorm if four else block.post_attention_layernorm),
        gate_up=fuse_gate(mlp.gate_proj, mlp.up_proj, mlp.act_fn, pack),
        down=fuse(mlp.down_proj, pack=pack),
        after_mlp=_need_norm(block.post_feedforward_layernorm) if four else None,
        cos=cos,
        sin=sin,
        scaling=attention.scaling,
    )


def _read_angles(rotary: nn.Module, kind: str | None, longest: int, device) -> tuple[Tensor, Tensor]:
    """cos and sin of every position, (positions, 1, head_dim) float32; sin as it meets the other half of a head."""
    types = rotary.rope_type
    require((types[kind] if isinstance(types, dict) else types) in _PLAIN_ROPE)
    named = (kind,) if "layer_type" in inspect.signature(rotary.forward).parameters else ()
    cos, sin = rotary(torch.zeros(1, device=device), torch.arange(longest, device=device)[None], *named)
    cos, sin = cos[0, :, None].contiguous(), sin[0, :, None].contiguous()
    sin[..., : sin.shape[-1] // 2].neg_()
    return cos, sin


def _need_norm(module: nn.Module) -> Norm:
    norm = read_norm(module)
    require(norm is not None)
    return norm


def read_norm(module: nn.Module | None) -> Norm | None:
    """A module as an RMS norm, scaled by its weight (Llama) or by one more (Gemma); None where it is neither."""
    weight = getattr(module, "weight", None)
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if weight is None or eps is None or weight.ndim != 1 or getattr(module, "bias", None) is not None:
        return None
    probe = torch.linspace(-2, 3, weight.shape[0], device=weight.device)[None]
    expected = module(probe.to(weight.dtype)).float()
    for scale in (weight.float(), 1 + weight.float()):
        norm = Norm(scale, eps)
        if torch.allclose(norm(probe.to(weight.dtype).float()), expected, rtol=2e-2, atol=2e-2):
            return norm
    return None
