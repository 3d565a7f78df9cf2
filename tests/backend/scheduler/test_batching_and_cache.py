"""Batching and the cache of embeddings: every text once, within the budget, in the right order."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from demo.backend.scheduler.batch import plan_batches, run_with_retreat
from demo.backend.scheduler.cache import EmbeddingCache, Entry
from demo.backend.scheduler.request_queue import RequestQueue, WorkItem
from demo.jobs.request_context import RequestContext

LENGTHS = st.lists(st.integers(1, 300), max_size=60)


def test_a_plan_by_hand():
    """Budget 10: 6 goes alone (6·2 > 10), 5 and 4 share (5·2), 2 and 1 share (2·2)."""
    assert plan_batches([1, 5, 6, 2, 4], 10) == [[2], [1, 4], [3, 0]]


@given(LENGTHS, st.integers(1, 500))
def test_every_text_is_in_one_batch(lengths, budget):
    batches = plan_batches(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batches)


@given(LENGTHS, st.integers(1, 500))
def test_a_padded_batch_is_within_the_budget_unless_it_is_a_single_text(lengths, budget):
    for batch in plan_batches(lengths, budget):
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


@given(LENGTHS, st.integers(1, 500))
def test_the_longest_come_first(lengths, budget):
    order = [lengths[i] for batch in plan_batches(lengths, budget) for i in batch]
    assert order == sorted(lengths, reverse=True)


def queued_order(lengths, beginnings) -> list[int]:
    items = [WorkItem("group", i, i, *each) for i, each in enumerate(zip(lengths, beginnings, strict=True))]
    return [pending.item.content for pending in RequestQueue(100, 1).add(items, RequestContext()).unscheduled]


@given(LENGTHS, st.data())
def test_an_order_holds_every_text_once_and_the_longest_come_first(lengths, data):
    beginnings = [tuple(data.draw(st.lists(st.integers(0, 2), max_size=3))) for _ in lengths]
    order = queued_order(lengths, beginnings)
    assert sorted(order) == list(range(len(lengths)))
    assert all(lengths[after] < lengths[before] + 4 for before, after in zip(order, order[1:], strict=False))


def test_of_like_lengths_those_that_begin_alike_are_neighbours():
    assert queued_order([9, 8, 11, 3], [(5, 6), (4,), (5, 6, 7), (5,)]) == [1, 0, 2, 3]
    assert queued_order([9, 8, 11, 3], [()] * 4) == [2, 0, 1, 3], "else the longest first"


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("[enforce fail] can't allocate memory: …")]
)
def test_where_memory_runs_out_halves_are_run_in_order(error):
    sizes = []

    def run(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise error
        return [index * 10 for index in batch]

    assert run_with_retreat(run, [3, 1, 4, 0, 2]) == [30, 10, 40, 0, 20]
    assert sizes == [5, 2, 3, 1, 2]


@pytest.mark.parametrize(
    ("error", "tried"),
    [(torch.OutOfMemoryError("too much"), [[0, 1], [0]]), (RuntimeError("shapes do not fit"), [[0, 1]])],
    ids=["a single text that is too much is an error", "another error is not tried again"],
)
def test_a_retreat_ends_with_the_error(error, tried):
    batches = []

    def run(batch):
        batches.append(batch)
        raise error

    with pytest.raises(type(error), match=str(error)):
        run_with_retreat(run, [0, 1])
    assert batches == tried


def vector(value: float, length: int = 10) -> Entry:
    return Entry(np.full(length, value, dtype=np.float32))  # 40 bytes


def test_the_least_recently_used_leaves_first():
    cache = EmbeddingCache(80)
    cache.put("a", vector(1))
    cache.put("b", vector(2))
    assert cache.get("a") is not None  # a was used after b
    cache.put("c", vector(3))
    assert cache.get("b") is None
    assert [cache.get(key).vectors[0] for key in "ac"] == [1, 3]


@pytest.mark.parametrize(
    ("budget", "lengths", "kept"),
    [(80, [10, 10, 20], [2]), (80, [10, 21], [0]), (0, [10], [])],
    ids=["an entry of the whole budget evicts the others", "a larger one evicts none", "no budget keeps nothing"],
)
def test_the_budget_is_in_bytes(budget, lengths, kept):
    cache = EmbeddingCache(budget)
    for key, length in enumerate(lengths):
        cache.put(key, vector(key, length))
    assert [key for key in range(len(lengths)) if key in cache] == kept


def test_a_kept_vector_cannot_be_written_to():
    cache = EmbeddingCache(80)
    cache.put("a", vector(1))
    with pytest.raises(ValueError, match="read-only"):
        cache.get("a").vectors[0] = 5


def test_many_threads_at_once_keep_the_budget():
    cache, failures = EmbeddingCache(400), []

    def work(offset):
        for i in range(500):
            key = (i + offset) % 30
            cache.put(key, vector(key))
            found = cache.get(key)
            if found is not None and found.vectors[0] != key:
                failures.append(key)

    threads = [threading.Thread(target=work, args=(i * 7,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(cache.get(key) is not None for key in range(30)) <= 10
