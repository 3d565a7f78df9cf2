"""Tree: texts that begin alike run their beginning once. Token ids in, places out; knows no model.

In a causal model the state of a token depends on what stands before it alone. So what a pass has to run is not texts
but distinct beginnings: the nodes of a tree whose branches are the texts. Padding is no node. Servers that generate
share beginnings across requests (SGLang's RadixAttention, arXiv 2312.07104); this does it within a pass that embeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class PrefixTree:
    """The distinct beginnings of texts, whose states lie one a node, (nodes, …), or as texts, (batch, tokens, …)."""

    tokens: Tensor  # (nodes,): token ids
    nodes: Tensor  # (batch, tokens): the node of each token; any, where padding stands
    places: Tensor | None  # (nodes,): one token of each node, in batch · tokens; None where each token is a node

    def spread(self, states: Tensor) -> Tensor:
        """(nodes, …) → (batch, tokens, …). What stands at the padding means nothing."""
        if self.places is not None:
            states = states.index_select(0, self.nodes.view(-1))
        return states.view(*self.nodes.shape, *states.shape[1:])

    def gather(self, states: Tensor) -> Tensor:
        """(batch, tokens, …) → (nodes, …)."""
        states = states.flatten(0, 1)
        return states if self.places is None else states.index_select(0, self.places)


def build_tree(
    input_ids: np.ndarray, device: torch.device, lengths: np.ndarray | None = None, share: bool = True
) -> PrefixTree:
    """The tree of texts that are padded on the right. input_ids: (batch, tokens); lengths: (batch,), else all of it.

    share: False where states depend on more than what stands before them; each text is a branch of its own then.
    """
    batch, width = input_ids.shape
    columns = np.arange(width)
    new = np.full(input_ids.shape, True) if lengths is None else columns < lengths[:, None]
    order = np.arange(batch)
    if share:
        # In this order texts that begin alike are neighbours: what one shares with any before it, with the last.
        ids = np.where(new, input_ids, -1)
        order = np.lexsort(ids.T[::-1])
        alike = (ids[order[1:]] == ids[order[:-1]]) & new[order[1:]]
        new[order[1:]] &= ~np.logical_and.accumulate(alike, axis=1)
    owners = np.maximum.accumulate(np.where(new[order], np.arange(batch)[:, None], 0), axis=0)
    owned = np.empty_like(input_ids)
    owned[order] = order[owners] * width + columns
    places = np.flatnonzero(new)
    nodes = np.maximum(np.cumsum(new) - 1, 0)[owned]
    return PrefixTree(
        tokens=to_device(input_ids.ravel()[places], device),
        nodes=to_device(nodes, device),
        places=to_device(places, device) if len(places) < input_ids.size else None,
    )


def to_device(numbers: np.ndarray, device: torch.device) -> Tensor:
    """On the device. CUDA copies from pinned memory without making the processor wait."""
    tensor = torch.from_numpy(np.ascontiguousarray(numbers))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
