"""Survey: the vectors of a whole set under one prompt, for every layer and pooling, from one forward pass a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from demo.domain.choices import Role
from demo.domain.datamodels import LAST_LAYER, Pooling, Postprocess, PromptedText, Reading, Reference
from demo.domain.errors import ReadingRefused
from demo.domain.results import LabelledSet
from demo.files.bundled import load_reference
from demo.pipeline import Pipeline, distinct
from demo.stages.postprocess import fit_postprocess
from demo.stages.resolve_reading import OWN_LAYER
from demo.stages.similarity import EPS, unit_vectors

_CHARACTERS_AT_ONCE = 4_000  # of texts with their prompts, between two reports of how far it is: a second or two
_A_PASS = 40  # characters: what a text costs beside its own


def cost_of(text: PromptedText) -> int:
    """What a pass of a text costs, about, in characters of text and prompt."""
    return len(text.rendered()) + _A_PASS


class Survey:
    """The vectors of a LabelledSet under one model and prompt.

    reading: its prompt, EOS and reference set count, and its pooling for the precision; pooling, layer and
    post-processing are chosen afterwards.
    on_done: how much of the passes is done, 0…1; it may raise to stop them.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        labelled: LabelledSet,
        reading: Reading,
        poolings: Sequence[Pooling],
        on_done: Callable[[float], None] = lambda done: None,
    ):
        self.pipeline, self.labelled, self.model = pipeline, labelled, reading.model
        kept = (Pooling.LAST_TOKEN if pooling is Pooling.LAST_TOKEN_LOGITS else pooling for pooling in poolings)
        self._pooled = [pooling for pooling in dict.fromkeys(kept) if pooling is not Pooling.OWN]
        sides = [(labelled.questions, Role.QUESTION), (labelled.answers, Role.ANSWER)]
        if reading.reference is Reference.CORPUS:
            sides += [(load_reference(), role) for role in Role]
        prompted = [pipeline.prompted(texts, reading, role) for texts, role in sides]
        # Like lengths together: they share their passes.
        texts = sorted({text for side in prompted for text in side}, key=lambda text: (cost_of(text), text.text))
        rows = {text: row for row, text in enumerate(texts)}
        self._sides = [np.array([rows[text] for text in side]) for side in prompted]
        self._pairs = np.asarray(labelled.pairs, dtype=np.intp).T
        self._dense = 4 * len(labelled.pairs) > len(labelled.questions) * len(labelled.answers)
        self.n_texts = len(texts)
        self.n_new = len(texts) - pipeline.engine.count_cached(texts, reading)  # those that have to run
        own = replace(reading, pooling=Pooling.OWN, layer=LAST_LAYER, postprocess=Postprocess.NONE)
        parts, own_parts = [], []
        costs = np.cumsum([cost_of(text) for text in texts])
        # As many texts in one pass as in another: a pass of a single one costs nearly as much.
        passes = 1 if pipeline.open(reading.model).streams else -(-costs[-1] // _CHARACTERS_AT_ONCE)
        at_once = costs[-1] / passes
        ends = np.flatnonzero(np.diff((costs - 1) // at_once, append=np.inf)) + 1
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            on_done(float(costs[start] - cost_of(texts[start])) / float(costs[-1]))
            some = texts[start:end]
            parts.append(pipeline.engine.survey(some, reading, self._pooled))
            if Pooling.OWN in poolings:
                own_parts.append(pipeline.engine.embed(some, own).vectors)
        self._vectors = np.concatenate(parts, axis=2)  # float32 (poolings, layers, n_texts, dim)
        self._own = np.concatenate(own_parts) if own_parts else None  # float32 (n_texts, own_dim)

    def vectors(self, pooling: Pooling, layer: int) -> np.ndarray:
        """Every distinct text's vector, float32 (n_texts, dim)."""
        if pooling is Pooling.LAST_TOKEN_LOGITS:
            states = self._vectors[self._pooled.index(Pooling.LAST_TOKEN), layer]
            return self.pipeline.engine.logits_of(self.model, states, layer)
        if pooling is Pooling.OWN:
            info = self.pipeline.open(self.model)
            if layer != info.n_layers:
                raise ReadingRefused(field="layer", model=info.name, reason=OWN_LAYER)
            return self._own
        return self._vectors[self._pooled.index(pooling), layer]

    def cosines(self, pooling: Pooling, layer: int, methods: Sequence[Postprocess]) -> np.ndarray:
        """Cosine of each pair of the set after each post-processing, float64 (n_methods, n_pairs)."""
        vectors = self.vectors(pooling, layer)
        # As in the pipeline: the corpus where one was asked for, else the texts of both sides.
        reference = distinct(*(vectors[rows] for rows in (self._sides[2:] or self._sides)))
        return np.stack([self._pair_cosines(fit_postprocess(reference, method)(vectors)) for method in methods])

    # evaluation.pair_cosines keeps memory small for huge sets; a sweep asks ten thousand times for small ones.
    def _pair_cosines(self, vectors: np.ndarray) -> np.ndarray:
        unit = unit_vectors(vectors, EPS)
        asked, answered = unit[self._sides[0]], unit[self._sides[1]]
        rows, columns = self._pairs
        if self._dense:
            return (asked @ answered.T)[rows, columns].astype(np.float64)
        return np.einsum("ij,ij->i", asked[rows], answered[columns], dtype=np.float64)
