"""Report: a comparison as a self-contained HTML page, which opens without a network and prints on A4.

report.html.jinja escapes every text of a person; the rest is set by report.js as plain text. A content security policy
allows no script but the page's own. Knows no lab and no server.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from demo.domain.datamodels import Comparison, ModelInfo
from demo.domain.errors import DemoError
from demo.domain.results import LargeComparison
from demo.export.snippet import required_packages
from demo.export.templating import render
from demo.figures.similarity import draw_similarity
from demo.wording.comparison import describe_metrics, describe_reading, describe_scale, describe_verdict
from demo.wording.numbers import two_digits
from demo.wording.translate import translate, translate_error, translate_phrase

FIGURE_JS = (Path(__file__).parent / "figure.js").read_text(encoding="utf-8")
_REPORT_JS = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
_REPORT_CSS = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
_MOST_CELLS = 2_500  # of the table of cosines
_ORIGIN = ("revision", "source", "weights_precision", "precision", "device", "versions")


@dataclass(frozen=True)
class ReportData:
    """A comparison, and what a report adds to it."""

    comparison: Comparison | LargeComparison
    info: ModelInfo
    scale: str  # of the colours, as in draw_similarity
    script: str  # that reproduces the vectors; "" where there is none
    no_script: str  # why there is none
    when: datetime


def prepare_report(
    language: str,
    comparison: Comparison | LargeComparison,
    info: ModelInfo,
    scale: str,
    write_script: Callable[..., str],
    when: datetime | None = None,
) -> ReportData:
    """The data of a report. write_script: `Lab.code`, called with the reading, `texts` and `cosines`."""
    pairing, reading = comparison.pairing, comparison.reading
    try:
        texts = pairing.questions, pairing.answers
        known = {"texts": texts, "cosines": comparison.similarity}
        script, no_script = write_script(model=reading.model, **known, **reading.choices()), ""
    except DemoError as error:
        script, no_script = "", translate_error(language, error)
    return ReportData(comparison, info, scale, script, no_script, when or datetime.now())


def render_figure(language: str, report: ReportData) -> str:
    """The verdict, the interactive heatmap and the texts, as HTML."""
    return _render(language, report, complete=False)


def render_report(language: str, report: ReportData) -> str:
    """Everything: verdict, heatmap, metrics, texts, cosines, reading, origin and script, as HTML."""
    return _render(language, report, complete=True)


def describe_figure(language: str, comparison: Comparison | LargeComparison, scale: str) -> dict[str, Any]:
    """What figure.js writes around the cosines: title, subtitle, axes, colour bar."""
    origin = comparison.provenance
    computed = f"{origin['precision']}, {translate_phrase(language, origin['device'])}"
    return {
        "title": translate(language, "report.figure.title"),
        "subtitle": f"{comparison.reading.label(name=origin['model'])} · {computed}",
        "words": {
            "questions": translate(language, "label.questions"),
            "answers": translate(language, "label.answers"),
            "bar": translate(language, f"report.figure.{'row' if scale == 'relative' else 'cosine'}"),
            "cosine": translate(language, "heatmap.cosine"),
            "belong": translate(language, "heatmap.matching"),
        },
    }


def _render(language: str, report: ReportData, complete: bool) -> str:
    t, comparison = partial(translate, language), report.comparison
    pairing, provenance = comparison.pairing, comparison.provenance
    matches = sorted(pairing.matches)
    rows, columns = comparison.similarity.shape
    counts = {"rows": f"{rows:,}", "columns": f"{columns:,}"}
    low, high = (two_digits(float(end)) for end in (comparison.similarity.min(), comparison.similarity.max()))
    outlined = comparison.similarity.size <= _MOST_CELLS  # above that the heatmap outlines no cells either
    colours = describe_scale(language, report.scale, comparison.reading)
    if pairing.matches and outlined:
        colours += f" {t('report.colours')}"
    _, verdict, caution = describe_verdict(language, comparison)
    origin = [(t(f"benchmark.origin.{name}"), translate_phrase(language, provenance[name])) for name in _ORIGIN]
    scripts = [_plotly(), FIGURE_JS + _REPORT_JS]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return render(
        "report/report.html.jinja",
        language=language,
        t=t,
        phrase=partial(translate_phrase, language),
        headings=lambda group, *names: [t(f"report.{group}.{name}") for name in names],
        partners_of=lambda side, place: [match[1 - side] + 1 for match in matches if match[side] == place],
        two_digits=two_digits,
        complete=complete,
        report=report,
        comparison=comparison,
        pairing=pairing,
        outlined=outlined,
        # Inline styles are allowed, for Plotly writes them into its nodes; with nothing to fetch they can do no harm.
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        css=_REPORT_CSS,
        title=t("report.title", **counts),
        verdict=verdict,
        caution=caution,
        alt=t("file.alt", low=low, high=high, right=f"{len(pairing.matches):,}", **counts),
        colours=colours,
        metrics=[(row.title, row.value, row.hint) for row in describe_metrics(language, comparison.metrics)],
        reading=[
            (row.title, row.value, row.hint) for row in describe_reading(language, comparison.reading, report.info)
        ],
        origin=[(t("label.model"), provenance["model"]), *origin],
        packages=required_packages(report.info),
        payload=_payload(language, report),
        scripts=scripts,
    )


def _payload(language: str, report: ReportData) -> dict[str, Any]:
    """The data that the page's own scripts draw from."""
    comparison = report.comparison
    figure = draw_similarity(comparison, report.scale)
    if report.scale != "relative":
        del figure["data"][0]["z"]  # the cosines themselves
    return {
        "figure": figure,
        "values": np.round(comparison.similarity.astype(np.float64), 6).tolist(),
        "questions": list(comparison.pairing.questions),
        "answers": list(comparison.pairing.answers),
        "matches": sorted(comparison.pairing.matches),
        **describe_figure(language, comparison, report.scale),
    }


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


@cache
def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
