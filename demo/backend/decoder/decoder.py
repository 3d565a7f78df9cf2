"""Decoder: our own forward pass of a Llama-like GPT, several times faster than the general one in forward.py.

Most GPTs since Llama share RMS norms, rotary positions, grouped queries and a gated MLP. Loading a model measures
whether it is built so: a decoder whose states differ from the model's own is never used. It is faster because one
product makes queries, keys and values, and another one gate and up (fused_linear.py); because padding on the right
needs no mask in a causal model; because texts that begin alike run their beginning once (prefix_tree.py); and because
beginnings are cached (kv_prefix.py, prompt_cache.py).

The residual stream and attention are float32 in every precision: rounded less, a vector depends less on its batch.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from cachetools import LRUCache
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from demo.backend.decoder.fused_linear import (
    FusedGate,
    FusedLinear,
    UnexpectedArchitecture,
    fuse,
    fuse_gate,
    require,
    worth_packing,
)
from demo.backend.decoder.kv_prefix import KVPrefix, PrefixRecorder
from demo.backend.decoder.prefix_tree import PrefixTree, build_tree
from demo.backend.decoder.prompt_cache import PromptCache
from demo.backend.model.forward import PREPENDING, Anatomy, Prepending, every_layer
from demo.domain.datamodels import LAST_LAYER

_PLAIN_ROPE = {"default", "linear", "llama3", "yarn"}  # whose angles do not depend on the text's length
# Distance of the states from the model's own, relative to their norm: of any state in float32; in half precision the
# median over tokens and layers, since there the model itself is off. SmolLM2 in bfloat16, measured on one sentence:
# the model's own states are .017 from float32's in the median and .20 at worst, this decoder's .007 and .06.
_FURTHEST = 1e-3
_FURTHEST_IN_HALF = 0.05
_PREFIX_BYTES = 64 * 2**20

OnLayer = Callable[[int, Tensor], None]


@dataclass(frozen=True, eq=False)
class _Norm:
    """x / rms(x) · weight, float32."""

    weight: Tensor
    eps: float

    def __call__(self, states: Tensor) -> Tensor:
        mean = torch.linalg.vector_norm(states, dim=-1, keepdim=True).square_().div_(states.shape[-1])
        return (states * mean.add_(self.eps).rsqrt_()).mul_(self.weight)


@dataclass(frozen=True, eq=False)
class _Block:
    before_attention: _Norm
    qkv: FusedLinear
    query_norm: _Norm | None
    key_norm: _Norm | None
    out: FusedLinear
    after_attention: _Norm | None  # Gemma norms what it adds, too
    before_mlp: _Norm
    gate_up: FusedGate
    down: FusedLinear
    after_mlp: _Norm | None
    cos: Tensor  # (positions, 1, head_dim) float32
    sin: Tensor
    scaling: float


class Decoder:
    """The blocks of one model; several threads may run it at once. Shares the model's weights."""

    def __init__(self, anatomy: Anatomy, config, longest: int):
        """longest: positions to prepare for. Raises UnexpectedArchitecture."""
        backbone, blocks = anatomy.backbone, list(anatomy.blocks)
        require(hasattr(backbone, "embed_tokens") and hasattr(backbone, "rotary_emb"))
        require(not getattr(config, "attn_logit_softcapping", None))
        require(not getattr(config, "use_bidirectional_attention", False))
        self._embed = backbone.embed_tokens
        self._final_norm = _read_norm(anatomy.final_norm) or anatomy.final_norm
        attention = blocks[0].self_attn
        self._dtype = attention.q_proj.weight.dtype
        self._head_dim = attention.head_dim
        self._heads = attention.q_proj.out_features // self._head_dim
        self._kv_heads = attention.k_proj.out_features // self._head_dim
        window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        self.longest = min(longest, window or longest)
        device = attention.q_proj.weight.device
        # Half precision would do for attention on a GPU; on a CPU float32 is no slower there.
        self._attention_dtype = torch.float32 if device.type == "cpu" else self._dtype
        angles: dict[str | None, tuple[Tensor, Tensor]] = {}
        pack = worth_packing(blocks)
        self._blocks = [_read_block(block, backbone.rotary_emb, angles, self.longest, device, pack) for block in blocks]
        kv_bytes = 2 * self._kv_heads * self._head_dim * self._attention_dtype.itemsize
        state_bytes = 4 * self._embed.weight.shape[1]
        self.prompt_cache = PromptCache(len(self._blocks) * kv_bytes + (len(self._blocks) + 1) * state_bytes)
        self._prefix_lock = threading.Lock()
        self._prefixes: LRUCache = LRUCache(_PREFIX_BYTES, getsizeof=lambda prefix: prefix.nbytes)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def packed_bytes(self) -> int:
        """Bytes that the decoder takes in addition to the model."""
        products = (each for block in self._blocks for each in (block.qkv, block.out, block.gate_up, block.down))
        return sum(product.packed_bytes for product in products)

    def prefix(self, input_ids: tuple[int, ...]) -> KVPrefix:
        """The prompt's beginning that texts share, run once and cached."""
        with self._prefix_lock:
            prefix = self._prefixes.get(input_ids)
            if prefix is None:
                recorder = PrefixRecorder(None)
                tree = build_tree(np.array([input_ids]), self._embed.weight.device)
                self._run(tree, len(self), recorder.add_layer, on_block=recorder.add_block)
                prefix = recorder.prefix()
                if prefix.nbytes <= self._prefixes.maxsize:
                    self._prefixes[input_ids] = prefix
            return prefix

    def hidden_states(
        self, tree: PrefixTree, layer: int, prepending: Prepending | None = None, prefix: KVPrefix | None = None
    ) -> Tensor:
        """The states of one layer, (batch, tokens, dim) float32, of the tokens after the prefix.

        States at the padding are meaningless. Equal to `forward.hidden_states`.
        """
        return self._run(tree, len(self) if layer == LAST_LAYER else layer, None, prepending, prefix)

    def every_layer(
        self,
        tree: PrefixTree,
        reduce: Callable[[Tensor], Tensor],
        prepending: Prepending | None = None,
        prefix: KVPrefix | None = None,
        join: bool = False,
        keep: Callable[[KVPrefix], None] | None = None,
    ) -> list[Tensor]:
        """reduce(states) of each layer, 0 … n. states: (batch, tokens, dim); join: with the prefix's before them.

        keep: gets the one text that runs, prefix included, after its pass.
        """
        reduced: list[Tensor] = []
        recorder = PrefixRecorder(prefix) if keep else None

        def on_layer(layer: int, states: Tensor) -> None:
            reduced.append(reduce(prefix.prepend_to(states, layer) if join else states))
            if recorder:
                recorder.add_layer(layer, states)

        self._run(tree, len(self), on_layer, prepending, prefix, recorder.add_block if recorder else None)
        if recorder:
            keep(recorder.prefix())
        return reduced

    def _run(
        self, tree: PrefixTree, depth: int, on_layer: OnLayer | None, prepending=None, prefix=None, on_block=None
    ) -> Tensor:
        """The first `depth` blocks: states, (batch, tokens, dim). on_layer, on_block: get each layer's states, each
        block's keys and values."""
        start, width = len(prefix) if prefix else 0, tree.nodes.shape[1]
        mask = None
        if start:
            mask = torch.ones(width, start + width, dtype=torch.bool, device=tree.nodes.device).tril(start)
        if prepending is not None:
            rows = torch.arange(len(tree.nodes), device=tree.nodes.device)
            placeholder, last = (tree.nodes[rows, at - start] for at in (prepending.placeholder, prepending.last))
        states = self._embed(tree.tokens).float()
        for index, block in enumerate(self._blocks[:depth]):
            if on_layer:
                on_layer(index, tree.to_texts(states))
            if prepending is not None and index in PREPENDING:
                states[placeholder] = states[last]
            past = (prefix.keys[index], prefix.values[index]) if prefix else None
            self._run_block(block, tree, states, start, mask, past, on_block)
        if depth == len(self):
            if isinstance(self._final_norm, _Norm):
                states = self._final_norm(states)
            else:
                states = self._final_norm(states.to(self._dtype)).float()
        states = tree.to_texts(states)
        if on_layer:
            on_layer(depth, states)
        return states

    def _run_block(self, block: _Block, tree: PrefixTree, states: Tensor, start: int, mask, past, on_block) -> None:
        """One block, added to the states (nodes, dim) in place."""
        batch, width = tree.nodes.shape
        queries_and_keys = self._heads + self._kv_heads
        heads = tree.to_texts(block.qkv(block.before_attention(states))).view(batch, width, -1, self._head_dim)
        rotated = heads[:, :, :queries_and_keys].float()
        if block.query_norm:
            normed = block.query_norm(rotated[:, :, : self._heads]), block.key_norm(rotated[:, :, self._heads :])
            rotated = torch.cat(normed, dim=2)
        rotated = _rotate(rotated, block.cos[start : start + width], block.sin[start : start + width])
        rotated = rotated.to(self._attention_dtype).transpose(1, 2)
        queries, keys = rotated[:, : self._heads], rotated[:, self._heads :]
        values = heads[:, :, queries_and_keys:].to(self._attention_dtype).transpose(1, 2)
        if past:
            keys = torch.cat([past[0].expand(batch, -1, -1, -1), keys], dim=2)
            values = torch.cat([past[1].expand(batch, -1, -1, -1), values], dim=2)
        if on_block:
            on_block(keys, values)
        attended = scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None,
            scale=block.scaling,
            enable_gqa=self._heads != self._kv_heads,
        )
        attended = attended.transpose(1, 2).reshape(batch, width, -1).to(self._dtype)
        added = block.out(tree.to_nodes(attended))
        states.add_(block.after_attention(added.float()) if block.after_attention else added)
        added = block.down(block.gate_up(block.before_mlp(states)))
        states.add_(block.after_mlp(added.float()) if block.after_mlp else added)


@torch.no_grad()  # not inference_mode: training shares the weights that are put together here
def make_decoder(anatomy: Anatomy, config, longest: int, probe: list[int]) -> Decoder | None:
    """A Decoder over a model's weights, or None where its states are not the model's own; the model stays usable.

    probe: token ids of an ordinary text, which runs both ways.
    """
    try:
        decoder = Decoder(anatomy, config, longest)
    except (UnexpectedArchitecture, AttributeError):
        return None
    tree = build_tree(np.array([probe[: decoder.longest]]), next(anatomy.backbone.parameters()).device)
    expected = torch.stack(every_layer(anatomy, tree.tokens[None], None, lambda states: states[0].float()))
    states = torch.stack(decoder.every_layer(tree, lambda states: states[0].clone()))
    distances = (states - expected).norm(dim=-1) / expected.norm(dim=-1)
    exact = decoder._dtype is torch.float32
    equal = distances.max() < _FURTHEST if exact else distances.median() < _FURTHEST_IN_HALF
    return decoder if equal else None


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (RoFormer, arXiv 2104.09864). heads: (batch, tokens, heads, head_dim) float32."""
    return torch.addcmul(heads * cos, heads.roll(heads.shape[-1] // 2, -1), sin)


def _read_block(block: nn.Module, rotary: nn.Module, angles: dict, longest: int, device, pack: bool) -> _Block:
    attention, mlp = block.self_attn, block.mlp
    four = hasattr(block, "pre_feedforward_layernorm")  # Gemma
    queries = getattr(attention, "q_norm", None)
    kind = getattr(attention, "layer_type", None)
    if kind not in angles:
        angles[kind] = _read_angles(rotary, kind, longest, device)
    cos, sin = angles[kind]
    return _Block(
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


def _need_norm(module: nn.Module) -> _Norm:
    norm = _read_norm(module)
    require(norm is not None)
    return norm


def _read_norm(module: nn.Module | None) -> _Norm | None:
    """A module as an RMS norm, scaled by its weight (Llama) or by one more (Gemma); None where it is neither."""
    weight = getattr(module, "weight", None)
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if weight is None or eps is None or weight.ndim != 1 or getattr(module, "bias", None) is not None:
        return None
    probe = torch.linspace(-2, 3, weight.shape[0], device=weight.device)[None]
    expected = module(probe.to(weight.dtype)).float()
    for scale in (weight.float(), 1 + weight.float()):
        norm = _Norm(scale, eps)
        if torch.allclose(norm(probe.to(weight.dtype).float()), expected, rtol=2e-2, atol=2e-2):
            return norm
    return None
