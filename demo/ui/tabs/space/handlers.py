"""The Space tab's handlers: what stands in the widgets becomes a question to the lab, its answer figures and sentences.

Computes nothing. Asked by the view's `tick` after every new heatmap, while somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from demo.domain.results import Space
from demo.figures.space import WORDS as SPACE_WORDS
from demo.figures.space import plot_space_2d, plot_space_3d, plot_variance
from demo.lab import Lab
from demo.ui.gradio.event_options import QUIET
from demo.ui.kit.i18n import choose_language, translate, translate_phrase
from demo.ui.kit.panel import Panel
from demo.ui.kit.text import render_notices
from demo.ui.kit.view import answer_view, figure_payload, next_seq, show_view
from demo.ui.live.form import Form
from demo.ui.live.tab import Widgets
from demo.wording.numbers import percent, two_digits

_FAR = 0.3  # unrelated texts below this: a high cosine means something
_CLOSE = 0.8  # above this: hardly anything is left to tell texts apart by
_PLOTS = {"2d": plot_space_2d, "3d": plot_space_3d}


def wire_space(page: gr.Blocks, lab: Lab, widgets: Panel, lab_widgets: Widgets) -> None:
    """The tab's events."""

    def on_tick(request: gr.Request, *values: Any) -> tuple[dict, Any, Any]:
        language = choose_language(request)
        *chosen, dimensions, method = values
        facts = notices = gr.skip()

        def answer() -> dict:
            nonlocal facts, notices
            asked = Form.from_widgets(chosen)
            space = lab.space(
                asked.questions, asked.answers, matches=asked.matches, wait=False, method=method, **asked.reading
            )
            facts = render_facts(language, space)
            notices = render_notices(tuple(translate_phrase(language, notice) for notice in space.notices))
            return show_view(language, next_seq(), "ready", figures=space_figures(language, space, dimensions))

        payload = answer_view(language, answer)
        return payload, facts, notices

    def on_method(request: gr.Request, *values: Any) -> Iterator[tuple[dict, Any, Any]]:
        if values[-1] == "umap":
            language = choose_language(request)
            yield show_view(language, next_seq(), "stale", translate(language, "space.umap")), gr.skip(), gr.skip()
        yield on_tick(request, *values)

    wiring = {
        "inputs": [*lab_widgets.choices, widgets.dimensions, widgets.method],
        "outputs": [widgets.view, widgets.facts, widgets.notices],
        "trigger_mode": "always_last",
        "concurrency_limit": 8,
        **QUIET,
    }
    gr.on([widgets.view.tick, widgets.dimensions.input], on_tick, **wiring)
    widgets.method.input(on_method, **wiring)


def space_figures(language: str, space: Space, dimensions: str = "2d") -> list[dict[str, Any]]:
    """The two pictures of a payload, with their text alternatives and tables."""
    words = {name: translate(language, f"space.figure.{name}") for name in SPACE_WORDS}
    axes = 3 if dimensions == "3d" else 2
    cloud_alt = translate(
        language,
        f"space.alt.{space.method}",
        questions=len(space.questions),
        answers=len(space.answers),
        axes=axes,
        share=percent(sum(space.explained[:axes])),
    )
    cloud = figure_payload(
        f"space-{dimensions}",
        _PLOTS[dimensions](space, words),
        words["title"],
        cloud_alt,
        height=480,
        square=True,
        table=_points_table(language, space),
    )
    shares = [percent(float(share)) for share in space.variance_shares]
    whole = percent(float(space.variance_shares.sum()))
    variance = figure_payload(
        "space-variance",
        plot_variance(space, words),
        words["variance_title"],
        translate(language, "space.alt.variance", first=shares[0], count=len(shares), sum=whole),
        height=300,
        table={
            "head": [words["direction"], words["share"]],
            "rows": [[str(i), share] for i, share in enumerate(shares, 1)],
        },
    )
    return [cloud, variance]


def render_facts(language: str, space: Space) -> str:
    """How far from round the cloud is: three figures, each with what it means for reading the heatmap."""
    facts = (
        ("unrelated", *_unrelated(language, space)),
        ("direction", *_direction(language, space)),
        ("rogue", *_rogue(language, space)),
    )
    items = "".join(
        f'<div id="space-{name}"><dt>{escape(translate(language, f"space.{name}"))}</dt><dd>{escape(value)}</dd>'
        f'<dd class="hint">{escape(sentence)}</dd></div>'
        for name, value, sentence in facts
    )
    return f"<dl>{items}</dl>"


def _unrelated(language: str, space: Space) -> tuple[str, str]:
    mean = space.mean_cosine
    if mean is None:
        return "–", translate(language, "space.unrelated.none")
    key = "far" if mean < _FAR else "close" if mean >= _CLOSE else "between"
    # A quarter of what is left above the mean: looks like much, and is not.
    meaning = translate(
        language, f"space.unrelated.{key}", value=two_digits(mean), more=two_digits(mean + (1 - mean) / 4)
    )
    return two_digits(mean), f"{meaning} {translate(language, 'space.unrelated.hint', pairs=space.n_unrelated)}"


def _direction(language: str, space: Space) -> tuple[str, str]:
    share = float(space.variance_shares[0])
    key = "most" if share >= 0.5 else "some"
    return percent(share), translate(language, f"space.direction.{key}", share=percent(share))


def _rogue(language: str, space: Space) -> tuple[str, str]:
    if not space.rogue:
        return "–", translate(language, "space.rogue.none")
    (first, share), *others = space.rogue
    sentence = translate(language, "space.rogue.first", dimension=first, share=percent(share))
    if others:
        names = ", ".join(f"{dimension} ({percent(share)})" for dimension, share in others)
        sentence += " " + translate(language, "space.rogue.others", names=names)
    return percent(share), f"{sentence} {translate(language, 'space.rogue.hint')}"


def _points_table(language: str, space: Space) -> dict[str, list]:
    labels = [f"Q{i + 1}" for i in range(len(space.questions))] + [f"A{i + 1}" for i in range(len(space.answers))]
    rows = [
        [label, text, *(f"{value:.3g}".replace("-", "−") for value in point)]
        for label, text, point in zip(labels, [*space.questions, *space.answers], space.points, strict=True)
    ]
    axis = "PC {}" if space.explained else "UMAP {}"
    return {"head": ["", translate(language, "space.text"), *(axis.format(i + 1) for i in range(3))], "rows": rows}
