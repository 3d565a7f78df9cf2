"""Boxes, files and lists become texts and a Pairing. Every limit on text is checked here, on the server."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.domain.datamodels import TEXT, Embedded, Pairing
from demo.domain.errors import (
    BadCharacter,
    BadInput,
    BadMatches,
    BlankText,
    NoTexts,
    TextTooLong,
    TooManyCells,
    TooManyTexts,
    UnreadableFile,
)
from demo.domain.whitespace import normalize_whitespace

_MOST_COPIES = 4  # of the text in a custom template
_ALLOWED_CONTROLS = "\t\n"
_MOST_NAMED = 10  # texts in a notice
_MATCH = re.compile(r"\s*[qQ]?(\d{1,6})\s*[-:=→]\s*[aA]?(\d{1,6})\s*")


@dataclass(frozen=True)
class Limits:
    """How much one comparison may hold: the settings max_texts, max_characters, max_cells and max_file_texts."""

    texts: int = 200
    characters: int = 20_000
    cells: int = 20_000
    file_texts: int = 1000


UNLIMITED = Limits(*[sys.maxsize] * 4)


def parse_texts(value: str | Iterable[str], box: str, limits: Limits, drop_blank: bool = False) -> tuple[str, ...]:
    """A box (one text a line) or a list (one text an item) becomes texts, without the white space around them.

    Blank lines of a box are dropped, and with drop_blank blank items; else there is one text an item. Control
    characters that are white space are normalised (see `normalized_notice`). Raises NoTexts, BlankText, TooManyTexts,
    TextTooLong or BadCharacter, naming the box and the line.
    """
    items = _split(value, box)
    drop_blank = drop_blank or isinstance(value, str)
    texts = []
    for line, item in enumerate(items, start=1):
        if not isinstance(item, str):
            raise BadInput(field=box, problem=f"Item {line:,} of the {box} is not a text. A list of texts is accepted.")
        text = normalize_whitespace(item).strip()
        if not text:
            if drop_blank:
                continue
            raise BlankText(field=box, box=box, line=line)
        if len(texts) == limits.texts:
            count = len(texts) + sum(1 for rest in items[line - 1 :] if str(rest).strip())
            raise TooManyTexts(field=box, box=box, count=count, limit=limits.texts)
        _check_text(text, box, line, limits)
        texts.append(text)
    if not texts:
        raise NoTexts(field=box, box=box)
    return tuple(texts)


def _split(value: str | Iterable[str], box: str) -> list[str]:
    """The lines of a box, or the items of a list. Raises BadInput."""
    if isinstance(value, str):
        # Not splitlines(): it also breaks at form feeds and at U+2028, which a person does not see as a new line.
        return value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    try:
        return list(value)
    except TypeError as error:
        raise BadInput(field=box, problem=f"The {box} are not texts. A list of texts is accepted.") from error


def normalized_notice(value: str | Sequence[str], box: str) -> tuple[str, ...]:
    """A sentence about texts in which `parse_texts` normalises white space, if there are any."""
    changed = [line for line, text in enumerate(_split(value, box), start=1) if normalize_whitespace(text) != text]
    return (f"White space normalised that was a control character: {box} {name_some(changed)}.",) if changed else ()


def cut_notice(embedded: Embedded, box: str) -> tuple[str, ...]:
    """A sentence about texts that were longer than the model takes, if there are any."""
    if not embedded.cut:
        return ()
    numbers = name_some([i + 1 for i in embedded.cut])
    return (f"Longer than {embedded.token_limit:,} tokens and cut there: {box} {numbers}.",)


def name_some(numbers: Sequence[int]) -> str:
    """`1, 2, 3`; the first ten of more."""
    return ", ".join(map(str, numbers[:_MOST_NAMED])) + "…" * (len(numbers) > _MOST_NAMED)


def _check_text(text: str, box: str, line: int, limits: Limits) -> None:
    if len(text) > limits.characters:
        raise TextTooLong(field=box, box=box, line=line, count=len(text), limit=limits.characters)
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in _ALLOWED_CONTROLS:
            raise BadCharacter(field=box, box=box, line=line, character=f"U+{ord(character):04X}")


def parse_matches(value: str | Iterable[Sequence[int]] | None, rows: int, columns: int) -> frozenset[tuple[int, int]]:
    """Which answer belongs to which question: "1-2, 2-1" or [[1, 2], [2, 1]], counted from 1.

    Nothing said: the i-th answer belongs to the i-th question, as far as both go. Raises BadMatches.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return frozenset((i, i) for i in range(min(rows, columns)))
    shown = value if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    pairs: list[Sequence[int]] = []
    if isinstance(shown, str):
        for part in re.split(r"[,;\n]+", shown.strip().strip(",;")):
            found = _MATCH.fullmatch(part)
            if not found:
                raise BadMatches(value=shown[:80], rows=rows, columns=columns)
            pairs.append((int(found[1]), int(found[2])))
    else:
        pairs = shown
    try:
        matches = frozenset((_whole(question), _whole(answer)) for question, answer in pairs)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadMatches(value=str(shown)[:80], rows=rows, columns=columns) from error
    if not all(1 <= question <= rows and 1 <= answer <= columns for question, answer in matches):
        raise BadMatches(value=str(shown)[:80], rows=rows, columns=columns)
    return frozenset((question - 1, answer - 1) for question, answer in matches)


def _whole(number) -> int:
    """2 and 2.0 (JSON from a browser) are 2; 2.5 is nothing. Raises ValueError."""
    if int(number) != float(number):
        raise ValueError(number)
    return int(number)


def parse_template(value: str | None, default: str, box: str, limits: Limits) -> str:
    """What is written around every text: the default where nothing is said. Newlines are part of it.

    The box "template" needs {text} in it. Raises BadInput, TextTooLong or BadCharacter.
    """
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise BadInput(field=box, problem=f"The {box} is not a text. A text is accepted.")
    value = normalize_whitespace(value)
    _check_text(value, box, 1, limits)
    if box == "template" and not 1 <= value.count(TEXT) <= _MOST_COPIES:
        raise BadInput(
            field=box,
            problem=f"The template holds {TEXT} {value.count(TEXT)} times. Once to {_MOST_COPIES} times is accepted.",
        )
    return value


def parse_pairing(questions, answers, matches=None, limits: Limits | None = None) -> Pairing:
    """Two boxes or two lists become a Pairing. Raises BadInput with the box that caused it."""
    limits = limits or Limits()
    questions = parse_texts(questions, "questions", limits)
    answers = parse_texts(answers, "answers", limits)
    cells = len(questions) * len(answers)
    if cells > limits.cells:
        raise TooManyCells(field="answers", rows=len(questions), columns=len(answers), count=cells, limit=limits.cells)
    return Pairing(questions, answers, parse_matches(matches, len(questions), len(answers)))


def load_texts(path: str | Path) -> list[str]:
    """The lines of a UTF-8 file. Raises UnreadableFile."""
    try:
        return Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, ValueError) as error:
        undecodable = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        reason = error.strerror if isinstance(error, OSError) else undecodable
        raise UnreadableFile(path=str(path), reason=reason) from error
