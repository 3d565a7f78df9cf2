"""KV prefix: the KV cache and hidden states of a text's beginning, which other texts continue without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from demo.domain.datamodels import LAST_LAYER


@dataclass(frozen=True, eq=False)
class KVPrefix:
    """Keys and values, (1, kv_heads, tokens, head_dim) a block, and states, (tokens, dim) float32 a layer."""

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    states: Sequence[Tensor]

    def __len__(self) -> int:
        return len(self.states[0])

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for part in (self.keys, self.values, self.states) for tensor in part)

    def cut(self, length: int) -> KVPrefix:
        """The first tokens, as views: in a causal model nothing after them has entered."""

        def first(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return tuple(tensor[:, :, :length] for tensor in tensors)

        return KVPrefix(first(self.keys), first(self.values), tuple(states[:length] for states in self.states))

    def prepend_to(self, states: Tensor, layer: int) -> Tensor:
        """The states of whole texts. states: (batch, tokens, dim) of one layer, after the prefix."""
        before = self.states[layer if layer != LAST_LAYER else -1]
        return torch.cat([before.expand(len(states), -1, -1), states], dim=1)


class PrefixRecorder:
    """Records the pass of one text that continues `before`. growing: as far as it has run."""

    def __init__(self, before: KVPrefix | None):
        self._before = before
        self.growing = KVPrefix([], [], [])

    def add_block(self, keys: Tensor, values: Tensor) -> None:
        """A block's keys and values, those of `before` included."""
        self.growing.keys.append(keys.contiguous())
        self.growing.values.append(values.contiguous())

    def add_layer(self, layer: int, states: Tensor) -> None:
        """A layer's states, (1, tokens, dim); copied, since the next block overwrites them."""
        self.growing.states.append(self._before.prepend_to(states, layer)[0] if self._before else states[0].clone())
