"""Form: what stands in the lab's widgets, and the one place that parses and checks what the page sends of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from demo.domain.datamodels import LAST_LAYER, READING_FIELDS, Pooling, Postprocess, Prompt, Reference, Served
from demo.domain.errors import UnknownChoice
from demo.figures.similarity import SCALES

PROMPT_BOXES = {"task": Prompt.E5_INSTRUCT, "template": Prompt.CUSTOM}  # boxes that only one prompt needs
CHOICES = {
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
            elif name not in CHOICES:
                checked[name] = value if isinstance(value, str) else ""
            elif value in CHOICES[name]:
                checked[name] = value
            elif value not in (None, ""):
                accepted = ", ".join(CHOICES[name])
                raise UnknownChoice(field=name, value=str(value)[:80], kind=name, accepted=accepted)
        checked["model"] = checked["model"].strip()
        return cls(**checked)

    @classmethod
    def from_widgets(cls, values: Sequence[Any]) -> Form:
        """From the values of `Widgets.choices`, in the order of FORM_FIELDS. Raises UnknownChoice."""
        return cls.parse(dict(zip(FORM_FIELDS, values, strict=True)))

    @property
    def texts(self) -> dict[str, str]:
        """Both boxes of texts and their matching pairs, as the lab takes them."""
        return {"questions": self.questions, "answers": self.answers, "matches": self.matches}

    @property
    def reading(self) -> dict[str, Any]:
        """The reading, as the lab takes it."""
        return {name: getattr(self, name) for name in ("model", *READING_FIELDS)}

    @property
    def subject(self) -> dict[str, Any]:
        """Texts and reading: what a view's figures are the answer to."""
        return {**self.texts, **self.reading}

    @property
    def signed(self) -> bool:
        """Whether cosines below zero are usual: then the fixed colours run from −1."""
        return self.postprocess != Postprocess.NONE.value


FORM_FIELDS = tuple(field.name for field in fields(Form))


@dataclass(frozen=True)
class LiveRequest:
    """The body of a live request, unchecked but for its shape. The server itself remembers nothing of a page."""

    form: Mapping[str, Any]
    model: str  # the model in use; "" before the page's first answer
    linked: Mapping[str, Any]  # the reading of a link or another tab, until its model is loaded
    drawn: bool  # whether the page has a figure
    permit: str  # a model whose big download was said yes to
    link: str | None  # the address's fragment, until the page's first answer
    cancel: str = ""  # a model that this page does not want any more, while it is loaded

    @classmethod
    def parse(cls, body: Any) -> LiveRequest:
        """From JSON of any kind; what has another type than it should counts as missing."""
        body = body if isinstance(body, Mapping) else {}
        names = ("form", "model", "linked", "permit", "link", "cancel")
        form, model, linked, permit, link, cancel = map(body.get, names)
        return cls(
            form=form if isinstance(form, Mapping) else {},
            model=model if isinstance(model, str) else "",
            linked=linked if isinstance(linked, Mapping) else {},
            drawn=body.get("drawn") is True,
            permit=permit if isinstance(permit, str) else "",
            link=link if isinstance(link, str) else None,
            cancel=cancel if isinstance(cancel, str) else "",
        )
