"""Pairing: the chosen columns of a table become questions, answers and which of them belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from demo.domain.datamodels import Pairing
from demo.domain.errors import TooManyTexts
from demo.files.columns import UNKNOWN, Columns, check_columns
from demo.files.examples import Capacity, check_texts, note_copies, read_examples, take_portion
from demo.files.labels import parse_truth, refuse_contradiction
from demo.files.limits import FileLimits
from demo.files.table import Table, load_table


@dataclass(frozen=True, kw_only=True)
class PairingLimits(FileLimits):
    """How much one file may hold."""

    texts: int = 1_000  # different questions, and different answers
    cells: int | None = None  # questions × answers
    bytes: int = 4 * 2**20

    @property
    def capacity(self) -> Capacity:
        """What can be taken of a larger file."""
        return Capacity(questions=self.texts, answers=self.texts, cells=self.cells)


def load_pairing_table(path: str | Path, limits: FileLimits) -> Table:
    """A file becomes a table to choose columns from. Raises UnreadableFile and BadInput."""
    table = load_table(path, limits)
    if not table.rows:
        raise limits.refuse("The file holds names of columns and nothing below them.")
    return table


def pair_portion(table: Table, columns: Columns, limits: PairingLimits, drawn: bool = False) -> tuple[Pairing, Table]:
    """(`pair_up` of what fits of a table, its rows): the first questions, or drawn ones. Raises BadInput.

    A notice of the rows' says how many were taken, and which pairs stand more than once.
    """
    check_columns(table, columns, limits)
    taken = take_portion(table, columns, limits.capacity, drawn)
    if table.rows and not taken.rows:
        raise limits.refuse(f"One question alone has more answers than fit here: at most {limits.texts:,}.", False)
    copies = note_copies(read_examples(taken, columns))
    return pair_up(taken, columns, limits), replace(taken, notices=taken.notices + copies)


def pair_up(table: Table, columns: Columns, limits: PairingLimits) -> Pairing:
    """The chosen columns as questions and answers, each different text once, and which belong together.

    A row with a question alone or an answer alone adds its text and no pair: two lists need not be equally long. Hard
    negatives are answers that belong to none. Raises BadInput, naming the row as the file counts it.
    """
    check_columns(table, columns, limits)
    examples = read_examples(table, columns)
    check_texts(examples, limits)
    sides: dict[str, dict[str, int]] = {"questions": {}, "answers": {}}  # each different text's place
    for one in examples:
        for box, texts in (("questions", [one.question]), ("answers", [*one.answers, *one.negatives])):
            for text in filter(None, texts):
                sides[box].setdefault(text, len(sides[box]))
    for box, texts in sides.items():
        if len(texts) > limits.texts:
            raise TooManyTexts(field=limits.field, box=box, count=len(texts), limit=limits.texts)
    labels: dict[tuple[int, int], tuple[bool, int]] = {}  # whether a pair belongs together, and which row says so
    for one in examples:
        if not one.question or not one.answers or columns.label == UNKNOWN:
            continue
        labelled = isinstance(columns.label, int)
        right = not labelled or parse_truth(one.label, one.number, table.separator, limits, columns.right)
        for answer in one.answers:
            pair = sides["questions"][one.question], sides["answers"][answer]
            known, other = labels.setdefault(pair, (right, one.number))
            if known != right:
                raise refuse_contradiction(one.number, other, limits)
    matches = frozenset(pair for pair, (right, _) in labels.items() if right)
    return Pairing(tuple(sides["questions"]), tuple(sides["answers"]), matches)
