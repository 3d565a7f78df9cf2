"""Text of the Story tab: the steps' texts, and their figures in sentences. Knows no widget and no lab.

Every number in a sentence comes from a result. Figures' titles and tables are plain text; everything else is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Comparison, Pooling
from demo.figures.compare import shared_range
from demo.figures.explanation import spell_token
from demo.figures.story import plot_gap, plot_next_tokens, plot_positions
from demo.ui.kit.html import render, render_paragraph, render_table
from demo.ui.kit.i18n import translate, translate_group
from demo.ui.kit.text import render_verdict
from demo.ui.kit.view import captioned_figure
from demo.ui.panels.explain.text import render_token_legend, render_tokens
from demo.ui.tabs.compare.text import describe, preset_name, reading_payload
from demo.ui.tabs.story.runs import ARTICLE, LAST_TOKEN, PROMPTEOL, TUNED, Gap, Readout
from demo.ui.tabs.train.formula import render_loss
from demo.wording.numbers import digits, fine_percent, percent, two_digits

StepResult = tuple[list[dict[str, Any]], str]  # the figures of a step's payload, and their meaning as HTML
_CONE = 0.3  # unrelated texts with a higher mean cosine: all vectors point much the same way
_ROW, _AXES = 40, 96  # pixels of a figure with a row for each text
_LISTED = 4  # next tokens in a table


def render_step(language: str, step: str, gpt: str, tuned: str) -> str:
    """A step's heading and text. gpt, tuned: the models that the story is told with."""
    second = "second.instead" if step == "loss" and tuned != TUNED else "second"
    names = {name: CATALOG[id].name if id in CATALOG else id for name, id in (("gpt", gpt), ("tuned", tuned))}
    paragraphs = (render_paragraph(translate(language, f"story.{step}.{key}", **names)) for key in ("first", second))
    formula = render_loss() if step == "loss" else ""
    return f"<h2>{escape(translate(language, f'story.{step}.title'))}</h2>{formula}{''.join(paragraphs)}"


def explain_tokens(language: str, readouts: Sequence[Readout]) -> StepResult:
    """Step 1: which tokens the model receives, and at which position the embedding is read."""
    words = translate_group(language, "story.figure")
    sides = [each.inspected for each in readouts]
    counts = _span([len(side.tokens) for side in sides])
    own = _span([side.inside[1] - side.inside[0] for side in sides])
    read = {side.tokens[side.pooled[1] - 1] for side in sides if side.pooled[1] > side.inside[1]}
    kind = "around" if len(read) == 1 else "bare"
    token = spell_token(next(iter(read), ""))
    rows = [
        [
            each.name,
            str(place + 1),
            token,
            words["inside" if side.inside[0] <= place < side.inside[1] else "around"]
            + (f" ({words['read']})" if place == side.pooled[1] - 1 else ""),
        ]
        for each, side in zip(readouts, sides, strict=True)
        for place, token in enumerate(side.tokens)
    ]
    figure = captioned_figure(
        language,
        "story-positions",
        "story.tokens",
        plot_positions(sides, [each.name for each in readouts], words),
        height=_AXES + _ROW * len(readouts),
        head=[words["text"], words["position"], translate(language, "explain.t"), ""],
        rows=rows,
        counts=counts,
        own=own,
    )
    html = render(
        "tabs/story/readouts.html",
        language,
        sentence=translate(language, f"story.tokens.{kind}", counts=counts, own=own, token=token),
        legend_html=render_token_legend(language),
        readouts=[
            (_title(each), len(side.tokens), render_tokens(language, side, Pooling.LAST_TOKEN))
            for each, side in zip(readouts, sides, strict=True)
        ],
    )
    return [figure], html


def explain_logits(language: str, readouts: Sequence[Readout]) -> StepResult:
    """Step 2: the likeliest next tokens of each text."""
    words = translate_group(language, "story.figure")
    if not all(each.next_tokens for each in readouts):
        return [], render_paragraph(translate(language, "explain.no_head"))
    highest = max(chance for each in readouts for _, chance in each.next_tokens)
    figures = [
        captioned_figure(
            language,
            f"story-next-{each.name.lower()}",
            "story.logits",
            plot_next_tokens(each.next_tokens, highest, words),
            height=_AXES + 22 * len(each.next_tokens),
            head=[words["token"], words["chance"]],
            rows=[[spell_token(token), fine_percent(chance)] for token, chance in each.next_tokens],
            text=_title(each),
            tokens=_list_tokens(each.next_tokens, shares=True),
        )
        for each in readouts
    ]
    first = [each.next_tokens[0] for each in readouts]
    sentence = translate(
        language,
        f"story.logits.{'same' if len({token for token, _ in first}) == 1 else 'differ'}",
        token=spell_token(first[0][0]),
        shares=_share_span([chance for _, chance in first]),
        tokens=", ".join(f"{each.name} “{spell_token(each.next_tokens[0][0])}”" for each in readouts),
    )
    size = translate(language, "story.logits.size", count=f"{len(readouts[0].inspected.vector):,}")
    return figures, render_paragraph(f"{size} {sentence}")


def explain_result(language: str, here: Comparison, printed: Comparison) -> StepResult:
    """Step 3: the article's four cosines, by this machine and as printed."""
    model = printed.provenance["model"]
    figures = [
        reading_payload(language, "story-here", describe(language, here), here),
        reading_payload(language, "story-printed", translate(language, "story.printed", model=model), printed),
    ]
    values = {
        f"{prefix}_{name}": value
        for prefix, comparison in (("here", here), ("there", printed))
        for name, value in _metric_words(language, comparison).items()
    }
    beside = translate(language, "story.result.beside", model=model, **values)
    return figures, render_verdict(language, here) + render_paragraph(beside)


def explain_why(
    language: str,
    last: Comparison,
    prompteol: Comparison,
    gaps: Mapping[str, Gap],
    readouts: Mapping[str, Sequence[Readout]],
) -> StepResult:
    """Step 4: the narrow cone, and how a question in the prompt changes it. last: the four texts without a question.

    gaps: by reading, over other pairs; readouts: the four texts under both readings.
    """
    colours = shared_range((last, prompteol))
    figures = [
        reading_payload(language, "story-last", describe(language, last), last, colours),
        reading_payload(language, "story-asked", describe(language, prompteol), prompteol, colours),
        _gap_figure(language, gaps),
    ]
    twist = translate(
        language,
        "story.why.twist",
        before=format_margin(last),
        after=format_margin(prompteol),
        found_before=last.metrics.found_first,
        found_after=prompteol.metrics.found_first,
        asked=prompteol.metrics.n_matched,
    )
    others = {preset: gap.comparison.metrics.found_first for preset, gap in gaps.items()}
    more = translate(language, "story.why.more", count=gaps[ARTICLE].comparison.metrics.n_matched, **others)
    paragraphs = render_paragraph(f"{twist} {more}") + render_paragraph(_explain_cone(language, gaps))
    return figures, paragraphs + _render_next_tokens(language, readouts)


def explain_loss(
    language: str, article: Comparison, before: Comparison, after: Comparison, instead: bool
) -> StepResult:
    """Step 5: before and after contrastive training. instead: after is not the same GPT but another model."""
    colours = shared_range((before, after))
    figures = [
        reading_payload(language, f"story-{name}", describe(language, comparison), comparison, colours)
        for name, comparison in (("before", before), ("after", after))
    ]
    margins = translate(
        language,
        f"story.loss.margins{'.instead' if instead else ''}",
        article=format_margin(article),
        before=format_margin(before),
        after=format_margin(after),
        gpt=before.provenance["model"],
        tuned=after.provenance["model"],
    )
    return figures, render_verdict(language, after) + render_paragraph(margins)


def _gap_figure(language: str, gaps: Mapping[str, Gap]) -> dict[str, Any]:
    words = translate_group(language, "story.figure")
    names = [preset_name(language, preset) for preset in gaps]
    unrelated = [gap.space.mean_cosine or 0.0 for gap in gaps.values()]
    right = [gap.comparison.metrics.matching_mean or 0.0 for gap in gaps.values()]
    rows = [[name, two_digits(low), two_digits(high)] for name, low, high in zip(names, unrelated, right, strict=True)]
    first = next(iter(gaps.values()))
    return captioned_figure(
        language,
        "story-gap",
        "story.why",
        plot_gap(names, unrelated, right, words),
        height=_AXES + 62 * len(names),
        head=[words["reading"], words["unrelated"], words["right"]],
        rows=rows,
        texts=2 * len(first.comparison.questions),
        pairs=first.space.n_unrelated,
        told="; ".join(f"{name}: {words['unrelated']} {low}, {words['right']} {high}" for name, low, high in rows),
    )


def _explain_cone(language: str, gaps: Mapping[str, Gap]) -> str:
    """How close unrelated texts are, which dimension makes them so, and whether the question changes that."""
    means = {preset: gap.space.mean_cosine or 0.0 for preset, gap in gaps.items()}
    right = {preset: gap.comparison.metrics.matching_mean or 0.0 for preset, gap in gaps.items()}
    kind = "cone" if min(means[ARTICLE], means[LAST_TOKEN]) >= _CONE else "round"
    values = {preset: two_digits(mean) for preset, mean in means.items()}
    sentences = [translate(language, f"story.why.{kind}", pairs=gaps[ARTICLE].space.n_unrelated, **values)]
    if gaps[LAST_TOKEN].space.rogue:
        dimension, share = gaps[LAST_TOKEN].space.rogue[0]
        sentences.append(translate(language, "story.why.rogue", dimension=dimension, share=percent(share)))
    wider = right[PROMPTEOL] - means[PROMPTEOL] > max(0.0, right[LAST_TOKEN] - means[LAST_TOKEN])
    if wider and means[PROMPTEOL] >= means[LAST_TOKEN]:
        high = two_digits(right[PROMPTEOL])
        sentences.append(translate(language, "story.why.high", value=values[PROMPTEOL], right=high))
    return " ".join(sentences)


def _render_next_tokens(language: str, readouts: Mapping[str, Sequence[Readout]]) -> str:
    """The likeliest next tokens of the four texts, with the question and without; nothing without an LM head."""
    if not all(each.next_tokens for texts in readouts.values() for each in texts):
        return ""
    heads = [preset_name(language, preset) for preset in readouts]
    rows = [
        {"head": _title(texts[0]), "cells": [_list_tokens(each.next_tokens) for each in texts]}
        for texts in zip(*readouts.values(), strict=True)
    ]
    heads = [translate(language, "story.figure.text"), *heads]
    return render_table(language, translate(language, "story.why.says"), heads, rows, css="story-says")


def _metric_words(language: str, comparison: Comparison) -> dict[str, str]:
    metrics = comparison.metrics
    return {
        "right": two_digits(metrics.matching_mean),
        "wrong": two_digits(metrics.other_mean),
        "margin": format_margin(comparison),
        "found": translate(language, "metric.found.value", found=metrics.found_first, asked=metrics.n_matched),
    }


def format_margin(comparison: Comparison) -> str:
    """The margin with three digits: the article's procedure leaves little more than the third."""
    return digits(comparison.metrics.margin, 3, signed=True)


def _title(readout: Readout) -> str:
    return f"{readout.name} {readout.inspected.text}"


def _list_tokens(next_tokens: Sequence[tuple[str, float]], shares: bool = False) -> str:
    return ", ".join(
        f"“{spell_token(token)}”" + (f" {fine_percent(chance)}" if shares else "")
        for token, chance in next_tokens[:_LISTED]
    )


def _span(numbers: Sequence[int]) -> str:
    """`4–17`; `9` if all are equal."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"


def _share_span(shares: Sequence[float]) -> str:
    """`94–99 %`; `94 %` if all are about equal."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low.removesuffix(' %')}–{high}"
