"""Slots in a link: the readings beside the lab's own, as JSON. What cannot be used is left aside without a word."""

from __future__ import annotations

import json
from typing import Any

from demo.domain.errors import DemoError
from demo.ui.kit.presets import KEPT, LETTERS, PRESETS, Slot, Slots
from demo.ui.live.form import Form

_LONGEST = 8_000  # characters
_LONGEST_MODEL = 300


def dump_slots(slots: Slots) -> str:
    """`[["B", model, preset, {options of a kept reading}], …]`"""
    said = [[letter, slot.model, slot.preset, dict(slot.kept)] for letter, slot in slots.items()]
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def load_slots(text: Any) -> Slots:
    """What `dump_slots` wrote, checked; {} where it says nothing."""
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        return {}
    try:
        said = json.loads(text)
        slots = {each[0]: _slot(serial, *each[1:]) for serial, each in enumerate(said)}
    except (ValueError, TypeError, LookupError, RecursionError, DemoError):
        return {}
    return {letter: slots[letter] for letter in LETTERS if letter in slots}


def _slot(serial: int, model: Any, preset: Any, kept: Any) -> Slot:
    """Raises ValueError, TypeError, UnknownChoice."""
    if not isinstance(model, str) or not 0 < len(model.strip()) <= _LONGEST_MODEL or preset not in (*PRESETS, KEPT):
        raise ValueError(preset)
    reading = Form.parse(dict(kept)).reading if preset == KEPT else {}
    return Slot(
        model.strip(), preset, tuple((name, value) for name, value in reading.items() if name != "model"), serial
    )
