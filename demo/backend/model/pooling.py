"""Pooling: the hidden states of a text become its embedding.

The live page computes all kept poolings (KEPT_POOLINGS) of all layers in one pass (`pool_kept`) and indexes the chosen
one afterwards (`from_kept`); `pool` computes one alone. hidden_states: (batch, tokens, dim), any float type; mask:
(batch, tokens), 1 where a token is pooled; every function of one pooling returns (batch, dim) float32, the same on
either padding side. The numbers are those of sentence-transformers' `Pooling`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from demo.domain.datamodels import Pooling


def pool_last_token(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """The state of the last pooled token: in a GPT the only one that has seen the whole text."""
    return _pick(hidden_states, last_positions(mask))


def pool_first_token(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """The state of the first pooled token ([CLS] of an encoder)."""
    return _pick(hidden_states, mask.long().argmax(dim=1))


def pool_mean(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """Σ mask·h / Σ mask."""
    weights = mask.float()
    return _weighted_sum(hidden_states, weights) / weights.sum(dim=1, keepdim=True)


def pool_weighted_mean(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """Mean with weights 1…n over the pooled tokens: later tokens have seen more of the text.

    Source: SGPT, arXiv 2202.08904; sentence-transformers' "weightedmean".
    """
    weights = mask.float().cumsum(dim=1) * mask.float()
    return _weighted_sum(hidden_states, weights) / weights.sum(dim=1, keepdim=True)


def pool_mean_sqrt_len(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """Σ mask·h / √Σ mask."""
    weights = mask.float()
    return _weighted_sum(hidden_states, weights) / weights.sum(dim=1, keepdim=True).sqrt()


def pool_max(hidden_states: Tensor, mask: Tensor) -> Tensor:
    """The largest value of each dimension over the pooled tokens."""
    return hidden_states.float().masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def last_positions(mask: Tensor) -> Tensor:
    """Index of the last pooled token of each row, (batch,). Not `mask.sum() - 1`, which is wrong with left padding."""
    return mask.shape[1] - 1 - mask.long().flip(dims=[1]).argmax(dim=1)


POOLINGS: dict[Pooling, Callable[[Tensor, Tensor], Tensor]] = {
    # The logits come from the last token's state; the LM head is applied after pooling, to that one position.
    Pooling.LAST_TOKEN_LOGITS: pool_last_token,
    Pooling.LAST_TOKEN: pool_last_token,
    Pooling.FIRST_TOKEN: pool_first_token,
    Pooling.MEAN: pool_mean,
    Pooling.WEIGHTED_MEAN: pool_weighted_mean,
    Pooling.MEAN_SQRT_LEN: pool_mean_sqrt_len,
    Pooling.MAX: pool_max,
}


def pool(pooling: Pooling, hidden_states: Tensor, mask: Tensor) -> Tensor:
    """(batch, dim) float32. Raises ValueError if a row has no pooled token."""
    if not bool(mask.bool().any(dim=1).all()):
        raise ValueError("a text has no pooled token")
    return POOLINGS[pooling](hidden_states, mask)


# Computed together in one pass. The logits come from the last token's state, and mean_sqrt_len from the mean.
KEPT_POOLINGS = (Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.FIRST_TOKEN, Pooling.MAX)


def pool_kept(mask: Tensor) -> Callable[[Tensor], Tensor]:
    """hidden_states → (batch, poolings, dim) float32: every pooling of KEPT, in its order, of one mask.

    The weights depend on the mask alone and serve every layer of a pass. All poolings but the maximum are weighted
    sums, so one product computes them, in .4 to .8 of the time that each took by itself (measured).
    """
    rows, real = torch.arange(len(mask), device=mask.device), mask.float()
    sums = torch.zeros(len(mask), len(KEPT_POOLINGS) - 1, mask.shape[1], device=mask.device)
    sums[rows, 0, last_positions(mask)] = 1.0
    sums[:, 1] = real
    sums[:, 2] = real.cumsum(dim=1) * real
    sums[rows, 3, mask.long().argmax(dim=1)] = 1.0
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


def _pick(hidden_states: Tensor, positions: Tensor) -> Tensor:
    rows = torch.arange(hidden_states.shape[0], device=hidden_states.device)
    return hidden_states[rows, positions].float()


def _weighted_sum(hidden_states: Tensor, weights: Tensor) -> Tensor:
    # Padding may hold anything, NaN included, and NaN · 0 is NaN.
    states = hidden_states.float().masked_fill(weights.unsqueeze(-1) == 0, 0.0)
    return (states * weights.unsqueeze(-1)).sum(dim=1)
