"""Exports: a comparison becomes files of numbers that people take home. Knows no page.

Cosines as CSV for a spreadsheet; vectors as .npz or .safetensors for a program. All of them say what made them. Arrays
and JSON only: reading them runs nothing.
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


def write_similarity(found: LargeComparison, path: Path) -> None:
    """The CSV of `write_matrix`, UTF-8 with a byte order mark, which Excel needs."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        write_matrix(found, file)


def write_matrix(found: Comparison | LargeComparison, file: TextIO) -> None:
    """Answers across, questions down, cosines to six digits; then the right answers of a question, by number.

    The reading and where it came from stand in columns behind, in the first question's row: every row is equally long.
    """
    pairing, origin = found.pairing, {"reading": found.reading.label(), **found.provenance}
    origin["settings"] = json.dumps(found.reading.to_dict(), ensure_ascii=False)
    similarity = np.round(found.similarity.astype(np.float64), _DIGITS)
    right: dict[int, list[int]] = {}
    for question, answer in sorted(pairing.matches):
        right.setdefault(question, []).append(answer + 1)

    def rows():
        yield ["", *pairing.answers, _MATCHES, *origin]
        said = list(origin.values())
        for place, (question, cosines) in enumerate(zip(pairing.questions, similarity.tolist(), strict=True)):
            numbers = right.get(place, [])
            belongs = numbers[0] if len(numbers) == 1 else ", ".join(map(str, numbers))
            yield [question, *cosines, belongs, *said]
            said = [None] * len(said)

    write_rows(file, rows())


def write_npz(found: LargeComparison, path: Path) -> None:
    """.npz: `questions` and `answers`, float32 (n, dim), as they were compared; `metadata`, one string of JSON.

    `json.loads(str(np.load(path)["metadata"]))` reads what `describe` says.
    """
    with path.open("wb") as file:
        np.savez(
            file,
            questions=found.question_vectors,
            answers=found.answer_vectors,
            metadata=np.array(json.dumps(describe(found), ensure_ascii=False)),
        )


def write_safetensors(found: LargeComparison, path: Path) -> None:
    """.safetensors: the tensors `questions` and `answers`, float32 (n, dim), and in its metadata, under "metadata", the
    same JSON as in the .npz: `json.loads(safe_open(path, "np").metadata()["metadata"])`.
    """
    arrays = {"questions": found.question_vectors, "answers": found.answer_vectors}
    write_tensors(path, arrays, {"metadata": json.dumps(describe(found), ensure_ascii=False)})


def describe(found: LargeComparison) -> dict:
    """What the vectors are of, ready for JSON: texts, which belong together (from 0), reading, and where the model came
    from: name, revision, precision, device, versions.
    """
    return {
        **found.provenance,
        "reading": found.reading.to_dict(),
        "label": found.reading.label(),
        "questions": list(found.pairing.questions),
        "answers": list(found.pairing.answers),
        "matches": sorted(found.pairing.matches),
        "notices": list(found.notices),
    }


WRITERS: dict[str, Callable[[LargeComparison, Path], None]] = {  # by a file's ending
    ".csv": write_similarity,
    ".npz": write_npz,
    ".safetensors": write_safetensors,
}
