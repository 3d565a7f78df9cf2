"""Recommend: which model, read how, tells the texts apart best, within a budget of seconds; and how sure that is.

Successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943) over model × prompt: one forward pass a text costs, and
gives every layer and pooling. All are read on few questions, the better half on twice as many, and so on; the last
ones are scored as a sweep does. Each model's best reading is then scored on questions that chose nothing, and its own
where that may still win; they confirm the choice or recommend another of these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np

from demo.analysis.evaluation import quick_metrics, score
from demo.analysis.labelled_sets import cut_candidates, cut_out, resampling_units, split
from demo.domain.choices import Role
from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, Progress, Reading
from demo.domain.errors import BadInput, ModelError, NotFinite, OutOfMemory, ReadingRefused, ServerFailed
from demo.domain.results import BenchmarkRow, Candidate, LabelledSet, Recommendation
from demo.pipeline import Pipeline
from demo.stages.postprocess import fewest_texts
from demo.studies.arms import (
    Arm,
    choose_best,
    confirm_best,
    find_front,
    keep_better_half,
    leads_over_others,
    make_arms,
    promise,
    surely_behind,
)
from demo.studies.survey import Survey
from demo.studies.sweep import Axes, count_units, score_survey

OnProgress = Callable[[Progress], None]
OnPart = Callable[[tuple[Candidate, ...]], None]
SECONDS = 600.0
# Questions, graded: pairs, of the first round. With 30 the choice was no better: 92 draws from three sets, 33 arms.
_FEWEST = 8
_FEWEST_HELD = {False: 8, True: 32}  # that score, however little time there is
_MOST = {False: 128, True: 512}  # that choose
_MOST_PAIRS = 20_000  # that score: each is drawn a thousand times
_WRONG = 4  # candidates of a question that cost a text of their own, while readings are chosen
_HELD_WRONG = 9  # the same where not all held-out questions can be scored in time
_CHEAP = (Postprocess.NONE, Postprocess.CENTER, Postprocess.ZSCORE)  # before the last round
_FIRST_ROUND, _FIRST_MODEL, _SCORING = 0.5, 0.8, 0.4  # at most so much of the budget
_CAUTION = 1.3  # × what scoring is expected to take
_NO_WRONG = "There is no wrong pair to compare with, so no reading can be scored."
_ROUND, _ROUNDS, _BESTS = 0.4, 0.4, 0.15  # of all work, about: the first round, the others, scoring the bests
_REFUSALS = (ModelError, ReadingRefused, BadInput, OutOfMemory, NotFinite, ServerFailed)


class _TimeUp(Exception):
    """The deadline of a round has passed."""


def run_recommend(
    pipeline: Pipeline,
    labelled: LabelledSet,
    models: Sequence[str] | None = None,
    seconds: float = SECONDS,
    on_progress: OnProgress | None = None,
    clock: Callable[[], float] = time.perf_counter,
    on_part: OnPart | None = None,
) -> Recommendation:
    """Recommend a reading for a set. models: by default all that run here from memory.

    on_progress may raise to stop; on_part gets each model's best so far, best first. Raises DemoError; BadInput where
    nothing could be measured in so many seconds.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise BadInput(field="seconds", problem=f"“{seconds}” is no number of seconds. One above 0 is accepted.")
    report, show = on_progress or (lambda progress: None), on_part or (lambda part: None)
    return _Search(pipeline, labelled, models, seconds, report, clock, show).run()


class _Search:
    def __init__(self, pipeline, labelled, models, seconds, report, clock, show):
        self.pipeline, self.labelled, self.budget = pipeline, labelled, seconds
        self.report, self.clock, self.show = report, clock, show
        self.started = clock()
        self.end = self.deadline = self.started + seconds
        self.named = models is not None
        self.models = list(dict.fromkeys(models)) if self.named else self._runnable()
        self.criterion = "spearman" if labelled.graded else "auc"
        self.choosing, self.scoring = split(labelled)
        self.sizes = self._sizes()
        self.part = cache(lambda size: cut_candidates(labelled, self.order[:size], _WRONG))
        self.tried: list[Arm] = []
        self.notices: list[str] = []
        self.stage, self.done, self.share = "starting", 0.0, 0.0  # of all work, about; the share of the step under way

    def run(self) -> Recommendation:
        arms, possible = self._first_round()
        if not arms:
            raise self._nothing()
        held = self._held_out(arms)
        for number, size in enumerate(rounds := self.sizes[1:]):
            arms = keep_better_half(arms)
            self.deadline = self.end - self._scoring_seconds(arms, held)
            self._enter(_ROUND + _ROUNDS * number / len(rounds))
            try:
                for arm in arms:
                    self._begin(f"{arm.info.name}, {arm.reading.prompt.value}", _ROUNDS / len(rounds) / len(arms))
                    with self._refusals_noted():  # an arm that fails keeps its figures of the round before
                        self._measure(arm, size)
                        self._show_part()
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

    @contextmanager
    def _refusals_noted(self) -> Iterator[None]:
        """What a model refuses, or fails at, becomes a notice."""
        try:
            yield
        except _REFUSALS as error:
            self.notices.append(f"Left out: {error}")

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
        self.order = np.concatenate([shuffled[telling], shuffled[~telling]])[: _MOST[self.labelled.graded]]
        sizes = [len(self.order)]
        while (half := -(-sizes[0] // 2)) >= _FEWEST:
            sizes.insert(0, half)
        tied = np.zeros((1, len(self.labelled.pairs)))
        if not np.isfinite(quick_metrics(tied, self.labelled, self.choosing)[self.criterion]).all():
            raise BadInput(field="matches", problem=_NO_WRONG)
        return sizes

    def _first_round(self) -> tuple[list[Arm], int]:
        """Every model under every prompt, as far as time allows: each model has its share of it."""
        arms = self.tried
        possible, share = 0, _ROUND / max(1, len(self.models))
        until = self.started + _FIRST_ROUND * self.budget
        longest = self.started + _FIRST_MODEL * self.budget  # without any model there is nothing to recommend
        for place, model in enumerate(self.models):
            self.deadline = until if arms else longest
            self._enter(share * place)
            try:
                self._begin(f"{model}: loading", 0.0)
                info = self.pipeline.wait_for_model(
                    lambda model=model: self.pipeline.open(model, wait=False), lambda loading: self._check(0.0)
                )
            except _TimeUp:
                self.notices.append(f"Left out, because time was up before it was loaded: {model}.")
                continue
            except _REFUSALS as error:
                if self.named:
                    raise
                self.notices.append(f"Left out: {error}")
                continue
            if info.streams and not self.named:
                continue
            now = self.clock()
            until_next = now + max(0.0, until - now) / (len(self.models) - place)
            wanted = make_arms(info, self.pipeline.limits)
            possible += len(wanted)
            for number, arm in enumerate(wanted):
                self.deadline = until_next if arms else longest
                try:
                    self._begin(f"{info.name}, {arm.reading.prompt.value}", share / len(wanted))
                    with self._refusals_noted():
                        if not number:  # a model's first pass is slow, and says nothing of the next ones
                            self.pipeline.vectors(self.labelled.questions[:1], arm.reading, Role.QUESTION, keep=False)
                        self._measure(arm, self.sizes[0])
                        arms.append(arm)
                        self._show_part()
                except _TimeUp:
                    break
        if arms and len(arms) < possible:
            self.notices.append(f"Combinations of model and prompt that were tried: {len(arms)} of {possible}.")
        return arms, possible

    def _measure(self, arm: Arm, size: int) -> None:
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
        if started + self._pace(info.model) * (_count_texts(part) - arm.texts) > self.deadline:
            raise _TimeUp  # a pass that has begun is not cut short
        survey = Survey(self.pipeline, part, arm.reading, poolings, lambda done: self._check(0.7 * done))
        ran = self.clock() - started
        late = self.deadline if arm.size else self.end  # an arm's first passes are not thrown away
        metrics: dict[str, np.ndarray] = {}
        for spot, block in score_survey(survey, axes, part, None, lambda done: self._check(0.7 + 0.3 * done, late)):
            for name, values in block.items():
                metrics.setdefault(name, np.full(axes.shape[1:], np.nan))[spot] = values
        arm.size, arm.axes, arm.metrics = size, axes, metrics
        if survey.n_new:
            arm.texts, arm.seconds = arm.texts + survey.n_new, arm.seconds + ran
        arm.promise = promise(metrics[self.criterion])

    def _show_part(self) -> None:
        """Each model's best reading so far is shown."""
        arms = {(arm.info.model, arm.reading.prompt): arm for arm in self.tried}
        found = []
        for reading, figure in choose_best(self.tried, self.criterion).items():
            arm = arms[reading.model, reading.prompt]
            found.append(Candidate(reading, arm.info.name, figure, arm.size, arm.texts_per_second))
        self.show(tuple(found))

    def _held_out(self, arms: list[Arm]) -> LabelledSet:
        """What scores: the questions that choose nothing, as many as can be embedded in time."""
        pairs = self.scoring if len(self.scoring) else self.choosing
        units = resampling_units(self.labelled)[pairs]
        drawn = np.random.default_rng(1).permutation(np.unique(units))
        count, fewest = len(drawn), _FEWEST_HELD[self.labelled.graded]
        while True:
            if count == len(drawn):
                held = cut_out(self.labelled, pairs)
            else:
                held = cut_candidates(self.labelled, drawn[:count], _HELD_WRONG)
            quick = self._scoring_seconds(arms, held) <= _SCORING * self.budget and len(held.pairs) <= _MOST_PAIRS
            if quick or count // 2 < fewest:
                break
            count //= 2
        if count < len(drawn):
            self.notices.append(f"Held-out questions or pairs that score, to end in time: {count:,} of {len(drawn):,}.")
        return held

    def _scoring_seconds(self, arms: list[Arm], held: LabelledSet) -> float:
        """What it may take to score two readings of each model."""
        paces = [self._pace(model) for model in {arm.info.model for arm in arms}]
        return _CAUTION * 2 * sum(paces) * _count_texts(held)

    def _pace(self, model: str) -> float:
        """Seconds a text, over the prompts that have run; 0 before any has."""
        own = [arm for arm in self.tried if arm.info.model == model]
        return sum(arm.seconds for arm in own) / max(1, sum(arm.texts for arm in own))

    def _scored(self, arms: list[Arm], held: LabelledSet, possible: int) -> Recommendation:
        chosen = choose_best(arms, self.criterion)
        if not chosen:
            raise BadInput(field="matches", problem=_NO_WRONG)
        infos = {arm.info.model: arm.info for arm in arms}
        self.deadline = self.end
        cosines: dict[Reading, np.ndarray] = {}
        self._enter(_ROUND + _ROUNDS)
        late = self._read(chosen, infos, held, cosines, _BESTS)
        # A model whose best is surely behind does not win by its own reading.
        behind = {reading.model for reading in surely_behind(cosines, held)} if len(self.scoring) else set()
        behind.discard(next(iter(chosen)).model)
        own = [infos[reading.model].default_reading for reading in chosen if reading.model not in behind]
        self._enter(_ROUND + _ROUNDS + _BESTS)
        late += self._read(own, infos, held, cosines, 1 - _ROUND - _ROUNDS - _BESTS)
        if late:
            self.notices.append(f"Readings that were not scored, since time was up: {late}.")
        best = next((reading for reading in chosen if reading in cosines), None)
        if best is None:
            raise self._nothing()
        paces = {(arm.info.model, arm.reading.prompt): arm.texts_per_second for arm in self.tried}
        speeds = {reading: paces.get((reading.model, reading.prompt)) for reading in cosines}
        rows = []
        for reading, values in cosines.items():
            origin = self.pipeline.provenance(infos[reading.model], reading)
            rows.append(BenchmarkRow(held.name, reading, reading.label(), score(values, held), speeds[reading], origin))
        leads, front = {}, ()
        if len(self.scoring):
            best = confirm_best(cosines, best, infos[best.model].default_reading, held)
            leads = leads_over_others(cosines, best, held)
            rows.sort(key=lambda row: row.reading != best)
            front = find_front(cosines, {reading: 1 / speed for reading, speed in speeds.items() if speed}, held)
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
            front=front,
        )

    def _read(self, readings: Iterable[Reading], infos, held: LabelledSet, cosines: dict, share: float) -> int:
        """Add each reading's cosines of the held-out pairs to those that are there. Returns how many came too late."""
        late, readings = 0, [reading for reading in dict.fromkeys(readings) if reading not in cosines]
        for reading in readings:
            info = infos[reading.model]
            try:
                self._begin("scoring", share / len(readings))
                if cosines and self.clock() + self._pace(reading.model) * _count_texts(held) > self.end:
                    raise _TimeUp
                with self._refusals_noted():
                    survey = Survey(self.pipeline, held, reading, [reading.pooling], self._check)
                    layer = info.n_layers if reading.layer == LAST_LAYER else reading.layer
                    cosines[reading] = survey.cosines(reading.pooling, layer, [reading.postprocess])[0]
            except _TimeUp:
                late += 1
        return late

    def _nothing(self) -> BadInput:
        said = f"In {self.budget:g} seconds no reading could be measured. More seconds, or fewer models, are accepted."
        return BadInput(field="seconds", problem=" ".join([said, *dict.fromkeys(self.notices)]))


def _count_texts(held: LabelledSet) -> int:
    return len(held.questions) + len(held.answers)
