"""Pooling is mental arithmetic on states that equal their position, and equal to sentence-transformers' everywhere."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from demo.backend.model.pooling import KEPT_POOLINGS, last_positions, pool, pool_kept
from demo.domain.datamodels import Pooling

ORACLE_MODES = {
    Pooling.FIRST_TOKEN: "cls",
    Pooling.MAX: "max",
    Pooling.MEAN: "mean",
    Pooling.MEAN_SQRT_LEN: "mean_sqrt_len_tokens",
    Pooling.WEIGHTED_MEAN: "weightedmean",
    Pooling.LAST_TOKEN: "lasttoken",
}
# States 1, 2, 3 and then padding that holds 100.
BY_HAND = {
    Pooling.FIRST_TOKEN: 1.0,
    Pooling.LAST_TOKEN: 3.0,
    Pooling.MEAN: 2.0,
    Pooling.WEIGHTED_MEAN: (1 * 1 + 2 * 2 + 3 * 3) / 6,
    Pooling.MAX: 3.0,
    Pooling.MEAN_SQRT_LEN: 6 / 3**0.5,
}


@pytest.mark.parametrize("side", ["right", "left", "both"])
@pytest.mark.parametrize(("pooling", "expected"), BY_HAND.items())
def test_pooling_by_hand(pooling, expected, side):
    states, mask = {
        "right": ([1, 2, 3, 100, 100], [1, 1, 1, 0, 0]),
        "left": ([100, 100, 1, 2, 3], [0, 0, 1, 1, 1]),
        "both": ([100, 1, 2, 3, 100], [0, 1, 1, 1, 0]),
    }[side]
    pooled = pool(pooling, torch.tensor(states).float()[None, :, None], torch.tensor([mask]))
    assert pooled.item() == pytest.approx(expected)


def test_mixed_sides_in_one_batch():
    """e5's index rule looks at one row only and fails here."""
    states = torch.tensor([[1.0, 2, 3, 9], [9, 4, 5, 6]])[:, :, None]
    mask = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]])
    assert pool(Pooling.LAST_TOKEN, states, mask).flatten().tolist() == [3, 6]
    assert pool(Pooling.FIRST_TOKEN, states, mask).flatten().tolist() == [1, 4]
    assert last_positions(mask).tolist() == [2, 3]


def test_padding_may_hold_anything():
    states = torch.tensor([[[1.0], [3.0], [float("nan")]]])
    mask = torch.tensor([[1, 1, 0]])
    for pooling in set(Pooling) - {Pooling.OWN}:  # it takes more than one pooling
        assert torch.isfinite(pool(pooling, states, mask)).all(), pooling


def test_nothing_to_pool_is_refused():
    with pytest.raises(ValueError, match="no pooled token"):
        pool(Pooling.MEAN, torch.zeros(1, 2, 1), torch.zeros(1, 2))


def test_half_precision_is_summed_in_float32():
    """4,096 ones and a thousandth: bfloat16 sums would stop at 256."""
    states = torch.ones(1, 4096, 1, dtype=torch.bfloat16)
    assert pool(Pooling.MEAN, states, torch.ones(1, 4096)).item() == pytest.approx(1.0, abs=1e-6)
    assert pool(Pooling.MEAN, states, torch.ones(1, 4096)).dtype is torch.float32


@st.composite
def batches(draw):
    """(states, mask): 1 to 4 rows of 1 to 9 tokens, each row padded on either side."""
    rows, width, dim = draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 5))
    mask = torch.zeros(rows, width, dtype=torch.long)
    for row in range(rows):
        length = draw(st.integers(1, width))
        start = draw(st.sampled_from([0, width - length]))
        mask[row, start : start + length] = 1
    torch.manual_seed(draw(st.integers(0, 2**31)))
    return torch.randn(rows, width, dim) * 10, mask


@given(batches())
@hypothesis_settings(max_examples=60, deadline=None)
def test_equal_to_sentence_transformers(batch):
    from sentence_transformers.sentence_transformer.modules import Pooling as Oracle

    states, mask = batch
    for pooling, mode in ORACLE_MODES.items():
        oracle = Oracle(states.shape[-1], pooling_mode=mode)
        expected = oracle({"token_embeddings": states.clone(), "attention_mask": mask})["sentence_embedding"]
        torch.testing.assert_close(pool(pooling, states, mask), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("padding", [0.0, float("nan"), float("inf"), float("-inf")])
def test_every_pooling_at_once_is_each_by_itself_whatever_stands_at_the_padding(padding):
    torch.manual_seed(7)
    states = torch.randn(4, 9, 6)
    mask = torch.zeros(4, 9, dtype=torch.long)
    for row, (start, end) in enumerate([(0, 9), (2, 3), (1, 8), (4, 9)]):
        mask[row, start:end] = 1
    states[mask == 0] = padding
    kept = pool_kept(mask)(states)
    for place, pooling in enumerate(KEPT_POOLINGS):
        torch.testing.assert_close(kept[:, place], pool(pooling, states, mask), atol=1e-6, rtol=1e-6)
    whole = torch.ones_like(mask[:1])
    torch.testing.assert_close(pool_kept(whole)(states[:1]), pool_kept(mask[:1])(states[:1]))
