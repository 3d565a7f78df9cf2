"""What the page says about an answer: HTML pieces for the bars, notes, verdict and figures. Knows no widget.

Every text that comes from outside the locales is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from demo.datamodels import LAST_LAYER, Comparison, Device, Kind, Metrics, ModelStatus, Pooling
from demo.figures import two_digits
from demo.ui.i18n import translate, translate_phrase

_CHANCE = 0.6  # an AUC up to here is no better than guessing with as few pairs as fit on a page
_THIN = 0.05  # a margin below this is hardly to be seen
_FEW_VALUES = 20  # so few possible values of AUC that it says little


def render_note(hint: str = "", message: str = "", offer: str = "") -> str:
    """The line under a box: what is wrong and a way out, else the hint."""
    if not message:
        return f'<p class="hint">{escape(hint)}</p>' if hint else ""
    button = f' <button type="button">{escape(offer)}</button>' if offer else ""
    return f'<p class="alert" role="alert"><span>{escape(message)}</span>{button}</p>'


def render_fold_head(title: str, summary: str, template: str = "") -> str:
    """The line that stands for a whole section on a small screen, and is its heading on a wide one."""
    data = f' data-template="{escape(template)}"' if template else ""
    return (
        f'<button type="button" class="fold-head" aria-expanded="false"><span class="fold-title">{escape(title)}</span>'
        f'<span class="fold-summary"{data}>{escape(summary)}</span></button>'
    )


def render_status(language: str, device: Device, comparison: Comparison | None, answered: str, model: str) -> str:
    """The top bar: the question, then model, weights, device, last answer. model: its name, until one has answered."""
    weights, origin = "–", ""
    if comparison:
        source = comparison.provenance
        model = source["model"]
        weights = translate(
            language,
            "status.computed",
            weights=translate_phrase(language, source["weights_precision"]),
            precision=source["precision"],
        )
        origin = translate_phrase(language, source["source"])
    place, reason = translate_phrase(language, device.name), translate_phrase(language, device.reason)
    facts = (
        ("model", escape(model)),
        ("precision", escape(weights) + (f"<small>{escape(origin)}</small>" if origin else "")),
        ("device", _render_device(place, reason, translate(language, "status.why"))),
        ("answered", escape(answered or translate(language, "status.waiting"))),
    )
    items = "".join(
        f'<div class="fact-{name}"><dt>{escape(translate(language, f"status.{name}"))}</dt><dd>{html}</dd></div>'
        for name, html in facts
    )
    other = "ko" if language == "en" else "en"
    return (
        f"<h1>{escape(translate(language, 'page.title'))}</h1><dl>{items}</dl>"
        f'<a href="?lang={other}" lang="{other}">{escape(translate(language, "page.other_language"))}</a>'
    )


def render_verdict(language: str, comparison: Comparison) -> str:
    """One sentence in plain words, and a caution where there are few pairs."""
    metrics = comparison.metrics
    key = judge(metrics, comparison.similarity.size)
    sentence = translate(
        language,
        f"verdict.{key}",
        value=two_digits(float(comparison.similarity[0, 0])),
        auc=_number(metrics.auc),
        margin=_number(metrics.margin, signed=True),
        found=metrics.found_first,
        asked=metrics.n_matched,
    )
    caution = ""
    right = len(comparison.pairing.matches)
    values = right * (comparison.similarity.size - right) + 1
    if metrics.auc is not None and values < _FEW_VALUES:
        name = "verdict.caution_one" if right == 1 else "verdict.caution"
        caution = f'<p class="caution">{escape(translate(language, name, pairs=right, values=values))}</p>'
    return f'<p class="verdict verdict-{key}">{escape(sentence)}</p>{caution}'


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


def render_metrics(language: str, metrics: Metrics) -> str:
    """The row of figures, each with its explanation."""
    found = "–"
    if metrics.found_first is not None:
        found = translate(language, "metric.found.value", found=metrics.found_first, asked=metrics.n_matched)
    figures = (
        ("matching", _number(metrics.matching_mean)),
        ("other", _number(metrics.other_mean)),
        ("margin", _number(metrics.margin, signed=True)),
        ("found", found),
        ("auc", _number(metrics.auc)),
    )
    items = "".join(
        f'<div id="metric-{name}"><dt>{escape(translate(language, f"metric.{name}"))}</dt><dd>{escape(value)}</dd>'
        f'<dd class="hint">{escape(translate(language, f"metric.{name}.hint"))}</dd></div>'
        for name, value in figures
    )
    return f"<dl>{items}</dl>"


def render_notices(notices: tuple[str, ...]) -> str:
    """What the lab wants to be known about this answer."""
    return "".join(f'<p role="status">{escape(notice)}</p>' for notice in notices)


def layer_hint(language: str, layer: int, n_layers: int, pooling: str) -> str:
    """Where in the model the states are taken, and what that means."""
    layer = n_layers if layer == LAST_LAYER else layer
    if layer == n_layers:
        name = "last"
    elif pooling == Pooling.LAST_TOKEN_LOGITS.value:
        name = "logits"
    else:
        name = "embeddings" if layer == 0 else "middle"
    return translate(language, f"layer.{name}.hint", layer=layer, n=n_layers)


def kind_name(language: str, kind: Kind) -> str:
    """`GPT`, `encoder`: in a word."""
    return translate(language, f"kind.{kind.value}")


def model_choices(language: str, statuses: Sequence[ModelStatus]) -> list[tuple[str, str]]:
    """The models to choose from: name with what it is or why it cannot be used here, and id."""
    choices = []
    for status in statuses:
        about = f"{kind_name(language, status.kind)}, {parameter_count(status.parameters)}"
        if status.state == "unavailable":
            about = translate_phrase(language, status.reason)
        choices.append((f"{status.name} — {about}", status.model))
    return choices


def parameter_count(parameters: int) -> str:
    """`135M`, `7.2B`."""
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def _number(value: float | None, signed: bool = False) -> str:
    return "–" if value is None else two_digits(value, signed)


def _render_device(place: str, reason: str, ask: str) -> str:
    """The device and the reason for it: under it on a wide screen, behind a tap on a small one."""
    place, reason = escape(place), escape(reason)
    return (
        f'<span class="on-wide">{place}<small>{reason}</small></span>'
        f'<details class="on-small"><summary>{place} <u>{escape(ask)}</u></summary>{reason}</details>'
    )
