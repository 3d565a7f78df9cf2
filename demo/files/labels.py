"""Labels: which cells of a label column say right and wrong, which are grades, and which may be classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from demo.domain.errors import BadInput
from demo.files.limits import FileLimits

_WORDS = {
    **dict.fromkeys(("true", "yes", "참", "예"), 1.0),
    **dict.fromkeys(("false", "no", "거짓", "아니오", "아니요"), 0.0),
}
_MOST_CLASSES = 10  # different whole numbers: more are grades, such as per cent


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


def parse_truth(cell: str, row: int, separator: str, limits: FileLimits, right: Sequence[str] = ()) -> bool:
    """Whether a label says that a row is a right pair. right: the labels that say so, where they are not 1 and true.

    Raises BadInput where that is not clear.
    """
    label = parse_label(cell, separator)
    if right and cell:
        numbers = {parse_label(one, separator) for one in right} - {None}
        return label in numbers if label is not None else cell.casefold() in {one.strip().casefold() for one in right}
    if label not in (0, 1):
        raise limits.refuse(
            f"The label “{quote_label(cell)}” in row {row:,} is neither 1 nor 0. Accepted: 1 or true where the answer "
            "belongs to the question, 0 or false where it does not.",
            accepted=False,
        )
    return bool(label)


def parse_labels(
    cells: Sequence[str],
    numbers: Sequence[int],
    separator: str,
    limits: FileLimits,
    right: Sequence[str] = (),
    grades: bool = False,
) -> tuple[list[float], bool]:
    """(a number a row, whether they are grades). Raises BadInput.

    Zeros and ones say wrong and right, unless grades are stated. Other whole numbers may be classes, such as those of
    natural language inference: they are grades only where `grades` says so, or where they are many.
    """
    if right:
        truths = [parse_truth(cell, row, separator, limits, right) for cell, row in zip(cells, numbers, strict=True)]
        return [float(truth) for truth in truths], False
    labels: list[float] = []
    for cell, row in zip(cells, numbers, strict=True):
        label = parse_label(cell, separator)
        if label is None:
            raise limits.refuse(
                f"The label “{quote_label(cell)}” in row {row:,} is not a number. Accepted: 1 for right and 0 for "
                f"wrong, or grades. {limits.label_advice}",
                accepted=False,
            )
        labels.append(label)
    values = set(labels)
    if values <= {0, 1} and not grades:
        return labels, False
    if not grades and all(value == int(value) for value in values) and len(values) <= _MOST_CLASSES:
        listed = ", ".join(f"{value:g}" for value in sorted(values))
        problem = f"The labels are {listed}: these may be classes, of which the order says nothing, or grades."
        raise limits.refuse(f"{problem} {limits.label_advice}", accepted=False)
    if len(values) < 2:
        raise limits.refuse("All pairs have the same grade. At least two different grades are accepted.", False)
    return labels, True


def quote_label(cell: str) -> str:
    """The beginning of a label, fit for a message: no half surrogate pair and no control character in it."""
    return repr(cell[:20])[1:-1]


def refuse_contradiction(row: int, other: int, limits: FileLimits) -> BadInput:
    """The error to raise for a pair that stands in two rows with different labels."""
    problem = f"Row {row:,} holds the pair of row {other:,} with another label. Accepted: one label a pair, 0 or 1."
    return limits.refuse(problem, accepted=False)
