"""What the Story tab says: its steps' texts, and what each one's figures come to. Knows no widget and no lab.

Every number in a sentence comes from a result. Every text that comes from outside the locales is escaped here;
figures' titles and tables are plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Comparison, Pooling
from demo.figures.compare import shared_range
from demo.figures.explanation import spell_token
from demo.figures.similarity import two_digits
from demo.figures.space import percent
from demo.figures.story import WORDS as STORY_WORDS
from demo.figures.story import fine_percent, plot_gap, plot_next_tokens, plot_positions
from demo.ui.kit.i18n import translate
from demo.ui.kit.text import render_verdict
from demo.ui.kit.view import figure_payload
from demo.ui.panels.explain.text import render_token_legend, render_tokens
from demo.ui.tabs.compare.text import describe, reading_payload
from demo.ui.tabs.story.runs import ARTICLE, LAST_TOKEN, PROMPTEOL, TUNED, Gap, Told
from demo.ui.tabs.train.formula import render_loss

Shown = tuple[list[dict[str, Any]], str]  # the figures of a step's payload, and what they come to, as HTML
_CONE = 0.3  # unrelated texts above this: all vectors point much the same way
_ROW, _AXES = 40, 96  # pixels of a figure with a row for each text
_LISTED = 4  # next tokens in a table


def figure_words(language: str) -> dict[str, str]:
    """What is written on the figures."""
    return {name: translate(language, f"story.figure.{name}") for name in STORY_WORDS}


def model_name(model: str) -> str:
    """A model as people call it."""
    return CATALOG[model].name if model in CATALOG else model


def render_step(language: str, step: str, gpt: str, tuned: str) -> str:
    """A step's heading and text. gpt, tuned: the models that the story is told with."""
    which = "" if tuned == TUNED else ".instead"
    keys = {"loss": ("first", f"second{which}")}.get(step, ("first", "second"))
    names = {"gpt": model_name(gpt), "tuned": model_name(tuned)}
    first, second = (_paragraph(translate(language, f"story.{step}.{key}", **names)) for key in keys)
    formula = render_loss() if step == "loss" else ""
    return f"<h2>{escape(translate(language, f'story.{step}.title'))}</h2>{formula}{first}{second}"


def tell_tokens(language: str, told: Sequence[Told]) -> Shown:
    """Step 1: which tokens the model receives, and at which one the embedding is read."""
    words = figure_words(language)
    sides = [each.inspected for each in told]
    counts = [len(side.tokens) for side in sides]
    own = [side.inside[1] - side.inside[0] for side in sides]
    read = {side.tokens[side.pooled[1] - 1] for side in sides if side.pooled[1] > side.inside[1]}
    kind = "around" if len(read) == 1 else "bare"
    sentence = translate(
        language,
        f"story.tokens.{kind}",
        counts=_span(counts),
        own=_span(own),
        token=spell_token(next(iter(read), "")),
    )
    rows = [
        [
            each.name,
            str(place + 1),
            token,
            words["inside" if side.inside[0] <= place < side.inside[1] else "around"]
            + (f" ({words['read']})" if place == side.pooled[1] - 1 else ""),
        ]
        for each, side in zip(told, sides, strict=True)
        for place, token in enumerate(side.tokens)
    ]
    head = [words["text"], words["position"], translate(language, "explain.t"), ""]
    figure = figure_payload(
        "story-positions",
        plot_positions(sides, [each.name for each in told], words),
        translate(language, "story.tokens.figure"),
        translate(language, "story.tokens.alt", counts=_span(counts), own=_span(own)),
        height=_AXES + _ROW * len(told),
        table={"head": head, "rows": rows},
    )
    spelled = "".join(
        f"<div><h3>{escape(_titled(each))} <small>"
        f"{escape(translate(language, 'explain.count', count=len(each.inspected.tokens)))}</small></h3>"
        f'<p class="ex-text">{render_tokens(language, each.inspected, Pooling.LAST_TOKEN)}</p></div>'
        for each in told
    )
    return [figure], f'{_paragraph(sentence)}{render_token_legend(language)}<div class="story-pair">{spelled}</div>'


def tell_logits(language: str, told: Sequence[Told]) -> Shown:
    """Step 2: what the model would say after each text."""
    words = figure_words(language)
    size = translate(language, "story.logits.size", count=f"{len(told[0].inspected.vector):,}")
    if not all(each.says for each in told):
        return [], _paragraph(translate(language, "explain.no_head"))
    highest = max(chance for each in told for _, chance in each.says)
    figures = [
        figure_payload(
            f"story-next-{each.name.lower()}",
            plot_next_tokens(each.says, highest, words),
            translate(language, "story.logits.figure", text=_titled(each)),
            translate(language, "story.logits.alt", text=_titled(each), tokens=_listed(each.says, shares=True)),
            height=_AXES + 22 * len(each.says),
            table={
                "head": [words["token"], words["chance"]],
                "rows": [[spell_token(token), fine_percent(chance)] for token, chance in each.says],
            },
        )
        for each in told
    ]
    first = [each.says[0] for each in told]
    same = len({token for token, _ in first}) == 1
    sentence = translate(
        language,
        f"story.logits.{'same' if same else 'differ'}",
        token=spell_token(first[0][0]),
        shares=_shares([chance for _, chance in first]),
        tokens=", ".join(f"{each.name} “{spell_token(each.says[0][0])}”" for each in told),
    )
    return figures, _paragraph(f"{size} {sentence}")


def tell_result(language: str, here: Comparison, printed: Comparison) -> Shown:
    """Step 3: the article's four cosines, by this machine and as printed."""
    figures = [
        reading_payload(language, "story-here", describe(language, here), here),
        reading_payload(language, "story-printed", _printed_name(language, printed), printed),
    ]
    beside = translate(
        language,
        "story.result.beside",
        **_said(language, here, "here_"),
        **_said(language, printed, "there_"),
        model=printed.provenance["model"],
    )
    return figures, render_verdict(language, here) + _paragraph(beside)


def tell_why(
    language: str, last: Comparison, asked: Comparison, gaps: Mapping[str, Gap], told: Mapping[str, Sequence[Told]]
) -> Shown:
    """Step 4: the narrow cone, and what a question changes. last, asked: the four texts without it and with it.

    gaps: by reading, over other pairs; told: the four texts under both readings.
    """
    colours = shared_range((last, asked))
    figures = [
        reading_payload(language, "story-last", describe(language, last), last, colours),
        reading_payload(language, "story-asked", describe(language, asked), asked, colours),
        _gap_payload(language, gaps),
    ]
    twist = translate(
        language,
        "story.why.twist",
        before=margin_of(last),
        after=margin_of(asked),
        found_before=last.metrics.found_first,
        found_after=asked.metrics.found_first,
        asked=asked.metrics.n_matched,
    )
    others = {how: gap.comparison.metrics.found_first for how, gap in gaps.items()}
    sample = gaps[ARTICLE].comparison.metrics.n_matched
    more = translate(language, "story.why.more", count=sample, **others)
    return figures, _paragraph(f"{twist} {more}") + _paragraph(_cone(language, gaps)) + _says_table(language, told)


def tell_loss(language: str, article: Comparison, before: Comparison, after: Comparison, instead: bool) -> Shown:
    """Step 5: before and after contrastive training. instead: after is not the same GPT but another model."""
    colours = shared_range((before, after))
    figures = [
        reading_payload(language, "story-before", describe(language, before), before, colours),
        reading_payload(language, "story-after", describe(language, after), after, colours),
    ]
    margins = translate(
        language,
        f"story.loss.margins{'.instead' if instead else ''}",
        article=margin_of(article),
        before=margin_of(before),
        after=margin_of(after),
        gpt=before.provenance["model"],
        tuned=after.provenance["model"],
    )
    return figures, render_verdict(language, after) + _paragraph(margins)


def _gap_payload(language: str, gaps: Mapping[str, Gap]) -> dict[str, Any]:
    words = figure_words(language)
    names = [translate(language, f"compare.reading.{how}") for how in gaps]
    unrelated = [gap.space.mean_cosine or 0.0 for gap in gaps.values()]
    right = [gap.comparison.metrics.matching_mean or 0.0 for gap in gaps.values()]
    first = next(iter(gaps.values()))
    values = {"texts": 2 * len(first.comparison.questions), "pairs": first.space.n_unrelated}
    told = "; ".join(
        f"{name}: {words['unrelated']} {two_digits(low)}, {words['right']} {two_digits(high)}"
        for name, low, high in zip(names, unrelated, right, strict=True)
    )
    return figure_payload(
        "story-gap",
        plot_gap(names, unrelated, right, words),
        translate(language, "story.why.figure", **values),
        translate(language, "story.why.alt", told=told, **values),
        height=_AXES + 62 * len(names),
        table={
            "head": [words["reading"], words["unrelated"], words["right"]],
            "rows": [
                [name, two_digits(low), two_digits(high)]
                for name, low, high in zip(names, unrelated, right, strict=True)
            ],
        },
    )


def _cone(language: str, gaps: Mapping[str, Gap]) -> str:
    """How close unrelated texts are, which dimension makes them so, and whether the question changes that."""
    means = {how: gap.space.mean_cosine or 0.0 for how, gap in gaps.items()}
    kind = "cone" if min(means[ARTICLE], means[LAST_TOKEN]) >= _CONE else "round"
    first = gaps[ARTICLE].space
    values = {how: two_digits(mean) for how, mean in means.items()}
    said = [translate(language, f"story.why.{kind}", pairs=first.n_unrelated, **values)]
    if gaps[LAST_TOKEN].space.rogue:
        dimension, share = gaps[LAST_TOKEN].space.rogue[0]
        said.append(translate(language, "story.why.rogue", dimension=dimension, share=percent(share)))
    right = {how: gap.comparison.metrics.matching_mean or 0.0 for how, gap in gaps.items()}
    wider = right[PROMPTEOL] - means[PROMPTEOL] > max(0.0, right[LAST_TOKEN] - means[LAST_TOKEN])
    if wider and means[PROMPTEOL] >= means[LAST_TOKEN]:
        high = two_digits(right[PROMPTEOL])
        said.append(translate(language, "story.why.high", value=values[PROMPTEOL], right=high))
    return " ".join(said)


def _says_table(language: str, told: Mapping[str, Sequence[Told]]) -> str:
    """The likeliest next tokens of the four texts, with the question and without; nothing without an LM head."""
    if not all(each.says for texts in told.values() for each in texts):
        return ""
    names = [escape(translate(language, f"compare.reading.{how}")) for how in told]
    heads = "".join(f'<th scope="col" role="columnheader">{name}</th>' for name in names)
    rows = ""
    for texts in zip(*told.values(), strict=True):
        cells = "".join(
            f'<td role="cell" data-label="{name}">{escape(_listed(each.says))}</td>'
            for name, each in zip(names, texts, strict=True)
        )
        rows += f'<tr role="row"><th scope="row" role="rowheader">{escape(_titled(texts[0]))}</th>{cells}</tr>'
    caption, text = (escape(translate(language, f"story.{key}")) for key in ("why.says", "figure.text"))
    return (
        f'<table role="table" class="story-says"><caption>{caption}</caption><thead role="rowgroup"><tr role="row">'
        f'<th scope="col" role="columnheader">{text}</th>{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )


def _said(language: str, comparison: Comparison, prefix: str) -> dict[str, str]:
    metrics = comparison.metrics
    found = translate(language, "metric.found.value", found=metrics.found_first, asked=metrics.n_matched)
    said = {
        "right": two_digits(metrics.matching_mean),
        "wrong": two_digits(metrics.other_mean),
        "margin": margin_of(comparison),
        "found": found,
    }
    return {prefix + name: value for name, value in said.items()}


def margin_of(comparison: Comparison) -> str:
    """The margin with three digits: the article's procedure leaves little more than the third."""
    value = comparison.metrics.margin
    text = f"{abs(value):.3f}".removeprefix("0")
    return text if text == ".000" else ("−" if value < 0 else "+") + text


def _printed_name(language: str, comparison: Comparison) -> str:
    return translate(language, "story.printed", model=comparison.provenance["model"])


def _titled(told: Told) -> str:
    return f"{told.name} {told.inspected.text}"


def _listed(says: Sequence[tuple[str, float]], shares: bool = False) -> str:
    return ", ".join(
        f"“{spell_token(token)}”" + (f" {fine_percent(chance)}" if shares else "") for token, chance in says[:_LISTED]
    )


def _span(numbers: Sequence[int]) -> str:
    """`4–17`; `9` where all are equal."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low}–{high}"


def _shares(shares: Sequence[float]) -> str:
    """`94–99 %`; `94 %` where all are as good as equal."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low.removesuffix(' %')}–{high}"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""
