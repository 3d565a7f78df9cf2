"""Ensemble of readings of one model: the weighted mean of their cosines.

The same as the cosine of their unit vectors set side by side, each multiplied by the root of its weight.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from demo.analysis.evaluation import score
from demo.domain.datamodels import READING_FIELDS, Progress, Reading
from demo.domain.errors import BadInput, UnreadableFile
from demo.domain.results import BenchmarkRow, LabelledSet
from demo.pipeline import Pipeline
from demo.stages.resolve_reading import resolve_reading
from demo.studies.sweep import measure_reading

_MOST_PARTS = 8
_ACCEPTED = (
    f"Accepted: a model, and 1 to {_MOST_PARTS} parts, each with a weight and any of "
    f"{', '.join(sorted(READING_FIELDS))}."
)


@dataclass(frozen=True)
class Mixture:
    """Weighted readings of one model, as a file names them."""

    name: str
    model: str
    parts: tuple[tuple[float, dict[str, Any]], ...]  # (weight, what is chosen of a reading)


def load_mixture(path: str | Path) -> Mixture:
    """A JSON file: {"model": …, "parts": [{"weight": 1, "prompt": …, "pooling": …, …}, …]}.

    Raises UnreadableFile or BadInput.
    """
    path = Path(path)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableFile(path=path.name, reason=getattr(error, "strerror", None) or "it is not JSON") from error
    parts = said.get("parts") if isinstance(said, dict) else None
    if not isinstance(parts, list) or not 1 <= len(parts) <= _MOST_PARTS:
        raise BadInput(problem=f"{path.name} is not a mixture of readings. {_ACCEPTED}")
    chosen = []
    for part in parts:
        weight = part.get("weight", 1.0) if isinstance(part, dict) else None
        wrong = not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight < 1e6
        if wrong or set(part) - {*READING_FIELDS, "weight"}:
            raise BadInput(problem=f"{path.name} is not a mixture of readings. {_ACCEPTED}")
        chosen.append((float(weight), {name: value for name, value in part.items() if name != "weight"}))
    return Mixture(path.stem, str(said.get("model") or ""), tuple(chosen))


def resolve_parts(pipeline: Pipeline, mixture: Mixture) -> list[tuple[float, Reading]]:
    """Each part's weight and reading, checked against the model. Raises what `resolve_reading` raises."""
    info = pipeline.open(mixture.model or None)
    return [(weight, resolve_reading(info, pipeline.limits, **chosen)) for weight, chosen in mixture.parts]


def run_mixture(
    pipeline: Pipeline, labelled: LabelledSet, mixture: Mixture, report: Callable[[Progress], None]
) -> BenchmarkRow:
    """The mixture measured on a set."""
    parts = resolve_parts(pipeline, mixture)
    started = time.perf_counter()
    cosines = np.zeros(len(labelled.pairs))
    for i, (weight, reading) in enumerate(parts):
        report(Progress(f"{labelled.name}: {mixture.name}", i / len(parts)))
        cosines += weight * measure_reading(pipeline, labelled, reading)
    n_texts = len(set(labelled.questions) | set(labelled.answers))
    return BenchmarkRow(
        labelled.name,
        None,
        f"{mixture.name}: {parts[0][1].model}, a mixture of {len(parts)} readings",
        score(cosines / sum(weight for weight, _ in parts), labelled),
        n_texts / max(time.perf_counter() - started, 1e-9),
        pipeline.provenance(pipeline.open(mixture.model or None), parts[0][1]),
    )
