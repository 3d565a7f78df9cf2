"""Form: what stands in the lab's widgets, and the one place that parses and checks what the page sends of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Prompt, Reference, Served
from demo.domain.errors import UnknownChoice
from demo.figures.similarity import SCALES

# As the pipeline goes.
READING = ("model", "prompt", "task", "template", "eos", "pooling", "layer", "postprocess", "reference")
_CHOICES = {
    "prompt": [choice.value for choice in Prompt],
    "pooling": [choice.value for choice in (*Pooling, *Served)],
    "postprocess": [choice.value for choice in Postprocess],
    "reference": [choice.value for choice in Reference],
    "scale": list(SCALES),
}


@dataclass(frozen=True)
class Form:
    """Texts, reading and colour scale. An empty model means the model in use."""

    questions: str = ""
    answers: str = ""
    matches: str = ""
    model: str = ""
    prompt: str = Prompt.PLAIN.value
    task: str = ""
    template: str = ""
    eos: bool = False
    pooling: str = Pooling.LAST_TOKEN.value
    layer: int = LAST_LAYER
    postprocess: str = Postprocess.NONE.value
    reference: str = Reference.TEXTS.value
    scale: str = "fit"

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Form:
        """From unchecked values by field name; what is missing or empty takes its default. Raises UnknownChoice."""
        checked: dict[str, Any] = {}
        for name in FORM_FIELDS:
            value = values.get(name)
            if name == "eos":
                checked[name] = value is True
            elif name == "layer":
                is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6
                checked[name] = int(value) if is_number else LAST_LAYER
            elif name not in _CHOICES:
                checked[name] = value if isinstance(value, str) else ""
            elif value in _CHOICES[name]:
                checked[name] = value
            elif value not in (None, ""):
                accepted = ", ".join(_CHOICES[name])
                raise UnknownChoice(field=name, value=str(value)[:80], kind=name, accepted=accepted)
        checked["model"] = checked["model"].strip()
        return cls(**checked)

    @classmethod
    def from_widgets(cls, values: Sequence[Any]) -> Form:
        """From the values of `Widgets.choices`, in the order of FORM_FIELDS. Raises UnknownChoice."""
        return cls.parse(dict(zip(FORM_FIELDS, values, strict=True)))

    def with_news(self, due: dict[str, dict[str, Any]], refused: str = "") -> Form:
        """With the values that the page is still to be told: it asked before it had them. refused: a model."""
        values = {name: news["value"] for name, news in due.items() if "value" in news and name in FORM_FIELDS}
        if refused and self.model == refused:
            values.pop("model", None)
        return replace(self, **values)

    @property
    def reading(self) -> dict[str, Any]:
        """The reading, as the lab takes it."""
        return {name: getattr(self, name) for name in READING}

    @property
    def signed(self) -> bool:
        """Whether cosines below zero are usual: then the fixed colours run from −1."""
        return self.postprocess != Postprocess.NONE.value


FORM_FIELDS = tuple(field.name for field in fields(Form))


def parse_shown(said: Any) -> tuple[int, int]:
    """`seq=5&settled=2`, as page.js says it → which answer and which news the page has; zeros before the first one."""
    found = re.fullmatch(r"seq=([0-9]{1,9})&settled=([0-9]{1,9})", said) if isinstance(said, str) else None
    return (int(found[1]), int(found[2])) if found else (0, 0)
