"""Paired comparison: which of several readings separates the matching pairs of the same texts best, and how surely."""

from __future__ import annotations

from collections.abc import Mapping

from demo.analysis.evaluation import paired_bootstrap
from demo.analysis.labelled_sets import labelled_from_pairing
from demo.domain.datamodels import Comparison
from demo.domain.errors import BadInput
from demo.domain.results import Lead, Ranking

_CELLS_DRAWN = 2_000_000  # cells in all resamples together: half a second at most
_RESAMPLES = (200, 1000)  # at least, at most


def contrast(a: Comparison, b: Comparison, comparisons: int = 1) -> Lead | None:
    """How much better b is than a, by a paired bootstrap over the questions.

    comparisons: how many are made at once, as in `paired_bootstrap`. None where there is no wrong or no right pair, or
    one question alone. Raises BadInput for different texts.
    """
    if a.pairing != b.pairing:
        raise BadInput(problem="Two readings can be compared only over the same texts with the same matching pairs.")
    fewest, most = _RESAMPLES
    resamples = min(most, max(fewest, _CELLS_DRAWN // a.similarity.size))
    labelled = labelled_from_pairing(a.pairing)
    return paired_bootstrap(a.similarity.ravel(), b.similarity.ravel(), labelled, resamples, comparisons=comparisons)


def rank(readings: Mapping[str, Comparison]) -> Ranking | None:
    """The readings by their AUC, and the lead of the first over each other, which is no winner's luck: the intervals
    are as wide as for all pairs of readings, since the texts themselves chose the first.

    None for fewer than two readings, and where `contrast` has none. Raises BadInput for different texts.
    """
    if len(readings) < 2 or any(one.metrics.auc is None for one in readings.values()):
        return None
    first, *others = sorted(readings, key=lambda name: -readings[name].metrics.auc)
    pairs = len(readings) * len(others) // 2
    leads = {name: contrast(readings[name], readings[first], pairs) for name in others}
    if None in leads.values():
        return None
    return Ranking(first, leads, readings[first].metrics.n_matched)
