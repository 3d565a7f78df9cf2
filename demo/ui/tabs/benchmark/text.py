"""The Benchmark tab's text: sets and models by name, the leaderboard, its CSV, the plot. Knows no widget."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any
from urllib.parse import quote

from demo.domain.catalog import CATALOG
from demo.domain.errors import DemoError
from demo.domain.results import BenchmarkRow, Interval
from demo.figures.benchmark import plot_benchmark
from demo.files.bundled import load_benchmark, load_titles
from demo.files.safe_csv import write_rows
from demo.ui.kit.html import render
from demo.ui.kit.i18n import translate, translate_error, translate_phrase
from demo.ui.kit.text import render_note
from demo.ui.kit.view import figure_payload
from demo.ui.tabs.benchmark.runs import OWN, Row, Run
from demo.ui.tabs.benchmark.tab import SORTS, SPEED
from demo.wording.numbers import digits
from demo.wording.translate import translate_group

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


def running_note(language: str, run: Run) -> str:
    """What the job is doing."""
    kind, model, prompt = run.doing
    measuring = translate(language, "benchmark.measuring", model=model, prompt=prompt) if kind == "measuring" else ""
    return measuring or run.loading_note(language)


def render_problems(language: str, problems: Iterable[DemoError], refused: Sequence[tuple[str, DemoError]]) -> str:
    """The models that failed, and the readings that were left out."""
    sentences = dict.fromkeys(translate_error(language, error) for error in problems)
    alerts = "".join(render_note("", sentence) for sentence in sentences)
    reasons = " ".join(f"{_name(language, name)}: {translate_error(language, error)}" for name, error in refused)
    return alerts + (render_note(translate(language, "benchmark.left_out", reasons=reasons)) if reasons else "")


def ranked(rows: Sequence[Row], sort: str) -> list[Row]:
    """Best first; rows without a value last."""
    return sorted(rows, key=lambda row: _value(row, sort, float("-inf")), reverse=True)


def render_board(language: str, rows: Sequence[Row], sort: str, title: str) -> str:
    """The leaderboard as a table, with a link that downloads it. title: of the set."""
    if not rows:
        return ""
    order, ranks = ranked(rows, sort), count(1)
    best = {name: _best(order, name) for name in SORTS}
    lowest = min([0.5, *(row.result.scores.auc.low for row in order if row.result.scores.auc)])
    lines = [
        {
            **(_describe(language, row) if row.result.reading else {"reading": ""}),
            "rank": next(ranks) if row.result.reading else "",
            "cells": {name: _cell(row, name, best[name], lowest) for name in SORTS},
        }
        for row in order
    ]
    return render(
        "tabs/benchmark/board.html",
        language,
        title=title,
        columns=SORTS,
        sort=sort,
        lines=lines,
        set_name=rows[0].result.set_name,
        csv=quote("\ufeff" + write_csv(order)),
    )


def benchmark_figures(language: str, rows: Sequence[Row], sort: str) -> list[dict[str, Any]]:
    """The plot with its text alternative and table; none while no reading has both quality and speed."""
    figure = _FIGURES[0] if sort == SPEED else sort
    plotted = [row for row in ranked(rows, figure) if row.result.reading and row.result.texts_per_second]
    if not plotted:
        return []
    words = translate_group(language, "benchmark.figure")
    order = ranked(rows, sort)
    best, fastest = plotted[0], max(plotted, key=lambda row: row.result.texts_per_second)
    alt = translate(
        language,
        "benchmark.alt",
        figure=words[figure],
        count=len(plotted),
        best=_full_name(language, best),
        value=digits(getattr(best.result.scores, figure).value, 3),
        fastest=_full_name(language, fastest),
        speed=_speed(fastest.result),
    )
    cells = [(_full_name(language, row), getattr(row.result.scores, figure), _speed(row.result)) for row in order]
    table = {
        "head": [translate(language, "benchmark.reading"), words[figure], words["per_second"]],
        "rows": [[name, _interval(score), speed] for name, score, speed in cells],
    }
    plot = plot_benchmark([row.result for row in order], [_names(language, row) for row in order], figure, words)
    title = words["title"].format(figure=words[figure])
    return [figure_payload("benchmark-speed", plot, title, alt, height=_HEIGHT, table=table)]


def write_csv(rows: Sequence[Row]) -> str:
    """The leaderboard in its order, one row a reading."""
    spread = [name for figure in _FIGURES for name in (figure, f"{figure}_low", f"{figure}_high")]
    settings = ("prompt", "pooling", "layer", "eos", "postprocess")

    def lines() -> Iterator[list]:
        yield ["set", "model", *settings, *spread, "texts_per_second", *_ORIGIN]
        for result in (row.result for row in rows):
            reading = result.reading.to_dict() if result.reading else {}
            scores = [getattr(result.scores, figure) for figure in _FIGURES]
            ends = [end for score in scores for end in ((score.value, score.low, score.high) if score else (None,) * 3)]
            numbers = [None if end is None else round(end, 4) for end in ends]
            speed = round(result.texts_per_second, 2) if result.texts_per_second else None
            words = [result.set_name, reading.get("model", result.label)]
            words += [str(reading.get(name, "")) for name in settings]
            yield [*words, *numbers, speed, *(result.provenance.get(name, "") for name in _ORIGIN)]

    file = io.StringIO()
    write_rows(file, lines())
    return file.getvalue()


def _describe(language: str, row: Row) -> dict[str, Any]:
    """The reading in words, its model, and where the numbers come from."""
    origin = [(name, translate_phrase(language, row.result.provenance[name])) for name in _ORIGIN]
    # `prompteol · last_token · zscore`: as the lab's widgets name it
    reading = row.result.reading.label({"last_layer": "", "numbered_layer": "{layer}"}, "")
    return {"names": _names(language, row), "model": _model(row.result), "reading": reading, "origin": origin}


def _cell(row: Row, name: str, best: float | None, lowest: float) -> dict[str, Any]:
    """A cell; that of AUC with its interval as a line from the lowest of all to 1, and a tick at chance."""
    value = _value(row, name)
    cell = {"value": "–", "best": value is not None and value == best, "range": "", "whisker": None}
    if name == SPEED or value is None:
        return {**cell, "value": _speed(row.result) if name == SPEED else "–"}
    score = getattr(row.result.scores, name)
    cell |= {"value": digits(value, 3), "range": f"{digits(score.low, 3)}–{digits(score.high, 3)}"}
    if name == "auc":
        ends = {"low": score.low, "value": value, "chance": 0.5, "width": score.high - score.low + lowest}
        cell["whisker"] = {end: f"{100 * (at - lowest) / (1 - lowest):.1f}" for end, at in ends.items()}
    return cell


def _best(rows: Sequence[Row], name: str) -> float | None:
    """The best value of a column; None where there is nothing to compare."""
    values = [_value(row, name) for row in rows if row.result.reading]
    values = [value for value in values if value is not None]
    return max(values) if len(values) > 1 else None


def _value(row: Row, name: str, default: float | None = None) -> float | None:
    """A row's score or speed."""
    if name == SPEED:
        speed = row.result.texts_per_second
        return default if speed is None else speed
    score = getattr(row.result.scores, name)
    return default if score is None else score.value


def _name(language: str, name: str) -> str:
    return translate(language, f"label.benchmark_readings_{name}")


def _names(language: str, row: Row) -> str:
    """`PromptEOL, last token`; a reading that is the model's own too says so behind."""
    names = sorted(row.names, key=lambda name: name == OWN)
    return " · ".join(_name(language, name) for name in names)


def _full_name(language: str, row: Row) -> str:
    """A row in one line of plain text."""
    if row.result.reading is None:
        return translate(language, "benchmark.floor")
    return f"{_model(row.result)}: {_names(language, row)}"


def _model(row: BenchmarkRow) -> str:
    entry = CATALOG.get(row.reading.model)
    return entry.name if entry else row.provenance["model"]


def _interval(score: Interval | None) -> str:
    return f"{digits(score.value, 3)} [{digits(score.low, 3)}, {digits(score.high, 3)}]" if score else "–"


def _speed(row: BenchmarkRow) -> str:
    speed = row.texts_per_second
    return "–" if speed is None else f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"
