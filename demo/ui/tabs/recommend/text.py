"""The Recommend tab's text: the sentence, the table with its buttons, the figure. Knows no widget."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from demo.domain.datamodels import Progress, Reading
from demo.domain.results import BenchmarkRow, Candidate, Interval, Recommendation
from demo.figures.benchmark import plot_benchmark
from demo.lab import Lab
from demo.ui.kit.html import render
from demo.ui.kit.i18n import translate, translate_phrase
from demo.ui.kit.presets import OWN, preset_of
from demo.ui.kit.view import figure_payload
from demo.ui.live.open_in_lab import form_values
from demo.wording.numbers import parameter_count, two_digits
from demo.wording.recommendation import describe_recommendation
from demo.wording.translate import translate_group

_HEIGHT = 340
_MOST_COMPARED = 4
_LOADING = ": loading"  # how the study names a step in which a model is loaded


def running_note(language: str, progress: Progress) -> str:
    """What is being tried."""
    stage = progress.stage
    if stage.endswith(_LOADING):
        return translate(language, "recommend.loading", model=stage.removesuffix(_LOADING))
    if stage in ("starting", "scoring"):
        return translate(language, f"recommend.{stage}")
    return translate(language, "recommend.trying", reading=stage)


def render_found(language: str, lab: Lab, found: Recommendation) -> str:
    """The sentence, the buttons of the reading that it recommends, and what was left out."""
    facts = {"readings": f"{found.n_readings:,}", "seconds": f"{found.seconds:.0f}", "budget": f"{found.budget:.0f}"}
    recommended = found.verdict != "too_few"
    return render(
        "tabs/recommend/found.html",
        language,
        sentence=describe_recommendation(language, found),
        facts=translate(language, "recommend.facts", **facts),
        notices=" ".join(translate_phrase(language, notice) for notice in found.notices),
        best=_buttons(lab, found.best) if recommended else None,
        several=len(found.rows) > 1,
    )


def render_rows(language: str, lab: Lab, found: Recommendation, texts: Mapping[str, Any]) -> str:
    """The table of the readings that were scored. texts: to take home, where they are not those of the boxes."""
    lines = [
        {
            **_line(language, lab, row.reading, row.provenance["model"], row.texts_per_second),
            "best": place == 0 and found.verdict in ("carried", "overturned"),
            "front": row.reading in found.front,
            "ticked": place < _MOST_COMPARED,
            "value": _value(row.scores.headline),
            "range": _range(row.scores.headline),
            "found": _found(row),
        }
        for place, row in enumerate(found.rows)
    ]
    unit = "pairs" if found.criterion == "spearman" else "questions"
    on = "held_out" if found.held_out else "same"
    caption = translate(language, f"recommend.board.{on}.{unit}", count=f"{found.held_out or found.chosen_on:,}")
    return _board(language, found.criterion, caption, lines, texts, bool(found.front))


def render_candidates(language: str, lab: Lab, part: Sequence[Candidate], texts: Mapping[str, Any]) -> str:
    """The table of each model's best reading so far. texts: as above."""
    lines = [
        {
            **_line(language, lab, one.reading, one.model, one.texts_per_second),
            "ticked": place < _MOST_COMPARED,
            "value": two_digits(one.figure),
            "range": translate(language, "recommend.board.on", count=f"{one.chosen_on:,}"),
        }
        for place, one in enumerate(part)
    ]
    return _board(language, "", translate(language, "recommend.board.part"), lines, texts) if lines else ""


def recommend_figures(language: str, found: Recommendation) -> list[dict[str, Any]]:
    """Quality against speed, with its text alternative and table; none while no reading has both."""
    plotted = [row for row in found.rows if row.texts_per_second and row.scores.headline]
    if len(plotted) < 2:
        return []
    words = translate_group(language, "recommend.figure")
    names = [_name(language, row.reading, False) for row in found.rows]
    figure = plot_benchmark(found.rows, names, found.criterion, words, found.front)
    figure_name = words[found.criterion]
    best, fastest = (max(plotted, key=by) for by in (_quality, lambda row: row.texts_per_second))
    front = "; ".join(_full_name(language, row) for row in found.rows if row.reading in found.front)
    alt = translate(
        language,
        "recommend.alt",
        figure=figure_name,
        count=len(plotted),
        best=_full_name(language, best),
        value=two_digits(best.scores.headline.value),
        fastest=_full_name(language, fastest),
        speed=_speed(fastest.texts_per_second),
        front=front or "–",
    )
    table = {
        "head": [translate(language, "recommend.reading"), figure_name, words["per_second"]],
        "rows": [
            [
                _full_name(language, row),
                f"{_value(row.scores.headline)} {_range(row.scores.headline)}",
                _speed(row.texts_per_second),
            ]
            for row in found.rows
        ],
    }
    title = words["title"].format(figure=figure_name)
    return [figure_payload("recommend-cost", figure, title, alt, height=_HEIGHT, table=table)]


def _board(
    language: str,
    criterion: str,
    caption: str,
    lines: list[dict[str, Any]],
    texts: Mapping[str, Any],
    front: bool = False,
) -> str:
    blank = {"best": False, "front": False, "found": ""}
    lines = [blank | line for line in lines]
    figure = translate(language, f"sweep.score.{criterion}") if criterion else translate(language, "recommend.so_far")
    return render(
        "tabs/recommend/board.html",
        language,
        caption=caption,
        figure=figure,
        lines=lines,
        found=any(line["found"] for line in lines),
        front=front,
        texts=json.dumps(texts),
    )


def _line(language: str, lab: Lab, reading: Reading, model: str, speed: float | None) -> dict[str, Any]:
    """What every row of a table has."""
    status = lab.status(reading.model)
    return {
        **_buttons(lab, reading),
        "name": _name(language, reading, _is_own(lab, reading)),
        "model": model,
        "settings": reading.label(translate_group(language, "sweep.figure"), ""),
        "speed": _speed(speed),
        "size": parameter_count(status.parameters) if status and status.parameters else "–",
    }


def _buttons(lab: Lab, reading: Reading) -> dict[str, str]:
    """A reading as the buttons carry it, in JSON: for the lab's form, and for the other programs of the page."""
    return {
        "form": json.dumps(form_values(lab, reading)),
        "reading": json.dumps({"model": reading.model, **reading.choices()}),
    }


def _is_own(lab: Lab, reading: Reading) -> bool:
    info = lab.engine.loaded(reading.model)
    return bool(info and info.default_reading == reading)


def _name(language: str, reading: Reading, own: bool) -> str:
    """`PromptEOL`: the reading by the name of its recipe, as in Compare; else by its prompt and pooling."""
    preset = OWN if own else preset_of(reading.choices())
    if preset:
        return translate(language, f"compare.reading.{preset}")
    return f"{reading.prompt.value}, {reading.pooling.value}"


def _full_name(language: str, row: BenchmarkRow) -> str:
    return f"{row.provenance['model']}: {row.reading.label(translate_group(language, 'sweep.figure'), '')}"


def _quality(row: BenchmarkRow) -> float:
    return row.scores.headline.value


def _found(row: BenchmarkRow) -> str:
    """`25 / 30`: questions whose right answer came first."""
    scores = row.scores
    return f"{round(scores.top1.value * scores.n_questions):,} / {scores.n_questions:,}" if scores.top1 else ""


def _value(score: Interval | None) -> str:
    return two_digits(score.value) if score else "–"


def _range(score: Interval | None) -> str:
    return f"[{two_digits(score.low)}, {two_digits(score.high)}]" if score else ""


def _speed(speed: float | None) -> str:
    return "–" if speed is None else f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"
