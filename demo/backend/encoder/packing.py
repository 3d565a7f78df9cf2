"""Packing: the texts of a pass end to end without padding, like lengths side by side. Knows no model.

A token attends to its own text, as in FlashAttention's packed sequences (arXiv 2307.08691). Texts of one length lie
together, so that attention runs once a length, without a mask and without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from demo.backend.decoder.prefix_tree import to_device


@dataclass(frozen=True, eq=False)
class Packed:
    """Texts as one row of tokens. Shapes in tokens unless they say (batch, width), which is padded on the right."""

    input_ids: Tensor  # (batch, width)
    places: Tensor | None  # (tokens,): where each token stands in batch · width; None where they are in that order
    rows: Tensor | None  # (batch · width,): the token that stands there, any where padding is; None as above
    groups: Sequence[tuple[int, int]]  # (texts, length): what lies side by side, in order

    def pack(self, states: Tensor) -> Tensor:
        """(batch, width, …) → (tokens, …)."""
        states = states.flatten(0, 1)
        return states if self.places is None else states.index_select(0, self.places)

    def unpack(self, states: Tensor) -> Tensor:
        """(tokens, …) → (batch, width, …). What stands at the padding means nothing."""
        if self.rows is not None:
            states = states.index_select(0, self.rows)
        return states.view(*self.input_ids.shape, *states.shape[1:])


def pack(input_ids: np.ndarray, lengths: np.ndarray, device: torch.device) -> Packed:
    """input_ids: (batch, width), padded on the right; lengths: (batch,)."""
    width = input_ids.shape[1]
    order = np.argsort(lengths, kind="stable")
    distinct, counts = np.unique(lengths, return_counts=True)
    groups = tuple(zip(counts.tolist(), distinct.tolist(), strict=True))
    if len(groups) == 1:
        return Packed(to_device(input_ids, device), None, None, groups)
    places = np.concatenate([row * width + np.arange(lengths[row]) for row in order])
    rows = np.zeros(input_ids.size, dtype=np.int64)
    rows[places] = np.arange(len(places))
    return Packed(to_device(input_ids, device), to_device(places, device), to_device(rows, device), groups)
