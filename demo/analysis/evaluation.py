"""Evaluation: metrics of cosines against labels, with bootstrap confidence intervals. Knows no model.

Where a metric has no meaning for a set (no wrong pair, one grade only) it is None, in arrays NaN. Cosines that are all
the same rank nothing: AUC .5, Spearman 0. `score_pairs` in similarity.py is the same for the cells of a heatmap.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from demo.analysis.labelled_sets import pair_indices, resampling_units
from demo.domain.results import Interval, LabelledSet, Lead, Scores
from demo.stages.similarity import EPS, count_below, rounded

_TOP = 10  # candidates in nDCG@10
_BLOCK = 2**21  # numbers held at once: 16 MiB an array
_QUESTIONS = 64  # multiplied at once
_OUTSIDE = 5.0  # % of the resamples


def pair_cosines(questions: np.ndarray, answers: np.ndarray, labelled: LabelledSet) -> np.ndarray:
    """Cosine of each pair. questions: (n_questions, dim), answers: (n_answers, dim). Returns float64 (n_pairs,).

    As `cos_sim`: a norm below eps counts as eps; rounded, so that float32's noise is a tie.
    """
    rows, columns = pair_indices(labelled)
    question_norms, answer_norms = _norms(questions), _norms(answers)
    cosines = np.empty(len(rows))
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    # Some questions at a time and their own candidates only: all cells of 20,000 × 20,000 texts would fill the memory.
    present = np.unique(rows)
    for start in range(0, len(present), _QUESTIONS):
        some = present[start : start + _QUESTIONS]
        pairs = order[np.searchsorted(ordered, some[0]) : np.searchsorted(ordered, some[-1], side="right")]
        theirs, column = np.unique(columns[pairs], return_inverse=True)
        products = np.asarray(questions[some], dtype=np.float64) @ np.asarray(answers[theirs], dtype=np.float64).T
        products /= np.outer(question_norms[some], answer_norms[theirs])
        cosines[pairs] = products[np.searchsorted(some, rows[pairs]), column]
    return rounded(cosines)


def word_overlap(labelled: LabelledSet) -> np.ndarray:
    """Cosine of each pair's word counts, the floor that needs no model. Returns float64 (n_pairs,), 0 without words."""
    questions, answers = ([_count_words(text) for text in texts] for texts in (labelled.questions, labelled.answers))
    cosines = []
    for question, answer in labelled.pairs:
        (a, a_norm), (b, b_norm) = questions[question], answers[answer]
        shared = sum(a[word] * b[word] for word in a.keys() & b.keys())
        cosines.append(shared / (a_norm * b_norm) if shared else 0.0)
    return rounded(cosines)


def _count_words(text: str) -> tuple[Counter, float]:
    counts = Counter(re.findall(r"\w+", text.lower()))
    return counts, sum(count * count for count in counts.values()) ** 0.5


def score(cosines: np.ndarray, labelled: LabelledSet, resamples: int = 1000, seed: int = 0) -> Scores:
    """The metrics of a reading. cosines: (n_pairs,).

    95 % percentile bootstrap over questions with all their candidates, for grades over pairs. Equal cosines are ranked
    at random: the order of a file is not neutral. Questions without a right or a wrong candidate have no ranking.
    """
    cosines = rounded(cosines)
    extremes = (-1.0, 1.0) if labelled.graded else (0.0, 1.0)
    headline = _bootstrap(_headline(cosines, labelled), resampling_units(labelled), extremes, resamples, seed)
    if labelled.graded:
        return Scores(headline, None, None, None, None, n_pairs=len(labelled.pairs), n_questions=0)
    ranked = _ranking(cosines, pair_indices(labelled)[0], np.asarray(labelled.labels) == 1, seed)
    return _scores(headline, ranked, len(cosines), resamples, seed)


def score_cells(
    similarity: np.ndarray, matches: np.ndarray, resamples: int = 1000, seed: int = 0
) -> tuple[Scores, Interval | None]:
    """The scores of a whole matrix, and its margin. similarity: (n_questions, n_answers); matches: bool, as large.

    The same numbers as `score` of every cell as a pair, from the wins of question over question in the place of a
    million ranks a resample.
    """
    cosines = rounded(similarity)
    n_questions, n_answers = cosines.shape
    right = np.count_nonzero(matches, axis=1).astype(np.float64)
    wrong = n_answers - right
    wins = _wins(cosines, matches)
    right_sum, wrong_sum = (np.where(mask, cosines, 0).sum(axis=1) for mask in (matches, ~matches))

    def auc(counts: np.ndarray) -> np.ndarray:
        return _share(np.einsum("ij,ij->i", counts @ wins, counts), (counts @ right) * (counts @ wrong))

    def margin(counts: np.ndarray) -> np.ndarray:
        return _share(counts @ right_sum, counts @ right) - _share(counts @ wrong_sum, counts @ wrong)

    questions = np.arange(n_questions)
    metrics = ((auc, (0.0, 1.0)), (margin, (-2.0, 2.0)))
    headline, interval = (_bootstrap(metric, questions, extremes, resamples, seed) for metric, extremes in metrics)
    ranked = _ranking(cosines.ravel(), np.repeat(questions, n_answers), np.ravel(matches), seed)
    return _scores(headline, ranked, cosines.size, resamples, seed), interval


def paired_bootstrap(
    cosines_a: np.ndarray,
    cosines_b: np.ndarray,
    labelled: LabelledSet,
    resamples: int = 1000,
    seed: int = 0,
    comparisons: int = 1,
) -> Lead | None:
    """How much better b is than a, by the same resamples for both. (n_pairs,) each.

    comparisons: how many are made at once; the interval is so much wider that 95 % holds for all of them (Bonferroni).
    None where the metric has no meaning, or one question alone cannot say how much questions differ.
    """
    units = resampling_units(labelled)
    metrics = [_headline(rounded(cosines), labelled) for cosines in (cosines_a, cosines_b)]
    a, b = (_on_all(metric, units) for metric in metrics)
    if np.isnan(a) or np.isnan(b) or len(np.unique(units)) < 2:
        return None
    resampled = [_resample(metric, units, resamples, seed) for metric in metrics]
    difference = _interval(b - a, resampled[1] - resampled[0], _OUTSIDE / comparisons)
    return Lead("spearman" if labelled.graded else "auc", a, b, difference)


def quick_metrics(
    cosines_stack: np.ndarray, labelled: LabelledSet, rows: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The metrics of many readings without intervals, for sweeps. cosines_stack: (n_readings, n_pairs).

    rows: bool (n_pairs,) or indices of the pairs that count. Returns float64 (n_readings,) each: "auc" and "margin",
    for grades "spearman". A reading with a NaN has NaN.
    """
    from scipy.stats import rankdata  # takes a second to import: not at every start

    rows = np.arange(len(labelled.pairs)) if rows is None else rows
    labels = np.asarray(labelled.labels)[rows]
    names = ("spearman",) if labelled.graded else ("auc", "margin")
    figures = {name: np.empty(len(cosines_stack)) for name in names}
    counts = np.ones((1, len(labels)))
    right = labels == 1
    step = max(1, _BLOCK // max(1, len(labels)))
    for start in range(0, len(cosines_stack), step):
        block = slice(start, start + step)
        cosines = rounded(cosines_stack[block][:, rows])
        ranks = rankdata(cosines, axis=1)
        if labelled.graded:
            figures["spearman"][block] = _spearman(ranks, rankdata(labels)[None], counts)
        else:
            figures["auc"][block] = _auc(ranks[:, right], counts[:, right], counts.sum(axis=1))
            figures["margin"][block] = _margin(cosines, right)
    return figures


def _norms(vectors: np.ndarray) -> np.ndarray:
    """float64 (n,), without a float64 copy of the vectors: logits are as wide as the vocabulary."""
    return np.maximum(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)), EPS)


# The bootstrap. scipy.stats.bootstrap draws rows and calls the statistic on each resample: questions have unequal
# numbers of candidates, so it would have to loop in Python. Here a resample is how often each question was drawn, and
# the ranks within it follow from one sort and running sums, for all resamples at once: the same metrics, much faster.


Metric = Callable[[np.ndarray], np.ndarray]  # counts (k, n_pairs): how often each pair was drawn → (k,)


def _headline(cosines: np.ndarray, labelled: LabelledSet) -> Metric:
    """AUC, or Spearman for grades."""
    labels = np.asarray(labelled.labels)
    right = labels == 1
    ranks, label_ranks = _ranker(cosines), _ranker(labels)

    def metric(counts: np.ndarray) -> np.ndarray:
        if labelled.graded:
            return _spearman(ranks(counts), label_ranks(counts), counts)
        return _auc(ranks(counts, right), counts[:, right], counts.sum(axis=1))

    return metric


def _on_all(metric: Metric, units: np.ndarray) -> float:
    """The metric with every pair counted once."""
    return float(metric(np.ones((1, len(units))))[0])


def _bootstrap(
    metric: Metric, units: np.ndarray, extremes: tuple[float, float], resamples: int, seed: int
) -> Interval | None:
    """The metric with its interval; None where it has no meaning, the extremes for a single unit."""
    value = _on_all(metric, units)
    if np.isnan(value):
        return None
    if len(np.unique(units)) < 2:
        return Interval(value, *extremes)
    return _interval(value, _resample(metric, units, resamples, seed))


def _resample(metric: Metric, units: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The metric in every resample (resamples,). units: (n_pairs,), what is drawn together."""
    random = np.random.default_rng(seed)
    _, unit = np.unique(units, return_inverse=True)
    n_units = unit.max() + 1
    step = max(1, _BLOCK // len(units))
    results = []
    for start in range(0, resamples, step):
        k = min(step, resamples - start)
        drawn = random.integers(n_units, size=(k, n_units)) + n_units * np.arange(k)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=k * n_units).reshape(k, n_units)
        results.append(metric(np.take(counts.astype(np.float64), unit, axis=1)))
    return np.concatenate(results)


def _ranker(values: np.ndarray) -> Callable[..., np.ndarray]:
    """Sorts the values (n,) once; what it returns ranks them within resamples."""
    _, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))

    def ranks(counts: np.ndarray, wanted: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Average ranks (from 1) where value i stands counts[r, i] times. (k, n) → (k, n wanted)."""
        at_level = np.add.reduceat(np.take(counts, order, axis=1), starts, axis=1)
        return np.take(np.cumsum(at_level, axis=1) - (at_level - 1) / 2, level[wanted], axis=1)

    return ranks


def _auc(right_ranks: np.ndarray, right_counts: np.ndarray, n: np.ndarray) -> np.ndarray:
    """ROC AUC from the average ranks of the right pairs among all n (Mann–Whitney). (k, n_right), (k,) → (k,)."""
    n_right = right_counts.sum(axis=1)
    above = (right_ranks * right_counts).sum(axis=1) - n_right * (n_right + 1) / 2
    with np.errstate(invalid="ignore"):
        return above / (n_right * (n - n_right))


def _spearman(ranks: np.ndarray, label_ranks: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson correlation of the average ranks, (k, n) each → (k,). 0 for equal cosines, NaN for equal labels."""
    n = counts.sum(axis=1, keepdims=True)
    x = ranks - (counts * ranks).sum(axis=1, keepdims=True) / n
    y = label_ranks - (counts * label_ranks).sum(axis=1, keepdims=True) / n
    xy, xx, yy = ((counts * product).sum(axis=1) for product in (x * y, x * x, y * y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(yy == 0, np.nan, np.where(xx == 0, 0, xy / np.sqrt(xx * yy)))


def _margin(cosines: np.ndarray, right: np.ndarray) -> np.ndarray:
    if right.all() or not right.any():
        return np.full(len(cosines), np.nan)
    return cosines[:, right].mean(axis=1) - cosines[:, ~right].mean(axis=1)


def _scores(auc: Interval | None, ranked: dict[str, np.ndarray], n_pairs: int, resamples: int, seed: int) -> Scores:
    intervals = {name: _mean_interval(values, resamples, seed) for name, values in ranked.items()}
    return Scores(None, auc, **intervals, n_pairs=n_pairs, n_questions=len(ranked["top1"]))


def _wins(cosines: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """[i, j]: how often a right cell of row i is above a wrong cell of row j, a tie counting half. (n, m) → (n, n)."""
    rows, columns = np.nonzero(matches)
    right = cosines[rows, columns]
    wins = np.empty((len(cosines),) * 2)
    for row, (values, matching) in enumerate(zip(cosines, matches, strict=True)):
        wins[:, row] = np.bincount(rows, weights=count_below(right, values[~matching]), minlength=len(cosines))
    return wins


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where there is nothing to share."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole == 0, np.nan, part / whole)


def _ranking(cosines: np.ndarray, question: np.ndarray, right: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """top1, mrr and ndcg10 of each question with a right and a wrong candidate. float64 (n such questions,) each.

    Of each pair: its cosine, its question's number, whether it is right.
    """
    by_chance = np.random.default_rng(seed).permutation(len(cosines))
    order = np.lexsort((by_chance, -cosines, question))
    question, right = question[order], right[order]
    _, starts, sizes = np.unique(question, return_index=True, return_counts=True)
    rank = np.arange(len(question)) - np.repeat(starts, sizes) + 1
    n_right = np.add.reduceat(right.astype(int), starts)
    first_right = np.minimum.reduceat(np.where(right, rank, len(rank) + 1), starts)
    gain = np.where(rank <= _TOP, 1 / np.log2(rank + 1), 0)
    ideal = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(1, _TOP + 1) + 1))])[np.minimum(n_right, _TOP)]
    has_both = (n_right > 0) & (n_right < sizes)
    dcg = np.add.reduceat(gain * right, starts)[has_both]
    first_right = first_right[has_both]
    return {"top1": (first_right == 1).astype(float), "mrr": 1 / first_right, "ndcg10": dcg / ideal[has_both]}


def _mean_interval(values: np.ndarray, resamples: int, seed: int) -> Interval | None:
    if not len(values):
        return None
    n = len(values)
    return _bootstrap(lambda counts: counts @ values / n, np.arange(n), (0.0, 1.0), resamples, seed)


def _interval(value: float, resampled: np.ndarray, outside: float = _OUTSIDE) -> Interval:
    """The middle of the resamples in which the metric has a meaning. outside: % of them that it leaves out."""
    low, high = np.nanpercentile(resampled, (outside / 2, 100 - outside / 2))
    return Interval(float(value), float(low), float(high))
