"""Exports: a large comparison becomes files that people take home. Knows no page.

Cosines as CSV for a spreadsheet, which must not take anybody's text for a formula; vectors as .npz for a program.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from demo.results import LargeComparison

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet computes


def write_similarity(found: LargeComparison, path: Path) -> None:
    """CSV, UTF-8 with a byte order mark (Excel needs it): answers across, questions down, cosines to six digits."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", *map(_inert, found.pairing.answers)])
        for question, row in zip(found.pairing.questions, found.similarity.tolist(), strict=True):
            writer.writerow([_inert(question), *(f"{value:.6f}" for value in row)])


def write_embeddings(found: LargeComparison, path: Path) -> None:
    """.npz: `questions` and `answers`, float32 (n, dim), as they were compared; `metadata`, one string of JSON.

    The metadata hold the texts, which belong together (from 0), the reading, and where the model came from: name,
    revision, precision, device, versions. `json.loads(str(np.load(path)["metadata"]))` reads them.
    """
    metadata = {
        **found.provenance,
        "reading": found.reading.to_dict(),
        "label": found.reading.label(),
        "questions": list(found.pairing.questions),
        "answers": list(found.pairing.answers),
        "matches": sorted(found.pairing.matches),
        "notices": list(found.notices),
    }
    with path.open("wb") as file:
        np.savez(
            file,
            questions=found.question_vectors,
            answers=found.answer_vectors,
            metadata=np.array(json.dumps(metadata, ensure_ascii=False)),
        )


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
