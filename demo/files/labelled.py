"""Labelled pairs: a table of pairs, with labels or scores or without, becomes a LabelledSet to evaluate readings on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.domain.errors import TooManyCells
from demo.domain.results import LabelledSet
from demo.files.columns import parse_label, quote_label, refuse_contradiction
from demo.files.limits import FileLimits
from demo.files.table import Table, find_columns, load_table


@dataclass(frozen=True, kw_only=True)
class LabelledLimits(FileLimits):
    """How much one file may hold."""

    cells: int = 250_000  # questions × answers, where every answer is a candidate of every question

    field = "upload"
    unit = "pairs"
    accepted = (
        "Accepted: a question column (question, query, sentence1 …), an answer column (answer, sentence, sentence2 …) "
        "and, if any, a label column (label, score …); without names in the first row, two columns or a third one of "
        "numbers."
    )


def load_labelled(path: str | Path, limits: LabelledLimits) -> LabelledSet:
    """A file becomes a set named after it. Raises UnreadableFile and BadInput."""
    return make_labelled_set(load_table(path, limits), limits)


def make_labelled_set(table: Table, limits: LabelledLimits) -> LabelledSet:
    """A table becomes a LabelledSet. Raises BadInput, naming the row as the file counts it.

    No labels, or only ones: every answer is a candidate of every question, right where a row says so. Zeros and ones:
    the candidates are those listed. Other numbers: grades. A question is its text, whatever its id.
    """
    table, roles = find_columns(table, limits)
    used = [role for role in ("question", "answer", "label") if roles[role]]
    for role in used:
        if len(roles[role]) > 1:
            raise limits.refuse(f"The first row names the {role} column more than once.")
    if not table.rows:
        raise limits.refuse("The file holds no pairs.")
    for number, row in zip(table.row_numbers, table.rows, strict=True):
        for role in used:
            if not row[roles[role][0]]:
                problem = f"Row {number:,} has no {role}. Accepted: rows without empty cells in the named columns."
                raise limits.refuse(problem, accepted=False)
    labels = _read_labels(table, roles["label"][0], limits) if roles["label"] else []
    questions, question_of = _distinct(table.texts(roles["question"][0], "questions", limits))
    answers, answer_of = _distinct(table.texts(roles["answer"][0], "answers", limits))
    pairs = list(zip(question_of, answer_of, strict=True))
    values = set(labels)
    graded = not values <= {0, 1}
    if graded and len(values) < 2:
        raise limits.refuse("All pairs have the same grade. At least two different grades are accepted.", False)
    if values == {0}:
        raise limits.refuse("No pair is labelled 1. At least one right pair is accepted.", False)
    if values <= {1}:
        pairs, labels = _every_pair(pairs, len(questions), len(answers), limits)
    elif not graded:
        pairs, labels = _without_copies(pairs, labels, table.row_numbers, limits)
    return LabelledSet(Path(table.name).stem, questions, answers, tuple(pairs), tuple(labels), graded)


def _read_labels(table: Table, place: int, limits: FileLimits) -> list[float]:
    labels = []
    for number, row in zip(table.row_numbers, table.rows, strict=True):
        label = parse_label(row[place], table.separator)
        if label is None:
            raise limits.refuse(
                f"The label “{quote_label(row[place])}” in row {number:,} is not a number. Accepted: 1 for right and 0 "
                "for wrong, or grades.",
                accepted=False,
            )
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
        raise TooManyCells(field=limits.field, rows=n_questions, columns=n_answers, count=count, limit=limits.cells)
    right = set(right)
    if len(right) == count:
        raise limits.refuse(
            "Every answer belongs to every question. At least one wrong pair is accepted.", accepted=False
        )
    pairs = [(question, answer) for question in range(n_questions) for answer in range(n_answers)]
    return pairs, [float(pair in right) for pair in pairs]


def _without_copies(pairs, labels: list[float], numbers: tuple[int, ...], limits: FileLimits):
    """A candidate counts once, however often it is listed; right and wrong at once is refused."""
    first: dict[tuple[int, int], int] = {}
    for place, pair in enumerate(pairs):
        other = first.setdefault(pair, place)
        if labels[other] != labels[place]:
            raise refuse_contradiction(numbers[place], numbers[other], limits)
    return list(first), [labels[place] for place in first.values()]
