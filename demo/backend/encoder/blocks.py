"""Blocks: the layers of BERT, RoBERTa, XLM-R, DistilBERT, MPNet and ModernBERT in one form, read from their modules.

A reader names where a family keeps its layers; whether that is all there is to it, `make_encoder` measures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from demo.backend.decoder.fused_linear import (
    FusedActivation,
    FusedGate,
    FusedLinear,
    fuse,
    fuse_activation,
    fuse_gate,
    require,
    worth_packing,
)
from demo.backend.model.forward import Anatomy


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """(x − mean) / deviation · weight + bias, float32."""

    weight: Tensor
    bias: Tensor | None
    eps: float

    def __call__(self, states: Tensor) -> Tensor:
        return layer_norm(states, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, eq=False)
class Block:
    """One layer. pre_norm: norms stand before attention and MLP (ModernBERT), else after the residual sum (BERT)."""

    qkv: FusedLinear
    out: FusedLinear
    attention_norm: LayerNorm | None
    up: FusedActivation | FusedGate
    down: FusedLinear
    mlp_norm: LayerNorm
    pre_norm: bool = False
    window: int | None = None  # how many tokens to either side a token attends to; None: to all
    angles: tuple[Tensor, Tensor] | None = None  # cos and sin, (positions, head_dim) float32


Blocks = tuple[list[Block], Tensor | None, LayerNorm | None]


def read_blocks(anatomy: Anatomy, config, longest: int) -> Blocks:
    """(blocks, position bias (1, heads, tokens, tokens) or None, final norm or None). Raises UnexpectedArchitecture."""
    read = _READERS.get(config.model_type)
    require(read is not None)
    require(not getattr(config, "is_decoder", False) and not getattr(config, "add_cross_attention", False))
    return read(anatomy, longest, worth_packing(list(anatomy.blocks)))


def _read_bert(anatomy: Anatomy, longest: int, pack: bool) -> Blocks:
    def read(layer: nn.Module) -> Block:
        attention = layer.attention.self
        return Block(
            qkv=fuse(attention.query, attention.key, attention.value, pack=pack),
            out=fuse(layer.attention.output.dense, pack=pack),
            attention_norm=_read_norm(layer.attention.output.LayerNorm),
            up=fuse_activation(layer.intermediate.dense, layer.intermediate.intermediate_act_fn, pack),
            down=fuse(layer.output.dense, pack=pack),
            mlp_norm=_read_norm(layer.output.LayerNorm),
        )

    return [read(layer) for layer in anatomy.blocks], None, None


def _read_distilbert(anatomy: Anatomy, longest: int, pack: bool) -> Blocks:
    def read(layer: nn.Module) -> Block:
        attention = layer.attention
        return Block(
            qkv=fuse(attention.q_lin, attention.k_lin, attention.v_lin, pack=pack),
            out=fuse(attention.out_lin, pack=pack),
            attention_norm=_read_norm(layer.sa_layer_norm),
            up=fuse_activation(layer.ffn.lin1, layer.ffn.activation, pack),
            down=fuse(layer.ffn.lin2, pack=pack),
            mlp_norm=_read_norm(layer.output_layer_norm),
        )

    return [read(layer) for layer in anatomy.blocks], None, None


def _read_mpnet(anatomy: Anatomy, longest: int, pack: bool) -> Blocks:
    def read(layer: nn.Module) -> Block:
        attention = layer.attention.attn
        return Block(
            qkv=fuse(attention.q, attention.k, attention.v, pack=pack),
            out=fuse(attention.o, pack=pack),
            attention_norm=_read_norm(layer.attention.LayerNorm),
            up=fuse_activation(layer.intermediate.dense, layer.intermediate.intermediate_act_fn, pack),
            down=fuse(layer.output.dense, pack=pack),
            mlp_norm=_read_norm(layer.output.LayerNorm),
        )

    encoder = anatomy.backbone.encoder
    device = encoder.relative_attention_bias.weight.device
    bias = encoder.compute_position_bias(torch.empty(1, longest, 1, device=device)).float()
    return [read(layer) for layer in anatomy.blocks], bias, None


def _read_modernbert(anatomy: Anatomy, longest: int, pack: bool) -> Blocks:
    backbone = anatomy.backbone
    device = next(backbone.parameters()).device
    positions = torch.arange(longest, device=device)[None]
    angles = {kind: _read_angles(backbone.rotary_emb, kind, positions) for kind in backbone.rotary_emb.layer_types}

    def read(layer: nn.Module) -> Block:
        attention, mlp = layer.attn, layer.mlp
        local = layer.attention_type == "sliding_attention"
        return Block(
            qkv=fuse(attention.Wqkv, pack=pack),
            out=fuse(attention.Wo, pack=pack),
            attention_norm=None if isinstance(layer.attn_norm, nn.Identity) else _read_norm(layer.attn_norm),
            up=fuse_gate(*_halves(mlp.Wi), mlp.act, pack),
            down=fuse(mlp.Wo, pack=pack),
            mlp_norm=_read_norm(layer.mlp_norm),
            pre_norm=True,
            window=attention.sliding_window - 1 if local else None,
            angles=angles[layer.attention_type],
        )

    return [read(layer) for layer in anatomy.blocks], None, _read_norm(backbone.final_norm)


_READERS: dict[str, Callable[[Anatomy, int, bool], Blocks]] = {
    "bert": _read_bert,
    "roberta": _read_bert,
    "xlm-roberta": _read_bert,
    "camembert": _read_bert,
    "distilbert": _read_distilbert,
    "mpnet": _read_mpnet,
    "modernbert": _read_modernbert,
}


def _read_norm(module: nn.Module) -> LayerNorm:
    require(type(module) is nn.LayerNorm)
    bias = module.bias
    return LayerNorm(module.weight.float(), None if bias is None else bias.float(), module.eps)


def _read_angles(rotary: nn.Module, kind: str, positions: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin of every position; sin as it meets the other half of a head."""
    require(rotary.rope_type[kind] == "default")
    cos, sin = rotary(torch.zeros(1, device=positions.device), positions, kind)
    cos, sin = cos[0].contiguous(), sin[0].contiguous()
    sin[..., : sin.shape[-1] // 2].neg_()
    return cos, sin


def _halves(layer: nn.Linear) -> list[nn.Linear]:
    """A linear layer as two that share its weight: the first half of its outputs, and the second."""
    halves = []
    for part in range(2):
        half = nn.Linear(layer.in_features, layer.out_features // 2, bias=layer.bias is not None, device="meta")
        half.weight = nn.Parameter(layer.weight.data.chunk(2)[part], requires_grad=False)
        if layer.bias is not None:
            half.bias = nn.Parameter(layer.bias.data.chunk(2)[part], requires_grad=False)
        halves.append(half)
    return halves
