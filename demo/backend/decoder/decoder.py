"""Decoder: our own forward pass of a Llama-like GPT, several times faster than the general one in forward.py.

Most GPTs since Llama share RMS norms, rotary positions, grouped queries and a gated MLP. Loading a model measures
whether it is built so: a decoder whose states differ from the model's own is never used. It is faster because one
product makes queries, keys and values, and another one gate and up (fused_linear.py); because padding on the right
needs no mask in a causal model; because texts that begin alike run their beginning once (prefix_tree.py); and because
beginnings are cached (kv_prefix.py, prompt_cache.py).

Blocks come one after another, and each runs over every batch of a pass before the next one comes: so their weights may
be in memory, or on disk and be read in turn (layer_stream.py). The residual stream and attention are float32 in every
precision: rounded less, a vector depends less on its batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from cachetools import LRUCache
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from demo.backend.decoder.blocks import Block, Norm, read_block, read_norm, rotate
from demo.backend.decoder.fused_linear import UnexpectedArchitecture, require, worth_packing
from demo.backend.decoder.kv_prefix import KVPrefix, PrefixRecorder
from demo.backend.decoder.layer_stream import LayerStream
from demo.backend.decoder.prefix_tree import PrefixTree, build_tree
from demo.backend.decoder.prompt_cache import PromptCache
from demo.backend.model.forward import PREPENDING, Anatomy, Prepending, every_layer
from demo.domain.datamodels import LAST_LAYER

# Distance of the states from the model's own, relative to their norm: of any state in float32; in half precision the
# median over tokens and layers, since there the model itself is off. SmolLM2 in bfloat16, measured on one sentence:
# the model's own states are .017 from float32's in the median and .20 at worst, this decoder's .007 and .06.
_FURTHEST = 1e-3
_FURTHEST_IN_HALF = 0.05
_PREFIX_BYTES = 64 * 2**20

OnLayer = Callable[[int, Tensor], None]


@dataclass(eq=False)
class Pass:
    """One batch on its way through the blocks.

    start: tokens before its own, those of the prefix. on_layer: gets each layer's states, (batch, tokens, dim);
    on_block: each block's keys and values.
    """

    tree: PrefixTree
    prepending: Prepending | None = None
    prefix: KVPrefix | None = None
    start: int = 0
    on_layer: OnLayer | None = None
    on_block: Callable[[Tensor, Tensor], None] | None = None
    states: Tensor | None = None  # (nodes, dim) float32, while it runs
    masks: dict[int | None, Tensor | None] = field(default_factory=dict)

    def mask(self, window: int | None) -> Tensor | None:
        """Which tokens each one sees, (tokens, start + tokens), the last `window` at most; None: all before it."""
        width = self.tree.nodes.shape[1]
        if window is None or self.start + width <= window:
            window = None
        if window not in self.masks:
            seen = None
            if self.start or window:
                everything = torch.ones(width, self.start + width, dtype=torch.bool, device=self.tree.nodes.device)
                seen = everything.tril(self.start)
                seen = seen.triu(self.start - window + 1) if window else seen
            self.masks[window] = seen
        return self.masks[window]


class Decoder:
    """The blocks of one model; several threads may run it at once. Shares the model's weights."""

    def __init__(self, anatomy: Anatomy, config, longest: int, stream: LayerStream | None = None):
        """longest: positions to prepare for. stream: reads the blocks' weights; None: they are in memory.

        Raises UnexpectedArchitecture.
        """
        backbone, blocks = anatomy.backbone, list(anatomy.blocks)
        require(hasattr(backbone, "embed_tokens") and hasattr(backbone, "rotary_emb"))
        require(not getattr(config, "attn_logit_softcapping", None))
        require(not getattr(config, "use_bidirectional_attention", False))
        self._embed = backbone.embed_tokens
        self._final_norm = read_norm(anatomy.final_norm) or anatomy.final_norm
        attention = blocks[0].self_attn
        self._dtype = attention.q_proj.weight.dtype
        self._head_dim = attention.head_dim
        self._heads = attention.q_proj.out_features // self._head_dim
        self._kv_heads = attention.k_proj.out_features // self._head_dim
        self.longest = longest
        window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * len(blocks)
        self._windows = [window if kind == "sliding_attention" else None for kind in kinds]
        self._device = attention.q_proj.weight.device
        # Half precision would do for attention on a GPU; on a CPU float32 is no slower there.
        self._attention_dtype = torch.float32 if self._device.type == "cpu" else self._dtype
        angles: dict[str | None, tuple[Tensor, Tensor]] = {}
        pack = stream is None and worth_packing(blocks)
        read = partial(read_block, longest=self.longest, device=self._device, pack=pack)
        self._blocks = [read(block, backbone.rotary_emb, angles) for block in blocks]
        self.stream = stream
        if stream:  # the products must see every weight that comes to lie there
            weights = (product.weight for block in self._blocks for product in block.products)
            require(all(map(stream.holds, weights)))
        kv_bytes = 2 * self._kv_heads * self._head_dim * self._attention_dtype.itemsize
        state_bytes = 4 * attention.q_proj.in_features
        self.prompt_cache = PromptCache(len(self._blocks) * kv_bytes + (len(self._blocks) + 1) * state_bytes)
        self._prefix_lock = threading.RLock()
        self._prefixes: LRUCache = LRUCache(_PREFIX_BYTES, getsizeof=lambda prefix: prefix.nbytes)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def packed_bytes(self) -> int:
        """Bytes that the decoder takes in addition to the model."""
        return sum(product.packed_bytes for block in self._blocks for product in (*block.products, block.gate_up))

    def prefix(self, input_ids: tuple[int, ...]) -> KVPrefix:
        """The prompt's beginning that texts share, run once and cached."""
        with self._prefix_lock:
            prefix, first = self.open_prefix(input_ids)
            if first:
                self._run(first, len(self))
                self.keep_prefix(input_ids, prefix)
            return prefix

    def open_prefix(self, input_ids: tuple[int, ...]) -> tuple[KVPrefix, Pass | None]:
        """The cached prefix; else one that grows with the pass beside it, which runs ahead of those after it."""
        with self._prefix_lock:
            prefix = self._prefixes.get(input_ids)
        if prefix is not None:
            return prefix, None
        recorder = PrefixRecorder(None)
        tree = build_tree(np.array([input_ids]), self._device)
        return recorder.growing, Pass(tree, on_layer=recorder.add_layer, on_block=recorder.add_block)

    def keep_prefix(self, input_ids: tuple[int, ...], prefix: KVPrefix) -> None:
        """Cache a prefix that has run through every block."""
        with self._prefix_lock:
            if prefix.nbytes <= self._prefixes.maxsize:
                self._prefixes[input_ids] = prefix

    def hidden_states(
        self, tree: PrefixTree, layer: int, prepending: Prepending | None = None, prefix: KVPrefix | None = None
    ) -> Tensor:
        """The states of one layer, (batch, tokens, dim) float32, of the tokens after the prefix.

        States at the padding are meaningless. Equal to `forward.hidden_states`.
        """
        return self._run(Pass(tree, prepending, prefix, len(prefix or ())), self.depth(layer))

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

        on_block = recorder.add_block if recorder else None
        self._run(Pass(tree, prepending, prefix, len(prefix or ()), on_layer, on_block), len(self))
        if recorder:
            keep(recorder.growing)
        return reduced

    def depth(self, layer: int) -> int:
        """Blocks below a layer."""
        return len(self) if layer == LAST_LAYER else layer

    def run(
        self,
        passes: Sequence[Pass],
        depth: int,
        ahead: Sequence[Pass] = (),
        report: Callable[[int, int], None] = lambda layer, depth: None,
    ) -> list[Tensor]:
        """The first `depth` blocks, each over every pass: their states, (batch, tokens, dim).

        ahead: passes whose growing prefixes the others continue. report: gets each layer that begins and the depth; it
        may raise to end the passes.
        """
        every = [*ahead, *passes]
        tokens = [each.tree.tokens for each in every]
        states = self._embed(torch.cat(tokens)).float()
        for each, own in zip(every, states.split(list(map(len, tokens))), strict=True):
            each.states = own
        with closing(self._layers(depth)) as layers:
            for index, block in layers:
                report(index, depth)
                for wave in (ahead, passes):
                    self._compute([partial(self._enter, each, index, block) for each in wave])
        return [self._end(each, depth) for each in every][len(ahead) :]

    def _run(self, one: Pass, depth: int) -> Tensor:
        return self.run([one], depth)[0]

    def _layers(self, depth: int) -> Iterator[tuple[int, Block]]:
        if self.stream is None:
            yield from enumerate(self._blocks[:depth])
        else:
            with closing(self.stream.read(depth)) as layers:
                for index in layers:
                    yield index, self._blocks[index]

    def _compute(self, steps: list[Callable[[], None]]) -> None:
        if self.stream:
            self.stream.compute(steps)
        else:
            for step in steps:
                step()

    def _enter(self, each: Pass, index: int, block: Block) -> None:
        """The layer's states go out, and the block is added to them in place."""
        tree, prefix, states = each.tree, each.prefix, each.states
        if each.on_layer:
            each.on_layer(index, tree.to_texts(states))
        if each.prepending is not None and index in PREPENDING:
            rows = torch.arange(len(tree.nodes), device=tree.nodes.device)
            placeholder, last = (
                tree.nodes[rows, at - each.start] for at in (each.prepending.placeholder, each.prepending.last)
            )
            states[placeholder] = states[last]
        past = (prefix.keys[index], prefix.values[index]) if each.start else None
        self._run_block(block, tree, states, each.start, each.mask(self._windows[index]), past, each.on_block)

    def _end(self, each: Pass, depth: int) -> Tensor:
        states, each.states = each.states, None
        if depth == len(self):
            if isinstance(self._final_norm, Norm):
                states = self._final_norm(states)
            else:
                states = self._final_norm(states.to(self._dtype)).float()
        states = each.tree.to_texts(states)
        if each.on_layer:
            each.on_layer(depth, states)
        return states

    def _run_block(self, block: Block, tree: PrefixTree, states: Tensor, start: int, mask, past, on_block) -> None:
        """One block, added to the states (nodes, dim) in place."""
        batch, width = tree.nodes.shape
        queries_and_keys = self._heads + self._kv_heads
        heads = tree.to_texts(block.qkv(block.before_attention(states))).view(batch, width, -1, self._head_dim)
        rotated = heads[:, :, :queries_and_keys].float()
        if block.query_norm:
            normed = block.query_norm(rotated[:, :, : self._heads]), block.key_norm(rotated[:, :, self._heads :])
            rotated = torch.cat(normed, dim=2)
        rotated = rotate(rotated, block.cos[start : start + width], block.sin[start : start + width])
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
