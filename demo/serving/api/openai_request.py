"""A request for embeddings in OpenAI's form: its JSON, or a model's name with a reading in it → what is asked for.

The reading stands in the body beside OpenAI's own fields, or in the model's name, for tools that let one set nothing
else: `smollm2-135m-instruct?prompt=prompteol&pooling=last_token&postprocess=zscore`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from demo.domain.datamodels import Reference, Role
from demo.domain.errors import BadInput, ReadingRefused, UnknownChoice
from demo.serving.api.arguments import READING_FIELDS, asked_reading, asked_word, refuse_unknown
from demo.stages.resolve_reading import parse_choice
from demo.stages.texts import Limits, parse_texts

_OWN_FIELDS = (*READING_FIELDS, "role", "normalize")
_FIELDS = ("input", "model", "encoding_format", "dimensions", "user", *_OWN_FIELDS)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class EmbeddingRequest:
    """What is asked for, with every field checked that can be checked without a model."""

    name: str  # the model as it was named, its reading included
    texts: tuple[str, ...]
    role: Role
    chosen: dict[str, Any]  # model and reading, for the lab
    normalize: bool  # divide each vector by its length
    dimensions: int | None
    base64: bool  # float32, little endian; else JSON numbers

    @property
    def model(self) -> str | None:
        return self.chosen["model"]


def load_json(body: bytes) -> Any:
    """JSON as the standard has it. Raises BadInput."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, NaN, endless digits, too deep
        raise BadInput(problem="The body is not JSON that can be read here. A JSON object is accepted.") from error


def parse_request(told: Any, limits: Limits) -> EmbeddingRequest:
    """A request out of its JSON. Raises BadInput and its kin, with the field that caused it."""
    if not isinstance(told, dict):
        raise BadInput(problem='The body is not a JSON object. Accepted: {"model": …, "input": …}.')
    refuse_unknown(told, _FIELDS)
    name = asked_word(told.get("model"), "model") or ""
    model, reading = split_model(name)
    for field in reading:
        if told.get(field) is not None:
            raise BadInput(field=field, problem=f"“{field}” is said twice: in the model's name and beside it.")
    told = {**told, **reading, "model": model}
    chosen = asked_reading(told)
    if chosen["reference"] not in (None, Reference.CORPUS.value):
        raise UnknownChoice(
            field="reference",
            value=chosen["reference"][:80],
            kind="reference here, where a vector must not depend on the texts that happen to be sent with it",
            accepted=Reference.CORPUS.value,
        )
    encoding = told.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise UnknownChoice(
            field="encoding_format", value=str(encoding)[:80], kind="encoding_format", accepted="float, base64"
        )
    return EmbeddingRequest(
        name=name,
        texts=_texts(told.get("input"), limits),
        role=parse_choice(Role, told.get("role") or Role.ANSWER.value, "role"),
        chosen={**chosen, "reference": Reference.CORPUS.value},
        normalize=_flag(told.get("normalize"), "normalize"),
        dimensions=_dimensions(told.get("dimensions")),
        base64=encoding == "base64",
    )


def split_model(name: str) -> tuple[str, dict[str, Any]]:
    """A model's name as (model, reading): `MODEL?pooling=mean&eos=true`. Raises BadInput."""
    model, _, query = name.partition("?")
    try:
        pairs = parse_qsl(query, strict_parsing=True, max_num_fields=len(_OWN_FIELDS)) if query else []
    except ValueError as error:
        problem = f"“{name[:80]}” names no reading. Accepted: MODEL?prompt=…&pooling=…, with {', '.join(_OWN_FIELDS)}."
        raise BadInput(field="model", problem=problem) from error
    reading: dict[str, Any] = dict(pairs)
    refuse_unknown(reading, _OWN_FIELDS)
    for field in ("eos", "normalize"):
        if field in reading:
            reading[field] = _FLAGS.get(reading[field].lower(), reading[field])
    return model, reading


def refuse_dimensions(asked: EmbeddingRequest, width: int, nested: bool, model: str) -> None:
    """Raises ReadingRefused where the beginning of a vector is not a vector of its own.

    nested: the model was trained for it (Matryoshka, arXiv 2205.13147), and is read as it was trained.
    """
    if asked.dimensions in (None, width) or (nested and asked.dimensions < width):
        return
    why = "this model was not trained for shorter ones" if asked.dimensions < width else "there are no more"
    if nested:
        why = "it was trained for shorter ones, not for longer ones"
    raise ReadingRefused(
        field="dimensions", model=model, reason=f"its vectors have {width:,} dimensions, and {why}.", instead=width
    )


def _texts(value: Any, limits: Limits) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise BadInput(field="input", problem="There is no text in the input. Accepted: a text, or a list of texts.")
    for place, text in enumerate(texts, start=1):
        if isinstance(text, int | list):
            raise BadInput(
                field="input",
                problem="The input holds token ids, and every model of this lab has a tokenizer of its own. Accepted: "
                "texts. (LangChain sends texts with check_embedding_ctx_length=False.)",
            )
        if isinstance(text, str) and not text.strip():
            raise BadInput(field="input", problem=f"Text {place:,} of the input is empty. Texts are accepted.")
    return parse_texts(texts, "texts", limits)


def _flag(value: Any, name: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise UnknownChoice(field=name, value=str(value)[:80], kind=name, accepted="true, false")


def _dimensions(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise UnknownChoice(
        field="dimensions", value=str(value)[:80], kind="number of dimensions", accepted="1, 2, 3 and so on"
    )
