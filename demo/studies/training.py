"""Training run: contrastive fine-tuning with evaluation of the watched texts and of held-out pairs along the way.

Knows neither how a step is computed nor who watches.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from demo.analysis.projection import project
from demo.backend.protocol import Guide, Training
from demo.domain.catalog import CATALOG
from demo.domain.choices import Role
from demo.domain.datamodels import (
    Kind,
    Metrics,
    ModelStatus,
    Pairing,
    Postprocess,
    Progress,
    PromptedText,
    Reference,
)
from demo.domain.errors import BadInput
from demo.domain.recipe import TRAINED, Pair, PromptedPair, Recipe, TrainingSet, TrainStep
from demo.pipeline import Pipeline
from demo.stages.similarity import cos_sim, roc_auc, score_pairs, unit_vectors

OnProgress = Callable[[Progress], None]
READING = "reading the texts"  # the stage before the first step
_MOST_KEPT = 40  # adapters on disk that nobody has named; the oldest are removed
_NAME = "kept.json"  # in an adapter's folder: the name that somebody keeps it under, and its base model
_LOOK_SECONDS = 1.0  # between two evaluations of the watched texts
_HELD_SHARE = 0.25  # of the time, at most, for evaluating held-out pairs
_MOST_HELD = 48
_TOPIC_BATCHES = 1.5  # a topic's size, in batches
_FEWEST_OF_TOPIC = 8
_FEWEST_LEFT = 8  # pairs that must be left to train on before any are held out


@dataclass(frozen=True, eq=False)
class HeldOutScores:
    """The held-out pairs in the middle of training: every question against every answer."""

    matched: np.ndarray  # float32 (n,): cosines of the right pairs
    mismatched: np.ndarray  # float32 (n·(n−1),): of all others
    auc: float
    points: np.ndarray  # float32 (2n, 2): the texts in the plane, questions first; rotated onto the last ones


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The evaluation after a step."""

    step: int
    similarity: np.ndarray  # float32 (n_questions, n_answers) of the texts at hand
    metrics: Metrics
    held_out: HeldOutScores | None  # None where this step's was not measured


@dataclass(frozen=True, eq=False)
class TrainEvent:
    """A step and the evaluation after it. step is None for the untrained model."""

    step: TrainStep | None
    snapshot: Snapshot | None


class TrainingRun:
    """One run. Iterate `events()`; after stopping early, `keep` or `save` stores the model as it is."""

    def __init__(self, pipeline: Pipeline, recipe: Recipe, sets: Sequence[TrainingSet], watched: Pairing | None = None):
        if not sets or sum(len(one.pairs) for one in sets) < 2:
            raise BadInput(field="pairs", problem="There are no pairs to train on. At least two are accepted.")
        self.pipeline = pipeline
        self.info = pipeline.open(recipe.reading.model)
        # What is done to a set's vectors afterwards is fitted on the set; it has no part in learning.
        bare = replace(recipe.reading, postprocess=Postprocess.NONE, reference=Reference.TEXTS)
        self.recipe = replace(recipe, reading=bare)
        self.read_with = recipe.reading
        self.watched = watched
        self.sets, self.held_out = split_held_out(sets, recipe.seed)
        guide = self._guide(recipe.guide)
        groups = self._by_topic(guide) if guide else self.sets
        pairs = [self._prompted(pair) for one in groups for pair in one.pairs]
        sources = [(len(one.pairs), one.weight) for one in groups]
        self.training: Training = pipeline.engine.train(self.recipe, pairs, sources, guide)
        self._held_texts = [self._prompted(pair) for pair in self.held_out]
        known = {(pair.question, pair.answer) for one in sets for pair in one.pairs}  # several may be right for one
        self._held_right = np.array(
            [[(asked.question, one.answer) in known for one in self.held_out] for asked in self.held_out], dtype=bool
        )
        if self._held_right.all():  # nothing is wrong, so nothing can be told apart
            self.held_out, self._held_texts = [], []
        self._last_points: np.ndarray | None = None
        self._spent = {"steps": 0.0, "held": 0.0}
        self.last_snapshot: Snapshot | None = None

    @property
    def done(self) -> int:
        """Steps taken."""
        return self.training.done

    def events(
        self, look_seconds: float = _LOOK_SECONDS, on_progress: OnProgress | None = None
    ) -> Iterator[TrainEvent]:
        """The untrained model, then every remaining step; evaluated at least every look_seconds.

        on_progress: how far the reading of the texts is that comes first, where the steps need each text once; it may
        raise to stop. A linear map's steps take milliseconds then; in them, reading took minutes.
        """
        report = on_progress or (lambda progress: None)
        self.training.prepare(self._watched_texts(), lambda done: report(Progress(READING, done)))
        yield TrainEvent(None, self.evaluate(held=True))
        looked = time.perf_counter()
        for step in self.training.steps():
            self._spent["steps"] += step.seconds
            look = None
            if time.perf_counter() - looked >= look_seconds or step.step == self.recipe.steps:
                last = step.step == self.recipe.steps
                due = self._spent["held"] <= _HELD_SHARE * self._spent["steps"]
                look = self.evaluate(held=last or due)
                looked = time.perf_counter()
            yield TrainEvent(step, look)

    def evaluate(self, held: bool = True) -> Snapshot:
        """The current model on the watched texts and, with held, on the held-out pairs."""
        similarity, metrics = np.zeros((0, 0), dtype=np.float32), score_pairs(np.zeros((0, 0)), np.zeros((0, 0), bool))
        if self.watched is not None:
            asked, answered = map(self.training.embed, self._watched_sides())
            similarity = cos_sim(asked, answered)
            metrics = score_pairs(similarity, self.watched.mask())
        self.last_snapshot = Snapshot(
            self.done, similarity, metrics, self._look_at_held() if held and self.held_out else None
        )
        return self.last_snapshot

    def _watched_sides(self) -> list[list[PromptedText]]:
        sides = ((self.watched.questions, Role.QUESTION), (self.watched.answers, Role.ANSWER)) if self.watched else ()
        return [self.pipeline.prompted(texts, self.recipe.reading, role) for texts, role in sides]

    def _watched_texts(self) -> list[PromptedText]:
        """Every text that evaluations embed."""
        held = [text for pair in self._held_texts for text in (pair.question, pair.answer)]
        return [*held, *chain.from_iterable(self._watched_sides())]

    def keep(self) -> str:
        """Save the current model in the cache folder, and return the id by which it can be chosen."""
        model = TRAINED + secrets.token_hex(8)
        folder = kept_folder(self.pipeline, model)
        self.save(folder)
        kept = sorted(
            (path for path in folder.parent.iterdir() if path.is_dir() and not (path / _NAME).exists()),
            key=lambda path: path.stat().st_mtime,
        )
        for path in kept[:-_MOST_KEPT]:
            shutil.rmtree(path, ignore_errors=True)
        return model

    def save(self, folder: Path, scores: dict | None = None, card: str = "") -> None:
        """Write the current adapter with its metadata, atomically."""
        self.training.save(folder, self.describe(scores), card)

    def describe(self, scores: dict | None = None) -> dict:
        """The metadata of an adapter: recipe, data, scores, versions."""
        held = self.last_snapshot.held_out if self.last_snapshot else None
        return {
            "base": self.info.model,
            "recipe": self.recipe.to_dict(),
            "reading": self.read_with.to_dict(),
            "steps": self.done,
            "trainable": self.training.trainable,
            "data": [{"name": one.name, "pairs": len(one.pairs), "weight": one.weight} for one in self.sets],
            "held_out": {"pairs": len(self.held_out), "auc": held.auc if held else None},
            "scores": scores or {},
            "provenance": self.pipeline.provenance(self.info),
        }

    def _look_at_held(self) -> HeldOutScores:
        from scipy.linalg import orthogonal_procrustes  # takes a second to import: not at every start

        started = time.perf_counter()
        asked = self.training.embed([pair.question for pair in self._held_texts])
        answered = self.training.embed([pair.answer for pair in self._held_texts])
        similarity = cos_sim(asked, answered)
        right = self._held_right
        points = project(unit_vectors(asked), unit_vectors(answered))[0][:, :2]
        if self._last_points is not None:
            points = points @ orthogonal_procrustes(points, self._last_points)[0]
        self._last_points = points
        self._spent["held"] += time.perf_counter() - started
        return HeldOutScores(
            matched=similarity[right],
            mismatched=similarity[~right],
            auc=roc_auc(similarity[right], similarity[~right]),
            points=points.astype(np.float32),
        )

    def _prompted(self, pair: Pair) -> PromptedPair:
        reading = self.recipe.reading
        [question] = self.pipeline.prompted([pair.question], reading, Role.QUESTION)
        [answer] = self.pipeline.prompted([pair.answer], reading, Role.ANSWER)
        negative = self.pipeline.prompted([pair.negative], reading, Role.ANSWER)[0] if pair.negative else None
        return PromptedPair(question, answer, negative)

    def _guide(self, model: str) -> Guide | None:
        if not model:
            return None
        reading = self.pipeline.reading(model)
        return lambda texts: self.pipeline.vectors(list(texts), reading, Role.ANSWER).vectors

    def _by_topic(self, guide: Guide) -> list[TrainingSet]:
        """Each set cut into topics, so that a batch is full of texts that are somewhat alike: there the guide has
        something to say. Source: topic-aware sampling, TAS-B, arXiv 2104.06967."""
        from sklearn.cluster import KMeans

        groups = []
        for one in self.sets:
            count = max(1, round(len(one.pairs) / (_TOPIC_BATCHES * self.recipe.batch_size)))
            vectors = guide([pair.question for pair in one.pairs])
            topics = KMeans(count, random_state=self.recipe.seed, n_init=1).fit_predict(vectors)
            sizes = np.bincount(topics, minlength=count)
            topics[sizes[topics] < _FEWEST_OF_TOPIC] = count  # too few for a batch: what is left over, together
            for topic in np.unique(topics):
                pairs = tuple(pair for pair, its in zip(one.pairs, topics, strict=True) if its == topic)
                # A source is drawn by the square root of its size: so all topics of a set are drawn as often as it was.
                groups.append(replace(one, pairs=pairs, weight=one.weight * (len(pairs) / len(one.pairs)) ** 0.5))
        return groups


def kept_folder(pipeline: Pipeline, model: str) -> Path:
    """The folder of a model that was trained and kept on this machine."""
    return pipeline.settings.cache_dir / "trained" / model.removeprefix(TRAINED)


def name_kept(pipeline: Pipeline, model: str, name: str, base: str) -> None:
    """Keep a trained model for good: it stands in the list of models from now on. base: its base model's id."""
    said = json.dumps({"name": name, "base": base}, ensure_ascii=False)
    (kept_folder(pipeline, model) / _NAME).write_text(said, encoding="utf-8")


def named_models(pipeline: Pipeline) -> list[ModelStatus]:
    """The models that were trained and kept on this machine, the oldest first."""
    files = sorted((pipeline.settings.cache_dir / "trained").glob(f"*/{_NAME}"), key=lambda file: file.stat().st_mtime)
    statuses = []
    for file in files:
        with suppress(OSError, ValueError, KeyError):
            said, model = json.loads(file.read_text(encoding="utf-8")), TRAINED + file.parent.name
            state = "loaded" if pipeline.engine.loaded(model) else "available"
            base = CATALOG[said["base"]].status(state)
            kind = Kind.TUNED_GPT if base.kind is Kind.GPT else base.kind
            statuses.append(replace(base, model=model, name=str(said["name"]), kind=kind, default_reading=None))
    return statuses


def split_held_out(sets: Sequence[TrainingSet], seed: int = 0) -> tuple[list[TrainingSet], list[Pair]]:
    """(what is trained on, what is not): a tenth of every set, 48 pairs at most in all, no text of which is trained on.

    Nothing is held out where fewer than eight pairs would be left.
    """
    total = sum(len(one.pairs) for one in sets)
    count = min(_MOST_HELD, total // 10)
    if count < 2 or total - count < _FEWEST_LEFT:
        return list(sets), []
    rng = np.random.default_rng(seed)
    held: dict[tuple[str, str], Pair] = {}
    for one in sets:
        share = max(1, round(count * len(one.pairs) / total))
        for i in rng.permutation(len(one.pairs))[:share]:
            held.setdefault((one.pairs[i].question, one.pairs[i].answer), one.pairs[i])
    chosen = list(held.values())[:_MOST_HELD]
    seen = {text for pair in chosen for text in (pair.question, pair.answer)}
    left = []
    for one in sets:
        pairs = tuple(pair for pair in one.pairs if not seen & {pair.question, pair.answer, pair.negative})
        if len(pairs) >= 2:
            left.append(replace(one, pairs=pairs))
    if sum(len(one.pairs) for one in left) < _FEWEST_LEFT:  # a few questions have nearly all the answers
        return list(sets), []
    return left, chosen
