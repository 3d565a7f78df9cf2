"""What the Benchmark tab says: sets and models by name, the leaderboard, its CSV, the plot. Knows no widget.

Every text that comes from outside the locales is escaped here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import ModelStatus, Reading
from demo.domain.errors import DemoError
from demo.domain.results import BenchmarkRow, Interval
from demo.figures.benchmark import WORDS as BENCHMARK_WORDS
from demo.figures.benchmark import plot_benchmark
from demo.files.bundled import load_benchmark, load_titles
from demo.files.safe_csv import write_rows
from demo.ui.kit.i18n import translate, translate_error, translate_phrase, translate_word
from demo.ui.kit.text import render_note
from demo.ui.kit.view import figure_payload
from demo.ui.tabs.benchmark.runs import OWN, Run, Standing
from demo.ui.tabs.benchmark.tab import SORTS, SPEED

_FIGURES = SORTS[:-1]
_ORIGIN = ("revision", "source", "weights_precision", "precision", "device", "versions")
_HEIGHT = 400


def set_choices(language: str) -> list[tuple[str, str]]:
    """The sets by title, language and size, whole languages first."""
    sets = load_benchmark()
    order = sorted(sets, key=lambda name: not name.startswith("all-"))
    return [(set_title(language, name), name) for name in order]


def set_title(language: str, name: str) -> str:
    """`Astronomy, English: 13 questions`."""
    subject, _, spoken = name.rpartition("-")
    title = translate(language, "benchmark.all") if subject == "all" else load_titles()[subject][language]
    return translate(
        language,
        "benchmark.set",
        title=title,
        spoken=translate(language, f"benchmark.language.{spoken}"),
        count=len(load_benchmark()[name].questions),
    )


def render_unavailable(language: str, statuses: Sequence[ModelStatus]) -> str:
    """The models that cannot be chosen here, and why."""
    reasons: dict[str, list[str]] = {}
    for status in statuses:
        if status.state == "unavailable":
            reasons.setdefault(translate_phrase(language, status.reason.rstrip(".")), []).append(status.name)
    told = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
    return render_note(translate(language, "benchmark.unavailable", names=told)) if told else ""


def running_note(language: str, run: Run) -> str:
    """What the job is doing."""
    if run.stopping:
        return translate(language, "benchmark.stopping")
    kind, model, what = run.doing
    if kind == "loading":
        return translate(language, "heatmap.loading", model=model, stage=translate_word(language, "stage", what))
    return translate(language, "benchmark.measuring", model=model, prompt=what) if kind else ""


def render_problems(
    language: str, problems: Sequence[tuple[str, DemoError]], refused: Sequence[tuple[str, DemoError]]
) -> str:
    """What went wrong with a model, and which readings were left out."""
    said = [translate_error(language, error) for _, error in problems]
    alerts = "".join(render_note("", sentence) for sentence in dict.fromkeys(said))
    left = " ".join(f"{_name(language, name)}: {translate_error(language, error)}" for name, error in refused)
    return alerts + (render_note(translate(language, "benchmark.left_out", reasons=left)) if left else "")


def ranked(standings: Sequence[Standing], sort: str) -> list[Standing]:
    """Best first; what has no such figure last."""

    def value(standing: Standing) -> float:
        row = standing.row
        figure = row.texts_per_second if sort == SPEED else getattr(row.scores, sort)
        return float("-inf") if figure is None else figure if sort == SPEED else figure.value

    return sorted(standings, key=value, reverse=True)


def render_board(language: str, standings: Sequence[Standing], sort: str, set_name: str) -> str:
    """The leaderboard as a table, and the way to take it away."""
    if not standings:
        return ""
    order = ranked(standings, sort)
    best = {name: _best(order, name) for name in SORTS}
    lowest = min([0.5, *(each.row.scores.auc.low for each in order if each.row.scores.auc)])
    heads = "".join(
        f'<th scope="col" role="columnheader"{_sorted_mark(name == sort)}>'
        f"{escape(translate(language, f'label.benchmark_sort_{name}'))}</th>"
        for name in SORTS
    )
    rows = ""
    place = 0
    for standing in order:
        place += standing.row.reading is not None
        rows += _render_row(language, standing, place, best, lowest)
    head = f'<th scope="col" role="columnheader"><span class="benchmark-hidden">{_say(language, "rank")}</span></th>'
    head += f'<th scope="col" role="columnheader">{_say(language, "reading")}</th>'
    title = escape(set_title(language, set_name))
    download = quote("\ufeff" + write_csv(order))
    return (
        f'<table role="table"><caption>{title}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}{heads}</tr></thead><tbody role="rowgroup">{rows}</tbody></table>'
        f'<p class="hint">{_say(language, "board.hint")} {_say(language, "speed.hint")} '
        f'<a download="benchmark-{escape(set_name)}.csv" href="data:text/csv;charset=utf-8,{download}">'
        f"{_say(language, 'download')}</a></p>"
    )


def benchmark_figures(language: str, standings: Sequence[Standing], sort: str) -> list[dict[str, Any]]:
    """The plot with its text alternative and table; none while no reading has both quality and speed."""
    figure = _FIGURES[0] if sort == SPEED else sort
    shown = [each for each in ranked(standings, figure) if each.row.reading and each.row.texts_per_second]
    if not shown:
        return []
    words = {name: translate(language, f"benchmark.figure.{name}") for name in BENCHMARK_WORDS}
    order = ranked(standings, sort)
    rows, names = [each.row for each in order], [_names(language, each) for each in order]
    best, fastest = shown[0], max(shown, key=lambda each: each.row.texts_per_second)
    alt = translate(
        language,
        "benchmark.alt",
        figure=words[figure],
        count=len(shown),
        best=_full(language, best),
        value=_digits(getattr(best.row.scores, figure).value),
        fastest=_full(language, fastest),
        speed=_speed(fastest.row),
    )
    table = {
        "head": [translate(language, "benchmark.reading"), words[figure], words["per_second"]],
        "rows": [[_full(language, each), _plain(getattr(each.row.scores, figure)), _speed(each.row)] for each in order],
    }
    title = words["title"].format(figure=words[figure])
    plot = plot_benchmark(rows, names, figure, words)
    return [figure_payload("benchmark-speed", plot, title, alt, height=_HEIGHT, table=table)]


def write_csv(standings: Sequence[Standing]) -> str:
    """The leaderboard in its order, one row a reading."""
    spread = [name for figure in _FIGURES for name in (figure, f"{figure}_low", f"{figure}_high")]
    settings = ("prompt", "pooling", "layer", "eos", "postprocess")

    def rows():
        yield ["set", "model", *settings, *spread, "texts_per_second", *_ORIGIN]
        for standing in standings:
            row = standing.row
            reading = row.reading.to_dict() if row.reading else {}
            told = [getattr(row.scores, figure) for figure in _FIGURES]
            numbers = [round(n, 4) if f else None for f in told for n in ((f.value, f.low, f.high) if f else (0, 0, 0))]
            speed = round(row.texts_per_second, 2) if row.texts_per_second else None
            words = [row.set_name, reading.get("model", row.label), *(str(reading.get(name, "")) for name in settings)]
            yield [*words, *numbers, speed, *(row.provenance.get(name, "") for name in _ORIGIN)]

    file = io.StringIO()
    write_rows(file, rows())
    return file.getvalue()


def _render_row(language: str, standing: Standing, place: int, best: dict[str, Any], lowest: float) -> str:
    row = standing.row
    cells = ""
    for name in SORTS:
        figure = row.texts_per_second if name == SPEED else getattr(row.scores, name)
        said = escape(_speed(row) if name == SPEED else _digits(figure.value) if figure else "–")
        if figure is not None and _value(figure) == best[name]:
            said = f"<b>{said}</b> <em>{_say(language, 'best')}</em>"
        if figure is not None and name != SPEED:
            said += f" <small>{_digits(figure.low)}–{_digits(figure.high)}</small>"
        if figure is not None and name == "auc":
            said += _render_whisker(figure, lowest)
        label = escape(translate(language, f"label.benchmark_sort_{name}"))
        cells += f'<td role="cell" class="benchmark-{name}" data-label="{label}">{said}</td>'
    floor = row.reading is None
    rank = "" if floor else str(place)
    kind = ' class="benchmark-floor"' if floor else ""
    return (
        f'<tr role="row"{kind}><td role="cell" class="benchmark-rank">{rank}</td>'
        f'<th scope="row" role="rowheader">{_render_name(language, standing)}</th>{cells}</tr>'
    )


def _render_name(language: str, standing: Standing) -> str:
    """The reading in words, its model, and where the numbers come from."""
    row = standing.row
    if row.reading is None:
        return f"<b>{_say(language, 'floor')}</b><small>{_say(language, 'floor.hint')}</small>"
    facts = "".join(
        f"<dt>{_say(language, f'origin.{name}')}</dt><dd>{escape(translate_phrase(language, origin))}</dd>"
        for name, origin in ((name, row.provenance[name]) for name in _ORIGIN)
    )
    return (
        f"<b>{escape(_names(language, standing))}</b> <span>{escape(_model(row))}</span>"
        f"<details><summary>{escape(_settings(row.reading))}</summary><dl>{facts}</dl></details>"
    )


def _render_whisker(figure: Interval, lowest: float) -> str:
    """The interval as a line from the lowest of all to 1, a tick at chance. The numbers stand beside it."""
    low, value, high, chance = (
        100 * (number - lowest) / (1 - lowest) for number in (figure.low, figure.value, figure.high, 0.5)
    )
    return (
        f'<span class="benchmark-whisker" aria-hidden="true"><i style="left:{chance:.1f}%"></i>'
        f'<s style="left:{low:.1f}%;width:{high - low:.1f}%"></s><u style="left:{value:.1f}%"></u></span>'
    )


def _best(standings: Sequence[Standing], name: str) -> float | None:
    """The best value of a column; None where there is nothing to compare."""
    rows = [standing.row for standing in standings if standing.row.reading]
    figures = [row.texts_per_second if name == SPEED else getattr(row.scores, name) for row in rows]
    values = [_value(figure) for figure in figures if figure is not None]
    return max(values) if len(values) > 1 else None


def _value(figure: Interval | float) -> float:
    return figure.value if isinstance(figure, Interval) else figure


def _sorted_mark(chosen: bool) -> str:
    return ' aria-sort="descending"' if chosen else ""


def _say(language: str, key: str) -> str:
    return escape(translate(language, f"benchmark.{key}"))


def _name(language: str, name: str) -> str:
    return translate(language, f"label.benchmark_readings_{name}")


def _names(language: str, standing: Standing) -> str:
    """`PromptEOL, last token`; what is the model's own reading as well says so behind."""
    names = [name for name in standing.names if name != OWN] + [name for name in standing.names if name == OWN]
    return " · ".join(_name(language, name) for name in names)


def _full(language: str, standing: Standing) -> str:
    """A row in one line of plain text."""
    if standing.row.reading is None:
        return translate(language, "benchmark.floor")
    return f"{_model(standing.row)}: {_names(language, standing)}"


def _model(row: BenchmarkRow) -> str:
    entry = CATALOG.get(row.reading.model)
    return entry.name if entry else row.provenance["model"]


def _settings(reading: Reading) -> str:
    """`prompteol · last_token · zscore`: as the lab's widgets name it."""
    return reading.label({"last_layer": "", "numbered_layer": "{layer}"}, "")


def _digits(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _plain(figure: Interval | None) -> str:
    return f"{_digits(figure.value)} [{_digits(figure.low)}, {_digits(figure.high)}]" if figure else "–"


def _speed(row: BenchmarkRow) -> str:
    speed = row.texts_per_second
    return "–" if speed is None else f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"
