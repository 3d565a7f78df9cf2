"""Report: a comparison as a page of its own. One file, which opens without a network and prints on A4.

Every text of a person is escaped here, or set by report.js as plain text; a content security policy lets nothing run
but the scripts that the page is made with. Knows no lab and no server.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from demo.domain.datamodels import Comparison, ModelInfo
from demo.domain.errors import DemoError
from demo.domain.results import LargeComparison
from demo.figures.similarity import draw_similarity, two_digits
from demo.wording.comparison import tell_metrics, tell_reading, tell_scale, tell_verdict
from demo.wording.translate import translate, translate_error, translate_phrase

FIGURE_JS = (Path(__file__).parent / "figure.js").read_text(encoding="utf-8")
_REPORT_JS = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
_REPORT_CSS = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
_MOST_CELLS = 2_500  # of the table of cosines
_ORIGIN = ("revision", "source", "weights_precision", "precision", "device", "versions")


@dataclass(frozen=True)
class ReportData:
    """A comparison, and what a report says of it beside its numbers."""

    found: Comparison | LargeComparison
    info: ModelInfo
    scale: str  # of the colours, as in draw_similarity
    script: str  # that reproduces the vectors; "" where there is none
    no_script: str  # why there is none
    when: datetime


def prepare_report(
    language: str,
    found: Comparison | LargeComparison,
    info: ModelInfo,
    scale: str,
    write_script: Callable[..., str],
    when: datetime | None = None,
) -> ReportData:
    """What a report needs. write_script: as `Lab.code`, with a reading's choices and `texts`; may raise DemoError."""
    pairing, reading = found.pairing, found.reading
    try:
        texts = pairing.questions, pairing.answers
        script, no_script = write_script(model=reading.model, texts=texts, **reading.choices()), ""
    except DemoError as error:
        script, no_script = "", translate_error(language, error)
    return ReportData(found, info, scale, script, no_script, when or datetime.now())


def render_figure(language: str, reported: ReportData) -> str:
    """The interactive heatmap and its texts."""
    parts = [_verdict(language, reported), _figure(language, reported), _texts(language, reported)]
    return _page(language, reported, parts)


def render_report(language: str, reported: ReportData) -> str:
    """All there is to say: verdict, heatmap, figures, texts, cosines, reading, origin, script."""
    write = (_verdict, _figure, _metrics, _notices, _texts, _cosines, _reading, _origin, _script)
    return _page(language, reported, [part(language, reported) for part in write])


def describe_figure(language: str, found: Comparison | LargeComparison, scale: str) -> dict[str, Any]:
    """What figure.js writes around the cosines: title, subtitle, axes, colour bar."""
    origin = found.provenance
    computed = f"{origin['precision']}, {translate_phrase(language, origin['device'])}"
    return {
        "title": translate(language, "report.figure.title"),
        "subtitle": f"{found.reading.label(name=origin['model'])} · {computed}",
        "words": {
            "questions": translate(language, "label.questions"),
            "answers": translate(language, "label.answers"),
            "bar": translate(language, f"report.figure.{'row' if scale == 'relative' else 'cosine'}"),
            "cosine": translate(language, "heatmap.cosine"),
            "belong": translate(language, "heatmap.matching"),
        },
    }


# ---- the page -------------------------------------------------------------------------------------------------------


def _page(language: str, reported: ReportData, parts: Iterable[str]) -> str:
    rows, columns = reported.found.similarity.shape
    title = translate(language, "report.title", rows=f"{rows:,}", columns=f"{columns:,}")
    scripts = [_plotly(), FIGURE_JS + _REPORT_JS]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # Styles are loose, for Plotly writes them into its nodes; with nothing to be fetched they can do no harm.
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    told = _embed(_payload(language, reported))
    made = translate(language, "report.made", when=f"{reported.when:%Y-%m-%d %H:%M}")
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_REPORT_CSS}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n"
        f'<p class="quiet">{escape(made)}</p>\n'
        + "\n".join(parts)
        + f'\n</main>\n<footer class="quiet"><p>{escape(translate(language, "report.footer"))}</p></footer>\n'
        f'<script type="application/json" id="told">{told}</script>\n'
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


def _payload(language: str, reported: ReportData) -> dict[str, Any]:
    """What the page's own scripts draw from."""
    found = reported.found
    figure = draw_similarity(found, reported.scale)
    if reported.scale != "relative":
        del figure["data"][0]["z"]  # the cosines themselves
    return {
        "figure": figure,
        "values": np.round(found.similarity.astype(np.float64), 6).tolist(),
        "questions": list(found.pairing.questions),
        "answers": list(found.pairing.answers),
        "matches": sorted(found.pairing.matches),
        **describe_figure(language, found, reported.scale),
    }


def _embed(value: Any) -> str:
    """JSON that can stand within a script element: no text in it can end that."""
    said = json.dumps(value, ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        said = said.replace(letter, f"\\u{ord(letter):04x}")
    return said


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


@cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


# ---- its parts ------------------------------------------------------------------------------------------------------


def _section(language: str, name: str, html: str) -> str:
    return f"<section>\n<h2>{_say(language, f'report.{name}')}</h2>\n{html}\n</section>"


def _verdict(language: str, reported: ReportData) -> str:
    _, sentence, caution = tell_verdict(language, reported.found)
    more = f'<p class="quiet">{escape(caution)}</p>' if caution else ""
    return f'<p class="verdict">{escape(sentence)}</p>{more}'


def _figure(language: str, reported: ReportData) -> str:
    found = reported.found
    rows, columns = found.similarity.shape
    low, high = (two_digits(float(end)) for end in (found.similarity.min(), found.similarity.max()))
    counts = {"rows": f"{rows:,}", "columns": f"{columns:,}", "right": f"{len(found.pairing.matches):,}"}
    alt = escape(translate(language, "file.alt", low=low, high=high, **counts))
    colours = tell_scale(language, reported.scale, found.reading)
    if found.pairing.matches and found.similarity.size <= _MOST_CELLS:  # above that the heatmap outlines none
        colours += f" {translate(language, 'report.colours')}"
    return _section(
        language,
        "heatmap",
        f'<figure><div class="scroll" tabindex="0"><div id="figure" role="group" aria-label="{alt}"></div></div>'
        f'<img id="still" alt="{alt}">'
        f"<noscript><p>{_say(language, 'report.no_script_here')}</p></noscript>"
        f"<figcaption>{escape(colours)}</figcaption></figure>\n"
        f'<p id="cell" aria-live="polite">{_say(language, "report.point")}</p>',
    )


def _metrics(language: str, reported: ReportData) -> str:
    rows = [(told.title, told.value, told.hint) for told in tell_metrics(language, reported.found.metrics)]
    head = [translate(language, f"report.metrics.{name}") for name in ("name", "value", "meaning")]
    return _section(language, "metrics", _table("metrics", head, rows))


def _notices(language: str, reported: ReportData) -> str:
    notices = "".join(f"<li>{escape(translate_phrase(language, notice))}</li>" for notice in reported.found.notices)
    return _section(language, "notices", f"<ul>{notices}</ul>") if notices else ""


def _texts(language: str, reported: ReportData) -> str:
    pairing = reported.found.pairing
    parts = ""
    for name, letter, texts, other, side in (
        ("questions", "Q", pairing.questions, "A", 0),
        ("answers", "A", pairing.answers, "Q", 1),
    ):
        partners: dict[int, list[int]] = {}
        for match in sorted(pairing.matches):
            partners.setdefault(match[side], []).append(match[1 - side])
        items = ""
        for place, text in enumerate(texts):
            belongs = ", ".join(f"{other}{partner + 1}" for partner in partners.get(place, []))
            mark = f'<span class="quiet">↔ {belongs}</span>' if belongs else "<span></span>"
            items += f"<li><b>{letter}{place + 1}</b><span>{escape(text)}</span>{mark}</li>"
        parts += f'<h3>{_say(language, f"label.{name}")}</h3>\n<ol class="texts">{items}</ol>\n'
    return _section(language, "texts", parts)


def _cosines(language: str, reported: ReportData) -> str:
    found = reported.found
    if found.similarity.size > _MOST_CELLS:
        return _section(language, "cosines", f"<p>{_say(language, 'report.cosines.too_many')}</p>")
    mask = found.pairing.mask()
    head = "".join(f'<th scope="col">A{column + 1}</th>' for column in range(mask.shape[1]))
    rows = ""
    for place, cosines in enumerate(found.similarity):
        cells = "".join(f"<td>{_cell(value, right)}</td>" for value, right in zip(cosines, mask[place], strict=True))
        rows += f'<tr><th scope="row">Q{place + 1}</th>{cells}</tr>\n'
    caption = _say(language, "report.cosines.caption")
    return _section(
        language,
        "cosines",
        f'<p class="quiet" id="cosines">{caption}</p>'
        '<div class="scroll" tabindex="0"><table class="cosines" aria-labelledby="cosines">'
        f"<thead><tr><td></td>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>",
    )


def _cell(value: np.floating, right: bool) -> str:
    number = two_digits(float(value))
    return f"<b>{number}</b>" if right else number


def _reading(language: str, reported: ReportData) -> str:
    told = tell_reading(language, reported.found.reading, reported.info)
    rows = [(each.title, each.value, each.hint) for each in told]
    head = [translate(language, f"report.reading.{name}") for name in ("choice", "id", "meaning")]
    label = f'<p class="quiet">{escape(reported.found.reading.label())}</p>'
    return _section(language, "reading", label + _table("ids", head, rows))


def _origin(language: str, reported: ReportData) -> str:
    origin = reported.found.provenance
    rows = [(translate(language, "label.model"), origin["model"])]
    rows += [
        (translate(language, f"benchmark.origin.{name}"), translate_phrase(language, origin[name])) for name in _ORIGIN
    ]
    return _section(language, "origin", _table("origin", [], rows))


def _script(language: str, reported: ReportData) -> str:
    if not reported.script:
        return _section(language, "script", f"<p>{escape(reported.no_script)}</p>")
    hint = _say(language, f"takehome.{'openai' if reported.info.host else 'transformers'}.hint")
    return _section(language, "script", f"<p>{hint}</p><pre><code>{escape(reported.script)}</code></pre>")


def _table(name: str, head: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Rows with a heading of their own. name: of the look; "ids" shows the second column as what one types."""
    names = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    body = ""
    for first, second, *others in rows:
        value = f"<code>{escape(second)}</code>" if name == "ids" else escape(second)
        more = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        body += f'<tr><th scope="row">{escape(first)}</th><td>{value}</td>{more}</tr>\n'
    return f'<div class="scroll" tabindex="0"><table class="{name}">{top}<tbody>{body}</tbody></table></div>'


def _say(language: str, key: str) -> str:
    return escape(translate(language, key))
