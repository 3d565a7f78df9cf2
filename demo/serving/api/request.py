"""Requests: all that a program may send, as pydantic models that every protocol shares.

`/compare` and `/embed` of Gradio's API, `/v1/embeddings` and the MCP tools validate here, and the tools publish their
JSON schemas from here. These models check types and the names of fields; what a value means is for the lab to check. A
validator raises a DemoError, which pydantic lets through: a caller reads the lab's sentences, never pydantic's.
"""

from __future__ import annotations

import inspect
import json
from enum import Enum
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo, model_validator

from demo.domain.datamodels import Pooling, Postprocess, Prompt, Reference, Role
from demo.domain.errors import BadInput, UnknownChoice
from demo.stages.resolve_reading import parse_choice
from demo.stages.texts import parse_texts

_SHOWN = 80  # characters of a wrong value in a sentence


def _unknown(field: str, value: Any, accepted: str, kind: str = "") -> UnknownChoice:
    return UnknownChoice(field=field, value=str(value)[:_SHOWN], kind=kind or field, accepted=accepted)


def _check_texts(value: Any, info: ValidationInfo) -> str | list[str]:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    box = info.field_name
    raise BadInput(field=box, problem=f"The {box} are not texts. Accepted: a list of texts, or one with a text a line.")


def _check_matches(value: Any) -> str | list | None:
    if value is None or isinstance(value, str | list):
        return value
    raise BadInput(field="matches", problem='The matches are not pairs. Accepted: "1-2, 2-1" or [[1, 2], [2, 1]].')


def _check_name(value: Any, info: ValidationInfo) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise _unknown(info.field_name, value, "a name, as a text")


def _check_layer(value: Any) -> Any:
    if isinstance(value, bool | list | dict):
        raise _unknown("layer", value, "a whole number")
    return value


def _check_role(value: Any) -> Role:
    return parse_choice(Role, value or Role.ANSWER.value, "role")


def _check_corpus(value: Any, info: ValidationInfo) -> str:
    if _check_name(value, info) in (None, Reference.CORPUS.value):
        return Reference.CORPUS.value
    kind = "reference here, where a vector must not depend on the texts that happen to be sent with it"
    raise _unknown("reference", value, Reference.CORPUS.value, kind)


def _check_encoding(value: Any) -> str:
    if (value or "float") in ("float", "base64"):
        return value or "float"
    raise _unknown("encoding_format", value, "float, base64")


def _check_input(value: Any, info: ValidationInfo) -> tuple[str, ...]:
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
    return parse_texts(texts, "texts", info.context)


def _check_normalize(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise _unknown("normalize", value, "true, false")


def _check_dimensions(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise _unknown("dimensions", value, "1, 2, 3 and so on", "number of dimensions")


# The second type of each is the one that JSON schemas show.
_Pair = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)]
_Texts = Annotated[Any, PlainValidator(_check_texts, json_schema_input_type=Annotated[list[str], Field(min_length=1)])]
_Matches = Annotated[Any, PlainValidator(_check_matches, json_schema_input_type=list[_Pair])]
_Name = Annotated[str | None, PlainValidator(_check_name, json_schema_input_type=str)]
_Layer = Annotated[Any, PlainValidator(_check_layer, json_schema_input_type=int)]
_Flag = Annotated[Any, PlainValidator(lambda value: value, json_schema_input_type=bool)]  # the lab checks it
_Role = Annotated[Role, PlainValidator(_check_role, json_schema_input_type=str)]


def purpose(kind: type[Enum]) -> str:
    """The first line of an enum's docstring."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _choice(kind: type[Enum], more: str = "", default: Any = None) -> Any:
    return Field(
        default,
        description=f"{purpose(kind)}{more} `describe_readings` explains each.",
        json_schema_extra={"enum": [member.value for member in kind]},
    )


_DEFAULT = " Without it, the model's own default."


class Request(BaseModel):
    """A request that refuses fields it does not have: a misspelt name must not look as if it had been accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def accepted(cls) -> tuple[str, ...]:
        """Names of the fields, a class's own ones before those that it inherits."""
        return tuple(dict.fromkeys([*cls.__annotations__, *cls.model_fields]))

    @classmethod
    def refuse_unknown(cls, sent: dict[str, Any]) -> None:
        """Raises BadInput for the first name that is not a field."""
        _refuse_unknown(sent, cls.accepted())

    @classmethod
    def input_schema(cls) -> dict[str, Any]:
        """JSON schema of the fields, without titles and defaults."""
        schema = cls.model_json_schema()
        fields = {
            name: {key: value for key, value in schema["properties"][name].items() if key not in ("title", "default")}
            for name in cls.accepted()
        }
        return object_schema(fields, schema.get("required", []))

    @model_validator(mode="before")
    @classmethod
    def _check_fields(cls, sent: Any) -> Any:
        cls.refuse_unknown(sent)
        return sent


class ReadingRequest(Request):
    """A model and a reading of it; None: the default."""

    model: _Name = Field(
        None, description="An id from `list_models`; where the host allows it, a Hub id or a folder with weights."
    )
    prompt: _Name = _choice(Prompt, _DEFAULT)
    pooling: _Name = _choice(Pooling, _DEFAULT)
    layer: _Layer = Field(
        None, description="The layer to read: 0 is the token embeddings, -1 the last one, -2 the one before it."
    )
    eos: _Flag = Field(None, description="Append the end-of-sequence token, and let it be pooled.")
    postprocess: _Name = _choice(Postprocess, _DEFAULT)
    reference: _Name = _choice(Reference)
    task: _Name = Field(None, description="With prompt e5_instruct: what the questions are asked for.")
    template: _Name = Field(None, description="With prompt custom: what the model reads, with {text} in it.")

    @property
    def reading(self) -> dict[str, Any]:
        """Model and reading as keyword arguments of a lab's methods."""
        return {name: getattr(self, name) for name in ReadingRequest.model_fields}


READING_FIELDS = tuple(name for name in ReadingRequest.model_fields if name != "model")


class CompareRequest(ReadingRequest):
    """Questions against answers."""

    questions: _Texts = Field(description="The rows: one text each.")
    answers: _Texts = Field(description="The columns: one text each.")
    matches: _Matches = Field(
        None,
        description="Which answer belongs to which question, [[question, answer], …], counted from 1. "
        "Without it the first answer belongs to the first question, and so on.",
    )


class EmbedRequest(ReadingRequest):
    """Texts to embed."""

    texts: _Texts = Field(description="One vector each.")
    role: _Role = _choice(Role, " Answer without it.", Role.ANSWER)


class OpenAIRequest(ReadingRequest):
    """Body of `/v1/embeddings`: OpenAI's fields, and beside them a reading.

    For tools that let a person set nothing but a model, the reading may stand in its name:
    `smollm2-135m-instruct?prompt=prompteol&pooling=last_token&postprocess=zscore`. Validate with the Limits as context.
    """

    in_name: ClassVar = (*READING_FIELDS, "role", "normalize")

    reference: Annotated[str, PlainValidator(_check_corpus)] = Reference.CORPUS.value
    encoding_format: Annotated[str, PlainValidator(_check_encoding)] = "float"
    input: Annotated[tuple[str, ...], PlainValidator(_check_input)] = Field(None, validate_default=True)
    role: _Role = Role.ANSWER
    normalize: Annotated[bool, PlainValidator(_check_normalize)] = False  # divide each vector by its length
    dimensions: Annotated[int | None, PlainValidator(_check_dimensions)] = None
    user: Any = None  # OpenAI's; not used
    name: str = ""  # the model as it was sent, its reading included

    @classmethod
    def accepted(cls) -> tuple[str, ...]:
        """OpenAI's own fields first."""
        return ("input", "model", "encoding_format", "dimensions", "user", *cls.in_name)

    @model_validator(mode="before")
    @classmethod
    def _check_fields(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            raise BadInput(problem='The body is not a JSON object. Accepted: {"model": …, "input": …}.')
        cls.refuse_unknown(sent)
        name = sent.get("model") or ""
        if not isinstance(name, str):
            raise _unknown("model", name, "a name, as a text")
        model, reading = split_model(name)
        for field in reading:
            if sent.get(field) is not None:
                raise BadInput(field=field, problem=f"“{field}” is said twice: in the model's name and beside it.")
        return {**sent, **reading, "model": model, "name": name}


def split_model(name: str) -> tuple[str, dict[str, Any]]:
    """A model's name as (model, reading): `MODEL?pooling=mean&eos=true`. Raises BadInput."""
    fields = OpenAIRequest.in_name
    model, _, query = name.partition("?")
    try:
        pairs = parse_qsl(query, strict_parsing=True, max_num_fields=len(fields)) if query else []
    except ValueError as error:
        problem = f"“{name[:_SHOWN]}” names no reading. Accepted: MODEL?prompt=…&pooling=…, with {', '.join(fields)}."
        raise BadInput(field="model", problem=problem) from error
    reading: dict[str, Any] = dict(pairs)
    _refuse_unknown(reading, fields)
    flags = {"true": True, "1": True, "false": False, "0": False}
    for field in {"eos", "normalize"} & reading.keys():
        reading[field] = flags.get(reading[field].lower(), reading[field])
    return model, reading


def load_json(body: bytes) -> Any:
    """JSON as the standard has it. Raises BadInput."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, NaN, endless digits, too deep
        raise BadInput(problem="The body is not JSON that can be read here. A JSON object is accepted.") from error


def object_schema(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """JSON schema of an object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _refuse_unknown(sent: dict[str, Any], accepted: tuple[str, ...]) -> None:
    for name in sent:
        if name not in accepted:
            problem = f"“{name[:_SHOWN]}” is not a field of this request. Accepted: {', '.join(accepted)}."
            raise BadInput(field=name[:_SHOWN], problem=problem)
