"""Vector export: a comparison as files of numbers. Knows no page.

Cosines as CSV for a spreadsheet; vectors as .npz or .safetensors for a program, each with its provenance. Arrays and
JSON only: reading them runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np

from demo.domain.datamodels import Comparison
from demo.domain.results import LargeComparison
from demo.export.tensors import write_tensors
from demo.files.safe_csv import write_rows

_DIGITS = 6  # of a cosine
_MATCHES = "right answers"  # by their numbers, from 1


def write_similarity(comparison: LargeComparison, path: Path) -> None:
    """The CSV of `write_matrix`, UTF-8 with a byte order mark, which Excel needs."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        write_matrix(comparison, file)


def write_matrix(comparison: Comparison | LargeComparison, file: TextIO) -> None:
    """Answers across, questions down, cosines to six digits; then the right answers of a question, by number.

    The reading and where it came from stand in columns behind, in the first question's row: every row is equally long.
    """
    pairing, origin = comparison.pairing, {"reading": comparison.reading.label(), **comparison.provenance}
    origin["settings"] = json.dumps(comparison.reading.to_dict(), ensure_ascii=False)
    similarity = np.round(comparison.similarity.astype(np.float64), _DIGITS)
    right: dict[int, list[int]] = {}
    for question, answer in sorted(pairing.matches):
        right.setdefault(question, []).append(answer + 1)

    def rows():
        yield ["", *pairing.answers, _MATCHES, *origin]
        origin_cells = list(origin.values())
        for place, (question, cosines) in enumerate(zip(pairing.questions, similarity.tolist(), strict=True)):
            numbers = right.get(place, [])
            belongs = numbers[0] if len(numbers) == 1 else ", ".join(map(str, numbers))
            yield [question, *cosines, belongs, *origin_cells]
            origin_cells = [None] * len(origin_cells)

    write_rows(file, rows())


def write_npz(comparison: LargeComparison, path: Path) -> None:
    """.npz: `questions` and `answers`, float32 (n, dim), as they were compared; `metadata`, one string of JSON.

    `json.loads(str(np.load(path)["metadata"]))` reads what `describe` says.
    """
    with path.open("wb") as file:
        np.savez(
            file,
            questions=comparison.question_vectors,
            answers=comparison.answer_vectors,
            metadata=np.array(json.dumps(describe(comparison), ensure_ascii=False)),
        )


def write_safetensors(comparison: LargeComparison, path: Path) -> None:
    """.safetensors: the tensors `questions` and `answers`, float32 (n, dim), and in its metadata, under "metadata", the
    same JSON as in the .npz: `json.loads(safe_open(path, "np").metadata()["metadata"])`.
    """
    arrays = {"questions": comparison.question_vectors, "answers": comparison.answer_vectors}
    write_tensors(path, arrays, {"metadata": json.dumps(describe(comparison), ensure_ascii=False)})


def describe(comparison: LargeComparison) -> dict:
    """The metadata, JSON-ready: texts, matches (from 0), reading, and the model's provenance."""
    return {
        **comparison.provenance,
        "reading": comparison.reading.to_dict(),
        "label": comparison.reading.label(),
        "questions": list(comparison.pairing.questions),
        "answers": list(comparison.pairing.answers),
        "matches": sorted(comparison.pairing.matches),
        "notices": list(comparison.notices),
    }


WRITERS: dict[str, Callable[[LargeComparison, Path], None]] = {  # by a file's ending
    ".csv": write_similarity,
    ".npz": write_npz,
    ".safetensors": write_safetensors,
}
