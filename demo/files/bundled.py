"""Bundled data: the benchmark's labelled sets, the reference corpus and the training pairs, read from examples/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from demo.domain.example_files import EXAMPLES
from demo.domain.recipe import Pair, TrainingSet
from demo.domain.results import LabelledSet

_LANGUAGES = ("en", "ko")


@lru_cache(maxsize=1)
def load_benchmark() -> dict[str, LabelledSet]:
    """All sets by id: "astronomy-en", … in the subjects' order, then "all-en" and "all-ko".

    The candidates of a question are all answers and distractors of its subject and language, in the "all" sets too.
    """
    subjects = _subjects()
    single = [
        _labelled(f"{subject['id']}-{language}", [subject["sets"][language]])
        for subject in subjects
        for language in _LANGUAGES
    ]
    whole = [
        _labelled(f"all-{language}", [subject["sets"][language] for subject in subjects]) for language in _LANGUAGES
    ]
    return {labelled.name: labelled for labelled in (*single, *whole)}


@lru_cache(maxsize=1)
def load_titles() -> dict[str, dict[str, str]]:
    """The subjects' titles by subject and language, in the subjects' order."""
    return {subject["id"]: subject["title"] for subject in _subjects()}


@lru_cache(maxsize=1)
def load_reference() -> tuple[str, ...]:
    """Varied texts on which centring, z-scoring or whitening can be fitted: English, then Korean."""
    corpus = _read(EXAMPLES / "reference.json")
    return tuple(text for language in _LANGUAGES for text in corpus[language])


@lru_cache(maxsize=1)
def load_training() -> dict[str, TrainingSet]:
    """The lab's own pairs to train on, by name: question, answer, and an answer that looks right and is wrong."""
    return {
        path.stem: TrainingSet(
            path.stem,
            tuple(Pair(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line),
        )
        for path in sorted((EXAMPLES / "training").glob("*.jsonl"))
    }


def _subjects() -> list[dict]:
    return sorted(map(_read, (EXAMPLES / "benchmark").glob("*.json")), key=lambda subject: subject["order"])


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _labelled(name: str, groups: Sequence[dict]) -> LabelledSet:
    """Each question of a group against every answer and distractor of its own group; its own answer is right."""
    questions: list[str] = []
    answers: list[str] = []
    pairs: list[tuple[int, int]] = []
    labels: list[float] = []
    for group in groups:
        candidates = [answer for _, answer in group["pairs"]] + [text for _, text in group["distractors"]]
        for own, (question, _) in enumerate(group["pairs"]):
            pairs += [(len(questions), len(answers) + place) for place in range(len(candidates))]
            labels += [float(place == own) for place in range(len(candidates))]
            questions.append(question)
        answers += candidates
    return LabelledSet(name, tuple(questions), tuple(answers), tuple(pairs), tuple(labels))
