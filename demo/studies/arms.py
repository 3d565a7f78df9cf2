"""Arms: models under one prompt each, the figures of their readings so far, and which of them are best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from demo.analysis.evaluation import paired_bootstrap, quick_metrics
from demo.domain.datamodels import LAST_LAYER, ModelInfo, Pooling, Postprocess, Prompt, Reading, Reference
from demo.domain.results import LabelledSet, Lead
from demo.stages.resolve_reading import resolve_reading
from demo.stages.texts import Limits
from demo.studies.sweep import Axes, find_winners

_TOP = 0.05  # of a prompt's readings: their mean says what it promises; a single best one is luck


@dataclass(eq=False)
class Arm:
    """A model under one prompt, with the figures of the last round that it finished."""

    info: ModelInfo
    reading: Reading
    size: int = 0  # questions of that round
    axes: Axes | None = None
    metrics: dict[str, np.ndarray] = field(default_factory=dict)  # (n_poolings, n_methods, n_layers) each
    promise: float = 0.0
    texts: int = 0  # that ran
    seconds: float = 0.0

    @property
    def seconds_per_text(self) -> float:
        return self.seconds / self.texts if self.texts else 0.0

    @property
    def texts_per_second(self) -> float | None:
        return self.texts / self.seconds if self.texts and self.seconds else None


def make_arms(info: ModelInfo, limits: Limits) -> list[Arm]:
    """One for each prompt of a model, its own prompt first."""
    prompts = [prompt for prompt in info.prompts if prompt is not Prompt.CUSTOM]
    prompts.sort(key=lambda prompt: prompt is not info.default_reading.prompt)
    pooling = Pooling.MEAN if Pooling.MEAN in info.poolings else info.poolings[0]  # as in a sweep
    plain = {"pooling": pooling, "postprocess": Postprocess.NONE, "reference": Reference.TEXTS}
    return [Arm(info, replace(resolve_reading(info, limits, prompt=prompt.value), **plain)) for prompt in prompts]


def promise(figures: np.ndarray) -> float:
    """The mean of the best readings' figures. NaN: not scored."""
    scored = np.sort(figures[np.isfinite(figures)])
    return float(scored[-max(1, round(_TOP * len(scored))) :].mean()) if len(scored) else -1.0


def keep_better_half(arms: list[Arm]) -> list[Arm]:
    """The better half, and the best one of each model; the most promising first."""
    ranked = sorted(arms, key=lambda arm: -arm.promise)
    first = {arm.info.model: arm for arm in reversed(ranked)}
    return [arm for place, arm in enumerate(ranked) if 2 * place < len(ranked) or first[arm.info.model] is arm]


def choose_best(arms: list[Arm], criterion: str) -> dict[Reading, float]:
    """The best reading of each model with its figure on the questions that chose it, best first."""
    found = []
    for model in {arm.info.model for arm in arms}:
        furthest = max(arm.size for arm in arms if arm.info.model == model)
        last = [arm for arm in arms if arm.info.model == model and arm.size == furthest]
        metrics = {name: np.stack([arm.metrics[name] for arm in last]) for name in last[0].metrics}
        if np.isnan(metrics[criterion]).all():
            continue
        spot, _ = find_winners(metrics, criterion)
        place, pooling, method, layer = spot
        arm, axes = last[place], last[place].axes
        reading = replace(
            arm.reading,
            pooling=axes.poolings[pooling],
            postprocess=axes.methods[method],
            layer=LAST_LAYER if layer == arm.info.n_layers else int(layer),
        )
        figure = float(metrics[criterion][spot])
        # Among equals the faster one.
        found.append(((furthest, round(figure, 6), -arm.seconds_per_text, model), reading, figure))
    return {reading: figure for _, reading, figure in sorted(found, key=lambda one: one[0], reverse=True)}


def confirm_best(cosines: Mapping[Reading, np.ndarray], chosen: Reading, own: Reading, held: LabelledSet) -> Reading:
    """The reading to recommend after the held-out part was seen, of those that it scored.

    Another one where it is surely better. Else the model's own where it is at least as good: what is more than that
    has to show for it. cosines: (n_pairs,) of each reading on `held`. own: of the chosen reading's model.
    """
    leads = leads_over_others(cosines, chosen, held)
    surely_better = [reading for reading, lead in leads.items() if lead.difference.high < 0]
    if surely_better:
        return max(surely_better, key=lambda reading: leads[reading].a)
    return own if own in leads and leads[own].difference.value <= 0 else chosen


def leads_over_others(cosines: Mapping[Reading, np.ndarray], best: Reading, held: LabelledSet) -> dict[Reading, Lead]:
    """`best` over each other reading; the intervals hold for all of them at once."""
    others = [reading for reading in cosines if reading != best]
    found = {
        reading: paired_bootstrap(cosines[reading], cosines[best], held, comparisons=len(others)) for reading in others
    }
    return {reading: lead for reading, lead in found.items() if lead}


def surely_behind(cosines: Mapping[Reading, np.ndarray], held: LabelledSet) -> set[Reading]:
    """The readings that are surely worse than the best one on `held`; the intervals hold for all of them at once."""
    if not cosines:
        return set()
    [figures] = [
        values for name, values in quick_metrics(np.stack(list(cosines.values())), held).items() if name != "margin"
    ]
    leads = leads_over_others(cosines, list(cosines)[int(np.argmax(figures))], held)
    return {reading for reading, lead in leads.items() if lead.difference.low > 0}


def find_front(
    cosines: Mapping[Reading, np.ndarray], seconds: Mapping[Reading, float], held: LabelledSet
) -> tuple[Reading, ...]:
    """The sure Pareto front of quality and cost: the cheapest reading, then each that is surely better than the last.

    cosines: (n_pairs,) of each reading on `held`, better ones first. seconds: a text; readings without are left out.
    """
    front: list[Reading] = []
    for reading in sorted((one for one in cosines if seconds.get(one)), key=seconds.__getitem__):
        lead = paired_bootstrap(cosines[front[-1]], cosines[reading], held) if front else None
        if not front or (lead and lead.difference.low > 0):
            front.append(reading)
    return tuple(front)
