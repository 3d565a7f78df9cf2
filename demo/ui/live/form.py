"""Asked: what stands in the lab's widgets, as the page sends it, and the one place that checks it. Gradio's own checks
are off: they know only the last answer's choices, and would refuse what was asked before it arrived.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Prompt, Reference, Served
from demo.domain.errors import UnknownChoice
from demo.figures import SCALES
from demo.ui.live.tab import LINKED, READING

_CHOICES = {
    "prompt": [choice.value for choice in Prompt],
    "pooling": [choice.value for choice in (*Pooling, *Served)],
    "postprocess": [choice.value for choice in Postprocess],
    "reference": [choice.value for choice in Reference],
    "scale": list(SCALES),
}


@dataclass(frozen=True)
class Asked:
    """What stands in the widgets, in the order of LINKED."""

    questions: str
    answers: str
    matches: str
    model: str
    prompt: str
    task: str
    template: str
    eos: bool
    pooling: str
    layer: int
    postprocess: str
    reference: str
    scale: str

    @classmethod
    def parse(cls, values: Sequence[Any]) -> Asked:
        """From what the page sends, which nobody has checked yet. Raises UnknownChoice."""
        said = dict(zip((f.name for f in fields(cls)), values, strict=True))
        for name, value in said.items():
            if name in _CHOICES:
                if value not in _CHOICES[name]:
                    accepted = ", ".join(_CHOICES[name])
                    raise UnknownChoice(field=name, value=str(value)[:80], kind=name, accepted=accepted)
            elif name == "eos":
                said[name] = value is True
            elif name == "layer":
                known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6
                said[name] = int(value) if known else LAST_LAYER
            else:
                said[name] = value if isinstance(value, str) else ""
        return cls(**said)

    def with_news(self, due: dict[str, dict[str, Any]], refused: str = "") -> Asked:
        """With the values that the page is still to be told: it asked before it had them. refused: a model."""
        values = {name: news["value"] for name, news in due.items() if "value" in news and name in LINKED}
        if refused and self.model == refused:
            values.pop("model", None)
        return replace(self, **values)

    @property
    def reading(self) -> dict[str, Any]:
        """What the lab takes as a reading."""
        return {name: getattr(self, name) for name in READING}

    @property
    def signed(self) -> bool:
        """Cosines below zero are nothing unusual: the fixed colours run from −1."""
        return self.postprocess != Postprocess.NONE.value


def parse_shown(said: Any) -> tuple[int, int]:
    """`seq=5&settled=2`, as page.js says it → which answer and which news the page has; zeros before the first one."""
    found = re.fullmatch(r"seq=([0-9]{1,9})&settled=([0-9]{1,9})", said) if isinstance(said, str) else None
    return (int(found[1]), int(found[2])) if found else (0, 0)
