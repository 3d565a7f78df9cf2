"""Encoder: our own forward pass through BERT and its descendants, faster than the model's own.

Texts lie packed end to end, so that no product runs padding. Queries, keys and values are one product, the activation
is part of its product, and weights are packed for the processor. When a model is loaded, `make_encoder` compares the
states with the model's own: an encoder that differs is not used.

The residual stream, norms and softmax are float32 in every precision: a vector does not depend on its batch mates.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from demo.backend.decoder.fused_linear import UnexpectedArchitecture
from demo.backend.encoder.blocks import Block, read_blocks
from demo.backend.encoder.packing import Packed, pack
from demo.backend.model.forward import Anatomy, every_layer
from demo.domain.datamodels import LAST_LAYER

# How far states may be from the model's own, as a share of their length: any state in float32, the median in half
# precision, where the model's own states are off themselves.
_FURTHEST = 1e-3
_FURTHEST_IN_HALF = 0.05
_PROBE_TOKENS = 300  # more than any usual attention window


class Encoder:
    """The blocks of one model, ready to run, by several threads at once. Shares the model's weights."""

    def __init__(self, anatomy: Anatomy, config, longest: int):
        """longest: tokens of the longest text. Raises UnexpectedArchitecture."""
        self.longest = longest
        self._embed = anatomy.backbone.embeddings
        self._heads = config.num_attention_heads
        self._blocks, self._position_bias, self._final_norm = read_blocks(anatomy, config, longest)
        weight = self._blocks[0].qkv.weight
        self._dtype = weight.dtype
        self._attention_dtype = torch.float32 if weight.device.type == "cpu" else weight.dtype

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def packed_bytes(self) -> int:
        """What the encoder takes beside the model."""
        products = (each for block in self._blocks for each in (block.qkv, block.out, block.up, block.down))
        return sum(product.packed_bytes for product in products)

    def hidden_states(self, packed: Packed, layer: int) -> Tensor:
        """The states of one layer, (batch, width, dim) float32. Equal to `forward.hidden_states`.

        What stands at the padding means nothing.
        """
        return self._run(packed, len(self) if layer == LAST_LAYER else layer, None)

    def every_layer(self, packed: Packed, reduce: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """What `reduce` makes of each layer's states, layer 0 … n, from one pass."""
        reduced: list[Tensor] = []
        self._run(packed, len(self), lambda states: reduced.append(reduce(states)))
        return reduced

    def _run(self, packed: Packed, depth: int, see: Callable[[Tensor], None] | None) -> Tensor:
        states = packed.pack(self._embed(packed.input_ids)).float()
        for block in self._blocks[:depth]:
            if see:
                see(packed.unpack(states))
            states = self._step(block, packed, states)
        if depth == len(self) and self._final_norm:
            states = self._final_norm(states)
        states = packed.unpack(states)
        if see:
            see(states)
        return states

    def _step(self, block: Block, packed: Packed, states: Tensor) -> Tensor:
        """One block: (tokens, dim) float32 → the same."""
        normed = block.attention_norm(states) if block.pre_norm and block.attention_norm else states
        states = block.out(self._attend(block, packed, block.qkv(normed))).float().add_(states)
        if not block.pre_norm:
            states = block.attention_norm(states)
        normed = block.mlp_norm(states) if block.pre_norm else states
        states = block.down(block.up(normed)).float().add_(states)
        return states if block.pre_norm else block.mlp_norm(states)

    def _attend(self, block: Block, packed: Packed, projected: Tensor) -> Tensor:
        """Each text's attention to itself. projected: (tokens, 3 · dim) → (tokens, dim)."""
        projected = projected.to(self._attention_dtype)
        attended, start = [], 0
        for texts, length in packed.groups:
            heads = projected[start : start + texts * length].view(texts, length, 3, self._heads, -1)
            queries, keys, values = heads.permute(2, 0, 3, 1, 4)
            if block.angles is not None:
                queries, keys = _rotate(queries, *block.angles), _rotate(keys, *block.angles)
            mask = self._mask(block, length)
            each = scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
            attended.append(each.transpose(1, 2).reshape(texts * length, -1))
            start += texts * length
        return attended[0] if len(attended) == 1 else torch.cat(attended)

    def _mask(self, block: Block, length: int) -> Tensor | None:
        """What is added to attention scores: position bias, and −∞ outside the window. None for nothing."""
        if self._position_bias is not None:
            return self._position_bias[:, :, :length, :length].to(self._attention_dtype)
        if block.window is None or length <= block.window + 1:
            return None
        positions = torch.arange(length, device=block.qkv.weight.device)
        return (positions[:, None] - positions).abs() <= block.window


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (RoFormer, arXiv 2104.09864). heads: (batch, heads, tokens, head_dim)."""
    width = heads.shape[2]
    rotated = torch.addcmul(heads.float() * cos[:width], heads.float().roll(heads.shape[-1] // 2, -1), sin[:width])
    return rotated.to(heads.dtype)


@torch.no_grad()  # not inference_mode: training shares the weights that are put together here
def make_encoder(anatomy: Anatomy, config, longest: int, probe: list[int]) -> Encoder | None:
    """An Encoder over a model's weights, or None where its states are not the model's own, which stays usable.

    probe: the token ids of an ordinary text. It is run both ways beside a longer one made of it, so that padding,
    attention windows and positions are compared too.
    """
    try:
        encoder = Encoder(anatomy, config, longest)
    except (UnexpectedArchitecture, AttributeError):
        return None
    device = next(anatomy.backbone.parameters()).device
    long = (probe * (_PROBE_TOKENS // len(probe) + 1))[: min(longest, _PROBE_TOKENS)]
    lengths = np.array([min(len(probe), len(long)), len(long)])
    attention = np.arange(len(long)) < lengths[:, None]
    ids = np.where(attention, long, long[0])
    real = torch.from_numpy(attention).to(device)
    expected = every_layer(anatomy, torch.from_numpy(ids).to(device), real.long(), lambda states: states[real].float())
    found = encoder.every_layer(pack(ids, lengths, device), lambda states: states[real])
    expected, found = torch.stack(expected), torch.stack(found)
    distances = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    exact = encoder._dtype is torch.float32
    agrees = distances.max() < _FURTHEST if exact else distances.median() < _FURTHEST_IN_HALF
    return encoder if agrees else None
