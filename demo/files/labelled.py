"""Labelled pairs: a table of pairs, with labels or scores or without, becomes a LabelledSet to evaluate readings on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.domain.errors import TooManyCells
from demo.domain.results import LabelledSet
from demo.files.columns import parse_label, refuse_contradiction, refuse_label
from demo.files.spec import FileSpec
from demo.files.table import Table, find_columns, load_table, parse_table

_ACCEPTED = (
    "Accepted: a question column (question, query, sentence1 …), an answer column (answer, sentence, sentence2 …) and, "
    "if any, a label column (label, score …); without names in the first row, two columns or a third one of numbers."
)


@dataclass(frozen=True)
class LabelledLimits:
    """How much one file may hold."""

    pairs: int = 20_000
    characters: int = 20_000  # of a text
    bytes: int = 5 * 2**20
    cells: int = 250_000  # questions × answers, where every answer is a candidate of every question

    @property
    def spec(self) -> FileSpec:
        """What the table reader is told."""
        return FileSpec("upload", _ACCEPTED, self.bytes, self.pairs, self.characters, unit="pairs")


def load_labelled(path: str | Path, limits: LabelledLimits) -> LabelledSet:
    """A file becomes a set named after it. Raises UnreadableFile and what `parse_labelled` raises."""
    return _interpret(load_table(path, limits.spec), Path(path).stem, limits)


def parse_labelled(data: bytes, name: str, limits: LabelledLimits) -> LabelledSet:
    """A file's bytes become a LabelledSet. name: with its ending. Raises BadInput with the file's number of the row.

    No labels, or only ones: every answer is a candidate of every question, right where a row says so. Zeros and ones:
    the candidates are those listed. Other numbers: grades. A question is its text, whatever its id.
    """
    return _interpret(parse_table(data, name, limits.spec), Path(name).stem, limits)


def _interpret(table: Table, name: str, limits: LabelledLimits) -> LabelledSet:
    spec = limits.spec
    table, roles = find_columns(table, spec)
    used = [role for role in ("question", "answer", "label") if roles[role]]
    for role in used:
        if len(roles[role]) > 1:
            raise spec.refuse(f"The first row names the {role} column more than once.")
    if not table.rows:
        raise spec.refuse("The file holds no pairs.")
    for number, row in zip(table.row_numbers, table.rows, strict=True):
        for role in used:
            if not row[roles[role][0]]:
                problem = f"Row {number:,} has no {role}. Accepted: rows without empty cells in the named columns."
                raise spec.refuse(problem, accepted=False)
    labels = _read_labels(table, roles["label"][0], spec) if roles["label"] else []
    questions, question_of = _distinct(table.texts(roles["question"][0], "questions", spec))
    answers, answer_of = _distinct(table.texts(roles["answer"][0], "answers", spec))
    pairs = list(zip(question_of, answer_of, strict=True))
    values = set(labels)
    graded = not values <= {0, 1}
    if graded and len(values) < 2:
        raise spec.refuse("All pairs have the same grade. At least two different grades are accepted.", False)
    if values == {0}:
        raise spec.refuse("No pair is labelled 1. At least one right pair is accepted.", False)
    if values <= {1}:
        pairs, labels = _every_pair(pairs, len(questions), len(answers), limits)
    elif not graded:
        pairs, labels = _without_copies(pairs, labels, table.row_numbers, spec)
    return LabelledSet(name, questions, answers, tuple(pairs), tuple(labels), graded)


def _read_labels(table: Table, place: int, spec: FileSpec) -> list[float]:
    labels = []
    for number, row in zip(table.row_numbers, table.rows, strict=True):
        label = parse_label(row[place], table.separator)
        if label is None:
            problem = "not a number. Accepted: 1 for right and 0 for wrong, or grades."
            raise refuse_label(row[place], number, problem, spec)
        labels.append(label)
    return labels


def _distinct(texts: tuple[str, ...]) -> tuple[tuple[str, ...], list[int]]:
    """The distinct texts in order of appearance, and where each text is among them."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return tuple(places), [places[text] for text in texts]


def _every_pair(right, n_questions: int, n_answers: int, limits: LabelledLimits):
    """Every answer with every question: 1 where a row pairs them, else 0."""
    count = n_questions * n_answers
    if count > limits.cells:
        raise TooManyCells(
            field=limits.spec.field, rows=n_questions, columns=n_answers, count=count, limit=limits.cells
        )
    right = set(right)
    if len(right) == count:
        raise limits.spec.refuse(
            "Every answer belongs to every question. At least one wrong pair is accepted.", accepted=False
        )
    pairs = [(question, answer) for question in range(n_questions) for answer in range(n_answers)]
    return pairs, [float(pair in right) for pair in pairs]


def _without_copies(pairs, labels: list[float], numbers: tuple[int, ...], spec: FileSpec):
    """A candidate counts once, however often it is listed; right and wrong at once is refused."""
    first: dict[tuple[int, int], int] = {}
    for place, pair in enumerate(pairs):
        other = first.setdefault(pair, place)
        if labels[other] != labels[place]:
            raise refuse_contradiction(numbers[place], numbers[other], spec)
    return list(first), [labels[place] for place in first.values()]
