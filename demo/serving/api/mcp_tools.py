"""What an assistant can call: tools with what they take, what they give and what they are for. Knows no protocol.

An answer is a text that an assistant reads, and the same as data for a program that it writes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from demo.domain.datamodels import Comparison, Pooling, Postprocess, Prompt, Reference, Role
from demo.domain.errors import BadInput, DemoError
from demo.lab import Lab
from demo.serving.api.arguments import READING_FIELDS, asked_matches, asked_reading, asked_texts, refuse_unknown
from demo.serving.api.embeddings import embed_texts
from demo.stages.resolve_reading import parse_choice
from demo.stages.texts import parse_texts

_MOST_SHOWN = 400  # cells of a matrix in words
_MOST_NUMBERS = 2**16  # of embeddings: an assistant has to read them
_CUT = 60  # characters of a text in a matrix's legend

INSTRUCTIONS = (
    "A lab for the question whether GPTs are good embedding models. A reading says how a text's vector is read out of "
    "a language model: model, prompt, pooling, layer, post-processing. `compare` embeds questions and answers under a "
    "reading and says how well right pairs are told from wrong ones; `embed` gives the vectors; `list_models` and "
    "`describe_readings` say what can be chosen. What is not said is the model's own default reading."
)
Answer = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Tool:
    """One thing to call. properties: JSON schema of each argument; gives: of each part of the answer's data."""

    name: str
    title: str
    description: str
    answer: Callable[[Lab, Mapping[str, Any]], Answer]
    properties: Mapping[str, Any]
    gives: Mapping[str, Any]
    required: tuple[str, ...] = ()

    @property
    def input_schema(self) -> dict[str, Any]:
        return _object(self.properties, self.required)

    @property
    def output_schema(self) -> dict[str, Any]:
        return {**_object(self.gives, tuple(self.gives)), "additionalProperties": True}

    def ask(self, lab: Lab, arguments: Mapping[str, Any]) -> Answer:
        """Raises DemoError, whatever the arguments are."""
        refuse_unknown(arguments, tuple(self.properties))
        for name in self.required:
            if arguments.get(name) is None:
                raise BadInput(field=name, problem=f"“{name}” is missing: {self.properties[name]['description']}")
        return self.answer(lab, arguments)


def explain_refusal(error: DemoError) -> str:
    """An error as an assistant can act on it: the argument, what was wrong, what is accepted."""
    return f"{error.field}: {error}" if error.field else str(error)


def _compare(lab: Lab, told: Mapping[str, Any]) -> Answer:
    comparison = lab.compare(
        asked_texts(told["questions"], "questions"),
        asked_texts(told["answers"], "answers"),
        **asked_reading(told),
        matches=asked_matches(told.get("matches")),
    )
    return _tell_comparison(comparison), comparison.to_dict()


def _embed(lab: Lab, told: Mapping[str, Any]) -> Answer:
    role = parse_choice(Role, told.get("role") or Role.ANSWER.value, "role")
    texts = told["texts"]
    texts = parse_texts([texts] if isinstance(texts, str) else asked_texts(texts, "texts"), "texts", lab.limits)
    chosen = asked_reading({**told, "reference": told.get("reference") or Reference.CORPUS.value})
    embeddings = embed_texts(lab, texts, role, chosen, _MOST_NUMBERS)
    count, dim = embeddings.vectors.shape
    text = f"{count:,} × {dim:,} numbers under {embeddings.reading.label()}; they stand in the structured content."
    return text, {"embeddings": embeddings.vectors.tolist(), "reading": embeddings.reading.to_dict()}


def _list_models(lab: Lab, told: Mapping[str, Any]) -> Answer:
    lines, models = [], []
    for status in lab.models():
        reading = status.default_reading
        label = f"; by default {reading.label().partition(' · ')[2]}" if reading else ""
        state = f"{status.state}: {status.reason}" if status.reason else status.state
        size = f"{status.parameters / 1e6:,.0f} M parameters, {status.n_layers} layers, {status.licence}"
        where = f"texts are sent to {status.host}" if status.host else size
        lines.append(f"{status.model}: {status.name}, {status.kind.value}, {where}{label} ({state})")
        models.append(
            {
                "model": status.model,
                "name": status.name,
                "kind": status.kind.value,
                "parameters": status.parameters,
                "layers": status.n_layers,
                "licence": status.licence,
                "state": status.state,
                "reason": status.reason,
                "default_reading": reading.to_dict() if reading else None,
            }
        )
    return "\n".join(lines), {"models": models}


def _describe_readings(lab: Lab, told: Mapping[str, Any]) -> Answer:
    kinds = {"prompt": Prompt, "pooling": Pooling, "postprocess": Postprocess, "reference": Reference, "role": Role}
    choices = {name: describe_members(kind) for name, kind in kinds.items()}
    choices["layer"] = {"layer": _READING["layer"]["description"]}
    lines = []
    for name, kind in kinds.items():
        lines += ["", f"{name}: {_purpose(kind)}", *(f"- {value}: {what}" for value, what in choices[name].items())]
    lines += ["", f"layer: {choices['layer']['layer']}"]
    return "\n".join(lines).strip(), {"choices": choices}


def describe_members(kind: type[Enum]) -> dict[str, str]:
    """What each member of a closed choice means, out of the enum's docstring."""
    said = inspect.getdoc(kind) or ""
    found = dict(re.findall(r"^(\w+): (.+(?:\n {4}.+)*)", said, flags=re.MULTILINE))
    return {member.value: re.sub(r"\s+", " ", found.get(member.value, "")) for member in kind}


def _purpose(kind: type[Enum]) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _tell_comparison(comparison: Comparison) -> str:
    numbers, label = comparison.metrics, comparison.reading.label()
    rows, columns = comparison.similarity.shape
    lines = [f"Cosine similarity under {label}:"]
    if rows * columns <= _MOST_SHOWN:
        lines.append(f"{'':4}" + "".join(f"{f'A{j + 1}':>7} " for j in range(columns)).rstrip())
        for i, row in enumerate(comparison.similarity):
            marks = ["*" if (i, j) in comparison.pairing.matches else " " for j in range(columns)]
            cells = (f"{value:7.3f}{mark}" for value, mark in zip(row, marks, strict=True))
            lines.append(f"{f'Q{i + 1}':4}" + "".join(cells).rstrip())
        lines.append("* belongs together.")
        lines += [f"Q{i + 1}: {_cut(text)}" for i, text in enumerate(comparison.questions)]
        lines += [f"A{j + 1}: {_cut(text)}" for j, text in enumerate(comparison.answers)]
    else:
        lines.append(f"{rows:,} × {columns:,} cells, in the structured content.")
    told = {
        "mean of matching pairs": numbers.matching_mean,
        "mean of other pairs": numbers.other_mean,
        "margin": numbers.margin,
        "ROC AUC (.5 is chance)": numbers.auc,
    }
    said = [f"{name} {value:.4f}" for name, value in told.items() if value is not None]
    if numbers.found_first is not None:
        said.append(f"{numbers.found_first} of {numbers.n_matched} questions find their answer first")
    return "\n".join([*lines, "; ".join(said) + ".", *comparison.notices])


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CUT else line[: _CUT - 1] + "…"


def _object(properties: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required), "additionalProperties": False}


def _strings(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "minItems": 1, "description": description}


def _choice(kind: type[Enum], more: str = "") -> dict[str, Any]:
    return {
        "type": "string",
        "enum": [member.value for member in kind],
        "description": f"{_purpose(kind)}{more} `describe_readings` explains each.",
    }


_DEFAULT = " Without it, the model's own default."
_READING = {
    "model": {
        "type": "string",
        "description": "An id from `list_models`; where the host allows it, a Hub id or a folder with weights.",
    },
    "prompt": _choice(Prompt, _DEFAULT),
    "pooling": _choice(Pooling, _DEFAULT),
    "layer": {
        "type": "integer",
        "description": "The layer to read: 0 is the token embeddings, -1 the last one, -2 the one before it.",
    },
    "eos": {"type": "boolean", "description": "Append the end-of-sequence token, and let it be pooled."},
    "postprocess": _choice(Postprocess, _DEFAULT),
    "reference": _choice(Reference),
    "task": {"type": "string", "description": "With prompt e5_instruct: what the questions are asked for."},
    "template": {"type": "string", "description": "With prompt custom: what the model reads, with {text} in it."},
}
assert set(_READING) == {"model", *READING_FIELDS}
_NUMBERS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}

TOOLS = (
    Tool(
        name="compare",
        title="Compare questions with answers",
        description="Cosine similarity of every question with every answer under a reading of a language model, and "
        "how well right pairs are told from wrong ones: means, margin, ROC AUC, how many find their answer first.",
        answer=_compare,
        properties={
            "questions": _strings("The rows: one text each."),
            "answers": _strings("The columns: one text each."),
            "matches": {
                "type": "array",
                "items": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
                "description": "Which answer belongs to which question, [[question, answer], …], counted from 1. "
                "Without it the first answer belongs to the first question, and so on.",
            },
            **_READING,
        },
        gives={
            "similarity": {**_NUMBERS, "description": "A row for each question, a column for each answer."},
            "metrics": {"type": "object"},
            "reading": {"type": "object"},
            "provenance": {"type": "object", "description": "Model, revision, precision, device, versions."},
        },
        required=("questions", "answers"),
    ),
    Tool(
        name="embed",
        title="Embed texts",
        description="The vectors of texts under a reading of a language model. Post-processing is fitted on a fixed "
        "corpus, unless `reference` says otherwise, so that a vector does not depend on its company.",
        answer=_embed,
        properties={
            "texts": _strings("One vector each."),
            "role": _choice(Role, " Answer without it."),
            **_READING,
        },
        gives={"embeddings": {**_NUMBERS, "description": "A row for each text."}, "reading": {"type": "object"}},
        required=("texts",),
    ),
    Tool(
        name="list_models",
        title="List the models",
        description="The models one can choose, what each was trained for, its default reading, and whether this "
        "machine can run it.",
        answer=_list_models,
        properties={},
        gives={"models": {"type": "array", "items": {"type": "object"}}},
    ),
    Tool(
        name="describe_readings",
        title="Explain the readings",
        description="What each prompt, pooling, post-processing and layer does, and which paper it comes from.",
        answer=_describe_readings,
        properties={},
        gives={"choices": {"type": "object"}},
    ),
)
