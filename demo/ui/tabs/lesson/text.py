"""What the Lesson tab says: a step's question, a prediction beside what was measured, and what to make of it.

Knows no widget and no lab. Every number in a sentence comes from a result. Every text that comes from outside the
locales is escaped here; figures' titles and tables are plain text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import Any

from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Comparison
from demo.figures.explanation import spell_token
from demo.figures.lesson import WORDS as LESSON_WORDS
from demo.figures.lesson import plot_layer_auc, plot_prediction, plot_top1, plot_top_tokens
from demo.figures.similarity import two_digits
from demo.figures.story import fine_percent
from demo.ui.kit.i18n import translate, translate_error
from demo.ui.kit.view import figure_payload
from demo.ui.tabs.compare.text import describe, reading_payload
from demo.ui.tabs.lesson.runs import Outcome
from demo.ui.tabs.lesson.steps import BY_NAME, COSINE, ENCODER, OPTIONS, STEPS, SUMMARY, Step, Way, judge, load_texts

Guesses = Mapping[str, str | float]  # predictions by step
_CONE = 0.5  # strangers above this: a cosine means little by its height
_CROWD = 4  # questions that choose the same answer: worth a word
_ROW, _AXES = 46, 104  # pixels of a figure with a row for each reading
_HEATMAPS = ("untouched", "mean", "one_word", "training")  # the steps whose readings are shown cell by cell
_LEARNED, _TRY = 5, 4  # sentences of the summary


def render_step(language: str, name: str, gpt: str) -> str:
    """A step's heading, what is done in it, and its texts. gpt: the model that plays the untouched GPT."""
    heading = f'<h2 tabindex="-1">{escape(translate(language, f"lesson.{name}.title"))}</h2>'
    if name == SUMMARY:
        return heading
    model = CATALOG[gpt].name if gpt in CATALOG else gpt
    return f"{heading}{_paragraph(translate(language, f'lesson.{name}.text', gpt=model))}{_render_texts(language)}"


def ask(language: str, step: Step) -> dict[str, Any]:
    """The question and its choices, or the range of its number: what a widget is told."""
    question = translate(language, f"lesson.{step.name}.question")
    if step.asks == OPTIONS:
        return {"label": question, "choices": [(say_value(language, step, name), name) for name in step.options]}
    low, high = step.limits
    near = translate(language, f"lesson.near.{step.asks}")
    said = translate(language, "lesson.number", low=_signed(low), high=_signed(high))
    return {"label": question, "info": f"{said}. {near}", "step": 0.01 if step.asks == COSINE else 1}


def refuse(language: str, step: Step, value: Any) -> str:
    """Why a prediction is none."""
    if step.asks == OPTIONS or value in (None, ""):
        return translate(language, "lesson.choose")
    low, high = step.limits
    kind = "bad_number" if step.asks == COSINE else "bad_count"
    return translate(language, f"lesson.{kind}", value=str(value)[:40], low=_signed(low), high=_signed(high))


def say_value(language: str, step: Step, value: str | float) -> str:
    """A prediction or what was measured, in words."""
    if step.asks == OPTIONS:
        return translate(language, f"lesson.{step.name}.option.{value}")
    return two_digits(value) if step.asks == COSINE else str(int(value))


def render_judged(language: str, outcome: Outcome, guess: str | float) -> str:
    """The prediction beside what was measured."""
    step, value = outcome.step, outcome.value
    if value is None:
        return f'<h3 tabindex="-1">{escape(translate(language, "lesson.unmeasured"))}</h3>'
    said = {"guessed": say_value(language, step, guess), "measured": say_value(language, step, value)}
    facts = "".join(
        f"<div><dt>{escape(translate(language, f'lesson.{name}'))}</dt><dd>{escape(text)}</dd></div>"
        for name, text in said.items()
    )
    good = "right" if judge(step, guess, value) else "wrong"
    sentence = escape(translate(language, f"lesson.{good}"))
    return f'<h3 tabindex="-1" class="lesson-{good}">{sentence}</h3><dl>{facts}</dl>'


def step_figures(language: str, outcome: Outcome, guess: str | float) -> list[dict[str, Any]]:
    """What a step shows of its readings."""
    figures: list[dict[str, Any]] = []
    if outcome.step.name in _HEATMAPS:
        figures += [
            reading_payload(language, f"lesson-{way.part}-{way.preset}", describe(language, shown), shown)
            for way, shown in outcome.shown.items()
            if outcome.step.name != "training" or way is not outcome.step.ways[0]
        ]
    if outcome.step.name in ("unrelated", "zscore", "training") and outcome.shown:
        figures.insert(0, _pairs_payload(language, outcome, guess))
    if outcome.words:
        figures.append(_words_payload(language, outcome))
    if outcome.layers:
        figures.append(_layers_payload(language, outcome))
    return figures


def render_found(language: str, outcome: Outcome) -> str:
    """What the figures come to, what to make of it, and what could not be had."""
    step, told = outcome.step, ""
    for way, error in outcome.missing.items():
        reading = _way_name(language, way)
        told += _paragraph(
            translate(language, "lesson.missing", reading=reading, reason=translate_error(language, error))
        )
    if outcome.value is None:
        return told
    told += _paragraph(" ".join(_sentences(language, outcome)))
    if not judge(step, step.usual, outcome.value):
        told += _paragraph(translate(language, "lesson.differs", usual=say_value(language, step, step.usual)))
    return told + _paragraph(translate(language, f"lesson.{step.name}.why"))


def render_score(language: str, guesses: Guesses, outcomes: Mapping[str, Outcome]) -> str:
    """How many predictions were good, of those that could be measured, and which are still to be made."""
    counted = _counted(guesses, outcomes)
    left = [_step_name(language, step) for step in STEPS if step.name not in guesses]
    good = sum(judge(step, guesses[step.name], value) for step, value in counted)
    key = "score" if counted else "none"
    score = translate(language, f"lesson.summary.{key}", right=good, told=len(counted))
    waiting = translate(language, "lesson.summary.left", steps=", ".join(left)) if counted and left else ""
    return f'<h3 tabindex="-1">{escape(score)}</h3>{_paragraph(waiting)}'


def render_summary(language: str, guesses: Guesses, outcomes: Mapping[str, Outcome]) -> str:
    """Each prediction beside what was measured, and what to keep and to try."""
    rows = ""
    heads = ("lesson.guessed", "lesson.measured", "lesson.summary.good")
    for step, value in _counted(guesses, outcomes):
        good = "yes" if judge(step, guesses[step.name], value) else "no"
        cells = (
            say_value(language, step, guesses[step.name]),
            say_value(language, step, value),
            translate(language, f"lesson.summary.{good}"),
        )
        told = "".join(
            f'<td role="cell" data-label="{escape(translate(language, head))}">{escape(cell)}</td>'
            for head, cell in zip(heads, cells, strict=True)
        )
        rows += f'<tr role="row"><th scope="row" role="rowheader">{escape(_step_name(language, step))}</th>{told}</tr>'
    return _table(language, rows) + _list(language, "learned", _LEARNED) + _list(language, "try", _TRY)


def summary_figures(language: str, outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """What every reading found that the person has seen, in the order of the lesson."""
    shown: dict[str, Comparison] = {}
    for outcome in outcomes.values():
        shown |= {_way_name(language, way): comparison for way, comparison in outcome.shown.items()}
    if not shown:
        return []
    words = _words(language)
    found = [comparison.metrics.found_first or 0 for comparison in shown.values()]
    asked = next(iter(shown.values())).metrics.n_matched
    told = "; ".join(f"{name}: {count}" for name, count in zip(shown, found, strict=True))
    figure = figure_payload(
        "lesson-found",
        plot_top1(list(shown), found, asked, words),
        translate(language, "lesson.found.figure", asked=asked),
        translate(language, "lesson.found.alt", told=told),
        height=_AXES + 34 * len(shown),
        table={
            "head": [words["reading"], words["found"]],
            "rows": [[name, str(count)] for name, count in zip(shown, found, strict=True)],
        },
    )
    return [figure]


# ---- figures ------------------------------------------------------------------------------------------------------


def _pairs_payload(language: str, outcome: Outcome, guess: str | float) -> dict[str, Any]:
    words = _words(language)
    names, shown = [_way_name(language, way) for way in outcome.shown], list(outcome.shown.values())
    rows = [
        [name, two_digits(each.metrics.matching_mean), two_digits(each.metrics.other_mean)]
        for name, each in zip(names, shown, strict=True)
    ]
    told = "; ".join(
        translate(language, "lesson.pairs.told", reading=reading, right=right, wrong=wrong)
        for reading, right, wrong in rows
    )
    return figure_payload(
        "lesson-pairs",
        plot_prediction(names, shown, guess if outcome.step.asks == COSINE else None, words),
        translate(language, "lesson.pairs.figure"),
        translate(language, "lesson.pairs.alt", told=told),
        height=_AXES + _ROW * len(shown) + 24,
        table={"head": [words["reading"], words["right"], words["wrong"]], "rows": rows},
    )


def _words_payload(language: str, outcome: Outcome) -> dict[str, Any]:
    words = _words(language)
    reading = describe(language, outcome.subject)
    told = "; ".join(f"{word.name} “{spell_token(word.token)}” {fine_percent(word.chance)}" for word in outcome.words)
    texts = [text for side in load_texts("en") for text in side]
    kinds = {kind: translate(language, f"lesson.kind.{kind}") for kind in BY_NAME["next"].options}
    return figure_payload(
        "lesson-words",
        plot_top_tokens([(word.name, word.token, word.chance) for word in outcome.words], words),
        translate(language, "lesson.words.figure", reading=reading),
        translate(language, "lesson.words.alt", told=told),
        height=_AXES - 20 + 22 * len(outcome.words),
        table={
            "head": [words["text"], words["token"], words["chance"], translate(language, "lesson.figure.kind")],
            "rows": [
                [f"{word.name} {text}", spell_token(word.token), fine_percent(word.chance), kinds[word.kind]]
                for text, word in zip(texts, outcome.words, strict=True)
            ],
        },
    )


def _layers_payload(language: str, outcome: Outcome) -> dict[str, Any]:
    words, layers = _words(language), outcome.layers
    reading = translate(language, f"compare.reading.{outcome.step.ways[0].preset}")
    aucs = [two_digits(layer.metrics.auc) for layer in layers]
    values = {"last": len(layers) - 1, "best": outcome.best, "auc": aucs[outcome.best]}
    return figure_payload(
        "lesson-layers",
        plot_layer_auc(layers, outcome.best, words),
        translate(language, "lesson.layers.figure", reading=reading),
        translate(language, "lesson.layers.alt", first=aucs[0], end=aucs[-1], **values),
        height=320,
        table={
            "head": [words["layer"], words["auc"], words["found"]],
            "rows": [
                [str(place), auc, str(layer.metrics.found_first)]
                for place, (auc, layer) in enumerate(zip(aucs, layers, strict=True))
            ],
        },
    )


# ---- sentences ----------------------------------------------------------------------------------------------------


def _sentences(language: str, outcome: Outcome) -> list[str]:
    name, shown = outcome.step.name, list(outcome.shown.values())

    def say(key: str, **values: Any) -> str:
        return translate(language, f"lesson.{name}.{key}", **values)

    after = _figures(outcome.subject)
    if name == "untouched":
        answer, count = Counter(outcome.subject.similarity.argmax(axis=1).tolist()).most_common(1)[0]
        crowd = [say("same", count=count, asked=after["asked"], answer=f"A{answer + 1}")] if count >= _CROWD else []
        return [say("found", **after), *crowd]
    if name == "unrelated":
        wrong = outcome.subject.similarity[~outcome.subject.pairing.mask()]
        ends = {"low": two_digits(float(wrong.min())), "high": two_digits(float(wrong.max()))}
        kind = "cone" if outcome.value >= _CONE else "round"
        return [say("found", count=len(wrong), **ends, **after), say(kind, wrong=after["wrong"])]
    if name == "next":
        kinds = Counter(word.kind for word in outcome.words)
        token, times = Counter(word.token for word in outcome.words).most_common(1)[0]
        counts = {kind: kinds[kind] for kind in outcome.step.options}
        return [say("found", count=len(outcome.words), token=spell_token(token), times=times, **counts)]
    if name == "layer":
        aucs = [two_digits(layer.metrics.auc) for layer in outcome.layers]
        ends = {"first": aucs[0], "end": aucs[-1], "auc": aucs[outcome.best]}
        return [say("found", best=outcome.best, last=len(aucs) - 1, **ends, **after)]
    values = {f"{key}_before": value for key, value in _figures(shown[0]).items()}
    values |= {f"{key}_after": value for key, value in after.items()}
    values |= {"before": values["found_before"], "after": after["found"], "asked": after["asked"]}
    if name == "one_word":
        values["told"] = ", ".join(f"{word.name} “{spell_token(word.token)}”" for word in outcome.words)
    told = [say("found", **values)]
    encoder = next((each for way, each in outcome.shown.items() if way.part == ENCODER), None)
    return [*told, say("encoder", **_figures(encoder))] if encoder else told


def _figures(comparison: Comparison) -> dict[str, Any]:
    metrics = comparison.metrics
    return {
        "found": metrics.found_first,
        "asked": metrics.n_matched,
        "right": two_digits(metrics.matching_mean),
        "wrong": two_digits(metrics.other_mean),
        "margin": two_digits(metrics.margin, signed=True),
    }


def _counted(guesses: Guesses, outcomes: Mapping[str, Outcome]) -> list[tuple[Step, str | float]]:
    """The steps that were predicted and measured, each with what it came to."""
    known = ((step, outcomes[step.name].value) for step in STEPS if step.name in outcomes and step.name in guesses)
    return [(step, value) for step, value in known if value is not None]


def _words(language: str) -> dict[str, str]:
    return {name: translate(language, f"lesson.figure.{name}") for name in LESSON_WORDS}


def _way_name(language: str, way: Way) -> str:
    return translate(language, f"lesson.way.{way.part}.{way.preset}")


def _step_name(language: str, step: Step) -> str:
    return translate(language, f"label.lesson_step_{step.name}")


def _signed(number: float) -> str:
    return f"−{-number}" if number < 0 else str(number)


def _render_texts(language: str) -> str:
    """The texts, folded: as the models read them, and what they mean where the page speaks another language."""
    sides = ""
    for letter, texts, meanings in zip("QA", load_texts("en"), load_texts(language), strict=True):
        items = "".join(
            f'<li><b>{letter}{place}</b> <span lang="en">{escape(text)}</span>'
            + (f" <small>{escape(meaning)}</small>" if meaning != text else "")
            + "</li>"
            for place, (text, meaning) in enumerate(zip(texts, meanings, strict=True), 1)
        )
        sides += f"<ul>{items}</ul>"
    title, hint = (escape(translate(language, f"lesson.texts{more}")) for more in ("", ".hint"))
    return f'<details><summary>{title}</summary><div>{sides}</div><p class="hint">{hint}</p></details>'


def _table(language: str, rows: str) -> str:
    if not rows:
        return ""
    keys = ("lesson.figure.step", "lesson.guessed", "lesson.measured", "lesson.summary.good")
    heads = "".join(f'<th scope="col" role="columnheader">{escape(translate(language, key))}</th>' for key in keys)
    caption = escape(translate(language, "lesson.summary.caption"))
    return (
        f'<table role="table"><caption>{caption}</caption><thead role="rowgroup"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )


def _list(language: str, name: str, count: int) -> str:
    items = (translate(language, f"lesson.summary.{name}.{place}") for place in range(1, count + 1))
    title = escape(translate(language, f"lesson.summary.{name}"))
    return f"<h3>{title}</h3><ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>" if text else ""
