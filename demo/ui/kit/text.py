"""What the page says about an answer: HTML pieces for the bars, notes, verdict and figures. Knows no widget.

Every text that comes from outside the locales is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from demo.domain.datamodels import Comparison, Device, Kind, Metrics, ModelInfo, ModelStatus
from demo.ui.kit.i18n import translate, translate_phrase
from demo.wording.comparison import describe_metrics, describe_verdict
from demo.wording.comparison import layer_hint as layer_hint
from demo.wording.numbers import parameter_count


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
        f'<h2 class="fold-title on-wide">{escape(title)}</h2>'
        f'<button type="button" class="fold-head" aria-expanded="false"><span class="fold-title">{escape(title)}</span>'
        f'<span class="fold-summary"{data}>{escape(summary)}</span></button>'
    )


def render_status(language: str, device: Device, comparison: Comparison | None, answered: str, model: str) -> str:
    """The top bar: the question, then model, weights, device, last answer. model: its name, until one has answered."""
    weights, origin, host = "–", "", ""
    if comparison:
        source = comparison.provenance
        model, host = source["model"], source.get("host", "")
        weights = translate(
            language,
            "status.computed",
            weights=translate_phrase(language, source["weights_precision"]),
            precision=source["precision"],
        )
        origin = translate_phrase(language, source["source"])
    place, reason = translate_phrase(language, device.name), translate_phrase(language, device.reason)
    if host:
        weights, origin = translate(language, "status.not_told"), ""
        place, reason = host, translate(language, "status.elsewhere", host=host)
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
        f'<h1 lang="{language}">{escape(translate(language, "page.title"))}</h1><dl>{items}</dl>'
        f'<a href="?lang={other}" lang="{other}">{escape(translate(language, "page.other_language"))}</a>'
    )


def render_verdict(language: str, comparison: Comparison) -> str:
    """One sentence in plain words, and a caution where there are few pairs."""
    key, sentence, caution = describe_verdict(language, comparison)
    more = f'<p class="caution">{escape(caution)}</p>' if caution else ""
    return f'<p class="verdict verdict-{key}">{escape(sentence)}</p>{more}'


def render_metrics(language: str, metrics: Metrics) -> str:
    """The row of figures, each with its explanation."""
    told = describe_metrics(language, metrics)
    return render_facts((f"metric-{metric.name}", metric.title, metric.value, "", metric.hint) for metric in told)


def render_facts(facts: Iterable[tuple[str, str, str, str, str]]) -> str:
    """A row of numbers: (element id, title, value, small print or "", hint) each."""
    items = "".join(
        f'<div id="{id}"><dt>{escape(title)}</dt><dd>{escape(value)}{small and f"<small>{escape(small)}</small>"}</dd>'
        f'<dd class="hint">{escape(hint)}</dd></div>'
        for id, title, value, small, hint in facts
    )
    return f"<dl>{items}</dl>"


def render_notices(notices: tuple[str, ...]) -> str:
    """What the lab wants to be known about this answer."""
    return "".join(f'<p role="status">{escape(notice)}</p>' for notice in notices)


def kind_name(language: str, kind: Kind) -> str:
    """`GPT`, `encoder`: in a word."""
    return translate(language, f"kind.{kind.value}")


def model_choices(language: str, statuses: Sequence[ModelStatus]) -> list[tuple[str, str]]:
    """The models to choose from: name with what it is or why it cannot be used here, and id."""
    choices = []
    for status in statuses:
        about = model_summary(language, status)
        if status.state == "unavailable":
            about = translate_phrase(language, status.reason)
        choices.append((f"{status.name} — {about}", status.model))
    return choices


def model_label(language: str, status: ModelStatus) -> str:
    """The name alone; of a model that runs elsewhere also where the texts go, before any is sent."""
    return f"{status.name} — {model_summary(language, status)}" if status.host else status.name


def model_summary(language: str, model: ModelStatus | ModelInfo) -> str:
    """`GPT, 135M`; of a model that runs elsewhere, where the texts go."""
    if model.host:
        return translate(language, "model.elsewhere", host=model.host)
    return f"{kind_name(language, model.kind)}, {parameter_count(model.parameters)}"


def _render_device(place: str, reason: str, ask: str) -> str:
    """The device and the reason for it: under it on a wide screen, behind a tap on a small one."""
    place, reason = escape(place), escape(reason)
    return (
        f'<span class="on-wide">{place}<small>{reason}</small></span>'
        f'<details class="on-small"><summary>{place} <u>{escape(ask)}</u></summary>{reason}</details>'
    )
