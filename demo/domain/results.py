"""What the lab's studies answer: frozen values that cross rooms. Knows the standard library, NumPy and datamodels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from demo.domain.datamodels import (
    LAST_LAYER,
    Metrics,
    Pairing,
    Pooling,
    Postprocess,
    Prompt,
    Reading,
    Reference,
    Served,
)

FEWEST_QUESTIONS = 8  # below, nobody is called better: all of five agree by chance once in sixteen times


@dataclass(frozen=True)
class LabelledSet:
    """Pairs of texts and what is known of them: the yardstick of a reading.

    graded: the labels are grades of likeness (STS: 0…5); else 1 where the answer belongs to the question and 0 where
    it does not, and the pairs of a question are the candidates among which its answer is to be found.
    """

    name: str
    questions: tuple[str, ...]  # distinct texts
    answers: tuple[str, ...]  # distinct texts
    pairs: tuple[tuple[int, int], ...]  # (question index, answer index), from 0
    labels: tuple[float, ...]  # one a pair
    graded: bool = False
    notices: tuple[str, ...] = field(default=(), compare=False)  # on how its file was read
    partial: bool = field(default=False, compare=False)  # whether it holds some of its file's questions only


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Scores:
    """How well a reading's cosines agree with a set's labels. None where a figure has no meaning for the set."""

    spearman: Interval | None  # rank correlation of cosine and label over all pairs; graded sets
    auc: Interval | None  # ROC AUC over all pairs; sets of right and wrong
    top1: Interval | None  # share of questions whose best candidate is right
    mrr: Interval | None  # mean of 1 / rank of the first right candidate
    ndcg10: Interval | None  # nDCG@10 over each question's candidates
    n_pairs: int
    n_questions: int  # that have a right and a wrong candidate; 0 for graded sets

    @property
    def headline(self) -> Interval | None:
        """The figure by which readings are ranked: Spearman for grades, else AUC."""
        return self.spearman or self.auc

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Lead:
    """How much better b is than a on the same texts, by a paired bootstrap over the questions."""

    figure: str  # "auc" or "spearman"
    a: float
    b: float
    difference: Interval  # b − a

    @property
    def significant(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.difference.low > 0 or self.difference.high < 0


@dataclass(frozen=True)
class Ranking:
    """Several readings of the same pairs, by name: which separates them best, and how surely.

    leads: of the first over every other, the next best first, by paired bootstraps whose intervals hold together.
    """

    first: str
    leads: dict[str, Lead]
    n_questions: int  # that have a right answer

    @property
    def few(self) -> bool:
        """Whether the questions are so few that a bootstrap over them looks surer than it is."""
        return self.n_questions < FEWEST_QUESTIONS

    @property
    def level(self) -> tuple[str, ...]:
        """Those that are exactly as good as the first."""
        return tuple(name for name, lead in self.leads.items() if abs(lead.difference.value) < 1e-6)

    @property
    def beaten(self) -> tuple[str, ...]:
        """Those that the first is surely better than."""
        return () if self.few else tuple(name for name, lead in self.leads.items() if lead.significant)

    @property
    def may_equal(self) -> tuple[str, ...]:
        """Those behind the first by what chance explains."""
        return tuple(name for name in self.leads if name not in (*self.level, *self.beaten))


@dataclass(frozen=True, eq=False)
class Sweep:
    """Every layer × pooling × prompt × post-processing of one model over the same texts.

    The metrics are float32 (n_prompts, n_poolings, n_postprocess, n_layers), NaN where a reading was left out; they
    are taken over the questions that choose, and the chosen readings' scores over the ones that were held out.
    """

    model: str
    prompts: tuple[Prompt, ...]
    poolings: tuple[Pooling | Served, ...]
    postprocess: tuple[Postprocess, ...]
    layers: tuple[int, ...]  # 0 … n, as Reading counts them, the last one as n
    base: Reading  # what all readings share: model, EOS, reference set
    words: dict[Prompt, tuple[str, str]]  # task and template of the prompts that have them
    metrics: dict[str, np.ndarray]  # "auc" and "margin"; "spearman" for graded sets
    criterion: str  # the figure that chose: "auc" or "spearman"
    best: Reading
    runner_up: Reading | None  # the best one under another prompt, pooling or post-processing
    default: Reading  # the model's own reading, for comparison
    scores: dict[Reading, Scores]  # of best, runner_up and default over the scoring pairs
    lead: Lead | None  # best over runner_up over the scoring pairs
    lead_over_default: Lead | None
    held_out: int  # questions (graded: pairs) that scored and did not choose; 0 where too few to hold any out
    chosen_on: int  # questions (graded: pairs) that chose
    n_readings: int
    seconds: float
    provenance: dict[str, str]
    notices: tuple[str, ...] = ()

    def reading_at(self, prompt: int, pooling: int, method: int, layer: int) -> Reading:
        """The reading behind one cell of the metrics."""
        done = self.postprocess[method]
        return replace(
            self.base,
            prompt=self.prompts[prompt],
            pooling=self.poolings[pooling],
            postprocess=done,
            layer=LAST_LAYER if layer == len(self.layers) - 1 else self.layers[layer],
            reference=self.base.reference if done is not Postprocess.NONE else Reference.TEXTS,
            task=self.words.get(self.prompts[prompt], ("", ""))[0],
            template=self.words.get(self.prompts[prompt], ("", ""))[1],
        )

    def ranked(self) -> list[tuple[Reading, float]]:
        """Every reading that was scored with its figure, best first."""
        values = self.metrics[self.criterion]
        spots = np.argwhere(np.isfinite(values))
        order = np.argsort([-values[tuple(spot)] for spot in spots], kind="stable")
        return [(self.reading_at(*spots[i]), float(values[tuple(spots[i])])) for i in order]


@dataclass(frozen=True, eq=False)
class Inspected:
    """What the model receives and makes of one text, token by token."""

    text: str  # as the person wrote it
    prompted: str  # the exact string that is tokenized
    tokens: tuple[str, ...]  # as written; special tokens by their names
    token_ids: tuple[int, ...]
    pooled: tuple[int, int]  # (start, end) of the pooled tokens
    inside: tuple[int, int]  # (start, end) of the tokens that hold the person's text
    states: np.ndarray  # float32 (n_tokens, dim), at the reading's layer
    vector: np.ndarray  # float32 (dim,): the embedding, before post-processing
    before: int = 0  # tokens before the pooled ones that weighted_mean counts
    cut: bool = False


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a cell is what it is."""

    question: Inspected
    answer: Inspected
    reading: Reading
    cosine: float
    method: str  # "decomposition" (the shares add up to the cosine) or "leave_one_out"
    question_shares: np.ndarray  # float32 (n question tokens,): what a token adds to the cosine; 0 outside the pooled
    answer_shares: np.ndarray  # float32 (n answer tokens,)
    token_similarity: np.ndarray  # float32 (n question tokens inside, n answer tokens inside), cosine of their states
    question_top_tokens: tuple[tuple[str, float], ...]  # (token, probability) that the LM head reads, likeliest first
    answer_top_tokens: tuple[tuple[str, float], ...]
    provenance: dict[str, str]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Space:
    """All texts of a comparison as points, and how far the cloud is from round."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    matches: frozenset[tuple[int, int]]
    method: str  # "pca" or "umap"
    points: np.ndarray  # float32 (n_questions + n_answers, 3), questions first
    explained: tuple[float, ...]  # share of the variance of each axis; empty for UMAP
    mean_cosine: float | None  # of unrelated texts (Ethayarajh 2019, arXiv 1909.00512); None without any
    n_unrelated: int  # pairs behind it
    variance_shares: np.ndarray  # float32 (k,): of the first principal directions, largest first
    rogue: tuple[tuple[int, float], ...]  # (dimension, share of the mean cosine it carries): arXiv 2109.04404
    reading: Reading
    provenance: dict[str, str]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class LargeComparison:
    """Up to a million cosines: every question of a file against every answer, under one reading."""

    pairing: Pairing
    similarity: np.ndarray  # float32 (n_questions, n_answers), cosine
    metrics: Metrics
    scores: Scores  # with 95 % intervals, over questions
    margin: Interval | None
    ranks: np.ndarray  # int (n_questions,): where a question finds its best right answer, from 1; 0 where it has none
    question_vectors: np.ndarray  # float32 (n_questions, dim), post-processed
    answer_vectors: np.ndarray
    reading: Reading
    provenance: dict[str, str]
    notices: tuple[str, ...]
    seconds: float

    @property
    def nbytes(self) -> int:
        """What it takes in memory, without its texts."""
        return self.similarity.nbytes + self.question_vectors.nbytes + self.answer_vectors.nbytes


@dataclass(frozen=True)
class BenchmarkRow:
    """One reading on one set: how good and how fast."""

    set_name: str
    reading: Reading | None  # None for word overlap, which needs no model
    label: str
    scores: Scores
    texts_per_second: float | None  # distinct texts embedded a second; None where all came from the cache
    provenance: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "set": self.set_name,
            "label": self.label,
            "reading": self.reading.to_dict() if self.reading else None,
            "scores": self.scores.to_dict(),
            "texts_per_second": self.texts_per_second,
            "provenance": dict(self.provenance),
        }


@dataclass(frozen=True)
class Candidate:
    """A model's best reading so far, while a recommendation is on its way."""

    reading: Reading
    model: str  # its name
    figure: float  # the criterion, on the questions that chose it
    chosen_on: int  # questions (graded: pairs)
    texts_per_second: float | None


@dataclass(frozen=True, eq=False)
class Recommendation:
    """The best reading of each model that runs here, on questions that chose none of them."""

    criterion: str  # the figure that chose: "auc" or "spearman"
    best: Reading  # of all readings on the questions that chose, unless the held-out part speaks for another
    rows: tuple[BenchmarkRow, ...]  # `best`, each model's best, best model first, the models' own; on the held-out part
    chosen: dict[Reading, float]  # the criterion of each model's best on the questions that chose it
    leads: dict[Reading, Lead]  # of `best` over each other row, on the held-out part, all at once; empty without one
    held_out: int  # questions (graded: pairs) that scored and did not choose; 0 where too few to hold any out
    chosen_on: int  # questions (graded: pairs) that chose
    n_readings: int
    n_tried: int  # combinations of model and prompt, of `n_possible`
    n_possible: int
    seconds: float
    budget: float  # seconds
    notices: tuple[str, ...] = ()
    # The sure Pareto front: the cheapest reading, then each that is surely better than the one before; none without
    # a held-out part.
    front: tuple[Reading, ...] = ()

    @property
    def other(self) -> BenchmarkRow | None:
        """What `best` is compared with: what was chosen first, else the next model's best, else its own default."""
        return next((row for row in self.rows if row.reading != self.best), None)

    @property
    def verdict(self) -> str:
        """too_few texts to hold any out; alone; carried (the held-out part says so too), chance, or overturned (the
        held-out part surely speaks for `best`, though another reading was chosen)."""
        if not self.held_out:
            return "too_few"
        if self.other is None:
            return "alone"
        lead = self.leads.get(self.other.reading)
        if lead is None or lead.difference.low <= 0:
            return "chance"
        return "overturned" if self.other.reading == next(iter(self.chosen)) else "carried"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = ("criterion", "held_out", "chosen_on", "n_readings", "n_tried", "n_possible", "seconds", "budget")
        rows = [
            row.to_dict()
            | {
                "role": "best" if row.reading in self.chosen else "default",
                "chosen_by": self.chosen.get(row.reading),
                "lead_of_best": asdict(self.leads[row.reading]) if row.reading in self.leads else None,
                "on_front": row.reading in self.front,
            }
            for row in self.rows
        ]
        fields = {name: getattr(self, name) for name in plain}
        best = self.best.to_dict()
        return {"verdict": self.verdict, "best": best, **fields, "readings": rows, "notices": list(self.notices)}
