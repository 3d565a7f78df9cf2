"""Large comparison: every question of a file against every answer, up to a million cosines, under one reading.

Texts are embedded in small batches, questions and answers in turns: other requests run between them, it can be stopped,
and a part of the heatmap is there long before the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from demo.analysis.evaluation import score_cells
from demo.domain.choices import Role
from demo.domain.datamodels import Embedded, Pairing, Postprocess, Progress
from demo.domain.results import LargeComparison
from demo.pipeline import Pipeline
from demo.stages.resolve_reading import refuse_too_many_numbers, resolve_reading
from demo.stages.similarity import cos_sim, right_ranks, score_pairs

OnProgress = Callable[[Progress], None]
OnPart = Callable[[np.ndarray], None]
_AT_ONCE = 64  # texts
_GROWTH = 4  # a part is shown again when it has so many times the cells: all parts together are a third of the whole
_MOST_NUMBERS = 2**27  # 512 MiB of vectors
_COPIES = 4  # of the vectors that post-processing holds at once, in float64: those of the fit, and its result


def run_large(
    pipeline: Pipeline,
    pairing: Pairing,
    model: str | None = None,
    on_progress: OnProgress | None = None,
    on_part: OnPart | None = None,
    **reading,
) -> LargeComparison:
    """Compare all questions with all answers. reading: prompt, pooling, layer and the other choices of Reading.

    on_progress may raise to stop it. on_part gets the cosines of the first questions and answers, float32 (n, m), as
    soon as there are some and then as they grow. Raises DemoError.
    """
    started = time.perf_counter()
    report = on_progress or (lambda progress: None)
    report(Progress("starting"))
    info = pipeline.open(model)
    settled = resolve_reading(info, pipeline.limits, **reading)
    most = _MOST_NUMBERS // (1 if settled.postprocess is Postprocess.NONE else _COPIES)
    refuse_too_many_numbers(info, settled, len(pairing.questions) + len(pairing.answers), most)
    sides = {Role.QUESTION: _Side(pairing.questions), Role.ANSWER: _Side(pairing.answers)}
    asked, answered = sides.values()
    shown = 0
    if info.streams:  # its weights are read from disk for every call
        asked_and_answered = pipeline.wait_with_progress(
            lambda: pipeline.embed_both(pairing.questions, pairing.answers, settled, keep=False), report
        )
        asked.take(asked_and_answered[0])
        answered.take(asked_and_answered[1])
    for role, start in () if info.streams else _turns(len(pairing.questions), len(pairing.answers)):
        side = sides[role]
        some = side.texts[start : start + _AT_ONCE]
        side.take(pipeline.vectors(some, settled, role, keep=False))
        done, count = asked.done + answered.done, len(asked.texts) + len(answered.texts)
        report(Progress("embedding", done / count))
        cells = asked.done * answered.done
        if on_part and done < count and cells >= max(1, _GROWTH * shown):
            part = pipeline.fit_pairing(pairing, info, settled, asked.embedded(), answered.embedded())
            on_part(cos_sim(part.questions, part.answers))
            shown = cells
    measured = pipeline.fit_pairing(pairing, info, settled, asked.embedded(), answered.embedded())
    question_vectors, answer_vectors = measured.questions, measured.answers
    similarity = cos_sim(question_vectors, answer_vectors)
    report(Progress("scoring", 1.0))
    matches = pairing.mask()
    scores, margin = score_cells(similarity, matches)
    report(Progress("scoring", 1.0))
    return LargeComparison(
        pairing=pairing,
        similarity=similarity,
        metrics=score_pairs(similarity, matches),
        scores=scores,
        margin=margin,
        ranks=right_ranks(similarity, matches),
        question_vectors=question_vectors,
        answer_vectors=answer_vectors,
        reading=settled,
        provenance=pipeline.provenance(info, settled),
        notices=measured.notices,
        seconds=time.perf_counter() - started,
    )


class _Side:
    """The questions or the answers, and the embeddings of the first ones."""

    def __init__(self, texts: tuple[str, ...]):
        self.texts = texts
        self.done = 0
        self._vectors = np.empty((0, 0), dtype=np.float32)
        self._cut: list[int] = []
        self._token_limit = 0

    def take(self, embedded: Embedded) -> None:
        """The vectors of the next texts."""
        if not self.done:
            self._vectors = np.empty((len(self.texts), embedded.vectors.shape[1]), dtype=np.float32)
        self._cut += [self.done + place for place in embedded.cut]
        self._token_limit = embedded.token_limit
        self._vectors[self.done : self.done + len(embedded.vectors)] = embedded.vectors
        self.done += len(embedded.vectors)

    def embedded(self) -> Embedded:
        """What is there so far."""
        return Embedded(self._vectors[: self.done], tuple(self._cut), self._token_limit)


def _turns(n_questions: int, n_answers: int) -> Iterator[tuple[Role, int]]:
    """(role, first text) of what is embedded together: questions and answers by turns, as far along on both sides."""
    counts = ((Role.QUESTION, n_questions), (Role.ANSWER, n_answers))
    steps = [
        (start / count, place, role, start)
        for place, (role, count) in enumerate(counts)
        for start in range(0, count, _AT_ONCE)
    ]
    return ((role, start) for _, _, role, start in sorted(steps))
