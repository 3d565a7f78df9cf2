"""Reading resolution: choices and a model's defaults become a complete Reading. Knows no engine."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import Any, TypeVar

from demo.domain.choices import DEFAULT_TASK
from demo.domain.datamodels import LAST_LAYER, TEXT, ModelInfo, Pooling, Postprocess, Prompt, Reading, Reference, Served
from demo.domain.errors import ReadingRefused, UnknownChoice
from demo.stages.texts import Limits, parse_template

Choice = TypeVar("Choice", bound=Enum)
OWN_LAYER = "its own modules were made for the last layer. Choose that one, or another pooling than own."


def resolve_reading(
    info: ModelInfo,
    limits: Limits,
    prompt: Any = None,
    pooling: Any = None,
    layer: Any = None,
    eos: Any = False,
    postprocess: Any = None,
    reference: Any = None,
    task: Any = None,
    template: Any = None,
) -> Reading:
    """The model's default reading, overridden by the given choices.

    layer: 0 … n, negative ones count from the end. Raises UnknownChoice, BadInput, or ReadingRefused where this model
    cannot be read in this way.
    """
    default = info.default_reading
    reading = replace(
        default,
        prompt=parse_choice(Prompt, prompt, "prompt") if prompt else default.prompt,
        pooling=_pooling(pooling, info) if pooling else default.pooling,
        layer=_layer(layer, info) if layer not in (None, "") else default.layer,
        eos=_flag(eos, "eos"),
        postprocess=parse_choice(Postprocess, postprocess, "postprocess") if postprocess else default.postprocess,
    )
    if reading.postprocess is not Postprocess.NONE and reference:
        reading = replace(reading, reference=parse_choice(Reference, reference, "reference"))
    if reading.prompt is Prompt.E5_INSTRUCT:
        reading = replace(reading, task=parse_template(task, DEFAULT_TASK, "task", limits))
    if reading.prompt is Prompt.CUSTOM:
        reading = replace(reading, template=parse_template(template, TEXT, "template", limits))
    _refuse_impossible(info, reading)
    return reading


def parse_choice(kind: type[Choice], value: Any, name: str) -> Choice:
    """A member of an enum by its value. Raises UnknownChoice with what is accepted."""
    try:
        return kind(value)
    except ValueError as error:
        accepted = ", ".join(member.value for member in kind)
        raise UnknownChoice(field=name, value=str(value)[:80], kind=name, accepted=accepted) from error


def _refuse_impossible(info: ModelInfo, reading: Reading) -> None:
    """Raises ReadingRefused where this model has no part that the reading needs."""
    if reading.pooling is Pooling.LAST_TOKEN_LOGITS and not info.has_lm_head:
        raise ReadingRefused(
            field="pooling",
            model=info.name,
            reason="its checkpoint has no LM head, so it has no logits; a head made up on the spot would only be a "
            "random projection. Choose last_token instead.",
            instead=Pooling.LAST_TOKEN.value,
        )
    if info.host and reading.prompt not in info.prompts:
        raise ReadingRefused(
            field="prompt",
            model=info.name,
            reason="it runs elsewhere, and its server takes texts only: it pools the whole of each, and writes no chat "
            "template around it. Choose plain instead.",
            instead=Prompt.PLAIN.value,
        )
    if info.host and reading.eos:
        raise ReadingRefused(
            field="eos", model=info.name, reason="it runs elsewhere, and its server alone decides how a text ends."
        )
    if reading.eos and not info.has_eos:
        raise ReadingRefused(field="eos", model=info.name, reason="its tokenizer has no EOS token.")
    if reading.pooling is Pooling.OWN and not info.own_modules:
        raise ReadingRefused(
            field="pooling",
            model=info.name,
            reason="its checkpoint brings no modules beside one of the other poolings.",
            instead=info.default_reading.pooling.value,
        )
    if reading.pooling is Pooling.OWN and reading.layer not in (LAST_LAYER, info.n_layers):
        raise ReadingRefused(field="layer", model=info.name, reason=OWN_LAYER)
    lacks = None
    if reading.prompt is Prompt.CHAT and not info.has_chat_template:
        lacks = "its tokenizer has no chat template"
    elif reading.prompt is Prompt.OWN and not info.names_prompts:
        lacks = "its checkpoint names no prompts of its own"
    elif reading.prompt is Prompt.TOKEN_PREPENDING and not info.has_eos:
        lacks = "its tokenizer has no EOS token"
    if lacks:
        reason = f"{lacks}. Choose plain instead."
        raise ReadingRefused(field="prompt", model=info.name, reason=reason, instead=Prompt.PLAIN.value)


def _pooling(value, info: ModelInfo) -> Pooling | Served:
    if not info.host:
        return parse_choice(Pooling, value, "pooling")
    if value != Served.AS_SERVED.value:
        raise ReadingRefused(
            field="pooling",
            model=info.name,
            reason="it runs elsewhere, and its server pools as whoever runs it has chosen. Choose as_served instead.",
            instead=Served.AS_SERVED.value,
        )
    return Served.AS_SERVED


def _flag(value, name: str) -> bool:
    if not isinstance(value, bool) and value is not None:
        raise UnknownChoice(field=name, value=str(value)[:80], kind=name, accepted="true, false")
    return bool(value)


def _layer(value, info: ModelInfo) -> int:
    """A layer as LAST_LAYER or 0…n−1. Negative numbers count from the end."""
    try:
        layer = int(value)
        if layer != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        layer, cause = info.n_layers + 1, error
    else:
        cause = None
    if layer < 0:
        layer += info.n_layers + 1
    if not 0 <= layer <= info.n_layers:
        accepted = f"0 to {info.n_layers} ({info.name} has {info.n_layers} layers), or −1 for the last"
        raise UnknownChoice(field="layer", value=str(value)[:80], kind="layer", accepted=accepted) from cause
    return LAST_LAYER if layer == info.n_layers else layer


def refuse_too_many_numbers(info: ModelInfo, reading: Reading, count: int, most: int) -> None:
    """Logits are as wide as the vocabulary: a few hundred of them fill a gigabyte. Raises ReadingRefused."""
    logits = reading.pooling is Pooling.LAST_TOKEN_LOGITS
    width = info.width(reading.pooling, reading.layer)
    if count * width <= most:
        return
    raise ReadingRefused(
        field="pooling",
        model=info.name,
        reason=f"{count:,} texts of {width:,} numbers each are too many at once. "
        f"At most {most // width:,} texts are accepted under this reading"
        f"{'; last_token takes more' if logits else ''}.",
        instead=Pooling.LAST_TOKEN.value if logits else None,
    )
