"""MCP tools: name, purpose, input and output of each, and its function over the lab. Knows no protocol.

A result is a text that an assistant reads, and the same as structured content for a program that it writes.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from demo.domain.choices import Role
from demo.domain.datamodels import Comparison, Pooling, Postprocess, Prompt, Reference
from demo.domain.errors import BadInput
from demo.lab import Lab
from demo.serving.api.embeddings import embed_texts
from demo.serving.api.request import CompareRequest, EmbedRequest, ReadingRequest, Request, purpose, refuse_unknown
from demo.stages.texts import normalized_notice, parse_texts

_MOST_CELLS = 400  # of a matrix in the text
_MOST_NUMBERS = 2**16  # of embeddings: an assistant has to read them
_LISTS = ("questions", "answers", "texts", "matches")
_CUT = 60  # characters of a text in a matrix's legend

INSTRUCTIONS = (
    "A lab for the question whether GPTs are good embedding models. A reading says how a text's vector is read out of "
    "a language model: model, prompt, pooling, layer, post-processing. `compare` embeds questions and answers under a "
    "reading and says how well right pairs are told from wrong ones; `embed` gives the vectors; `list_models` and "
    "`describe_readings` say what can be chosen. What is not said is the model's own default reading."
)
Result = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Tool:
    """A tool. request: what it takes; output: JSON schema of each part of its structured content."""

    name: str
    title: str
    description: str
    call: Callable[[Lab, Any], Result]
    output: Mapping[str, Any]
    request: type[Request] = Request

    def describe(self) -> dict[str, Any]:
        """Name, texts and JSON schemas, as the protocol lists them."""
        fields, names = dict(self.output), list(self.output)
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "input_schema": self.request.input_schema(),
            "output_schema": {"type": "object", "properties": fields, "required": names, "additionalProperties": True},
        }

    def run(self, lab: Lab, arguments: Mapping[str, Any]) -> Result:
        """Raises DemoError, whatever the arguments are."""
        refuse_unknown(arguments, self.request.accepted())
        for name, field in self.request.model_fields.items():
            if field.is_required() and arguments.get(name) is None:
                raise BadInput(field=name, problem=f"“{name}” is missing: {field.description}")
        arguments = {name: _decode(name, value) for name, value in arguments.items()}
        return self.call(lab, self.request.model_validate(arguments))


def _decode(name: str, value: Any) -> Any:
    """A list that a client wrote as a JSON string, as several do; the schemas ask for lists. Raises BadInput."""
    if name not in _LISTS or not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    try:
        decoded = json.loads(value)
    except (ValueError, RecursionError) as error:
        problem = f"“{name}” is a text that begins like a JSON list and is none. A list is accepted."
        raise BadInput(field=name, problem=problem) from error
    return decoded


def _compare(lab: Lab, request: CompareRequest) -> Result:
    comparison = lab.compare(request.questions, request.answers, matches=request.matches, **request.reading)
    return _describe_comparison(comparison), comparison.to_dict()


def _embed(lab: Lab, request: EmbedRequest) -> Result:
    given = [request.texts] if isinstance(request.texts, str) else request.texts
    texts = parse_texts(given, "texts", lab.limits)
    reading = {**request.reading, "reference": request.reference or Reference.CORPUS.value}
    embeddings = embed_texts(lab, texts, request.role, reading, _MOST_NUMBERS, request.truncate is not False)
    count, dim = embeddings.vectors.shape
    text = f"{count:,} × {dim:,} numbers under {embeddings.reading.label()}; they stand in the structured content."
    notices = [*normalized_notice(given, "texts"), *embeddings.notices]
    return "\n".join([text, *notices]), {
        "embeddings": embeddings.vectors.tolist(),
        "reading": embeddings.reading.to_dict(),
        "truncated": list(embeddings.truncated),
        "notices": notices,
    }


def _list_models(lab: Lab, request: Request) -> Result:
    lines, models = [], []
    for status in lab.models():
        reading = status.default_reading
        label = f"; by default {reading.label().partition(' · ')[2]}" if reading else ""
        state = f"{status.state}: {status.reason}" if status.reason else status.state
        size = f"{status.parameters / 1e6:,.0f} M parameters, {status.n_layers} layers, {status.licence}"
        where = f"texts are sent to {status.host}" if status.host else size
        lines.append(f"{status.model}: {status.name}, {status.kind.value}, {where}{label} ({state})")
        model = {name: getattr(status, name) for name in ("model", "name", "parameters", "licence", "state", "reason")}
        default = reading.to_dict() if reading else None
        models.append({**model, "kind": status.kind.value, "layers": status.n_layers, "default_reading": default})
    return "\n".join(lines), {"models": models}


def _describe_readings(lab: Lab, request: Request) -> Result:
    kinds = {"prompt": Prompt, "pooling": Pooling, "postprocess": Postprocess, "reference": Reference, "role": Role}
    choices = {name: describe_members(kind) for name, kind in kinds.items()}
    choices["layer"] = {"layer": ReadingRequest.model_fields["layer"].description}
    lines = []
    for name, kind in kinds.items():
        lines += ["", f"{name}: {purpose(kind)}", *(f"- {value}: {what}" for value, what in choices[name].items())]
    lines += ["", f"layer: {choices['layer']['layer']}"]
    return "\n".join(lines).strip(), {"choices": choices}


def describe_members(kind: type[Enum]) -> dict[str, str]:
    """Each member's value with its meaning, out of the enum's docstring."""
    meanings = dict(re.findall(r"^(\w+): (.+(?:\n {4}.+)*)", inspect.getdoc(kind) or "", flags=re.MULTILINE))
    return {member.value: re.sub(r"\s+", " ", meanings.get(member.value, "")) for member in kind}


def _describe_comparison(comparison: Comparison) -> str:
    numbers, label = comparison.metrics, comparison.reading.label()
    rows, columns = comparison.similarity.shape
    lines = [f"Cosine similarity under {label}:"]
    if rows * columns <= _MOST_CELLS:
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
    scores = {
        "mean of matching pairs": numbers.matching_mean,
        "mean of other pairs": numbers.other_mean,
        "margin": numbers.margin,
        "ROC AUC (.5 is chance)": numbers.auc,
    }
    sentence = [f"{name} {value:.4f}" for name, value in scores.items() if value is not None]
    if numbers.found_first is not None:
        sentence.append(f"{numbers.found_first} of {numbers.n_matched} questions find their answer first")
    return "\n".join([*lines, "; ".join(sentence) + ".", *comparison.notices])


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CUT else line[: _CUT - 1] + "…"


_NUMBERS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}

TOOLS = (
    Tool(
        name="compare",
        title="Compare questions with answers",
        description="Cosine similarity of every question with every answer under a reading of a language model, and "
        "how well right pairs are told from wrong ones: means, margin, ROC AUC, how many find their answer first.",
        call=_compare,
        request=CompareRequest,
        output={
            "similarity": {**_NUMBERS, "description": "A row for each question, a column for each answer."},
            "metrics": {"type": "object"},
            "reading": {"type": "object"},
            "provenance": {"type": "object", "description": "Model, revision, precision, device, versions."},
        },
    ),
    Tool(
        name="embed",
        title="Embed texts",
        description="The vectors of texts under a reading of a language model. Post-processing is fitted on a fixed "
        "corpus, unless `reference` says otherwise, so that a vector does not depend on its company.",
        call=_embed,
        request=EmbedRequest,
        output={"embeddings": {**_NUMBERS, "description": "A row for each text."}, "reading": {"type": "object"}},
    ),
    Tool(
        name="list_models",
        title="List the models",
        description="The models one can choose, what each was trained for, its default reading, and whether this "
        "machine can run it.",
        call=_list_models,
        output={"models": {"type": "array", "items": {"type": "object"}}},
    ),
    Tool(
        name="describe_readings",
        title="Explain the readings",
        description="What each prompt, pooling, post-processing and layer does, and which paper it comes from.",
        call=_describe_readings,
        output={"choices": {"type": "object"}},
    ),
)
