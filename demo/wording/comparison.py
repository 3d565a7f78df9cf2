"""Comparison in words: its verdict, its metrics and its reading step by step, as plain text; the caller escapes it."""

from __future__ import annotations

from typing import NamedTuple

from demo.domain.choices import DEFAULT_TASK
from demo.domain.datamodels import (
    LAST_LAYER,
    TEXT,
    Comparison,
    Kind,
    Metrics,
    ModelInfo,
    Pooling,
    Postprocess,
    Prompt,
    Reading,
)
from demo.wording.numbers import two_digits
from demo.wording.translate import translate

_CHANCE = 0.6  # an AUC up to here is no better than guessing with as few pairs as fit on a page
_THIN = 0.05  # a margin below this is hardly to be seen
_FEW_VALUES = 20  # so few possible values of AUC that it says little


class Description(NamedTuple):
    """A metric or a choice of the reading, and what it means."""

    name: str  # "auc", "pooling"
    title: str
    value: str
    hint: str


def judge(metrics: Metrics, cells: int) -> str:
    """Which sentence fits: single, no_right, no_wrong, worse, chance, between, thin or clear."""
    if cells == 1:
        return "single"
    if not metrics.n_matched:
        return "no_right"
    if metrics.auc is None or metrics.margin is None:
        return "no_wrong"
    if metrics.auc < 1 - _CHANCE:
        return "worse"
    if metrics.auc <= _CHANCE or metrics.margin <= 0:
        return "chance"
    if metrics.margin < _THIN:
        return "thin"
    return "clear" if metrics.auc >= 0.995 and metrics.found_first == metrics.n_matched else "between"


def describe_verdict(language: str, comparison: Comparison) -> tuple[str, str, str]:
    """(name of the verdict, its sentence, a caution where there are few pairs or "")."""
    metrics = comparison.metrics
    key = judge(metrics, comparison.similarity.size)
    sentence = translate(
        language,
        f"verdict.{key}",
        value=two_digits(float(comparison.similarity[0, 0])),
        auc=two_digits(metrics.auc),
        margin=two_digits(metrics.margin, signed=True),
        found=metrics.found_first,
        asked=metrics.n_matched,
    )
    right = len(comparison.pairing.matches)
    values = right * (comparison.similarity.size - right) + 1
    if metrics.auc is None or values >= _FEW_VALUES:
        return key, sentence, ""
    name = "verdict.caution_one" if right == 1 else "verdict.caution"
    return key, sentence, translate(language, name, pairs=right, values=values)


def describe_metrics(language: str, metrics: Metrics) -> list[Description]:
    """The five metrics."""
    found = "–"
    if metrics.found_first is not None:
        found = translate(language, "metric.found.value", found=metrics.found_first, asked=metrics.n_matched)
    figures = (
        ("matching", two_digits(metrics.matching_mean)),
        ("other", two_digits(metrics.other_mean)),
        ("margin", two_digits(metrics.margin, signed=True)),
        ("found", found),
        ("auc", two_digits(metrics.auc)),
    )
    return [
        Description(name, translate(language, f"metric.{name}"), value, translate(language, f"metric.{name}.hint"))
        for name, value in figures
    ]


def describe_reading(language: str, reading: Reading, info: ModelInfo) -> list[Description]:
    """Each choice of a reading, in the order of the pipeline, by its id and in words."""

    def describe(name: str, value: str, hint: str) -> Description:
        return Description(name, translate(language, f"label.{name}"), value, translate(language, f"{hint}.hint"))

    def choose(name: str, value: str) -> Description:
        return describe(name, value, f"{name}.{value}")

    described = [describe("model", reading.model, f"kind.{info.kind.value}"), choose("prompt", reading.prompt.value)]
    if reading.prompt is Prompt.E5_INSTRUCT:
        described.append(describe("task", reading.task or DEFAULT_TASK, "task"))
    if reading.prompt is Prompt.CUSTOM:
        described.append(describe("template", reading.template or TEXT, "template"))
    if reading.eos:
        described.append(describe("eos", "EOS", "eos"))
    described.append(choose("pooling", reading.pooling.value))
    if not info.host:  # a server elsewhere tells of no layers
        layer = info.n_layers if reading.layer == LAST_LAYER else reading.layer
        hint = layer_hint(language, layer, info.n_layers, reading.pooling.value, info.kind)
        described.append(Description("layer", translate(language, "label.layer"), str(layer), hint))
    described.append(choose("postprocess", reading.postprocess.value))
    if reading.postprocess is not Postprocess.NONE:
        described.append(choose("reference", reading.reference.value))
    return described


def describe_scale(language: str, scale: str, reading: Reading) -> str:
    """What the colours of a scale stand for."""
    signed = "_signed" if scale == "unit" and reading.postprocess is not Postprocess.NONE else ""
    return translate(language, f"scale.{scale}{signed}.hint")


def layer_hint(language: str, layer: int, n_layers: int, pooling: str, kind: Kind = Kind.GPT) -> str:
    """Where in the model the states are taken, and what that means."""
    layer = n_layers if layer == LAST_LAYER else layer
    if not n_layers:
        name = "served"
    elif layer == n_layers:
        name = "last"
    elif pooling == Pooling.LAST_TOKEN_LOGITS.value:
        name = "logits"
    else:
        name = "embeddings" if layer == 0 else "middle"
    if kind is Kind.ENCODER and name in ("last", "middle"):
        name += "_encoder"
    return translate(language, f"layer.{name}.hint", layer=layer, n=n_layers)
