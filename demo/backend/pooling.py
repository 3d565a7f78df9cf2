"""Pooling: the hidden states of a text become its embedding.

Tensors in, tensors out. Knows no model, no prompt, no device. hidden_states: (batch, tokens, dim), any float type;
mask: (batch, tokens), 1 where a token is pooled; every function returns (batch, dim) float32 and is the same on
either padding side. The numbers are those of sentence-transformers' `Pooling`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from demo.datamodels import Pooling


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


# Several poolings of one pass. The logits come from the last token's state, and mean_sqrt_len from the mean.
KEPT = (Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.MAX, Pooling.FIRST_TOKEN)


def pool_kept(mask: Tensor) -> Callable[[Tensor], Tensor]:
    """hidden_states → (batch, poolings, dim) float32: every pooling of KEPT, in its order, of one mask.

    What depends on the mask alone is made once, since every layer of a pass is pooled by it.
    """
    real = mask.float()
    mean = real / real.sum(dim=1, keepdim=True)
    weighted = real.cumsum(dim=1) * real
    weights = torch.stack([mean, weighted / weighted.sum(dim=1, keepdim=True)], dim=1)
    last, first = last_positions(mask), mask.long().argmax(dim=1)
    left_out = None if bool(mask.all()) else mask.unsqueeze(-1) == 0

    def pool_layer(hidden_states: Tensor) -> Tensor:
        states = hidden_states.float()
        summed = states if left_out is None else states.masked_fill(left_out, 0.0)
        highest = states if left_out is None else states.masked_fill(left_out, float("-inf"))
        means = torch.bmm(weights, summed)
        picked = _pick(states, last), means[:, 0], means[:, 1], highest.amax(dim=1), _pick(states, first)
        return torch.stack(picked, dim=1)

    return pool_layer


def from_kept(pooling: Pooling, kept: np.ndarray, count: np.ndarray) -> np.ndarray:
    """One pooling out of (…, poolings, dim), (…, dim): what `pool` gives. count: (…), the pooled tokens."""
    if pooling is Pooling.MEAN_SQRT_LEN:
        return kept[..., KEPT.index(Pooling.MEAN), :] * np.sqrt(count)[..., None].astype(np.float32)
    source = Pooling.LAST_TOKEN if pooling is Pooling.LAST_TOKEN_LOGITS else pooling
    return kept[..., KEPT.index(source), :]


def _pick(hidden_states: Tensor, positions: Tensor) -> Tensor:
    rows = torch.arange(hidden_states.shape[0], device=hidden_states.device)
    return hidden_states[rows, positions].float()


def _weighted_sum(hidden_states: Tensor, weights: Tensor) -> Tensor:
    # Padding may hold anything, NaN included, and NaN · 0 is NaN.
    states = hidden_states.float().masked_fill(weights.unsqueeze(-1) == 0, 0.0)
    return (states * weights.unsqueeze(-1)).sum(dim=1)
