"""Seriation: in which order the rows and columns of a similarity matrix stand, so that a person sees what is in it.

Values in, permutations out; the values stay as they are. Deterministic: equal values keep the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_MOST_OPTIMAL = 300  # texts; measured: 0.08 s, at 1,000 2.8 s during which nothing else in the process can run
Orders = tuple[np.ndarray, np.ndarray]  # int (n_questions,), (n_answers,): the number in the file at each place


def as_given(similarity: np.ndarray) -> Orders:
    """As the file has them."""
    rows, columns = similarity.shape
    return np.arange(rows), np.arange(columns)


def by_best_match(similarity: np.ndarray) -> Orders:
    """The strongest match first: each question beside the answer that is left for it, so that the diagonal falls.

    similarity: (n_questions, n_answers). Pairs are taken by their cosine, each text once; whoever is left over comes
    last, by the highest cosine it has.
    """
    n_rows, n_columns = similarity.shape
    rows, columns = np.unravel_index(np.argsort(-similarity, axis=None, kind="stable"), similarity.shape)
    taken_rows, taken_columns = np.zeros(n_rows, dtype=bool), np.zeros(n_columns, dtype=bool)
    pairs: list[tuple[int, int]] = []
    # Batches of what is still free: most of a million pairs have a text that was taken long ago.
    while len(pairs) < min(n_rows, n_columns):
        for row, column in zip(rows[:4096].tolist(), columns[:4096].tolist(), strict=True):
            if not (taken_rows[row] or taken_columns[column]):
                taken_rows[row] = taken_columns[column] = True
                pairs.append((row, column))
        free = ~(taken_rows[rows] | taken_columns[columns])
        rows, columns = rows[free], columns[free]
    left = [
        np.array(sorted(np.flatnonzero(~taken), key=lambda place: -best[place]), dtype=np.intp)
        for taken, best in ((taken_rows, similarity.max(axis=1)), (taken_columns, similarity.max(axis=0)))
    ]
    matched = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return np.concatenate([matched[:, 0], left[0]]), np.concatenate([matched[:, 1], left[1]])


def clustered(similarity: np.ndarray) -> Orders:
    """Questions with like rows side by side, and each answer where the questions stand that are closest to it.

    similarity: (n_questions, n_answers). What a row or a column has in common with all others is taken away first: an
    answer that is close to everything says nothing about a group. Leaves of average linkage; up to 300 questions in
    their optimal order (Bar-Joseph, Gifford, Jaakkola 2001, doi 10.1093/bioinformatics/17.suppl_1.S22).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage  # takes a second to import: not at every start
    from scipy.spatial.distance import pdist

    values = np.asarray(similarity, dtype=np.float64)
    values = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    rows = np.arange(len(values))
    if len(values) > 2:
        rows = leaves_list(linkage(pdist(values), "average", optimal_ordering=len(values) <= _MOST_OPTIMAL))
    place = np.empty(len(rows))
    place[rows] = np.arange(len(rows))
    # Where an answer's questions stand, by how much closer than others they are to it.
    closeness = np.maximum(values, 0) ** 4
    weight = closeness.sum(axis=0)
    centre = np.where(weight > 0, place @ closeness / np.where(weight > 0, weight, 1), len(rows))
    return rows, np.argsort(centre, kind="stable")


ORDERS: dict[str, Callable[[np.ndarray], Orders]] = {
    "given": as_given,
    "best": by_best_match,
    "clustered": clustered,
}
