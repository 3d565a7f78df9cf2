"""Recommend: which model, read how, tells the texts apart best, within a budget of seconds; and how sure that is.

Successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943) over model × prompt: one forward pass a text costs, and
gives every layer and pooling. All are read on few questions, the better half on twice as many, and so on; the last
ones are scored as a sweep does. Each model's best reading is then scored on questions that chose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from demo.analysis.evaluation import paired_bootstrap, quick_metrics, score
from demo.analysis.labelled_sets import cut_candidates, cut_out, resampling_units, split
from demo.domain.choices import Role
from demo.domain.datamodels import LAST_LAYER, ModelInfo, Pooling, Postprocess, Progress, Prompt, Reading, Reference
from demo.domain.errors import BadInput, ModelError, NotFinite, OutOfMemory, ReadingRefused, ServerFailed
from demo.domain.results import BenchmarkRow, LabelledSet, Recommendation
from demo.pipeline import Pipeline
from demo.stages.postprocess import fewest_texts
from demo.stages.resolve_reading import resolve_reading
from demo.studies.survey import Survey
from demo.studies.sweep import Axes, count_units, find_winners, score_survey

OnProgress = Callable[[Progress], None]
SECONDS = 600.0
_FEWEST = {False: 8, True: 32}  # questions, graded: pairs, of the first round
_MOST = 256  # questions or pairs that choose
_WRONG = 4  # candidates of a question that cost a text of their own, while readings are chosen
_HELD_WRONG = 9  # the same where not all held-out questions can be scored in time
_CHEAP = (Postprocess.NONE, Postprocess.CENTER, Postprocess.ZSCORE)  # before the last round
_TOP = 0.05  # of a prompt's readings: their mean says what it promises; a single best one is luck
_FIRST_ROUND, _SCORING = 0.5, 0.4  # at most so much of the budget
_CAUTION = 1.3  # × what scoring is expected to take
_NO_WRONG = "There is no wrong pair to compare with, so no reading can be scored."
_SHARES = (0.4, 0.4)  # of all work, about: the first round, the others
_REFUSALS = (ModelError, ReadingRefused, BadInput, OutOfMemory, NotFinite, ServerFailed)


class _TimeUp(Exception):
    """The deadline of a round has passed."""


@dataclass(eq=False)
class _Arm:
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


def run_recommend(
    pipeline: Pipeline,
    labelled: LabelledSet,
    models: Sequence[str] | None = None,
    seconds: float = SECONDS,
    on_progress: OnProgress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Recommendation:
    """Recommend a reading for a set. models: by default all that run here from memory.

    on_progress may raise to stop. Raises DemoError; BadInput where nothing could be measured in so many seconds.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise BadInput(field="seconds", problem=f"“{seconds}” is no number of seconds. One above 0 is accepted.")
    return _Search(pipeline, labelled, models, seconds, on_progress or (lambda progress: None), clock).run()


class _Search:
    def __init__(self, pipeline, labelled, models, seconds, report, clock):
        self.pipeline, self.labelled, self.budget = pipeline, labelled, seconds
        self.report, self.clock = report, clock
        self.started = clock()
        self.end = self.deadline = self.started + seconds
        self.named = models is not None
        self.models = list(dict.fromkeys(models)) if self.named else self._runnable()
        self.criterion = "spearman" if labelled.graded else "auc"
        self.choosing, self.scoring = split(labelled)
        self.sizes = self._sizes()
        self.part = cache(lambda size: cut_candidates(labelled, self.order[:size], _WRONG))
        self.tried: list[_Arm] = []
        self.notices: list[str] = []
        self.stage, self.done, self.share = "starting", 0.0, 0.0  # of all work, about; the share of the step under way

    def run(self) -> Recommendation:
        arms, possible = self._first_round()
        if not arms:
            raise self._nothing()
        held = self._held_out(arms)
        for number, size in enumerate(rounds := self.sizes[1:]):
            arms = self._keep(arms)
            self.deadline = self.end - self._scoring_seconds(arms, held)
            self._enter(_SHARES[0] + _SHARES[1] * number / len(rounds))
            try:
                for arm in arms:
                    self._begin(f"{arm.info.name}, {arm.reading.prompt.value}", _SHARES[1] / len(rounds) / len(arms))
                    self._measure(arm, size)
            except _TimeUp:
                self.notices.append("Time was up before the promising readings had been tried on all questions.")
                break
        return self._scored(arms, held, possible)

    def _enter(self, done: float) -> None:
        """A part of the work begins when so much of all is done."""
        self.done, self.share = done, 0.0

    def _begin(self, stage: str, share: float) -> None:
        """A step begins, with its share of all work."""
        self.done, self.share, self.stage = self.done + self.share, share, stage
        self._check(0.0)

    def _check(self, done: float, deadline: float | None = None) -> None:
        """Report how much of the step is done, 0…1. Raises _TimeUp past the deadline."""
        now, fraction = self.clock(), min(1.0, self.done + self.share * done)
        left = max(0.0, self.end - now)
        expected = (now - self.started) * (1 - fraction) / fraction if fraction else left
        self.report(Progress(self.stage, fraction, min(left, expected)))
        if now > (deadline or self.deadline):
            raise _TimeUp

    def _runnable(self) -> list[str]:
        """The models that run here from memory, those that are loaded first, then the small ones."""
        here = [
            status
            for status in self.pipeline.models()
            if status.state != "unavailable" and not status.host and not status.reason
        ]
        return [status.model for status in sorted(here, key=lambda s: (s.state != "loaded", s.parameters))]

    def _sizes(self) -> list[int]:
        """How many questions each round has; the last one all that choose."""
        units = resampling_units(self.labelled)[self.choosing]
        labels = np.asarray(self.labelled.labels)[self.choosing]
        shuffled = np.random.default_rng(0).permutation(np.unique(units))
        telling = np.isin(shuffled, units if self.labelled.graded else units[labels == 1])
        self.order = np.concatenate([shuffled[telling], shuffled[~telling]])[:_MOST]
        sizes = [len(self.order)]
        while sizes[0] // 2 >= _FEWEST[self.labelled.graded]:
            sizes.insert(0, sizes[0] // 2)
        tied = np.zeros((1, len(self.labelled.pairs)))
        if not np.isfinite(quick_metrics(tied, self.labelled, self.choosing)[self.criterion]).all():
            raise BadInput(field="matches", problem=_NO_WRONG)
        return sizes

    def _first_round(self) -> tuple[list[_Arm], int]:
        """Every model under every prompt, as far as time allows: each model has its share of it."""
        arms: list[_Arm] = []
        possible, share = 0, _SHARES[0] / max(1, len(self.models))
        until = self.started + _FIRST_ROUND * self.budget
        for place, model in enumerate(self.models):
            self.deadline = self.clock() + (until - self.clock()) / (len(self.models) - place)
            self._enter(share * place)
            try:
                self._begin(f"{model}: loading", 0.0)
                info = self.pipeline.wait_for_model(
                    lambda model=model: self.pipeline.open(model, wait=False), lambda loading: self._check(0.0)
                )
            except _TimeUp:
                self.notices.append(f"Left out, because its share of the time was over before it was loaded: {model}.")
                continue
            except _REFUSALS as error:
                if self.named:
                    raise
                self.notices.append(f"Left out: {error}")
                continue
            if info.streams and not self.named:
                continue
            wanted = [self._arm(info, prompt) for prompt in self._prompts(info)]
            possible += len(wanted)
            for number, arm in enumerate(wanted):
                try:
                    self._begin(f"{info.name}, {arm.reading.prompt.value}", share / len(wanted))
                    if not number:  # a model's first pass is slow, and says nothing of the next ones
                        self.pipeline.vectors(self.labelled.questions[:1], arm.reading, Role.QUESTION, keep=False)
                    self._measure(arm, self.sizes[0])
                except _TimeUp:
                    break
                except _REFUSALS as error:
                    self.notices.append(f"Left out: {error}")
                else:
                    arms.append(arm)
        if arms and len(arms) < possible:
            self.notices.append(f"Combinations of model and prompt that were tried: {len(arms)} of {possible}.")
        self.tried = arms
        return arms, possible

    def _prompts(self, info: ModelInfo) -> list[Prompt]:
        """The model's own prompt first."""
        prompts = [prompt for prompt in info.prompts if prompt is not Prompt.CUSTOM]
        return sorted(prompts, key=lambda prompt: prompt is not info.default_reading.prompt)

    def _arm(self, info: ModelInfo, prompt: Prompt) -> _Arm:
        reading = resolve_reading(info, self.pipeline.limits, prompt=prompt.value)
        pooling = Pooling.MEAN if Pooling.MEAN in info.poolings else info.poolings[0]  # as in a sweep
        return _Arm(info, replace(reading, pooling=pooling, postprocess=Postprocess.NONE, reference=Reference.TEXTS))

    def _measure(self, arm: _Arm, size: int) -> None:
        """Score the readings of an arm on the first questions of those that choose. Raises _TimeUp."""
        part, info, last = self.part(size), arm.info, size == self.sizes[-1]
        methods = [
            method
            for method in (Postprocess if last else _CHEAP)
            if fewest_texts(method, info.dim) <= _count_texts(part)
        ]
        # Logits are as wide as the vocabulary: by far the dearest vectors.
        poolings = [p for p in info.poolings if last or p is not Pooling.LAST_TOKEN_LOGITS]
        axes = Axes((arm.reading.prompt,), tuple(poolings), tuple(methods), tuple(range(info.n_layers + 1)))
        started = self.clock()
        survey = Survey(self.pipeline, part, arm.reading, poolings, lambda done: self._check(0.7 * done))
        ran = self.clock() - started
        metrics: dict[str, np.ndarray] = {}
        for spot, block in score_survey(survey, axes, part, None, lambda done: self._check(0.7 + 0.3 * done, self.end)):
            for name, values in block.items():
                metrics.setdefault(name, np.full(axes.shape[1:], np.nan))[spot] = values
        arm.size, arm.axes, arm.metrics = size, axes, metrics
        if survey.n_new:
            arm.texts, arm.seconds = arm.texts + survey.n_new, arm.seconds + ran
        figures = np.sort(metrics[self.criterion][np.isfinite(metrics[self.criterion])])
        arm.promise = float(figures[-max(1, round(_TOP * len(figures))) :].mean()) if len(figures) else -1.0

    def _keep(self, arms: list[_Arm]) -> list[_Arm]:
        """The better half, and the best one of each model; the most promising first."""
        ranked = sorted(arms, key=lambda arm: -arm.promise)
        first = {arm.info.model: arm for arm in reversed(ranked)}
        return [arm for place, arm in enumerate(ranked) if 2 * place < len(ranked) or first[arm.info.model] is arm]

    def _held_out(self, arms: list[_Arm]) -> LabelledSet:
        """What scores: the questions that choose nothing, as many as can be embedded in time."""
        pairs = self.scoring if len(self.scoring) else self.choosing
        units = resampling_units(self.labelled)[pairs]
        drawn = np.random.default_rng(1).permutation(np.unique(units))
        count, fewest = len(drawn), _FEWEST[self.labelled.graded]
        while True:
            if count == len(drawn):
                held = cut_out(self.labelled, pairs)
            else:
                held = cut_candidates(self.labelled, drawn[:count], _HELD_WRONG)
            if count // 2 < fewest or self._scoring_seconds(arms, held) <= _SCORING * self.budget:
                break
            count //= 2
        if count < len(drawn):
            self.notices.append(f"Held-out questions or pairs that score, to end in time: {count:,} of {len(drawn):,}.")
        return held

    def _scoring_seconds(self, arms: list[_Arm], held: LabelledSet) -> float:
        """What it may take to score two readings of each model."""
        paces = {arm.info.model: arm.seconds_per_text for arm in sorted(arms, key=lambda arm: arm.seconds_per_text)}
        return _CAUTION * 2 * sum(paces.values()) * _count_texts(held)

    def _scored(self, arms: list[_Arm], held: LabelledSet, possible: int) -> Recommendation:
        chosen = self._chosen(arms)
        infos = {arm.info.model: arm.info for arm in arms}
        readings = list(dict.fromkeys([*chosen, *(infos[reading.model].default_reading for reading in chosen)]))
        self.deadline = self.end
        self._enter(sum(_SHARES))
        cosines: dict[Reading, np.ndarray] = {}
        try:
            for reading in readings:
                info = infos[reading.model]
                self._begin("scoring", (1 - sum(_SHARES)) / len(readings))
                survey = Survey(self.pipeline, held, reading, [reading.pooling], self._check)
                layer = info.n_layers if reading.layer == LAST_LAYER else reading.layer
                cosines[reading] = survey.cosines(reading.pooling, layer, [reading.postprocess])[0]
        except _TimeUp:
            self.notices.append(f"Readings that were not scored, since time was up: {len(readings) - len(cosines)}.")
        if readings[0] not in cosines:
            raise self._nothing()
        best = readings[0]
        pace = {(arm.info.model, arm.reading.prompt): arm.seconds_per_text for arm in self.tried}
        rows = []
        for reading, values in cosines.items():
            seconds = pace.get((reading.model, reading.prompt))
            origin = self.pipeline.provenance(infos[reading.model], reading)
            scores = score(values, held)
            rows.append(
                BenchmarkRow(held.name, reading, reading.label(), scores, 1 / seconds if seconds else None, origin)
            )
        leads = {}
        if len(self.scoring):
            found = {reading: paired_bootstrap(values, cosines[best], held) for reading, values in cosines.items()}
            leads = {reading: lead for reading, lead in found.items() if lead and reading != best}
        held_pairs = np.arange(len(held.pairs) if len(self.scoring) else 0)
        return Recommendation(
            criterion=self.criterion,
            best=best,
            rows=tuple(rows),
            chosen=chosen,
            leads=leads,
            held_out=count_units(held, held_pairs),
            chosen_on=max(arm.size for arm in arms),
            n_readings=sum(int(np.isfinite(arm.metrics[self.criterion]).sum()) for arm in self.tried),
            n_tried=len(self.tried),
            n_possible=possible,
            seconds=self.clock() - self.started,
            budget=self.budget,
            notices=tuple(dict.fromkeys(self.notices)),
        )

    def _chosen(self, arms: list[_Arm]) -> dict[Reading, float]:
        """The best reading of each model with its figure on the questions that chose it, best first."""
        found = []
        for model in {arm.info.model for arm in arms}:
            furthest = max(arm.size for arm in arms if arm.info.model == model)
            last = [arm for arm in arms if arm.info.model == model and arm.size == furthest]
            metrics = {name: np.stack([arm.metrics[name] for arm in last]) for name in last[0].metrics}
            if np.isnan(metrics[self.criterion]).all():
                continue
            spot, _ = find_winners(metrics, self.criterion)
            place, pooling, method, layer = spot
            arm, axes = last[place], last[place].axes
            reading = replace(
                arm.reading,
                pooling=axes.poolings[pooling],
                postprocess=axes.methods[method],
                layer=LAST_LAYER if layer == arm.info.n_layers else int(layer),
            )
            figure = float(metrics[self.criterion][spot])
            # Among equals the faster one.
            found.append(((furthest, round(figure, 6), -arm.seconds_per_text, model), reading, figure))
        if not found:
            raise BadInput(field="matches", problem=_NO_WRONG)
        return {reading: figure for _, reading, figure in sorted(found, key=lambda one: one[0], reverse=True)}

    def _nothing(self) -> BadInput:
        said = f"In {self.budget:g} seconds no reading could be measured. More seconds, or fewer models, are accepted."
        return BadInput(field="seconds", problem=" ".join([said, *dict.fromkeys(self.notices)]))


def _count_texts(held: LabelledSet) -> int:
    return len(held.questions) + len(held.answers)
