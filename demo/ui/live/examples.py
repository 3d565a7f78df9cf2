"""Example sets: questions and answers to start from, read from the project's data. Knows no widget."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from demo.domain.example_files import EXAMPLES

_FOLDER = EXAMPLES / "sets"


@dataclass(frozen=True)
class ExampleSet:
    """One set: what fills the boxes, and what to look for in its heatmap."""

    id: str
    title: dict[str, str]  # by language
    teaches: dict[str, str]  # by language
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    matches: str  # as a person writes it: "1-2, 2-1"; empty for the i-th to the i-th


@lru_cache(maxsize=1)
def load_examples() -> dict[str, ExampleSet]:
    """All sets by id, in their order; the article's is first."""
    raw = [json.loads(path.read_text(encoding="utf-8")) for path in _FOLDER.glob("*.json")]
    return {entry["id"]: _parse(entry) for entry in sorted(raw, key=lambda entry: entry["order"])}


def _parse(entry: dict) -> ExampleSet:
    matches = ", ".join(f"{question}-{answer}" for question, answer in entry.get("matches", ()))
    return ExampleSet(
        entry["id"], entry["title"], entry["teaches"], tuple(entry["questions"]), tuple(entry["answers"]), matches
    )
