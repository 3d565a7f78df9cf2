"""Labelled sets: split into halves, sampled, cut to some pairs, or made of a heatmap's cells."""

from __future__ import annotations

import numpy as np

from demo.domain.datamodels import Pairing
from demo.domain.results import LabelledSet


def split(labelled: LabelledSet, seed: int = 0, fewest: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the pairs that choose a reading, and of the pairs that score it: half the questions each.

    Shuffled; grades: half the pairs. The second is empty, and the first holds all pairs, where a half has fewer than
    `fewest` questions that have a right answer: the other questions alone cannot score anything.
    """
    units = resampling_units(labelled)
    right = np.ones(len(units), dtype=bool) if labelled.graded else np.asarray(labelled.labels) == 1
    telling = np.unique(units[right])
    shuffled = np.random.default_rng(seed).permutation(np.unique(units))
    tells = np.isin(shuffled, telling)
    # Questions with a right answer are dealt first, in turns, then the others: both halves get their share of each.
    choosing = np.concatenate([shuffled[tells], shuffled[~tells]])[::2]
    if len(telling) // 2 < fewest:
        choosing = shuffled
    chooses = np.isin(units, choosing)
    return np.flatnonzero(chooses), np.flatnonzero(~chooses)


def subset(labelled: LabelledSet, pair_indices: np.ndarray) -> LabelledSet:
    """The set with these pairs only, in this order. The texts stay, and so the rows of their vectors."""
    pairs = tuple(labelled.pairs[index] for index in pair_indices)
    labels = tuple(labelled.labels[index] for index in pair_indices)
    return LabelledSet(labelled.name, labelled.questions, labelled.answers, pairs, labels, labelled.graded)


def sample(labelled: LabelledSet, n_pairs: int, seed: int = 0) -> LabelledSet:
    """About n_pairs of a set, drawn at random: whole questions with all their candidates; grades: single pairs.

    Only the texts that are still needed stay. The whole set where it is not larger.
    """
    if n_pairs >= len(labelled.pairs):
        return labelled
    units = resampling_units(labelled)
    drawn = np.random.default_rng(seed).permutation(np.unique(units))
    sizes = np.cumsum([np.count_nonzero(units == unit) for unit in drawn])
    kept = np.isin(units, drawn[: max(1, int(np.searchsorted(sizes, n_pairs, side="right")))])
    return cut_out(labelled, np.flatnonzero(kept))


def cut_out(labelled: LabelledSet, kept: np.ndarray) -> LabelledSet:
    """The set of these pairs, by their indices, and of their texts alone."""
    rows, columns = pair_indices(subset(labelled, kept))
    questions, row = np.unique(rows, return_inverse=True)
    answers, column = np.unique(columns, return_inverse=True)
    return LabelledSet(
        labelled.name,
        tuple(labelled.questions[i] for i in questions),
        tuple(labelled.answers[i] for i in answers),
        tuple(zip(row.tolist(), column.tolist(), strict=True)),
        tuple(labelled.labels[i] for i in kept),
        labelled.graded,
    )


def cut_candidates(labelled: LabelledSet, units: np.ndarray, wrong: int) -> LabelledSet:
    """Some questions with fewer candidates: the right ones, wrong ones that cost no further text, others up to `wrong`.

    units: of `resampling_units`, those that stay; for grades the pairs themselves. More of them: the same and more.
    """
    own = resampling_units(labelled)
    chosen = np.isin(own, units)
    if labelled.graded:
        return cut_out(labelled, np.flatnonzero(chosen))
    right = np.asarray(labelled.labels) == 1
    columns = pair_indices(labelled)[1]
    there = np.isin(columns, columns[chosen & right])  # right answers of others
    by_chance = np.random.default_rng(0).permutation(len(own))
    candidates = np.flatnonzero(chosen & ~right)
    order = candidates[np.lexsort((by_chance[candidates], ~there[candidates], own[candidates]))]
    _, starts, sizes = np.unique(own[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(starts, sizes)
    kept = order[there[order] | (place < wrong)]
    return cut_out(labelled, np.sort(np.concatenate([np.flatnonzero(chosen & right), kept])))


def labelled_from_pairing(pairing: Pairing, name: str = "texts") -> LabelledSet:
    """Every cell of the heatmap as a pair, row by row, 1 for a match. Equal lines stay apart, as in the heatmap."""
    mask = pairing.mask()
    pairs = tuple((int(row), int(column)) for row, column in np.ndindex(mask.shape))
    return LabelledSet(name, pairing.questions, pairing.answers, pairs, tuple(mask.ravel().astype(float).tolist()))


def pair_indices(labelled: LabelledSet) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.asarray(labelled.pairs, dtype=np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def resampling_units(labelled: LabelledSet) -> np.ndarray:
    """int (n_pairs,): what a pair is drawn with: its question; for grades it is drawn alone."""
    return np.arange(len(labelled.pairs)) if labelled.graded else pair_indices(labelled)[0]
