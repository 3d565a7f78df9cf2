"""Pooling: the hidden states of a text become its embedding.

The live page computes all kept poolings (KEPT_POOLINGS) of all layers in one pass (`pool_kept`) and indexes the chosen
one afterwards (`from_kept`); `pool` computes one alone. hidden_states: (batch, tokens, dim), any float type; mask:
(batch, tokens), 0 where a token is not pooled, else the weight that weighted_mean gives the first pooled token: 1,
or more where tokens before it count, as those of a prompt that is left out; every function of one pooling returns
(batch, dim) float32, the same on either padding side. The numbers are those of sentence-transformers' `Pooling`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from demo.domain.datamodels import Pooling


def pool(pooling: Pooling, hidden_states: Tensor, mask: Tensor) -> Tensor:
    """(batch, dim) float32. Raises ValueError if a row has no pooled token."""
    if not bool(mask.bool().any(dim=1).all()):
        raise ValueError("a text has no pooled token")
    if pooling is Pooling.MAX:
        return hidden_states.float().masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)
    weights = token_weights(pooling, mask)
    # Padding may hold anything, NaN included, and NaN · 0 is NaN.
    states = hidden_states.float().masked_fill(weights.unsqueeze(-1) == 0, 0.0)
    total = weights.sum(dim=1, keepdim=True)
    return (states * weights.unsqueeze(-1)).sum(dim=1) / (total.sqrt() if pooling is Pooling.MEAN_SQRT_LEN else total)


def token_weights(pooling: Pooling, mask: Tensor) -> Tensor:
    """The weight of each token's state, (batch, tokens) float32, not normalized. Every pooling but max is such a sum.

    last_token: in a GPT the only token that has seen the whole text; last_token_logits: the same, since the LM head is
    applied after pooling. first_token: [CLS] of an encoder. weighted_mean: 1…n, as later tokens have seen more of the
    text (SGPT, arXiv 2202.08904; "weightedmean" in sentence-transformers).
    """
    real = (mask != 0).float()
    if pooling in (Pooling.MEAN, Pooling.MEAN_SQRT_LEN):
        return real
    if pooling is Pooling.WEIGHTED_MEAN:
        return (real.cumsum(dim=1) + mask.float() - 1) * real
    if pooling is Pooling.FIRST_TOKEN:
        positions = mask.long().argmax(dim=1)
    elif pooling in (Pooling.LAST_TOKEN, Pooling.LAST_TOKEN_LOGITS):
        positions = last_positions(mask)
    else:
        raise ValueError(f"{pooling.value} is no weighted sum of states")
    return torch.zeros_like(real).scatter_(1, positions.unsqueeze(1), 1.0)


def last_positions(mask: Tensor) -> Tensor:
    """Index of the last pooled token of each row, (batch,). Not `mask.sum() - 1`, which is wrong with left padding."""
    return mask.shape[1] - 1 - mask.long().flip(dims=[1]).argmax(dim=1)


# Computed together in one pass. The logits come from the last token's state, and mean_sqrt_len from the mean.
KEPT_POOLINGS = (Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.FIRST_TOKEN, Pooling.MAX)


def pool_kept(mask: Tensor) -> Callable[[Tensor], Tensor]:
    """hidden_states → (batch, poolings, dim) float32: every pooling of KEPT_POOLINGS, in their order, of one mask.

    The weights depend on the mask alone and serve every layer of a pass. All poolings but the maximum are weighted
    sums, so one product computes them, in .4 to .8 of the time that each took by itself (measured).
    """
    sums = torch.stack([token_weights(pooling, mask) for pooling in KEPT_POOLINGS if pooling is not Pooling.MAX], dim=1)
    sums /= sums.sum(dim=2, keepdim=True)
    inside = mask.unsqueeze(-1) != 0
    lowered = None if bool(inside.all()) else torch.where(inside, 0.0, float("-inf"))

    def pool_layer(hidden_states: Tensor) -> Tensor:
        states = hidden_states.float()
        summed = torch.bmm(sums, states)
        if lowered is not None:
            # Padding may hold anything, and NaN · 0 is NaN. A GPU would have to wait for the answer.
            if states.device.type == "cpu" and bool(summed.isfinite().all()):
                states = states + lowered
            else:
                summed = torch.bmm(sums, states.masked_fill(~inside, 0.0))
                states = states.masked_fill(~inside, float("-inf"))
        return torch.cat([summed, states.amax(dim=1, keepdim=True)], dim=1)

    return pool_layer


def from_kept(pooling: Pooling, kept: np.ndarray, count: np.ndarray) -> np.ndarray:
    """One pooling out of (…, poolings, dim): (…, dim), equal to `pool`. count: (…), the pooled tokens."""
    if pooling is Pooling.MEAN_SQRT_LEN:
        return kept[..., KEPT_POOLINGS.index(Pooling.MEAN), :] * np.sqrt(count)[..., None].astype(np.float32)
    source = Pooling.LAST_TOKEN if pooling is Pooling.LAST_TOKEN_LOGITS else pooling
    return kept[..., KEPT_POOLINGS.index(source), :]


def scale(vectors: np.ndarray, normalize: bool) -> np.ndarray:
    """(…, dim) → (…, dim), L2-normalized if `normalize`: where the checkpoint does so itself."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12) if normalize else vectors
