"""Pairs: files of questions and answers to train on become TrainingSets. Every limit on a file is checked here.

JSONL, JSON (a list of objects), CSV or TSV with named columns, each of them gzipped or not; or a data set of the Hub
through the `datasets` package, an optional extra. Knows no model.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.domain.errors import BadInput, UnreadableFile
from demo.domain.recipe import Pair, TrainingSet

FIELD = "pairs"
HUB = "hub:"
_COLUMNS = {  # by role, the names that data sets give their columns
    "question": ("question", "query", "anchor", "sentence1", "text1", "premise"),
    "answer": ("answer", "positive", "passage", "sentence2", "text2", "document", "entailment", "pos"),
    "negative": ("negative", "hard_negative", "neg", "contradiction"),
}
_ACCEPTED = (
    "Accepted are JSONL, JSON, CSV or TSV, gzipped or not, with a question (question, query, anchor, sentence1 …) and "
    "an answer (answer, positive, passage, sentence2 …) in every row and, if any, a negative."
)


@dataclass(frozen=True)
class PairLimits:
    """How much one file may hold; what is longer than `characters` loses its end, as training cuts it anyway."""

    pairs: int = 500_000
    characters: int = 2_000  # of a text
    bytes: int = 512 * 2**20  # unpacked


def load_pairs(path: str | Path, limits: PairLimits | None = None, weight: float = 1.0) -> TrainingSet:
    """A file becomes a set named after it; copies of a pair count once. Raises UnreadableFile, BadInput."""
    limits = limits or PairLimits()
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = _unpack(file, limits).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(field=FIELD, path=path.name, reason="it is not UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise UnreadableFile(field=FIELD, path=path.name, reason=reason) from error
    name = path.name.removesuffix(".gz")
    stem, _, kind = name.rpartition(".")
    return parse_pairs(content, kind.lower(), stem or name, limits, weight)


def parse_pairs(content: str, kind: str, name: str, limits: PairLimits | None = None, weight: float = 1.0):
    """A file's text becomes a TrainingSet. kind: jsonl, json, csv, tsv or txt (tabs). Raises BadInput."""
    limits = limits or PairLimits()
    rows = {"jsonl": _json_lines, "json": _json, "csv": _table, "tsv": _table, "txt": _table}.get(kind)
    if rows is None:
        raise BadInput(field=FIELD, problem=f"“{name}.{kind}” has no known ending. {_ACCEPTED}")
    return _gather(rows(content, name), name, limits, weight)


def load_hub_pairs(name: str, limits: PairLimits | None = None, weight: float = 1.0, most: int = 20_000) -> TrainingSet:
    """The first `most` pairs of a data set of the Hub: "owner/name", "owner/name@split". Raises BadInput."""
    try:
        import datasets
    except ImportError as error:
        raise BadInput(
            field=FIELD, problem="The package datasets is not installed. Run: pip install datasets."
        ) from error
    repository, _, split = name.partition("@")
    try:
        rows = datasets.load_dataset(repository, split=split or "train", streaming=True)
        return _gather(_first(rows, most), repository, limits or PairLimits(), weight)
    except (OSError, ValueError, RuntimeError) as error:  # what a data set that is missing, gated or offline raises
        problem = f"The data set {name} could not be read from the Hugging Face Hub: {_first_line(error)}."
        raise BadInput(field=FIELD, problem=problem) from error


def _first(rows: Iterable[Mapping[str, Any]], most: int) -> Iterator[Mapping[str, Any]]:
    for _, row in zip(range(most), rows, strict=False):
        yield row


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")[:300]


def _unpack(file, limits: PairLimits) -> bytes:
    """The file's bytes, never more than the limit and one, however small it is packed."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    data = (gzip.GzipFile(fileobj=file) if packed else file).read(limits.bytes + 1)
    if len(data) > limits.bytes:
        raise BadInput(
            field=FIELD, problem=f"The file is too large. At most {limits.bytes / 2**20:g} MiB are accepted."
        )
    return data


def _gather(rows: Iterable[Mapping[str, Any]], name: str, limits: PairLimits, weight: float) -> TrainingSet:
    pairs: dict[Pair, None] = {}
    for number, row in enumerate(rows, start=1):
        roles = {role: _text(row, names, limits) for role, names in _COLUMNS.items()}
        if not roles["question"] or not roles["answer"]:
            raise BadInput(field=FIELD, problem=f"Row {number:,} of {name} has no question or no answer. {_ACCEPTED}")
        pairs[Pair(**roles)] = None
        if len(pairs) > limits.pairs:
            raise BadInput(field=FIELD, problem=f"{name} has too many pairs. At most {limits.pairs:,} are accepted.")
    if len(pairs) < 2:
        raise BadInput(
            field=FIELD, problem=f"{name} has fewer than two pairs: there would be no wrong answer. {_ACCEPTED}"
        )
    return TrainingSet(name, tuple(pairs), weight)


def _text(row: Mapping[str, Any], names: tuple[str, ...], limits: PairLimits) -> str:
    value = next((row[name] for name in names if isinstance(row.get(name), str)), "")
    return " ".join(value.split())[: limits.characters].strip()


def _json_lines(content: str, name: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            yield _object(line, f"Line {number:,} of {name}")


def _json(content: str, name: str) -> Iterator[Mapping[str, Any]]:
    rows = _parsed(content, name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(field=FIELD, problem=f"{name} is not a list of objects. {_ACCEPTED}")
    yield from ({str(key).lower(): value for key, value in row.items()} for row in rows)


def _object(line: str, where: str) -> Mapping[str, Any]:
    row = _parsed(line, where)
    if not isinstance(row, dict):
        raise BadInput(field=FIELD, problem=f"{where} is not a JSON object. {_ACCEPTED}")
    return {str(key).lower(): value for key, value in row.items()}


def _parsed(content: str, where: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput(field=FIELD, problem=f"{where} is not JSON. {_ACCEPTED}") from error


def _table(content: str, name: str) -> Iterator[Mapping[str, Any]]:
    first = content.partition("\n")[0]
    separator = "\t" if "\t" in first else ";" if ";" in first and "," not in first else ","
    try:
        rows = csv.DictReader(io.StringIO(content, newline=""), delimiter=separator)
        for row in rows:
            yield {(key or "").strip().lower(): value for key, value in row.items()}
    except csv.Error as error:
        raise BadInput(field=FIELD, problem=f"{name} is not a table: {error}. {_ACCEPTED}") from error
