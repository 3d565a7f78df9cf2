"""Presets: readings by name, and the slots of the Compare tab that hold them. Knows no widget and no lab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import LAST_LAYER, Kind, ModelInfo, ModelStatus, Pooling, Postprocess, Prompt

CURRENT = "A"  # the reading that stands in the lab's own widgets
LETTERS = ("B", "C", "D")
OWN, KEPT = "own", "kept"
BASELINE_MODEL = "all-minilm-l6-v2"

# Readings by name; an option that is not named is the model's default. Sources: Prompt's docstring.
PRESETS: dict[str, dict[str, Any]] = {
    OWN: {},
    "article": {"prompt": Prompt.CHAT.value, "pooling": Pooling.LAST_TOKEN_LOGITS.value},
    "mean": {"prompt": Prompt.PLAIN.value, "pooling": Pooling.MEAN.value},
    "last_token": {"prompt": Prompt.PLAIN.value, "pooling": Pooling.LAST_TOKEN.value},
    "prompteol": {"prompt": Prompt.PROMPTEOL.value, "pooling": Pooling.LAST_TOKEN.value},
    "prompteol_zscore": {
        "prompt": Prompt.PROMPTEOL.value,
        "pooling": Pooling.LAST_TOKEN.value,
        "postprocess": Postprocess.ZSCORE.value,
    },
    "echo": {"prompt": Prompt.ECHO.value, "pooling": Pooling.MEAN.value},
    "e5_instruct": {"prompt": Prompt.E5_INSTRUCT.value, "pooling": Pooling.LAST_TOKEN.value, "eos": True},
}
_BARE = {"layer": LAST_LAYER, "eos": False, "postprocess": Postprocess.NONE.value}


def preset_options(preset: str, info: ModelInfo | None = None) -> dict[str, Any]:
    """A reading of PRESETS as the lab takes it. info: the model, which OWN alone needs."""
    if preset == OWN:
        return {"eos": bool(info and info.default_reading.eos)}
    return {**_BARE, **PRESETS[preset]}


@dataclass(frozen=True)
class Slot:
    """One reading beside the current one."""

    model: str
    preset: str  # a name of PRESETS, or KEPT
    kept: tuple[tuple[str, Any], ...] = ()  # for KEPT: the reading's options, as the lab takes them
    serial: int = 0  # increases with every change of a slot; 0: as the tab chose it
    chosen: bool = False  # whether somebody chose the reading; else another model comes with its own

    def options(self, info: ModelInfo | None = None) -> dict[str, Any]:
        """The reading as the lab takes it. info: the model, which OWN alone needs."""
        return dict(self.kept) if self.preset == KEPT else preset_options(self.preset, info)


Slots = dict[str, Slot]  # by letter; never none, and replaced rather than changed


def first_slots(
    statuses: Sequence[ModelStatus], model: str, base: str = "", reading: Mapping[str, Any] | None = None
) -> Slots:
    """The tab's slots until somebody changes one; never the reading in use. Beside a tuned model stands the model that
    it was made of; beside a GPT the same after contrastive tuning, as in the article, else an embedding model as a
    baseline; beside that a GPT; else the same model in another reading.

    model, base, reading: in use; base: what the model was made of, as far as that is no model of the list.
    """
    offered = [status for status in statuses if status.state != "unavailable"]
    entry = CATALOG.get(model)
    made_of = base or (entry.base if entry else "")
    tuned = next((entry.id for entry in CATALOG.values() if entry.base == model), "")
    gpt = next((status.model for status in offered if status.kind is Kind.GPT), "")
    names = {status.model for status in offered} - {model}
    for other in (made_of, tuned, BASELINE_MODEL, gpt):
        if other in names:
            return {LETTERS[0]: Slot(other, OWN)}
    preset = next(name for name in ("prompteol", "mean") if preset_of(reading or {}) != name)
    return {LETTERS[0]: Slot(model, preset)}


def untouched(slots: Slots) -> bool:
    """Whether nobody has changed the slots, so that they follow the model in use."""
    return list(slots) == [LETTERS[0]] and not slots[LETTERS[0]].serial


def preset_of(reading: Mapping[str, Any]) -> str:
    """The preset that a reading's options are, by name; "" for none. reading: its last layer as LAST_LAYER."""
    named = (name for name in PRESETS if name != OWN)
    return next((name for name in named if preset_options(name).items() <= reading.items()), "")


def change_slot(slots: Slots, letter: str, **changes: Any) -> Slots:
    """Another model or preset in a slot. A model comes with its own reading, until somebody has chosen one."""
    if letter not in slots:
        return slots
    if "preset" in changes:
        changes["chosen"] = True
    elif not slots[letter].chosen:
        changes["preset"] = OWN
    return {**slots, letter: replace(slots[letter], serial=next_serial(slots), **changes)}


def add_slot(slots: Slots, model: str, kept: dict[str, Any] | None = None, reading: str = "") -> Slots:
    """The first free letter takes the kept reading, else the first preset in which this model is not shown yet.

    reading: the preset of the model in use that is shown as A.
    """
    free = next((letter for letter in LETTERS if letter not in slots), None)
    if free is None:
        return slots
    used = {slot.preset for slot in slots.values() if slot.model == model} | {OWN, "article", reading}
    preset = KEPT if kept is not None else next(name for name in ("prompteol", *PRESETS) if name not in used)
    slot = Slot(model, preset, tuple((kept or {}).items()), next_serial(slots), kept is not None)
    more = {**slots, free: slot}
    return {letter: more[letter] for letter in LETTERS if letter in more}


def remove_slot(slots: Slots, letter: str) -> Slots:
    """The slots without one letter; the last slot stays, and the others keep their letters."""
    return {name: slot for name, slot in slots.items() if name != letter} or slots


def pairs(letters: Sequence[str]) -> list[str]:
    """The differences between readings: "BA" is B − A."""
    return [b + a for i, a in enumerate(letters) for b in letters[i + 1 :]]


def next_serial(slots: Slots) -> int:
    """A number that no slot has had."""
    return 1 + max(slot.serial for slot in slots.values())
