"""Prefix tree: texts that begin alike run their beginning once, within one pass. Token ids in, indices out.

In a causal model the state of a token depends only on the tokens before it. So a pass need not run whole texts but
distinct beginnings: the nodes of a tree whose branches are the texts. Padding is no node. Servers that generate share
beginnings across requests (SGLang's RadixAttention, arXiv 2312.07104).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """The distinct beginnings of a batch of texts. States lie as nodes, (nodes, …), or as texts, (batch, tokens, …)."""

    tokens: Tensor  # (nodes,): token ids
    nodes: Tensor  # (batch, tokens): the node of each token; arbitrary at the padding
    positions: Tensor | None  # (nodes,): a token of each node, in batch · tokens; None where each token is a node

    def to_texts(self, states: Tensor) -> Tensor:
        """(nodes, …) → (batch, tokens, …). States at the padding are meaningless."""
        if self.positions is not None:
            states = states.index_select(0, self.nodes.view(-1))
        return states.view(*self.nodes.shape, *states.shape[1:])

    def to_nodes(self, states: Tensor) -> Tensor:
        """(batch, tokens, …) → (nodes, …)."""
        states = states.flatten(0, 1)
        return states if self.positions is None else states.index_select(0, self.positions)


def build_tree(
    input_ids: np.ndarray, device: torch.device, lengths: np.ndarray | None = None, share: bool = True
) -> PrefixTree:
    """The prefix tree of texts padded on the right. input_ids: (batch, tokens); lengths: (batch,), None for full rows.

    share: False where states depend on later tokens, too; each text is a branch of its own then.
    """
    batch, width = input_ids.shape
    columns = np.arange(width)
    new = np.full(input_ids.shape, True) if lengths is None else columns < lengths[:, None]
    order = np.arange(batch)
    if share:
        # Sorted, texts that begin alike are neighbours: what one shares with any before it, it shares with the last.
        ids = np.where(new, input_ids, -1)
        order = np.lexsort(ids.T[::-1])
        alike = (ids[order[1:]] == ids[order[:-1]]) & new[order[1:]]
        new[order[1:]] &= ~np.logical_and.accumulate(alike, axis=1)
    owners = np.maximum.accumulate(np.where(new[order], np.arange(batch)[:, None], 0), axis=0)
    owned = np.empty_like(input_ids)
    owned[order] = order[owners] * width + columns
    positions = np.flatnonzero(new)
    nodes = np.maximum(np.cumsum(new) - 1, 0)[owned]
    return PrefixTree(
        tokens=to_device(input_ids.ravel()[positions], device),
        nodes=to_device(nodes, device),
        positions=to_device(positions, device) if len(positions) < input_ids.size else None,
    )


def to_device(numbers: np.ndarray, device: torch.device) -> Tensor:
    """The same numbers on the device. CUDA copies from pinned memory without making the processor wait."""
    tensor = torch.from_numpy(np.ascontiguousarray(numbers))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
