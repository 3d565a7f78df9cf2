"""The bridge to mteb: our engine as an encoder of the public embedding benchmark, and its tasks run by name.

mteb is an optional extra that brings torch's data loaders along: it is imported inside functions only. Its encoder
protocol (version 2): https://embeddings-benchmark.github.io/mteb/; the benchmark: arXiv 2210.07316, 2502.13595.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from demo.domain.catalog import CATALOG
from demo.domain.choices import Role
from demo.domain.datamodels import ModelInfo, Postprocess, Progress, Reading, Reference
from demo.domain.errors import BadInput, DemoError, ReadingRefused
from demo.pipeline import Pipeline

OnProgress = Callable[[Progress], None]
_TEXTS_AT_ONCE = 64  # between two reports of how far it is
_BATCH = 1024  # texts that mteb hands over at once; the engine makes its own batches of them
_MOST_BYTES = 8 * 2**30  # of vectors held at once


@dataclass(frozen=True)
class MtebRow:
    """One reading on one task of mteb."""

    task: str
    main_score: float  # the mean over the task's splits and languages, as mteb reports it
    metric: str  # mteb's name of the main score: cosine_spearman, ndcg_at_10 …
    seconds: float  # fetching the data set included
    reading: Reading
    provenance: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"reading": self.reading.to_dict()}


class MtebEncoder:
    """A resolved reading as mteb's EncoderProtocol: `mteb.evaluate(MtebEncoder(pipeline, reading), task)`.

    Queries are questions, everything else is an answer. Texts are cut at the model's token limit; the page's limits
    do not apply. Post-processing is fitted on the corpus, once, here. Raises BadInput without mteb, ModelError, and
    ReadingRefused for post-processing that is to be fitted on the texts at hand.
    """

    def __init__(self, pipeline: Pipeline, reading: Reading, on_progress: OnProgress | None = None):
        self.info = pipeline.open(reading.model)
        if reading.postprocess is not Postprocess.NONE and reading.reference is not Reference.CORPUS:
            raise ReadingRefused(
                field="reference",
                model=self.info.name,
                reason="mteb hands its texts over part by part, and post-processing that is fitted on the texts at "
                "hand would change from part to part. Fit it on the corpus: --reference corpus.",
                instead=Reference.CORPUS.value,
            )
        self.pipeline, self.reading = pipeline, reading
        self._report = on_progress or (lambda progress: None)
        self._similarity = _import_mteb(pipeline).similarity_functions
        self.mteb_model_meta = _model_meta(self.info, reading)
        # A fit on the corpus takes no vectors of its own.
        self._fit = pipeline.fit(reading, np.empty((0, 1), dtype=np.float32))

    def encode(
        self,
        inputs: Iterable[dict[str, Any]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Embeddings of a DataLoader's texts, float32 (n_texts, dim), in their order; a text's never depends on others.

        inputs: batches with the texts under "text". kwargs: mteb's batch size and the like, which the engine settles
        itself. Raises BadInput where the vectors would not fit into memory, and what Engine.embed raises.
        """
        # Data sets hold empty texts, of which some tokenizers make no token.
        texts = [text or " " for batch in inputs for text in batch["text"]]
        distinct = sorted(set(texts), key=lambda text: (len(text), text))  # like lengths together: they share passes
        self._check_size(len(texts) + len(distinct))
        role = Role.QUESTION if prompt_type == "query" else Role.ANSWER
        stage = f"{task_metadata.name}: {self.info.name}"
        parts = []
        for start in range(0, len(distinct), _TEXTS_AT_ONCE):
            self._report(Progress(stage, start / len(distinct)))
            part = distinct[start : start + _TEXTS_AT_ONCE]
            parts.append(self._fit(self.pipeline.vectors(part, self.reading, role).vectors))
        rows = {text: row for row, text in enumerate(distinct)}
        return np.concatenate(parts)[[rows[text] for text in texts]]

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosine of every vector with every other, (n, dim) and (m, dim) → a torch tensor (n, m), as mteb expects."""
        return self._similarity.cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosine of the i-th vector with the i-th, twice (n, dim) → a torch tensor (n,), as mteb expects."""
        return self._similarity.pairwise_cos_sim(embeddings1, embeddings2)

    def _check_size(self, count: int) -> None:
        pooling = self.reading.pooling
        need = count * self.info.width(pooling, self.reading.layer) * 4
        if need > _MOST_BYTES:
            raise BadInput(
                problem=f"The vectors of {count:,} texts under {pooling.value} need {need / 2**30:.1f} GiB, more than "
                f"the limit of {_MOST_BYTES / 2**30:.0f} GiB. Choose another pooling or a smaller task."
            )


def run_mteb(
    pipeline: Pipeline,
    reading: Reading,
    task_names: Sequence[str],
    languages: Sequence[str] | None = None,
    splits: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
) -> Iterator[MtebRow]:
    """One row a task, as soon as it is known; all names are checked before the first one runs. Raises DemoError.

    languages: ISO 639-3 codes ("eng", "kor"); the task's own where none are named. splits: the task's own likewise.
    Data sets come from the Hugging Face Hub and stay in its own cache; results are kept nowhere but in the rows.
    on_progress: how much of the list of texts at hand is embedded; it may raise to stop.
    """
    mteb = _import_mteb(pipeline)
    tasks = [_find_task(mteb, name, languages, splits) for name in task_names]
    encoder = MtebEncoder(pipeline, reading, on_progress)
    for task in tasks:
        started = time.perf_counter()
        result = _evaluate(mteb, encoder, task, splits)
        yield MtebRow(
            task=task.metadata.name,
            main_score=float(result.get_score()),
            metric=task.metadata.main_score,
            seconds=time.perf_counter() - started,
            reading=reading,
            provenance={
                **pipeline.provenance(encoder.info, reading),
                "mteb": mteb.__version__,
                "task_revision": str(result.dataset_revision),
                "splits": ", ".join(result.scores),
            },
        )


def _import_mteb(pipeline: Pipeline) -> Any:
    """The package, version 2. Raises BadInput with what to install."""
    # The import alone makes a folder for results.
    os.environ.setdefault("MTEB_CACHE", str(pipeline.settings.cache_dir / "mteb"))
    try:
        import mteb
        import mteb.similarity_functions
    except ImportError as error:
        raise BadInput(problem='The package mteb is not installed. Run: pip install "mteb>=2.26,<2.27".') from error
    if mteb.__version__.split(".")[0] != "2":
        raise BadInput(
            problem=f"Version 2 of mteb is needed, {mteb.__version__} is installed. "
            'Run: pip install "mteb>=2.26,<2.27".'
        )
    return mteb


def _find_task(mteb: Any, name: str, languages: Sequence[str] | None, splits: Sequence[str] | None) -> Any:
    """The task of that name, in these languages and splits. Raises BadInput with what there is."""
    try:
        task = mteb.get_task(name, eval_splits=splits or None)
    except KeyError as error:
        # Beta and non-text tasks aside; these are the ones that can be run.
        known = mteb.get_tasks(modalities=["text"], exclusive_modality_filter=True, exclude_superseded=False)
        spelt = {task.metadata.name.lower(): task.metadata.name for task in known}
        near = ", ".join(spelt[match] for match in difflib.get_close_matches(name.lower(), spelt, n=3, cutoff=0.0))
        raise BadInput(problem=f"mteb has no task “{name[:80]}”. The nearest names: {near}.") from error
    modalities = task.metadata.modalities
    if set(modalities) != {"text"}:
        raise BadInput(problem=f"The task {name} is not made of texts alone but of {', '.join(modalities)}.")
    try:
        return task.filter_languages(languages or None)
    except ValueError as error:
        asked, there = ", ".join(languages or ()), ", ".join(task.languages)
        raise BadInput(problem=f"The task {name} has no texts in {asked[:80]}. It has: {there}.") from error


def _evaluate(mteb: Any, encoder: MtebEncoder, task: Any, splits: Sequence[str] | None) -> Any:
    """mteb's TaskResult. Raises DemoError: the engine's own, or BadInput for whatever mteb stumbles over."""
    name = task.metadata.name
    try:
        results = mteb.evaluate(
            encoder,
            task,
            co2_tracker=False,
            encode_kwargs={"batch_size": _BATCH, "show_progress_bar": False},
            cache=None,
            show_progress_bar=False,
            public_only=False,  # a data set that is missing raises, whether it is public or not
        )
    except DemoError:
        raise
    except OSError as error:  # the Hub's, the data sets' and the network's errors are all of this kind
        raise BadInput(
            problem=f"The data set of {name} is not on this disk and could not be fetched from the Hugging Face Hub. "
            f"The Hub's answer: {_first_line(error)}."
        ) from error
    except Exception as error:  # tasks are code of hundreds of authors: whatever they raise becomes a sentence
        if isinstance(error, KeyError) and error.args[0] in (splits or ()):
            raise BadInput(problem=f"The data set of {name} has no split {error.args[0]}.") from error
        raise BadInput(
            problem=f"The task {name} could not be run. mteb's answer: {type(error).__name__}, {_first_line(error)}."
        ) from error
    finally:
        if task.data_loaded:  # mteb lets go of it only where all went well
            task.unload_data()
    return results.task_results[0]


def _first_line(error: Exception) -> str:
    """What an error says, on one line and without its full stop."""
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200].rstrip(".")


def _model_meta(info: ModelInfo, reading: Reading) -> Any:
    """mteb's ModelMeta. The reading stands in experiment_kwargs, so that mteb keeps the results of readings apart."""
    from mteb.models import ModelMeta
    from mteb.models.model_meta import ScoringFunction

    words = hashlib.sha256(f"{reading.task}\0{reading.template}".encode()).hexdigest()[:8]
    choices = {name: value for name, value in reading.to_dict().items() if name not in ("model", "task", "template")}
    return ModelMeta.create_empty(
        {
            "name": _hub_name(info.model),
            "revision": info.revision,
            "n_parameters": info.parameters,
            "max_tokens": info.max_tokens,
            "embed_dim": info.width(reading.pooling, reading.layer),
            "similarity_fn_name": ScoringFunction.COSINE,
            "experiment_kwargs": {**choices, "words": words},
        }
    )


def _hub_name(model: str) -> str:
    """`organization/model`, which mteb asks for; `local/…` for a folder and for the Hub's names without a slash."""
    name = CATALOG[model].hub_id if model in CATALOG else model
    is_hub_id = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists()
    return name if is_hub_id else f"local/{Path(name).name}"
