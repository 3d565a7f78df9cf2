"""HTML pieces of an answer: the top bar, notes, verdict and metrics; models in words. Knows no widget.

All HTML is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from demo.domain.datamodels import Comparison, Device, Kind, Metrics, ModelInfo, ModelStatus, Pairing, Reading
from demo.ui.kit.html import render
from demo.ui.kit.i18n import translate, translate_phrase
from demo.wording.comparison import describe_metrics, describe_verdict
from demo.wording.comparison import layer_hint as layer_hint
from demo.wording.numbers import parameter_count

_TAKEN_HOME = 50  # questions, and answers, of a file in a script


def render_note(hint: str = "", message: str = "", offer: str = "", decline: str = "") -> str:
    """The line under a box: an error with a button that mends it, or a question with its yes and no; else the hint."""
    if not message:
        return f'<p class="hint">{escape(hint)}</p>' if hint else ""
    button = f' <button type="button">{escape(offer)}</button>' if offer else ""
    button += f' <button type="button" data-no>{escape(decline)}</button>' if decline else ""
    return f'<p class="alert" role="alert"><span>{escape(message)}</span>{button}</p>'


def render_takehome(language: str, reading: Reading, pairing: Pairing | None = None) -> str:
    """A button that opens the dialog with a reading as a script (demo/ui/panels/takehome).

    pairing: the texts in it, or the first of them; by default what stands in the lab's boxes.
    """
    held = {"model": reading.model, **reading.choices()}
    if pairing:
        held |= texts_taken_home(pairing.questions, pairing.answers)
    title = escape(translate(language, "takehome.title"))
    return f'<button type="button" class="takehome" data-takehome="{escape(json.dumps(held))}">{title}</button>'


def texts_taken_home(questions: Sequence[str], answers: Sequence[str]) -> dict[str, Any]:
    """A file's texts as the dialog takes them: the first of them, and how many where that is a part."""
    part = max(len(questions), len(answers)) > _TAKEN_HOME and _TAKEN_HOME
    return {"questions": questions[:_TAKEN_HOME], "answers": answers[:_TAKEN_HOME], "part": part}


def render_fold_head(title: str, summary: str, template: str = "") -> str:
    """A section's head: a button that unfolds it on a small screen, a heading on a wide one."""
    data = f' data-template="{escape(template)}"' if template else ""
    return (
        f'<h2 class="fold-title on-wide">{escape(title)}</h2>'
        f'<button type="button" class="fold-head" aria-expanded="false"><span class="fold-title">{escape(title)}</span>'
        f'<span class="fold-summary"{data}>{escape(summary)}</span></button>'
    )


def render_status(language: str, device: Device, comparison: Comparison | None, answered: str, model: str) -> str:
    """The top bar: the title, then model, weights, device, last answer. model: its name, until one has answered."""
    weights, origin, host = "–", "", ""
    if comparison:
        source = comparison.provenance
        model, host = source["model"], source.get("host", "")
        stored = translate_phrase(language, source["weights_precision"])
        weights = translate(language, "status.computed", weights=stored, precision=source["precision"])
        origin = translate_phrase(language, source["source"])
    place, reason = translate_phrase(language, device.name), translate_phrase(language, device.reason)
    if host:
        weights, origin = translate(language, "status.not_told"), ""
        place, reason = host, translate(language, "status.elsewhere", host=host)
    values = {"model": model, "weights": weights, "origin": origin, "place": place, "reason": reason}
    other = "ko" if language == "en" else "en"
    return render("kit/status.html", language, **values, answered=answered, other=other)


def render_verdict(language: str, comparison: Comparison) -> str:
    """One sentence in plain words, and a caution if there are few pairs."""
    key, sentence, caution = describe_verdict(language, comparison)
    more = f'<p class="caution">{escape(caution)}</p>' if caution else ""
    return f'<p class="verdict verdict-{key}">{escape(sentence)}</p>{more}'


def render_metrics(language: str, metrics: Metrics) -> str:
    """The row of metrics, each with its explanation."""
    rows = describe_metrics(language, metrics)
    return render_facts((f"metric-{row.name}", row.title, row.value, "", row.hint) for row in rows)


def render_facts(facts: Iterable[tuple[str, str, str, str, str]]) -> str:
    """A row of numbers: (element id, title, value, small print or "", hint) each."""
    items = "".join(
        f'<div id="{id}"><dt>{escape(title)}</dt><dd>{escape(value)}{small and f"<small>{escape(small)}</small>"}</dd>'
        f'<dd class="hint">{escape(hint)}</dd></div>'
        for id, title, value, small, hint in facts
    )
    return f"<dl>{items}</dl>"


def render_notices(notices: tuple[str, ...]) -> str:
    """The lab's notices about an answer."""
    return "".join(f'<p role="status">{escape(notice)}</p>' for notice in notices)


def kind_name(language: str, kind: Kind) -> str:
    """`GPT`, `encoder`: in a word."""
    return translate(language, f"kind.{kind.value}")


def model_choices(language: str, statuses: Sequence[ModelStatus]) -> list[tuple[str, str]]:
    """(name and kind, id) of each model that can run here, perhaps once a big download was said yes to."""

    def about(status: ModelStatus) -> str:
        size = f"{status.fetch_bytes / 1e9:.1f} GB"
        first = [translate(language, "download.first", size=size)] if status.fetch_bytes else []
        return ", ".join([model_summary(language, status), *first])

    here = [status for status in statuses if status.state != "unavailable" or status.fetch_bytes]
    return [(f"{status.name} — {about(status)}", status.model) for status in here]


def render_unavailable(language: str, statuses: Sequence[ModelStatus]) -> str:
    """The models that cannot run here: one line, behind which each has its reason; nothing where all can."""
    gone = [status for status in statuses if status.state == "unavailable" and not status.fetch_bytes]
    return list_unavailable(language, [(each.name, translate_phrase(language, each.reason)) for each in gone])


def list_unavailable(language: str, reasons: Sequence[tuple[str, str]]) -> str:
    """(name, why it cannot run here) each, as `render_unavailable` shows them."""
    return render("kit/unavailable.html", language, reasons=reasons) if reasons else ""


def model_label(language: str, status: ModelStatus) -> str:
    """The name; of a model on another server also where the texts go, before any is sent."""
    return f"{status.name} — {model_summary(language, status)}" if status.host else status.name


def model_summary(language: str, model: ModelStatus | ModelInfo) -> str:
    """`GPT, 135M`; of a model on another server, where the texts go."""
    if model.host:
        return translate(language, "model.elsewhere", host=model.host)
    return f"{kind_name(language, model.kind)}, {parameter_count(model.parameters)}"
