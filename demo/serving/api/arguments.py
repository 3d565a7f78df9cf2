"""What a program asked: JSON that may hold anything → a lab's arguments. Knows no protocol.

The lab checks what the values mean; here it is checked that they are of a kind that it can check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from demo.domain.errors import BadInput, UnknownChoice

READING_FIELDS = ("prompt", "pooling", "layer", "eos", "postprocess", "reference", "task", "template")


def asked_texts(value: Any, box: str) -> str | list[str]:
    """A list of texts, or one string with a text a line. Raises BadInput."""
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    raise BadInput(field=box, problem=f"The {box} are not texts. Accepted: a list of texts, or one with a text a line.")


def asked_matches(value: Any) -> str | list | None:
    """Which answer belongs to which question, in either form. Raises BadInput."""
    if value is None or isinstance(value, str | list):
        return value
    raise BadInput(field="matches", problem='The matches are not pairs. Accepted: "1-2, 2-1" or [[1, 2], [2, 1]].')


def asked_word(value: Any, field: str) -> str | None:
    """A name; None where nothing was said. Raises UnknownChoice."""
    if value is None or isinstance(value, str):
        return value or None
    raise UnknownChoice(field=field, value=str(value)[:80], kind=field, accepted="a name, as a text")


def asked_reading(told: Mapping[str, Any]) -> dict[str, Any]:
    """The model and the fields of a reading, as the lab takes them. Raises UnknownChoice."""
    layer = told.get("layer")
    if isinstance(layer, bool | list | dict):
        raise UnknownChoice(field="layer", value=str(layer)[:80], kind="layer", accepted="a whole number")
    words = {name: asked_word(told.get(name), name) for name in ("model", *READING_FIELDS) if name not in _NO_WORDS}
    return {**words, "layer": layer, "eos": told.get("eos")}


def refuse_unknown(told: Mapping[str, Any], accepted: tuple[str, ...]) -> None:
    """A misspelt name must not look as if it had been heard. Raises BadInput."""
    for name in told:
        if name not in accepted:
            problem = f"“{name[:80]}” is not a field of this request. Accepted: {', '.join(accepted)}."
            raise BadInput(field=name[:80], problem=problem)


_NO_WORDS = ("layer", "eos")
