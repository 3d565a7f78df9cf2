"""Text and figures of the Compare tab: readings in words, verdicts, the table of metrics, heatmaps. Knows no widget.

All HTML is escaped; figures' titles and tables are plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import combinations
from typing import Any

from demo.domain.datamodels import Comparison, Reading
from demo.domain.results import FEWEST_QUESTIONS, Ranking
from demo.figures.compare import plot_difference, plot_reading, shared_range, subtract_cosines
from demo.ui.kit.html import render, render_paragraph
from demo.ui.kit.i18n import translate, translate_group, translate_phrase
from demo.ui.kit.presets import preset_of
from demo.ui.kit.text import render_takehome
from demo.ui.kit.view import figure_payload
from demo.wording.numbers import interval, two_digits

_MOST_APART = 2.0  # standard deviations of a difference that its mean may be from zero
_HEIGHT = 345  # pixels of a heatmap


def describe(language: str, comparison: Comparison) -> str:
    """`SmolLM2-135M-Instruct · chat · last_token_logits · last layer`."""
    keys = {"last_layer": "layer.last", "numbered_layer": "layer", "on_corpus": "on_corpus"}
    words = {name: translate(language, f"compare.{key}") for name, key in keys.items()}
    return comparison.reading.label({**words, "template": " “{template}”"}, comparison.provenance["model"])


def render_slot(
    language: str,
    letter: str,
    label: str = "",
    alert: str = "",
    notices: Sequence[str] = (),
    reading: Reading | None = None,
) -> str:
    """A letter and its reading in words, with the button that takes it home; or an error."""
    values = {"letter": letter, "label": label, "alert": alert}
    values["notices"] = [translate_phrase(language, notice) for notice in notices]
    values["take_html"] = render_takehome(language, reading) if reading else ""
    return render("tabs/compare/slot.html", language, **values)


def preset_name(language: str, preset: str) -> str:
    """`PromptEOL`: a preset as its recipe is called."""
    return translate(language, f"compare.reading.{preset}")


def describe_short(language: str, comparison: Comparison) -> str:
    """`SmolLM2-135M-Instruct, PromptEOL`: the model with the name of its reading, or the reading itself in words."""
    preset = preset_of(comparison.reading.choices())
    if not preset:
        return describe(language, comparison)
    return f"{comparison.provenance['model']}, {preset_name(language, preset)}"


def render_ranking(language: str, shown: Mapping[str, Comparison], ranking: Ranking | None) -> str:
    """Which reading separates the pairs best, and how surely; below, the differences in figures."""
    if len(shown) < 2:
        return ""
    if ranking is None:
        metrics = next(iter(shown.values())).metrics
        key = "one" if metrics.auc is not None else "no_wrong" if metrics.n_matched else "no_right"
        return _paragraph(translate(language, f"compare.verdict.{key}"))
    first, level, chance = ranking.first, ranking.level, ranking.may_equal
    name = f"{first} ({describe_short(language, shown[first])})"
    names = ", ".join(sorted((first, *level)))
    values = {"name": name, "names": names, "value": two_digits(shown[first].metrics.auc)}
    won = not level and not chance
    sentences = [translate(language, f"compare.rank.{'level' if level else 'best' if won else 'ahead'}", **values)]
    for key, letters in (("beaten", ranking.beaten), ("chance", () if ranking.few else chance)):
        if letters:
            sentences.append(translate(language, f"compare.rank.{key}", names=", ".join(letters)))
    if ranking.few and chance:
        sentences.append(translate(language, "compare.rank.few", count=ranking.n_questions, fewest=FEWEST_QUESTIONS))
    doubles = [
        translate(language, "compare.verdict.same", letter=other, first=one)
        for one, other in combinations(sorted(shown), 2)
        if shown[one].reading == shown[other].reading
    ]
    said = _paragraph(" ".join(sentences), "compare-better" if won else "") + render_paragraph(" ".join(doubles))
    if ranking.few:
        return said
    leads = (f"{first} − {name} {interval(lead.difference, signed=True)}" for name, lead in ranking.leads.items())
    figures = translate(language, "compare.rank.figures", leads=" · ".join(leads))
    return f'{said}<p class="hint">{escape(figures)}</p>'


def render_table(language: str, shown: Mapping[str, Comparison]) -> str:
    """The metrics of all readings; the best is marked if the metric is comparable between readings."""
    if not shown:
        return ""
    metrics = [comparison.metrics for comparison in shown.values()]
    found = [
        translate(language, "metric.found.value", found=each.found_first, asked=each.n_matched)
        if each.found_first is not None
        else "–"
        for each in metrics
    ]
    nothing = [None] * len(metrics)
    aucs = [each.auc for each in metrics]
    rows = (
        ("matching", [two_digits(each.matching_mean) for each in metrics], nothing),
        ("other", [two_digits(each.other_mean) for each in metrics], nothing),
        ("margin", [two_digits(each.margin, signed=True) for each in metrics], nothing),
        ("found", found, [each.found_first for each in metrics]),
        ("auc", [two_digits(auc) for auc in aucs], aucs),
    )
    return render(
        "tabs/compare/table.html",
        language,
        heads=[(letter, describe_short(language, comparison)) for letter, comparison in shown.items()],
        rows=[(name, list(zip(values, _mark_best(ranked), strict=True))) for name, values, ranked in rows],
    )


def compare_figures(language: str, shown: Mapping[str, Comparison], scale: str, pair: str) -> list[dict[str, Any]]:
    """A heatmap of each reading, and the difference of two: pair "BA" is B − A, empty if it cannot be drawn."""
    colours = shared_range(tuple(shown.values())) if scale == "shared" and shown else None
    payloads = []
    for letter, comparison in shown.items():
        title = f"{letter}  {describe(language, comparison)}"
        payloads.append(reading_payload(language, f"compare-{letter.lower()}", title, comparison, colours))
    if pair:
        payloads.append(_difference(language, shown, pair, scale == "own", translate_group(language, "compare.figure")))
    return payloads


def difference_missing(language: str, shown: Mapping[str, Comparison], scale: str, pair: str) -> str:
    """Why there is no map of a difference; "" where there is one. Where one reading's cosines all lie far above the
    other's, a map of it has one colour."""
    first, second = (shown[letter] for letter in pair)
    values = subtract_cosines(first, second, scale == "own")
    level = float(values.mean())
    if abs(level) <= _MOST_APART * float(values.std()):
        return ""
    lower, higher = pair if level < 0 else pair[::-1]
    said = {"lower": lower, "higher": higher, "pair": " − ".join(pair), "level": two_digits(abs(level))}
    return translate(language, "compare.difference.missing", **said)


def reading_payload(
    language: str, name: str, title: str, comparison: Comparison, colours: tuple[float, float] | None = None
) -> dict[str, Any]:
    """The small heatmap of one reading. colours: the cosines at both ends of the scale; None: its own."""
    metrics = comparison.metrics
    alt = translate(
        language,
        "compare.alt.reading",
        title=title,
        rows=len(comparison.questions),
        columns=len(comparison.answers),
        matching=two_digits(metrics.matching_mean),
        other=two_digits(metrics.other_mean),
        auc=two_digits(metrics.auc),
    )
    figure = plot_reading(comparison, colours, translate_group(language, "compare.figure"))
    return _payload(name, figure, title, alt, comparison_table(language, comparison, comparison.similarity))


def _difference(
    language: str, shown: Mapping[str, Comparison], pair: str, own: bool, words: Mapping[str, str]
) -> dict[str, Any]:
    first, second = (shown[letter] for letter in pair)
    values = subtract_cosines(first, second, own)
    mask = first.pairing.mask()
    means = (float(values[cells].mean()) if cells.any() else None for cells in (mask, ~mask))
    matching, other = (two_digits(mean, signed=True) for mean in means)
    title = translate(language, "compare.difference.own" if own else "compare.difference", b=pair[0], a=pair[1])
    alt = translate(language, "compare.alt.difference", title=title, matching=matching, other=other)
    figure = plot_difference(first, second, own, words)
    return _payload("compare-difference", figure, title, alt, comparison_table(language, first, values, signed=True))


def _payload(name: str, figure: Any, title: str, alt: str, table: dict[str, list]) -> dict[str, Any]:
    return figure_payload(name, figure, title, alt, height=_HEIGHT, square=True, table=table)


def comparison_table(language: str, comparison: Comparison, values: Any, signed: bool = False) -> dict[str, list]:
    """Values of a comparison's cells for "Show as table", with the texts and which belong together."""
    belong = translate(language, "heatmap.matching")
    matches = comparison.pairing.matches
    rows = [
        [
            f"Q{row + 1} {question}",
            *(
                two_digits(float(value), signed) + (f" ({belong})" if (row, column) in matches else "")
                for column, value in enumerate(line)
            ),
        ]
        for row, (question, line) in enumerate(zip(comparison.questions, values, strict=True))
    ]
    return {"head": ["", *(f"A{i + 1} {answer}" for i, answer in enumerate(comparison.answers))], "rows": rows}


def _mark_best(values: Sequence[float | None]) -> list[bool]:
    """Which values are the highest; none if all are equal."""
    rounded = [None if value is None else round(value, 6) for value in values]
    known = {value for value in rounded if value is not None}
    return [len(known) > 1 and value == max(known) for value in rounded]


def _paragraph(text: str, name: str = "") -> str:
    return f'<p class="compare-sentence {name}">{escape(text)}</p>'
