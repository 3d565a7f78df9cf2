"""Training pairs: a table, or a data set of the Hub, becomes a TrainingSet of questions with their right answers.

A hard negative may stand beside each pair. Where a label column stands, rows labelled 0 or false hold no right answer:
they are left out and counted in `TrainingSet.left_out`, and grades other than 0 and 1 are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from demo.domain.recipe import Pair, TrainingSet
from demo.files.columns import parse_truth
from demo.files.limits import FileLimits
from demo.files.table import Table, find_columns, load_table, make_table

HUB = "hub:"


@dataclass(frozen=True, kw_only=True)
class PairLimits(FileLimits):
    """How much one file may hold; what is longer than `characters` loses its end, as training cuts it anyway."""

    pairs: int = 500_000  # different ones, without the rows that are left out
    rows: int = 5_000_000
    characters: int = 2_000
    bytes: int = 512 * 2**20

    field = "pairs"
    gzipped = True
    accepted = (
        "Accepted are JSONL, JSON, CSV or TSV, gzipped or not, with a question (question, query, anchor, sentence1 …) "
        "and an answer (answer, positive, passage, sentence2 …) in every row and, if any, a negative."
    )


def load_pairs(path: str | Path, limits: PairLimits | None = None, weight: float = 1.0) -> TrainingSet:
    """A file becomes a set named after it; copies of a pair count once. Raises UnreadableFile, BadInput."""
    limits = limits or PairLimits()
    table = load_table(path, limits)
    return make_training_set(table, Path(table.name).stem, limits, weight)


def load_hub_pairs(name: str, limits: PairLimits | None = None, weight: float = 1.0, most: int = 20_000) -> TrainingSet:
    """The first `most` pairs of a data set of the Hub: "owner/name", "owner/name@split". Raises BadInput.

    Needs the package `datasets`, an optional extra.
    """
    limits = limits or PairLimits()
    try:
        import datasets
    except ImportError as error:
        raise limits.refuse("The package datasets is not installed. Run: pip install datasets.", False) from error
    repository, _, split = name.partition("@")
    try:
        rows = datasets.load_dataset(repository, split=split or "train", streaming=True)
        records = [_plain_values(row) for row in islice(rows, most)]
    except (OSError, ValueError, RuntimeError) as error:  # what a data set that is missing, gated or offline raises
        problem = f"The data set {name} could not be read from the Hugging Face Hub: {_first_line(error)}."
        raise limits.refuse(problem, accepted=False) from error
    return make_training_set(make_table(enumerate(records, start=1), repository, limits), repository, limits, weight)


def _plain_values(row: Any) -> dict[str, Any]:
    """A row of the Hub without pictures, sounds and lists."""
    return {key: value for key, value in row.items() if isinstance(value, str | int | float)}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]


def make_training_set(table: Table, name: str, limits: PairLimits, weight: float = 1.0) -> TrainingSet:
    """A table becomes a TrainingSet of its right pairs. Raises BadInput."""
    table, roles = find_columns(table, limits)
    pairs: dict[Pair, None] = {}
    left_out = 0
    for number, row in zip(table.row_numbers, table.rows, strict=True):
        question, answer, negative = (
            _first_text((row[place] for place in roles[role]), limits) for role in ("question", "answer", "negative")
        )
        if not question or not answer:
            raise limits.refuse(f"Row {number:,} of {name} has no question or no answer.")
        if roles["label"] and not parse_truth(row[roles["label"][0]], number, table.separator, limits):
            left_out += 1
            continue
        pairs[Pair(question, answer, negative)] = None
        if len(pairs) > limits.pairs:
            raise limits.refuse(f"{name} has too many pairs. At most {limits.pairs:,} are accepted.", accepted=False)
    if len(pairs) < 2:
        raise limits.refuse(f"{name} has fewer than two pairs: there would be no wrong answer.")
    return TrainingSet(name, tuple(pairs), weight, left_out)


def _first_text(cells: Iterable[str], limits: PairLimits) -> str:
    """The first cell that is not empty, on one line."""
    return " ".join(next(filter(None, cells), "").split())[: limits.characters].strip()
