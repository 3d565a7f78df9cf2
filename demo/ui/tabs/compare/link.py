"""Slots in a link: the readings beside the lab's own, as JSON. What cannot be used is left aside without a word.

Other tabs bring readings here too. A button that `compare_button` renders fills the slots and opens the tab; so does
a script with `window.lab.compareThese([{model, prompt, pooling, layer, …}, …])` (compare_these.js): one to four objects
of the form's fields, the first of which becomes the reading in use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from demo.domain.datamodels import Reading
from demo.domain.errors import DemoError
from demo.lab import Lab
from demo.ui.kit.i18n import translate
from demo.ui.kit.presets import KEPT, LETTERS, OWN, PRESETS, Slot, Slots
from demo.ui.live.form import Form
from demo.ui.live.open_in_lab import form_values

MOST_COMPARED = 1 + len(LETTERS)
_LONGEST = 8_000  # characters
_LONGEST_MODEL = 300


def compare_button(language: str, lab: Lab, readings: Sequence[Reading]) -> str:
    """HTML of the button "Compare these". readings: one to four; of different models, or of one."""
    first, *others = readings[:MOST_COMPARED]
    said = [form_values(lab, first), *({"model": reading.model, **reading.choices()} for reading in others)]
    label = escape(translate(language, "compare.these"))
    return f'<button type="button" class="compare-these" data-compare="{escape(json.dumps(said))}">{label}</button>'


def dump_slots(slots: Slots) -> str:
    """`[["B", model, preset, {options of a kept reading}], …]`"""
    said = [[letter, slot.model, slot.preset, dict(slot.kept)] for letter, slot in slots.items()]
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def load_slots(text: Any, serial: int = 0) -> Slots:
    """What `dump_slots` wrote, checked; {} where it says nothing. serial: of the first slot."""
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        return {}
    try:
        said = json.loads(text)
        slots = {each[0]: _slot(serial, *each[1:]) for serial, each in enumerate(said, serial)}
    except (ValueError, TypeError, LookupError, RecursionError, DemoError):
        return {}
    return {letter: slots[letter] for letter in LETTERS if letter in slots}


def _slot(serial: int, model: Any, preset: Any, kept: Any) -> Slot:
    """Raises ValueError, TypeError, UnknownChoice."""
    if not isinstance(model, str) or not 0 < len(model.strip()) <= _LONGEST_MODEL or preset not in (*PRESETS, KEPT):
        raise ValueError(preset)
    reading = Form.parse(dict(kept)).reading if preset == KEPT else {}
    options = tuple((name, value) for name, value in reading.items() if name != "model")
    return Slot(model.strip(), preset, options, serial, preset != OWN)
