"""The article's experiment on any model: its four texts, read as it read them and as the model itself wants to be read.

A checkpoint without an LM head (e5-mistral) got a random one there, since transformers makes one up: so it does here,
from a seed, and the figures say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from demo.domain.datamodels import Comparison, Pooling, Reading
from demo.pipeline import EmbeddedPairing, Pipeline
from demo.stages.article import procedure
from demo.stages.similarity import cos_sim, score_pairs

QUESTIONS = ("Where is the headquarter of OpenAI?", "What is GPU?")
ANSWERS = (
    "OpenAI is based at San Francisco.",
    "A graphics processing unit (GPU) is an electronic circuit that can perform mathematical calculations quickly",
)
SEED = 0
_SPREAD = 0.02  # transformers' initializer_range of Mistral and its like
_ROWS = 1000  # of the random head at a time


@dataclass(frozen=True, eq=False)
class ArticleRow:
    """One way to read the model. way: article, own, or both where they are the same."""

    way: str
    comparison: Comparison
    random_head: bool = False


def run_article(pipeline: Pipeline, model: str | None = None) -> list[ArticleRow]:
    """The four texts under the article's procedure, then under the model's own reading.

    Raises ModelLoading while the model is not ready: ask again, what is computed is kept.
    """
    info = pipeline.open(model, wait=False)
    own = _embed(pipeline, info.model)
    by_article = procedure(info)
    if not info.has_lm_head:
        states = _embed(pipeline, info.model, **by_article)
        projected = (_random_logits(side, info.vocab_size) for side in (states.questions, states.answers))
        reading = replace(states.reading, pooling=Pooling.LAST_TOKEN_LOGITS, normalize=False)
        article = ArticleRow("article", _compare(pipeline, states, reading, *projected), random_head=True)
    else:
        states = _embed(pipeline, info.model, **by_article)
        article = ArticleRow("article", _compare(pipeline, states, states.reading, states.questions, states.answers))
    if article.comparison.reading == own.reading:
        return [replace(article, way="both")]
    return [article, ArticleRow("own", _compare(pipeline, own, own.reading, own.questions, own.answers))]


def _embed(pipeline: Pipeline, model: str, **reading) -> EmbeddedPairing:
    return pipeline.embed_pairing(QUESTIONS, ANSWERS, None, model, wait=False, **reading)


def _compare(
    pipeline: Pipeline, measured: EmbeddedPairing, reading: Reading, questions: np.ndarray, answers: np.ndarray
) -> Comparison:
    similarity = cos_sim(questions, answers)
    return Comparison(
        pairing=measured.pairing,
        similarity=similarity,
        metrics=score_pairs(similarity, measured.pairing.mask()),
        reading=reading,
        provenance=pipeline.provenance(measured.info),
        notices=measured.notices,
    )


def _random_logits(states: np.ndarray, vocabulary: int) -> np.ndarray:
    """Logits of an LM head of normal numbers, float32 (n, vocabulary)."""
    random = np.random.default_rng(SEED)

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, vocabulary, _ROWS):
            shape = min(_ROWS, vocabulary - start), states.shape[1]
            yield states @ (_SPREAD * random.standard_normal(shape, dtype=np.float32)).T

    return np.concatenate(list(parts()), axis=1)
