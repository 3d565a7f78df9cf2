"""Paired comparison: which of two readings separates the matching pairs of the same texts better, and how surely."""

from __future__ import annotations

from demo.analysis.evaluation import paired_bootstrap
from demo.analysis.labelled_sets import labelled_from_pairing
from demo.domain.datamodels import Comparison
from demo.domain.errors import BadInput
from demo.domain.results import Lead

_CELLS_DRAWN = 2_000_000  # cells in all resamples together: half a second at most
_RESAMPLES = (200, 1000)  # at least, at most


def contrast(a: Comparison, b: Comparison) -> Lead | None:
    """How much better b is than a, by a paired bootstrap over the questions.

    None where there is no wrong or no right pair, or one question alone. Raises BadInput for different texts.
    """
    if a.pairing != b.pairing:
        raise BadInput(problem="Two readings can be compared only over the same texts with the same matching pairs.")
    fewest, most = _RESAMPLES
    resamples = min(most, max(fewest, _CELLS_DRAWN // a.similarity.size))
    labelled = labelled_from_pairing(a.pairing)
    return paired_bootstrap(a.similarity.ravel(), b.similarity.ravel(), labelled, resamples)
