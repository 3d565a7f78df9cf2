"""Prefix: a beginning of texts after its pass, which need not run again where a text goes on from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from demo.domain.datamodels import LAST_LAYER


@dataclass(frozen=True, eq=False)
class KVPrefix:
    """A text's beginning after its pass: (1, kv_heads, tokens, head_dim) a block, and its states."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    states: tuple[Tensor, ...]  # of every layer, (tokens, dim) float32

    def __len__(self) -> int:
        return len(self.states[0])

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for part in (self.keys, self.values, self.states) for tensor in part)

    def cut(self, length: int) -> KVPrefix:
        """Its first tokens, in the same memory: what stands before them is all that states depend on."""

        def first(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(tensor[:, :, :length] for tensor in tensors)

        return KVPrefix(first(self.keys), first(self.values), tuple(states[:length] for states in self.states))


class PrefixRecorder:
    """Takes down the pass of one text, of which `before` did not run."""

    def __init__(self, before: KVPrefix | None):
        self._before = before
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._states: list[Tensor] = []

    def keep(self, keys: Tensor, values: Tensor) -> None:
        """A block's, those of `before` included."""
        self._keys.append(keys.contiguous())
        self._values.append(values.contiguous())

    def see(self, layer: int, states: Tensor) -> None:
        """A layer's, (1, tokens, dim), which the next block overwrites."""
        self._states.append(with_prefix(self._before, states, layer)[0] if self._before else states[0].clone())

    def prefix(self) -> KVPrefix:
        """The whole text, once the pass has ended."""
        return KVPrefix(tuple(self._keys), tuple(self._values), tuple(self._states))


def with_prefix(prefix: KVPrefix, states: Tensor, layer: int) -> Tensor:
    """The states of whole texts: the prefix's own before what follows it."""
    before = prefix.states[layer if layer != LAST_LAYER else -1]
    return torch.cat([before.expand(len(states), -1, -1), states], dim=1)
