"""Lab: the Python API. One method for each study of texts under readings."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from demo.analysis.explanation import (
    LEAVE_ONE_OUT,
    decompose,
    leave_one_out_shares,
    method_of,
    token_similarity,
)
from demo.analysis.labelled_sets import labelled_from_pairing
from demo.analysis.projection import anisotropy, project, rogue_dimensions, unrelated, variance_shares
from demo.domain.catalog import CATALOG
from demo.domain.choices import Role
from demo.domain.datamodels import Comparison, ModelStatus, Pairing, Pooling, Reading
from demo.domain.errors import TooManyTexts, UnknownChoice
from demo.domain.recipe import Recipe, TrainingSet
from demo.domain.results import (
    BenchmarkRow,
    Explanation,
    Inspected,
    LabelledSet,
    LargeComparison,
    Recommendation,
    Space,
    Sweep,
)
from demo.export.snippet import TRANSFORMERS, export_prompts, name_source, render_server_snippet, render_snippet
from demo.pipeline import EmbeddedPairing, Pipeline
from demo.stages.resolve_reading import resolve_reading
from demo.stages.similarity import cos_sim, score_pairs
from demo.stages.texts import parse_pairing
from demo.studies.article import ANSWERS, QUESTIONS
from demo.studies.benchmark import ReadingGrid, list_readings, run_benchmark
from demo.studies.large import run_large
from demo.studies.mteb_tasks import MtebRow, run_mteb
from demo.studies.recommend import run_recommend
from demo.studies.sweep import run_sweep
from demo.studies.training import TrainingRun, named_models

_MOST_LEFT_OUT = 64  # tokens of a text: each costs a forward pass
_TOP_TOKENS = 10  # that the LM head reads from an embedding


class Lab(Pipeline):
    """Embeds, compares and explains texts under any reading.

    `Lab()` takes this machine's best device; `Lab(device="cpu", dtype="float32")` or any other setting forces one.
    Texts may be a list, or one string with a text a line. matches: which answer belongs to which question,
    "1-2, 2-1" or [[1, 2], [2, 1]]; else the i-th to the i-th. reading: prompt, pooling, layer, eos, postprocess,
    reference, task, template, as in Reading; by default those of the model. wait=False never blocks on a model: it
    starts loading and raises ModelLoading. Every method raises DemoError.
    """

    def models(self) -> list[ModelStatus]:
        """The listed models, each with whether it can be chosen here, and why not; of a host that is not public also
        those that were trained and kept on it."""
        return [*super().models(), *([] if self.settings.public else named_models(self))]

    def compare(
        self,
        questions: str | Iterable[str],
        answers: str | Iterable[str],
        model: str | None = None,
        prompt: str | None = None,
        pooling: str | None = None,
        layer: int | None = None,
        matches: str | Sequence[Sequence[int]] | None = None,
        wait: bool = True,
        **options,
    ) -> Comparison:
        """Every question against every answer."""
        started = time.perf_counter()
        reading = {"prompt": prompt, "pooling": pooling, "layer": layer, **options}
        measured = self.embed_pairing(questions, answers, matches, model, wait, **reading)
        similarity = cos_sim(measured.questions, measured.answers)
        return Comparison(
            pairing=measured.pairing,
            similarity=similarity,
            metrics=score_pairs(similarity, measured.pairing.mask()),
            reading=measured.reading,
            provenance=self.provenance(measured.info, measured.reading),
            notices=measured.notices,
            seconds=time.perf_counter() - started,
        )

    def explain(
        self, questions, answers, row: int, column: int, model=None, matches=None, wait: bool = True, **reading
    ) -> Explanation:
        """How much each token contributes to the cosine of question `row` and answer `column` (from 0)."""
        measured = self.embed_pairing(questions, answers, matches, model, wait, **reading)
        texts = _texts_of_cell(measured, row, column)
        settled = measured.reading
        question, answer = (self._inspect(text, settled, role) for text, role in zip(texts, Role, strict=True))
        vectors = [measured.questions[row], measured.answers[column]]
        cosine = float(cos_sim(vectors[0][None], vectors[1][None])[0, 0])
        method, notices = method_of(settled.pooling), measured.notices
        shares = []
        for text, inspected, role, other in zip(texts, (question, answer), Role, vectors[::-1], strict=True):
            if method == LEAVE_ONE_OUT:
                share, notice = self._leave_one_out(text, inspected, settled, role, cosine, other, measured)
                notices += notice
            else:
                share = decompose(inspected, other, settled.pooling, measured.fit)
            shares.append(share)
        tokens = ((), ())
        if measured.info.has_lm_head and settled.pooling is not Pooling.OWN:  # no states of the head's
            states = np.stack([inspected.vector for inspected in (question, answer)])
            tokens = self.engine.read_tokens(settled.model, states, settled.pooling, settled.layer, _TOP_TOKENS)
        return Explanation(
            question=question,
            answer=answer,
            reading=settled,
            cosine=cosine,
            method=method,
            question_shares=shares[0],
            answer_shares=shares[1],
            token_similarity=token_similarity(question, answer),
            question_top_tokens=tokens[0],
            answer_top_tokens=tokens[1],
            provenance=self.provenance(measured.info, measured.reading),
            notices=tuple(dict.fromkeys(notices)),
        )

    def space(
        self, questions, answers, method: str = "pca", model=None, matches=None, wait: bool = True, **reading
    ) -> Space:
        """All texts as points, and how far their cloud is from round. method: "pca"; "umap" where it is installed."""
        measured = self.embed_pairing(questions, answers, matches, model, wait, **reading)
        pairing, asked, answered = measured.pairing, measured.questions, measured.answers
        vectors = np.concatenate([asked, answered])
        points, explained = project(asked, answered, method)
        pairs = unrelated(pairing.questions, pairing.answers, pairing.matches)
        mean, count = anisotropy(vectors, pairs)
        return Space(
            questions=pairing.questions,
            answers=pairing.answers,
            matches=pairing.matches,
            method=method,
            points=points,
            explained=explained,
            mean_cosine=mean,
            n_unrelated=count,
            variance_shares=variance_shares(vectors),
            rogue=rogue_dimensions(vectors, pairs),
            reading=measured.reading,
            provenance=self.provenance(measured.info, measured.reading),
            notices=measured.notices,
        )

    def sweep(
        self,
        questions: str | Iterable[str] | None = None,
        answers: str | Iterable[str] | None = None,
        matches=None,
        labelled: LabelledSet | None = None,
        **wanted,
    ) -> Sweep:
        """Every layer × pooling × prompt × post-processing over two lists of texts, or over a labelled set.

        wanted: model, prompts, eos, reference, on_progress, on_part, task, template, as in `run_sweep`.
        """
        if labelled is None:
            labelled = labelled_from_pairing(parse_pairing(questions, answers, matches, self.limits))
        return run_sweep(self, labelled, **wanted)

    def recommend(
        self,
        questions: str | Iterable[str] | None = None,
        answers: str | Iterable[str] | None = None,
        matches=None,
        labelled: LabelledSet | None = None,
        **wanted,
    ) -> Recommendation:
        """The best reading of each model over two lists of texts or a labelled set, within a budget of seconds.

        wanted: models, seconds, on_progress, on_part, as in `run_recommend`.
        """
        if labelled is None:
            labelled = labelled_from_pairing(parse_pairing(questions, answers, matches, self.limits))
        return run_recommend(self, labelled, **wanted)

    def compare_large(
        self, pairing: Pairing, model: str | None = None, on_progress=None, on_part=None, **reading
    ) -> LargeComparison:
        """Every question of a large set against every answer, with the scores and their intervals.

        on_progress, on_part: as in `run_large`. On a server at most `max_file_texts` of either are accepted.
        """
        limit = self.limits.file_texts
        for box, texts in (("questions", pairing.questions), ("answers", pairing.answers)):
            if len(texts) > limit:
                raise TooManyTexts(field="file", box=box, count=len(texts), limit=limit)
        return run_large(self, pairing, model, on_progress, on_part, **reading)

    def benchmark(
        self,
        sets: Iterable[LabelledSet],
        wanted: Iterable[ReadingGrid] = (),
        on_progress=None,
        mixtures=(),
        on_refused=None,
    ) -> Iterator[BenchmarkRow]:
        """Scores and throughput of readings and mixtures on labelled sets, row by row.

        on_refused: as in `run_benchmark`.
        """
        return run_benchmark(self, list(sets), list(wanted), on_progress, list(mixtures), on_refused)

    def mteb(self, tasks: Iterable[str], wanted: Iterable[ReadingGrid], on_progress=None) -> Iterator[MtebRow]:
        """The same readings on tasks of the optional package mteb, by their names. Data sets come from the Hub."""
        tasks = list(tasks)
        for reading in list_readings(self, wanted) if tasks else ():
            yield from run_mteb(self, reading, tasks, on_progress=on_progress)

    def train(
        self,
        sets: Sequence[TrainingSet],
        questions=None,
        answers=None,
        matches=None,
        model: str | None = None,
        wait: bool = True,
        how: Mapping[str, Any] | None = None,
        **reading,
    ) -> TrainingRun:
        """Train a model with contrastive loss; iterate the run's `events()` to do it step by step.

        questions, answers: texts to evaluate along the way. how: fields of Recipe (method, steps, batch_size …).
        """
        info = self.open(model, wait=wait)
        settled = resolve_reading(info, self.limits, **reading)
        watched = parse_pairing(questions, answers, matches, self.limits) if questions is not None else None
        return TrainingRun(self, Recipe(settled, **(how or {})), sets, watched)

    def code(
        self, model=None, library: str = TRANSFORMERS, wait: bool = True, texts=None, cosines=None, **reading
    ) -> str:
        """A short script that computes a reading's cosines, and says whether they are the lab's.

        library: "transformers" or "sentence-transformers"; for a model on a server, the script asks the same server.
        texts: its (questions, answers); by default the article's. cosines: the lab's (n, m), where they are known.
        Paths of this machine stand in it only where its own user alone can ask.
        """
        info = self.open(model, wait=wait)
        settled = resolve_reading(info, self.limits, **reading)
        if cosines is None:
            shown = self.compare(*(texts or (QUESTIONS, ANSWERS)), model=model, wait=wait, **reading)
            texts, cosines = (shown.questions, shown.answers), shown.similarity
        server = next((server for server in self.settings.servers if server.id == info.model), None)
        if server:
            return render_server_snippet(settled, info, server, texts, cosines)
        entry = CATALOG.get(info.base or info.model)
        source = name_source(info, entry.hub_id, entry.revision) if entry else name_source(info)
        own = self.settings.own_user  # nobody else learns of paths
        if own:
            info = replace(info, adapter=info.adapter_folder)
        return render_snippet(settled, info, library, source, texts, cosines, info.folder if own else "")

    def export(self, out: str | Path, model=None, **reading) -> Reading:
        """Write a reading as a folder that `SentenceTransformer(folder)` loads; returns the reading."""
        info = self.open(model)
        settled = resolve_reading(info, self.limits, **reading)
        self.engine.export(settled, export_prompts(settled, info), Path(out))
        return settled

    def _inspect(self, text: str, reading: Reading, role: Role) -> Inspected:
        return self.engine.inspect(self.prompted([text], reading, role), reading)[0]

    def _leave_one_out(self, text, inspected: Inspected, reading: Reading, role: Role, cosine, other, measured):
        """(shares of all tokens, notices): what the cosine loses without each of the text's own."""
        shares = np.zeros(len(inspected.tokens), dtype=np.float32)
        start, end = inspected.inside
        if end - start > _MOST_LEFT_OUT:
            long = f"Leaving tokens out one by one is done for texts of up to {_MOST_LEFT_OUT} tokens"
            return shares, (f"{long}; this {role.value} has {end - start:,}.",)
        [prompted] = self.prompted([text], reading, role)
        without, positions = self.engine.leave_one_out(prompted, reading)
        if positions:
            shares[list(positions)] = leave_one_out_shares(cosine, measured.fit(without), other)
        return shares, ()


def _texts_of_cell(measured: EmbeddedPairing, row: int, column: int) -> tuple[str, str]:
    """The two texts of a cell. Raises UnknownChoice."""
    pairing = measured.pairing
    chosen = []
    for name, index, texts in (("row", row, pairing.questions), ("column", column, pairing.answers)):
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(texts):
            raise UnknownChoice(field=name, value=str(index)[:80], kind=name, accepted=f"0 to {len(texts) - 1}")
        chosen.append(texts[index])
    return chosen[0], chosen[1]
