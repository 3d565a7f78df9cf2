"""The story's last stop, in words: the article's figures beside this machine's, model by model. Knows no widget.

Every text that comes from outside the locales is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from demo.domain.datamodels import Comparison
from demo.figures.similarity import two_digits
from demo.figures.story import plot_models
from demo.ui.kit.i18n import translate, translate_error, translate_phrase, translate_word
from demo.ui.kit.view import figure_payload
from demo.ui.tabs.compare.text import describe
from demo.ui.tabs.story.runs import BoardRow, Run
from demo.ui.tabs.story.text import figure_words, margin_of

_ROW, _AXES = 46, 104  # pixels of the figure
_HEADLESS = "e5-mistral-7b-instruct"  # its checkpoint has no LM head, and the article reads "its logits"


def running_note(language: str, run: Run) -> str:
    """What the job is doing."""
    if run.stopping:
        return translate(language, "story.board.stopping")
    kind, model, stage = run.doing
    if kind == "loading":
        return translate(language, "heatmap.loading", model=model, stage=translate_word(language, "stage", stage))
    return translate(language, "story.board.measuring", model=model) if kind else ""


def board_figures(language: str, rows: Sequence[BoardRow]) -> list[dict[str, Any]]:
    """The rows whose figures are known, as one picture."""
    known = [row for row in rows if row.comparison]
    words = figure_words(language)
    names = [(row.name, _how(language, row)) for row in known]
    best = max(known, key=lambda row: row.comparison.metrics.margin)
    title = translate(language, "story.board.figure")
    alt = translate(
        language,
        "story.board.alt",
        count=len(known),
        best=f"{best.name}, {_how(language, best)}",
        margin=margin_of(best.comparison),
    )
    table = {
        "head": ["", *_heads(language, known[0].comparison)],
        "rows": [
            [f"{model}, {how}", *_figures(language, row.comparison)]
            for (model, how), row in zip(names, known, strict=True)
        ],
    }
    figure = plot_models(names, [row.comparison for row in known], words)
    return [figure_payload("story-models", figure, title, alt, height=_AXES + _ROW * len(known), table=table)]


def render_board(language: str, rows: Sequence[BoardRow]) -> str:
    """The table: what is known as numbers, what is not as a word on why."""
    first = next(row.comparison for row in rows if row.comparison)
    heads = _heads(language, first)
    head = "".join(f'<th scope="col" role="columnheader">{escape(name)}</th>' for name in heads)
    body = "".join(_render_row(language, row, heads) for row in rows)
    model = escape(translate(language, "story.figure.model"))
    return (
        f'<table role="table" class="story-board"><caption>{escape(translate(language, "story.board.caption"))}'
        f'</caption><thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">{model}</th>{head}</tr>'
        f'</thead><tbody role="rowgroup">{body}</tbody></table>'
        f'<p class="hint">{escape(translate(language, "story.board.hint"))}</p>'
    )


def _render_row(language: str, row: BoardRow, heads: Sequence[str]) -> str:
    cells = f'<td role="cell" colspan="{len(heads)}">{_render_state(language, row)}</td>'
    reading = ""
    if row.comparison:
        cells = "".join(
            f'<td role="cell" data-label="{escape(name)}">{escape(value)}</td>'
            for name, value in zip(heads, _figures(language, row.comparison), strict=True)
        )
        reading = describe(language, row.comparison).partition(" · ")[2] if row.how != "printed" else ""
    details = f"<small>{escape(reading)}</small>" if reading else ""
    if row.how == "printed" and row.model == _HEADLESS:
        details = f"<small>{escape(translate(language, 'story.board.trap'))}</small>"
    kind = "printed" if row.how == "printed" else row.state
    return (
        f'<tr role="row" class="story-{kind}"><th scope="row" role="rowheader"><b>{escape(row.name)}</b> '
        f"<span>{escape(_how(language, row))}</span>{details}</th>{cells}</tr>"
    )


def _render_state(language: str, row: BoardRow) -> str:
    """Why there are no numbers."""
    if row.state == "failed":
        return f'<span class="story-alert">{escape(translate_error(language, row.error))}</span>'
    if row.state == "unavailable":
        reason = translate_phrase(language, row.reason.rstrip(".")) or translate(language, "story.board.not_offered")
        return escape(translate(language, "story.board.unavailable", reason=reason))
    return escape(translate(language, "story.board.waiting"))


def _how(language: str, row: BoardRow) -> str:
    """By which reading, in words; of a row without numbers only where they would come from."""
    return translate(language, f"story.how.{row.how if row.comparison else 'here'}")


def _heads(language: str, comparison: Comparison) -> list[str]:
    cells = [
        f"Q{row}–A{column}"
        for row in range(1, len(comparison.questions) + 1)
        for column in range(1, len(comparison.answers) + 1)
    ]
    return [*cells, translate(language, "metric.margin"), translate(language, "metric.found")]


def _figures(language: str, comparison: Comparison) -> list[str]:
    metrics = comparison.metrics
    found = translate(language, "metric.found.value", found=metrics.found_first, asked=metrics.n_matched)
    cosines = [two_digits(float(value)) for value in comparison.similarity.ravel()]
    return [*cosines, margin_of(comparison), found]
