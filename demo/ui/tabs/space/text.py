"""Figures of the Space tab, and the anisotropy of the embeddings in words. Knows no widget and no lab."""

from __future__ import annotations

from typing import Any

from demo.domain.results import Space
from demo.figures.space import plot_space_2d, plot_space_3d, plot_variance
from demo.ui.kit.i18n import translate, translate_group
from demo.ui.kit.text import render_facts
from demo.ui.kit.view import figure_payload
from demo.wording.numbers import percent, two_digits

_FAR = 0.3  # unrelated texts below this: a high cosine means something
_CLOSE = 0.8  # above this: hardly anything is left to tell texts apart by
_PLOTS = {"2d": plot_space_2d, "3d": plot_space_3d}


def space_figures(language: str, space: Space, dimensions: str = "2d") -> list[dict[str, Any]]:
    """The cloud and the variance of its directions, with text alternatives and tables."""
    words = translate_group(language, "space.figure")
    axes = 3 if dimensions == "3d" else 2
    counts = {"questions": len(space.questions), "answers": len(space.answers), "axes": axes}
    alt = translate(language, f"space.alt.{space.method}", **counts, share=percent(sum(space.explained[:axes])))
    plot, table = _PLOTS[dimensions](space, words), _points_table(language, space)
    cloud = figure_payload(f"space-{dimensions}", plot, words["title"], alt, height=480, square=True, table=table)
    shares = [percent(float(share)) for share in space.variance_shares]
    whole = percent(float(space.variance_shares.sum()))
    alt = translate(language, "space.alt.variance", first=shares[0], count=len(shares), sum=whole)
    table = {"head": [words["direction"], words["share"]], "rows": [[str(i), s] for i, s in enumerate(shares, 1)]}
    plot = plot_variance(space, words)
    return [cloud, figure_payload("space-variance", plot, words["variance_title"], alt, height=300, table=table)]


def render_anisotropy(language: str, space: Space) -> str:
    """Three numbers that say how far from round the cloud is, each with its meaning for the heatmap."""
    facts = {"unrelated": _unrelated, "direction": _direction, "rogue": _rogue}
    values = {name: explain(language, space) for name, explain in facts.items()}
    return render_facts(
        (f"space-{name}", translate(language, f"space.{name}"), value, "", sentence)
        for name, (value, sentence) in values.items()
    )


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
