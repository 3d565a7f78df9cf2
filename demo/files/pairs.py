"""Training pairs: a table, or a data set of the Hub, becomes a TrainingSet of questions with their right answers.

A hard negative may stand beside each pair. Where a label column stands, rows labelled 0 or false hold no right answer:
they are left out and counted in a notice, and grades other than 0 and 1 are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from demo.domain.recipe import Pair, TrainingSet
from demo.files.columns import ANY, ColumnChoice, Columns, settle_columns
from demo.files.examples import Capacity, note_copies, read_examples, take_portion
from demo.files.formats.parquet import as_json
from demo.files.labels import parse_truth
from demo.files.limits import FileLimits
from demo.files.table import Table, load_table, make_table

HUB = "hub:"


@dataclass(frozen=True, kw_only=True)
class PairLimits(FileLimits):
    """How much one file may hold; what is longer than `characters` loses its end, as training cuts it anyway."""

    pairs: int = 500_000  # different ones, without the rows that are left out
    rows: int = 5_000_000
    characters: int = 2_000
    bytes: int = 512 * 2**20

    field = "pairs"


def load_pairs(path: str | Path, limits: PairLimits | None = None, weight: float = 1.0, **wanted: Any) -> TrainingSet:
    """A file becomes a set named after it; copies of a pair count once. Raises UnreadableFile, BadInput.

    wanted: choice, capacity, drawn, as in `make_training_set`.
    """
    limits = limits or PairLimits()
    table = load_table(path, limits)
    return make_training_set(table, Path(table.name).stem, limits, weight, **wanted)


def load_hub_pairs(
    name: str, limits: PairLimits | None = None, weight: float = 1.0, most: int = 20_000, **wanted: Any
) -> TrainingSet:
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
        records = [as_json(dict(row)) for row in islice(rows, most)]
    except (OSError, ValueError, RuntimeError) as error:  # what a data set that is missing, gated or offline raises
        problem = f"The data set {name} could not be read from the Hugging Face Hub: {_first_line(error)}."
        raise limits.refuse(problem, accepted=False) from error
    table = make_table(list(enumerate(records, start=1)), repository, limits)
    return make_training_set(table, repository, limits, weight, **wanted)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]


def make_training_set(
    table: Table,
    name: str,
    limits: PairLimits,
    weight: float = 1.0,
    choice: ColumnChoice | Columns = ANY,
    capacity: Capacity | None = None,
    drawn: bool = False,
) -> TrainingSet:
    """A table becomes a TrainingSet of its right pairs. Raises BadInput.

    Several right answers or hard negatives of a question are dealt out to as many pairs as use each of them.
    """
    table, columns = settle_columns(table, limits, choice)
    table = take_portion(table, columns, capacity, drawn) if capacity else table
    pairs: dict[Pair, None] = {}
    left_out = without = 0
    examples = read_examples(table, columns)
    for one in examples:
        question, answers, negatives = (
            [_on_one_line(text, limits) for text in texts] for texts in ([one.question], one.answers, one.negatives)
        )
        if not one.question or not (answers or negatives or columns.answer in table.lists):
            raise limits.refuse(f"Row {one.number:,} of {name} has no question or no answer.")
        labelled = isinstance(columns.label, int)
        if labelled and not parse_truth(one.label, one.number, table.separator, limits, columns.right):
            left_out += 1
            continue
        without += not answers
        for i in range(max(len(answers), len(negatives)) if answers else 0):
            negative = negatives[i % len(negatives)] if negatives else ""
            pairs[Pair(*question, answers[i % len(answers)], negative)] = None
        if len(pairs) > limits.pairs:
            raise limits.refuse(f"{name} has too many pairs. At most {limits.pairs:,} are accepted.", accepted=False)
    if len(pairs) < 2:
        raise limits.refuse(f"{name} has fewer than two pairs: there would be no wrong answer.")
    notices = table.notices + (f"Questions without an answer that are left out: {without:,}.",) * bool(without)
    notices += (f"Rows labelled wrong that are left out: {left_out:,}.",) * bool(left_out)
    notices += note_copies([one for one in examples if not one.negatives])
    return TrainingSet(name, tuple(pairs), weight, notices, table.partial)


def _on_one_line(text: str, limits: PairLimits) -> str:
    return " ".join(text.split())[: limits.characters].strip()
