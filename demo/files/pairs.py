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
from demo.files.spec import FileSpec
from demo.files.table import Table, find_columns, load_table, make_table, parse_table

HUB = "hub:"
_ACCEPTED = (
    "Accepted are JSONL, JSON, CSV or TSV, gzipped or not, with a question (question, query, anchor, sentence1 …) and "
    "an answer (answer, positive, passage, sentence2 …) in every row and, if any, a negative."
)
_ROWS_A_PAIR = 10  # copies and rows left out are read, and do not count


@dataclass(frozen=True)
class PairLimits:
    """How much one file may hold; what is longer than `characters` loses its end, as training cuts it anyway."""

    pairs: int = 500_000
    characters: int = 2_000  # of a text
    bytes: int = 512 * 2**20  # unpacked

    @property
    def spec(self) -> FileSpec:
        """What the table reader is told."""
        return FileSpec("pairs", _ACCEPTED, self.bytes, self.pairs * _ROWS_A_PAIR, self.characters, gzipped=True)


def load_pairs(path: str | Path, limits: PairLimits | None = None, weight: float = 1.0) -> TrainingSet:
    """A file becomes a set named after it; copies of a pair count once. Raises UnreadableFile, BadInput."""
    limits = limits or PairLimits()
    table = load_table(path, limits.spec)
    return _interpret(table, Path(table.name).stem, limits, weight)


def parse_pairs(data: bytes, name: str, limits: PairLimits | None = None, weight: float = 1.0) -> TrainingSet:
    """A file's unpacked bytes become a TrainingSet. name: with its ending. Raises BadInput."""
    limits = limits or PairLimits()
    return _interpret(parse_table(data, name, limits.spec), Path(name).stem, limits, weight)


def load_hub_pairs(name: str, limits: PairLimits | None = None, weight: float = 1.0, most: int = 20_000) -> TrainingSet:
    """The first `most` pairs of a data set of the Hub: "owner/name", "owner/name@split". Raises BadInput.

    Needs the package `datasets`, an optional extra.
    """
    limits = limits or PairLimits()
    try:
        import datasets
    except ImportError as error:
        raise limits.spec.refuse("The package datasets is not installed. Run: pip install datasets.", False) from error
    repository, _, split = name.partition("@")
    try:
        rows = datasets.load_dataset(repository, split=split or "train", streaming=True)
        records = [_plain_values(row) for row in islice(rows, most)]
    except (OSError, ValueError, RuntimeError) as error:  # what a data set that is missing, gated or offline raises
        problem = f"The data set {name} could not be read from the Hugging Face Hub: {_first_line(error)}."
        raise limits.spec.refuse(problem, accepted=False) from error
    return _interpret(make_table(enumerate(records, start=1), repository, limits.spec), repository, limits, weight)


def _plain_values(row: Any) -> dict[str, Any]:
    """A row of the Hub without pictures, sounds and lists."""
    return {key: value for key, value in row.items() if isinstance(value, str | int | float)}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]


def _interpret(table: Table, name: str, limits: PairLimits, weight: float) -> TrainingSet:
    spec = limits.spec
    table, roles = find_columns(table, spec)
    pairs: dict[Pair, None] = {}
    left_out = 0
    for number, row in zip(table.row_numbers, table.rows, strict=True):
        question, answer, negative = (
            _first_text((row[place] for place in roles[role]), limits) for role in ("question", "answer", "negative")
        )
        if not question or not answer:
            raise spec.refuse(f"Row {number:,} of {name} has no question or no answer.")
        if roles["label"] and not parse_truth(row[roles["label"][0]], number, table.separator, spec):
            left_out += 1
            continue
        pairs[Pair(question, answer, negative)] = None
        if len(pairs) > limits.pairs:
            raise spec.refuse(f"{name} has too many pairs. At most {limits.pairs:,} are accepted.", accepted=False)
    if len(pairs) < 2:
        raise spec.refuse(f"{name} has fewer than two pairs: there would be no wrong answer.")
    return TrainingSet(name, tuple(pairs), weight, left_out)


def _first_text(cells: Iterable[str], limits: PairLimits) -> str:
    """The first cell that is not empty, on one line."""
    return " ".join(next(filter(None, cells), "").split())[: limits.characters].strip()
