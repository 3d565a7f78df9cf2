"""Requests: all that a program may send, as pydantic models that every protocol shares.

`/compare` and `/embed` of Gradio's API, `/v1/embeddings` and the MCP tools validate here, and the tools publish their
JSON schemas from here. These models check types and the names of fields; the lab checks what the values mean. The
validators raise DemoErrors, which pydantic lets through: clients read the lab's sentences, never pydantic's.
"""

from __future__ import annotations

import inspect
import json
from enum import Enum
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo, model_validator

from demo.domain.choices import Role
from demo.domain.datamodels import Pooling, Postprocess, Prompt, Reference
from demo.domain.errors import BadInput, UnknownChoice
from demo.stages.resolve_reading import parse_choice
from demo.stages.texts import normalized_notice, parse_texts

_CORPUS = Reference.CORPUS.value


class Encoding(str, Enum):
    """How a vector is written in JSON."""

    FLOAT = "float"
    BASE64 = "base64"  # of float32, little endian


def refuse_unknown(sent: Any, accepted: tuple[str, ...]) -> None:
    """A misspelt name must not look as if it had been accepted. Raises BadInput."""
    for name in sent:
        if name not in accepted:
            problem = f"“{name[:80]}” is not a field of this request. Accepted: {', '.join(accepted)}."
            raise BadInput(field=name[:80], problem=problem)


def purpose(kind: type[Enum]) -> str:
    """The first line of an enum's docstring."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def _typed(*types: type, accepted: str) -> PlainValidator:
    """A value of one of these JSON types, or None, which "" means as well; JSON schemas show the first type."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if value is None or (isinstance(value, types) and (bool in types or not isinstance(value, bool))):
            return None if value == "" else value
        raise _unknown(info.field_name, value, accepted)

    return PlainValidator(check, json_schema_input_type=types[0])


def _unknown(field: str, value: Any, accepted: str, kind: str = "") -> UnknownChoice:
    return UnknownChoice(field=field, value=str(value)[:80], kind=kind or field, accepted=accepted)


def _member(kind: type[Enum], default: Enum) -> PlainValidator:
    """A member of an enum by its value; the default where there is none."""

    def check(value: Any, info: ValidationInfo) -> Enum:
        return parse_choice(kind, value or default.value, info.field_name)

    return PlainValidator(check, json_schema_input_type=str)


def _check_texts(value: Any, info: ValidationInfo) -> str | list[str]:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    box = info.field_name
    raise BadInput(field=box, problem=f"The {box} are not texts. Accepted: a list of texts, or one with a text a line.")


def _check_matches(value: Any) -> str | list | None:
    if value is None or isinstance(value, str | list):
        return value
    raise BadInput(field="matches", problem='The matches are not pairs. Accepted: "1-2, 2-1" or [[1, 2], [2, 1]].')


def _check_input(value: Any, info: ValidationInfo) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise BadInput(field="input", problem="There is no text in the input. Accepted: a text, or a list of texts.")
    for place, text in enumerate(texts, start=1):
        if isinstance(text, int | list):
            problem = "The input holds token ids, and every model of this lab has a tokenizer of its own. Accepted: "
            advice = "texts. (LangChain sends texts with check_embedding_ctx_length=False.)"
            raise BadInput(field="input", problem=problem + advice)
        if isinstance(text, str) and not text.strip():
            raise BadInput(field="input", problem=f"Text {place:,} of the input is empty. Texts are accepted.")
    return parse_texts(texts, "texts", info.context)


def _check_corpus(value: str | None) -> str:
    if value in (None, _CORPUS):
        return _CORPUS
    kind = "reference here, where a vector must not depend on the texts that happen to be sent with it"
    raise _unknown("reference", value, _CORPUS, kind)


def _check_dimensions(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise _unknown("dimensions", value, "1, 2, 3 and so on", "number of dimensions")


def _choice(kind: type[Enum], more: str = " Without it, the model's own default.") -> Any:
    description = f"{purpose(kind)}{more} `describe_readings` explains each."
    enum = {"enum": [member.value for member in kind]}
    return Field(None, validate_default=True, description=description, json_schema_extra=enum)


# With the type that JSON schemas show.
_Name = Annotated[str | None, _typed(str, accepted="a name, as a text")]
_Layer = Annotated[Any, _typed(int, float, str, accepted="a whole number")]
_Flag = Annotated[bool | None, _typed(bool, accepted="true, false")]
_Unchecked = Annotated[Any, PlainValidator(lambda value: value, json_schema_input_type=bool)]
_Role = Annotated[Role, _member(Role, Role.ANSWER)]
_List = Annotated[list[str], Field(min_length=1)]
_Texts = Annotated[Any, PlainValidator(_check_texts, json_schema_input_type=_List)]
_Pair = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)]
_Matches = Annotated[Any, PlainValidator(_check_matches, json_schema_input_type=list[_Pair])]


class Request(BaseModel):
    """A request without fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def accepted(cls) -> tuple[str, ...]:
        """Names of the fields, a class's own before those that it inherits."""
        return tuple(dict.fromkeys([*cls.__annotations__, *cls.model_fields]))

    @classmethod
    def input_schema(cls) -> dict[str, Any]:
        """JSON schema without titles and defaults."""
        schema = cls.model_json_schema()
        fields = {
            name: {key: value for key, value in schema["properties"][name].items() if key not in ("title", "default")}
            for name in cls.accepted()
        }
        return {
            "type": "object",
            "properties": fields,
            "required": schema.get("required", []),
            "additionalProperties": False,
        }

    @model_validator(mode="before")
    @classmethod
    def _check_fields(cls, sent: Any) -> Any:
        refuse_unknown(sent, cls.accepted())
        return sent


class ReadingRequest(Request):
    """A model and a reading of it; None: the default."""

    model: _Name = Field(
        None, description="An id from `list_models`; where the host allows it, a Hub id or a folder with weights."
    )
    prompt: _Name = _choice(Prompt)
    pooling: _Name = _choice(Pooling)
    layer: _Layer = Field(
        None, description="The layer to read: 0 is the token embeddings, -1 the last one, -2 the one before it."
    )
    eos: _Unchecked = Field(None, description="Append the end-of-sequence token, and let it be pooled.")
    postprocess: _Name = _choice(Postprocess)
    reference: _Name = _choice(Reference, "")
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
    role: _Role = _choice(Role, " Answer without it.")
    truncate: _Flag = Field(
        None, description="False refuses a text that is longer than the model takes; else it is cut, and named."
    )


class OpenAIRequest(ReadingRequest):
    """Body of `/v1/embeddings`: OpenAI's fields, and beside them a reading. Validate with the Limits as context.

    For tools where a person can set nothing but a model, its name may hold the reading:
    `smollm2-135m-instruct?prompt=prompteol&pooling=last_token&postprocess=zscore`.
    """

    name_fields: ClassVar = (*READING_FIELDS, "role", "normalize", "truncate")

    reference: Annotated[_Name, AfterValidator(_check_corpus)] = _CORPUS
    encoding_format: Annotated[Encoding, _member(Encoding, Encoding.FLOAT)] = Encoding.FLOAT
    input: Annotated[tuple[str, ...], PlainValidator(_check_input)] = Field(None, validate_default=True)
    role: _Role = Role.ANSWER
    normalize: _Flag = None  # divide each vector by its length
    truncate: _Flag = None  # cut what is longer than the model takes; false refuses it
    dimensions: Annotated[int | None, PlainValidator(_check_dimensions)] = None
    user: Any = None  # OpenAI's; not used
    name: str = ""  # the model as it was sent, its reading included
    notices: tuple[str, ...] = ()  # what was changed in the input

    @classmethod
    def accepted(cls) -> tuple[str, ...]:
        return ("input", "model", "encoding_format", "dimensions", "user", *cls.name_fields)

    @model_validator(mode="before")
    @classmethod
    def _check_fields(cls, sent: Any) -> Any:
        if not isinstance(sent, dict):
            raise BadInput(problem='The body is not a JSON object. Accepted: {"model": …, "input": …}.')
        refuse_unknown(sent, cls.accepted())
        texts = sent.get("input")
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts) or isinstance(texts, str):
            sent = {**sent, "notices": normalized_notice([texts] if isinstance(texts, str) else texts, "texts")}
        name = sent.get("model")
        if not isinstance(name, str):
            return sent
        model, reading = split_model(name)
        for field in reading:
            if sent.get(field) is not None:
                raise BadInput(field=field, problem=f"“{field}” is said twice: in the model's name and beside it.")
        return {**sent, **reading, "model": model, "name": name}


def split_model(name: str) -> tuple[str, dict[str, Any]]:
    """A model's name as (model, reading): `MODEL?pooling=mean&eos=true`. Raises BadInput."""
    fields = OpenAIRequest.name_fields
    model, _, query = name.partition("?")
    try:
        pairs = parse_qsl(query, strict_parsing=True, max_num_fields=len(fields)) if query else []
    except ValueError as error:
        problem = f"“{name[:80]}” names no reading. Accepted: MODEL?prompt=…&pooling=…, with {', '.join(fields)}."
        raise BadInput(field="model", problem=problem) from error
    reading: dict[str, Any] = dict(pairs)
    refuse_unknown(reading, fields)
    flags = {"true": True, "1": True, "false": False, "0": False}
    for field in {"eos", "normalize", "truncate"} & reading.keys():
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
