"""Table and figure of all models: the article's figures beside this machine's. Knows no widget and no lab."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from demo.domain.datamodels import Comparison
from demo.figures.story import plot_models
from demo.ui.kit.html import render, render_table
from demo.ui.kit.i18n import translate, translate_error, translate_group, translate_phrase
from demo.ui.kit.text import list_unavailable
from demo.ui.kit.view import captioned_figure
from demo.ui.tabs.compare.text import describe
from demo.ui.tabs.story.runs import BoardRow
from demo.ui.tabs.story.text import format_margin
from demo.wording.numbers import two_digits

_ROW, _AXES = 46, 104  # pixels of the figure
_HEADLESS = "e5-mistral-7b-instruct"  # its checkpoint has no LM head, and the article reads "its logits"


def board_figures(language: str, rows: Sequence[BoardRow]) -> list[dict[str, Any]]:
    """All rows with numbers as one picture."""
    measured = [row for row in rows if row.comparison]
    names = [(row.name, _preset_name(language, row)) for row in measured]
    best = max(measured, key=lambda row: row.comparison.metrics.margin)
    figure = captioned_figure(
        language,
        "story-models",
        "story.board",
        plot_models(names, [row.comparison for row in measured], translate_group(language, "story.figure")),
        height=_AXES + _ROW * len(measured),
        head=["", *_heads(language, measured[0].comparison)],
        rows=[[", ".join(name), *_cells(language, row)] for name, row in zip(names, measured, strict=True)],
        count=len(measured),
        best=f"{best.name}, {_preset_name(language, best)}",
        margin=format_margin(best.comparison),
    )
    return [figure]


def render_board(language: str, rows: Sequence[BoardRow]) -> str:
    """The table: numbers, or a sentence that says why there are none."""
    first = next(row.comparison for row in rows if row.comparison)
    heads = [translate(language, "story.figure.model"), *_heads(language, first)]
    table = render_table(
        language,
        translate(language, "story.board.caption"),
        heads,
        [_table_row(language, row) for row in rows if row.state != "unavailable"],
        css="story-board",
    )
    absent = [(row.name, _reason(language, row)) for row in rows if row.state == "unavailable"]
    hint = f'<p class="hint">{escape(translate(language, "story.board.hint"))}</p>'
    return table + list_unavailable(language, absent) + hint


def _table_row(language: str, row: BoardRow) -> dict[str, Any]:
    printed, details = row.preset == "printed", ""
    if printed and row.model == _HEADLESS:
        details = translate(language, "story.board.trap")
    elif row.comparison and not printed:
        details = describe(language, row.comparison).partition(" · ")[2]
    head = render(
        "tabs/story/board_head.html", language, name=row.name, preset=_preset_name(language, row), details=details
    )
    content = {"cells": _cells(language, row)} if row.comparison else {"note_html": _render_state(language, row)}
    return {"head_html": head, "css": f"story-{'printed' if printed else row.state}", **content}


def _render_state(language: str, row: BoardRow) -> str:
    """Why there are no numbers."""
    if row.state == "failed":
        return f'<span class="story-alert">{escape(translate_error(language, row.error))}</span>'
    return escape(translate(language, "story.board.waiting"))


def _reason(language: str, row: BoardRow) -> str:
    """Why a model cannot run here."""
    return translate_phrase(language, row.reason.rstrip(".")) or translate(language, "story.board.not_offered")


def _preset_name(language: str, row: BoardRow) -> str:
    """The reading in words; of a row without numbers only "on this machine"."""
    return translate(language, f"story.how.{row.preset if row.comparison else 'here'}")


def _heads(language: str, comparison: Comparison) -> list[str]:
    counts = len(comparison.questions), len(comparison.answers)
    cells = [f"Q{row + 1}–A{column + 1}" for row in range(counts[0]) for column in range(counts[1])]
    return [*cells, translate(language, "metric.margin"), translate(language, "metric.found")]


def _cells(language: str, row: BoardRow) -> list[str]:
    metrics = row.comparison.metrics
    found = translate(language, "metric.found.value", found=metrics.found_first, asked=metrics.n_matched)
    cosines = [two_digits(float(value)) for value in row.comparison.similarity.ravel()]
    return [*cosines, format_margin(row.comparison), found]
