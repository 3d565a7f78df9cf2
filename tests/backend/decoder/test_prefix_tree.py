"""The tree of a batch: each distinct beginning once, and the way from nodes to texts and back."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from demo.backend.decoder.prefix_tree import build_tree

CPU = torch.device("cpu")
PAD = 1  # a token like any other, as EOS is where a model has no token of its own for padding
BATCHES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=12)


def padded(texts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(text) for text in texts])
    ids = np.full((len(texts), lengths.max()), PAD)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
    return ids, lengths


def test_a_tree_by_hand():
    """5 6 7, 5 6 8, 5: of seven tokens four are nodes."""
    ids, lengths = padded([[5, 6, 7], [5, 6, 8], [5]])
    tree = build_tree(ids, CPU, lengths)
    assert sorted(tree.tokens.tolist()) == [5, 6, 7, 8]
    first, second, third = tree.nodes.tolist()
    assert first[:2] == second[:2]
    assert first[2] != second[2]
    assert third[0] == first[0]


@given(BATCHES)
def test_a_node_is_a_distinct_beginning(texts):
    ids, lengths = padded(texts)
    tree = build_tree(ids, CPU, lengths)
    beginnings: dict[tuple[int, ...], int] = {}
    for row, text in enumerate(texts):
        for end in range(1, len(text) + 1):
            node = int(tree.nodes[row, end - 1])
            assert int(tree.tokens[node]) == text[end - 1]
            assert beginnings.setdefault(tuple(text[:end]), node) == node
    assert sorted(beginnings.values()) == list(range(len(tree.tokens)))


@given(BATCHES)
def test_where_nothing_may_be_shared_each_token_is_a_node(texts):
    ids, lengths = padded(texts)
    tree = build_tree(ids, CPU, lengths, share=False)
    assert len(tree.tokens) == lengths.sum()
    real = np.concatenate([tree.nodes[row, :length].numpy() for row, length in enumerate(lengths)])
    assert sorted(real.tolist()) == list(range(lengths.sum()))


@given(BATCHES, st.booleans())
def test_there_and_back(texts, share):
    ids, lengths = padded(texts)
    tree = build_tree(ids, CPU, lengths, share)
    states = torch.arange(len(tree.tokens) * 2.0).view(-1, 2)
    as_texts = tree.to_texts(states)
    assert as_texts.shape == (*ids.shape, 2)
    assert torch.equal(tree.to_nodes(as_texts), states)
    for row, length in enumerate(lengths):
        assert torch.equal(as_texts[row, :length], states[tree.nodes[row, :length]])


def test_what_is_all_distinct_is_not_copied():
    tree = build_tree(np.array([[5, 6], [7, 6]]), CPU)
    states = torch.zeros(4, 3)
    assert tree.positions is None
    assert tree.to_texts(states).data_ptr() == tree.to_nodes(tree.to_texts(states)).data_ptr() == states.data_ptr()
