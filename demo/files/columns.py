"""Column roles: which column of a table holds the questions, answers, hard negatives and labels, by its name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from demo.domain.errors import BadInput
from demo.files.limits import FileLimits

# By role, the names that data sets give their columns: of two in one file, the first here counts.
_NAMES = {
    "question": (
        *("question", "query", "anchor", "sentence1", "text1", "premise", "q", "questions", "queries"),
        *("질문", "질의", "물음"),
    ),
    "answer": (
        *("answer", "positive", "passage", "sentence2", "text2", "document", "entailment", "pos", "sentence", "a"),
        *("answers", "passages", "documents", "답", "답변", "대답", "정답"),
    ),
    "negative": ("negative", "hardnegative", "neg", "contradiction", "오답"),
    "label": ("label", "score", "relevance", "gold", "similarity", "라벨", "레이블", "점수", "유사도"),
    "id": ("questionid", "id", "번호"),
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names}
_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}


def name_roles(names: Iterable[str]) -> list[str | None]:
    """The role of each column by its name; None where a name says nothing. Case, spaces, - and _ do not matter."""
    return [_ROLES.get(_plain(name)) for name in names]


def places_by_role(names: Sequence[str]) -> dict[str, list[int]]:
    """The columns of each role, in the order in which they count."""
    roles = name_roles(names)
    return {
        role: sorted(
            (place for place, its in enumerate(roles) if its == role),
            key=lambda place: known.index(_plain(names[place])),
        )
        for role, known in _NAMES.items()
    }


def parse_label(cell: str, separator: str) -> float | None:
    """A finite number, or 1 and 0 for true, yes, false and no; None for anything else.

    separator: of the table; where it is a semicolon, 4,5 is 4.5.
    """
    word = cell.strip().casefold()
    if word in _WORDS:
        return _WORDS[word]
    try:
        number = float(word.replace(",", ".") if separator == ";" else word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_truth(cell: str, row: int, separator: str, limits: FileLimits) -> bool:
    """Whether a label says that a row is a right pair. Raises BadInput where it is neither 1 nor 0."""
    label = parse_label(cell, separator)
    if label not in (0, 1):
        raise limits.refuse(
            f"The label “{quote_label(cell)}” in row {row:,} is neither 1 nor 0. Accepted: 1 or true where the answer "
            "belongs to the question, 0 or false where it does not.",
            accepted=False,
        )
    return bool(label)


def quote_label(cell: str) -> str:
    """The beginning of a label, fit for a message: no half surrogate pair and no control character in it."""
    return repr(cell[:20])[1:-1]


def refuse_contradiction(row: int, other: int, limits: FileLimits) -> BadInput:
    """The error to raise for a pair that stands in two rows with different labels."""
    problem = f"Row {row:,} holds the pair of row {other:,} with another label. Accepted: one label a pair, 0 or 1."
    return limits.refuse(problem, accepted=False)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()
