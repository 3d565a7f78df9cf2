"""Chosen texts: those of the boxes, or what fits of the page's file, as the lab compares texts. Knows no widget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from demo.files.pairing import PairingLimits, pair_portion
from demo.lab import Lab
from demo.ui.page_file.bar import FILE
from demo.ui.page_file.registry import LIMITS, PAGE_FILES, PageFile
from demo.ui.page_file.text import note_part, render_part


@dataclass(frozen=True)
class ChosenTexts:
    """Texts that a tab follows. key: another one for other texts. boxes: those of them that stand in the lab's form."""

    texts: Mapping[str, Any]  # questions, answers, matches, as the lab takes them
    key: tuple
    boxes: Mapping[str, str]


def choose_texts(lab: Lab, page: str, source: str, boxes: Mapping[str, str]) -> ChosenTexts:
    """The texts that a tab's `source` names. page: its id. Raises BadInput."""
    if source != FILE:
        return ChosenTexts(boxes, tuple(boxes.values()), boxes)
    file = PAGE_FILES.get(page)
    if file is None:
        raise LIMITS.refuse("No file is open: choose one, or drop it anywhere on this page.", accepted=False)
    pairing, _ = _part(lab, file)
    matches = [[question + 1, answer + 1] for question, answer in sorted(pairing.matches)]
    return ChosenTexts(
        {"questions": pairing.questions, "answers": pairing.answers, "matches": matches}, (file.serial,), {}
    )


def render_chosen(language: str, lab: Lab, page: str, source: str) -> str:
    """What is taken of the file; nothing of the boxes."""
    if source != FILE:
        return ""
    return render_part(
        language, PAGE_FILES.get(page), lambda file: note_part(language, file, _part(lab, file)[1].notices)
    )


def _part(lab: Lab, file: PageFile) -> tuple:
    limits = lab.limits
    most = PairingLimits(texts=limits.texts, characters=limits.characters, cells=limits.cells)
    return file.part("chosen", lambda file: pair_portion(file.table, file.columns, most, file.drawn))
