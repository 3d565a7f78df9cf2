"""LocalEngine: an Engine on this machine's GPU or CPU: cache → tokenize → schedule → pool → cache."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

from demo.backend.export import export_sentence_transformer
from demo.backend.loader import Checkpoint
from demo.backend.model.device import Placement, choose_device
from demo.backend.model.pooling import KEPT_POOLINGS, from_kept, scale
from demo.backend.model.tokenization import TokenizedText, remove_token, spell, tokenize
from demo.backend.model_store import ModelStore
from demo.backend.protocol import Engine, Guide, OnProgress, Sources, TopTokens
from demo.backend.scheduler.batch import out_of_memory, run_with_retreat
from demo.backend.scheduler.cache import EmbeddingCache, Entry, join_entries
from demo.backend.scheduler.cpu_lanes import CpuLanes
from demo.backend.scheduler.disk_cache import DiskCache
from demo.backend.scheduler.malloc import keep_freed_memory
from demo.backend.scheduler.model_runner import ModelRunner, select_reading
from demo.backend.scheduler.scheduler import Scheduler
from demo.backend.scheduler.streams import Streams
from demo.backend.training.contrastive import ContrastiveTraining
from demo.backend.weights.locate import find_adapter
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import (
    Device,
    Embedded,
    EngineCounts,
    ModelInfo,
    ModelStatus,
    Pooling,
    Prompt,
    PromptedText,
    Reading,
)
from demo.domain.errors import BadInput, NotFinite, OutOfMemory, ReadingRefused
from demo.domain.recipe import PromptedPair, Recipe
from demo.domain.results import Inspected
from demo.settings import Settings

# Tokens of all passes at a time, on two cores. Products of SmolLM2's size in bfloat16 ran at 1.3 TFLOP a second with
# 600 rows and 1.7 with 1,020; 2.4 with 2,040, but the rest of a pass is slower then. In float32 512 do (measured).
_CPU_TOKENS = {torch.float32: 512, torch.bfloat16: 1024, torch.float16: 1024}
_GPU_TOKENS = 16_384

logger = logging.getLogger("demo")


class LocalEngine(Engine):
    """Loads checkpoints within a memory budget and embeds each distinct text once, in batches."""

    own_pass = True  # whether our decoder and encoder may run models

    def __init__(self, settings: Settings):
        if settings.threads:
            torch.set_num_threads(settings.threads)
        transformers_logging.disable_progress_bar()  # the page and the terminal show our own
        self.settings = settings
        self._store = ModelStore(settings, choose_device(settings.device, settings.dtype), self.own_pass)
        self.permit_download, self.release = self._store.permit_download, self._store.release
        self.cache = EmbeddingCache(settings.cache_mb * 2**20)
        self._disk = DiskCache(settings.cache_dir, settings.disk_cache_mb * 2**20) if settings.disk_cache_mb else None
        keep_freed_memory()
        self._runner = ModelRunner()
        device, dtype = self.placement.device, self.placement.dtype
        tokens = _CPU_TOKENS[dtype] if device.type == "cpu" else _GPU_TOKENS
        self._scheduler = Scheduler(self._runner.run, tokens, retreat=run_with_retreat, cpu_lanes=CpuLanes(device))
        self._streams = Streams(self._runner, self._store.budget)
        self._store.compute = lambda steps: self._scheduler.run_steps(steps)

    @property
    def placement(self) -> Placement:
        return self._store.placement

    def counts(self) -> EngineCounts:
        waiting = self._scheduler.waiting + self._streams.scheduler.waiting
        ran = self._runner.passes, self._runner.texts, self.cache.hits, waiting
        return EngineCounts(*ran, *self._store.memory_use(), self._store.bytes_read)

    def device(self) -> Device:
        return self.placement.info

    def models(self) -> list[ModelStatus]:
        return [self._store.status(entry) for entry in CATALOG.values()]

    def loaded(self, model: str) -> ModelInfo | None:
        checkpoint = self._store.find(model)
        if checkpoint is None:
            return None
        precision = checkpoint.info.precision_of(checkpoint.info.default_reading)
        return checkpoint.info if self._store.find(model, precision) else None

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        info = self._checkpoint(model, on_progress).info
        self._checkpoint_for(info.default_reading)  # the first reading of most people
        return info

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        checkpoint = self._checkpoint_for(reading)
        if not checkpoint.stream:
            return self._embed(checkpoint, texts, reading, keep)
        key = checkpoint.key, tuple(texts), reading, keep
        return self._streams.ask(checkpoint.info.name, key, lambda: self._embed(checkpoint, texts, reading, keep))

    def _embed(self, checkpoint: Checkpoint, texts: Sequence[PromptedText], reading: Reading, keep: bool) -> Embedded:
        wants_logits = reading.pooling is Pooling.LAST_TOKEN_LOGITS
        if wants_logits:
            self._require_head(checkpoint)
        texts = self._own_span(texts, checkpoint)
        key = (checkpoint.key, reading.pooling, reading.layer, reading.normalize)
        distinct = list(dict.fromkeys(texts))
        entries = self._cached(distinct, key)
        profiles = {text: self.cache.get((checkpoint.key, text)) for text in distinct if text not in entries}
        computed = {text: select_reading(entry, checkpoint, reading) for text, entry in profiles.items() if entry}
        missing = [text for text, entry in profiles.items() if entry is None]
        # One pass gives every layer and pooling of a text; for a set too large to be cached it ends at the reading's
        # layer.
        all_layers = keep and self._fits_cache(len(missing), checkpoint)
        head = reading.layer if wants_logits and all_layers else None
        logits: dict[PromptedText, Entry] = {}
        wants_profile = all_layers or reading.pooling is Pooling.OWN
        output = None if wants_profile else reading
        for text, result in self._compute(missing, checkpoint, output, head) if missing else ():
            entry = result[0]
            if head is not None:
                logits[text] = replace(result[1], vectors=scale(result[1].vectors, reading.normalize))
            if all_layers:
                self.cache.put((checkpoint.key, text), entry)
            computed[text] = select_reading(entry, checkpoint, reading) if wants_profile else entry
        if wants_logits:
            states = {text: entry for text, entry in computed.items() if text not in logits}
            computed = self._apply_head(states, checkpoint, reading) | logits
        entries |= computed
        # Logits are as wide as the vocabulary: a thousand of them would fill the cache.
        if keep or not wants_logits:
            for text, entry in computed.items():
                if entry.vectors.base is None:  # else it is a view of a profile, which is cached already
                    self.cache.put((key, text), entry)
        if self._disk and computed:
            self._disk.put({(key, text): entry for text, entry in computed.items()})
        return join_entries([entries[text] for text in texts], checkpoint.info.max_tokens)

    def survey(self, texts: Sequence[PromptedText], reading: Reading, poolings: Sequence[Pooling]) -> np.ndarray:
        checkpoint = self._checkpoint_for(reading)
        columns: dict[PromptedText, list[int]] = {}
        for i, text in enumerate(self._own_span(texts, checkpoint)):
            columns.setdefault(text, []).append(i)
        depth = checkpoint.info.n_layers + 1
        out = np.empty((len(poolings), depth, len(texts), checkpoint.info.dim), dtype=np.float32)
        profiles = {text: self.cache.get((checkpoint.key, text)) for text in columns}
        missing = [text for text, profile in profiles.items() if profile is None]
        cached = [(text, (profile,)) for text, profile in profiles.items() if profile is not None]
        keep = self._fits_cache(len(missing), checkpoint)
        for text, (profile,) in itertools.chain(cached, self._compute(missing, checkpoint, None) if missing else ()):
            if keep:
                self.cache.put((checkpoint.key, text), profile)
            count = np.full(depth, profile.count)
            for row, pooling in enumerate(poolings):
                vectors = scale(from_kept(pooling, profile.vectors, count), reading.normalize)
                out[row][:, columns[text]] = vectors[:, None]
        return out

    def count_cached(self, texts: Sequence[PromptedText], reading: Reading) -> int:
        checkpoint = self._checkpoint_for(reading)
        return sum((checkpoint.key, text) in self.cache for text in self._own_span(texts, checkpoint))

    def count_tokens(self, texts: Sequence[PromptedText], model: str) -> list[int]:
        return [len(text) for text in self._tokenize(texts, self._checkpoint(model))]

    def logits_of(self, model: str, states: np.ndarray, layer: int) -> np.ndarray:
        checkpoint = self._checkpoint_for(Reading(model, Prompt.PLAIN, Pooling.LAST_TOKEN_LOGITS))
        self._require_head(checkpoint)
        act = partial(self._runner.logits, checkpoint, states, layer)
        return act() if checkpoint.stream else self._scheduler.call(act)  # a stream computes in the scheduler's lanes

    def read_tokens(self, model: str, vectors: np.ndarray, pooling: Pooling, layer: int, count: int) -> TopTokens:
        if pooling is Pooling.OWN:
            self._refuse(model, "its own modules' vectors are no states that the LM head reads.", field="pooling")
        tokenizer = self._checkpoint(model).tokenizer
        logits = vectors if pooling is Pooling.LAST_TOKEN_LOGITS else self.logits_of(model, vectors, layer)
        probabilities = torch.softmax(torch.from_numpy(np.asarray(logits, dtype=np.float32)), dim=-1)
        top = probabilities.topk(min(count, probabilities.shape[-1]), dim=-1)
        return [
            tuple((tokenizer.decode([token]), probability) for token, probability in zip(*row, strict=True))
            for row in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]

    def inspect(self, texts: Sequence[PromptedText], reading: Reading) -> list[Inspected]:
        checkpoint = self._checkpoint_for(reading)
        embedded = self.embed(texts, reading)
        tokenized = self._tokenize(texts, checkpoint)
        run = partial(self._runner.hidden_states, tokenized, checkpoint, reading.layer)
        every = zip(texts, tokenized, self._scheduler_of(checkpoint).call(run), embedded.vectors, strict=True)
        return [
            Inspected(
                text=text.text,
                prompted=tokens.rendered,
                tokens=spell(tokens, checkpoint.tokenizer),
                token_ids=tokens.input_ids,
                pooled=tokens.pooled,
                inside=tokens.inside,
                states=states,
                vector=vector,
                before=tokens.before,
                cut=tokens.cut,
            )
            for text, tokens, states, vector in every
        ]

    def leave_one_out(self, text: PromptedText, reading: Reading) -> tuple[np.ndarray, tuple[int, ...]]:
        checkpoint = self._checkpoint_for(reading)
        [whole] = self._tokenize([text], checkpoint)
        shortened = {position: remove_token(whole, position) for position in range(*whole.inside)}
        shortened = {position: rest for position, rest in shortened.items() if rest is not None}
        if not shortened:
            return np.empty((0, checkpoint.info.dim), dtype=np.float32), ()
        vectors = self._vectors(list(shortened.values()), checkpoint, reading)
        if reading.pooling is Pooling.LAST_TOKEN_LOGITS:
            vectors = scale(self.logits_of(reading.model, vectors, reading.layer), reading.normalize)
        return vectors, tuple(shortened)

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> None:
        export_sentence_transformer(self._whole(reading.model), reading, prompts, out)

    def train(
        self, recipe: Recipe, pairs: Sequence[PromptedPair], sources: Sources, guide: Guide | None = None
    ) -> ContrastiveTraining:
        checkpoint = self._whole(recipe.reading.model)
        if recipe.reading.pooling is Pooling.LAST_TOKEN_LOGITS:
            self._require_head(checkpoint)
        if find_adapter(recipe.reading.model, self.settings.cache_dir):
            self._refuse(recipe.reading.model, "it carries an adapter already. Train the model below it.")
        frozen = partial(self._vectors, checkpoint=checkpoint, reading=replace(recipe.reading, normalize=False))
        with self._runner.lock:  # the copy of the modules must not see the hooks of a forward pass
            return ContrastiveTraining(checkpoint, recipe, pairs, sources, guide, frozen, self._scheduler.call)

    def _checkpoint(self, model: str, on_progress: OnProgress | None = None) -> Checkpoint:
        return self._store.get(model, on_progress)

    def _checkpoint_for(self, reading: Reading) -> Checkpoint:
        """The model in the precision that the reading is computed in."""
        checkpoint = self._checkpoint(reading.model)
        return self._store.get(reading.model, precision=checkpoint.info.precision_of(reading))

    def _scheduler_of(self, checkpoint: Checkpoint) -> Scheduler:
        return self._streams.scheduler if checkpoint.stream else self._scheduler

    def _cached(self, texts: Sequence[PromptedText], key: tuple) -> dict[PromptedText, Entry]:
        """Entries of texts under a reading, in memory or on disk."""
        entries = {text: entry for text in texts if (entry := self.cache.get((key, text))) is not None}
        missing = [text for text in texts if text not in entries]
        if self._disk and missing:
            for (_, text), entry in self._disk.get((key, text) for text in missing).items():
                entries[text] = entry
                self.cache.put((key, text), entry)
        return entries

    def _own_span(self, texts: Sequence[PromptedText], checkpoint: Checkpoint) -> list[PromptedText]:
        """The texts, pooled as the checkpoint itself pools them."""
        return list(texts) if checkpoint.info.include_prompt else [replace(t, include_prompt=False) for t in texts]

    def _tokenize(self, texts: Sequence[PromptedText], checkpoint: Checkpoint) -> list[TokenizedText]:
        info = checkpoint.info
        tokenized = tokenize(self._own_span(texts, checkpoint), checkpoint.tokenizer, info.max_tokens, info.name)
        if any(max(text.input_ids) >= checkpoint.embedded_tokens for text in tokenized):
            raise BadInput(problem=f"One of the texts holds a token for which {info.name} has no embedding.")
        return tokenized

    def _require_head(self, checkpoint: Checkpoint) -> None:
        if checkpoint.anatomy.head is None:
            raise ReadingRefused(
                field="pooling",
                model=checkpoint.info.name,
                reason="its checkpoint has no LM head, so it has no logits.",
                instead=Pooling.LAST_TOKEN.value,
            )

    def _whole(self, model: str) -> Checkpoint:
        checkpoint = self._checkpoint(model)
        if checkpoint.stream:
            self._refuse(model, "its weights are read from disk for every pass; this needs them in memory.")
        return checkpoint

    def _fits_cache(self, count: int, checkpoint: Checkpoint) -> bool:
        """Whether the cache has room for every layer and pooling of so many texts."""
        profile_bytes = (checkpoint.info.n_layers + 1) * len(KEPT_POOLINGS) * checkpoint.info.dim * 4
        return count * profile_bytes <= self.cache.max_bytes // 2

    def _apply_head(
        self, entries: dict[PromptedText, Entry], checkpoint: Checkpoint, reading: Reading
    ) -> dict[PromptedText, Entry]:
        """The same entries with logits in place of states."""
        if not entries:
            return {}
        states = np.stack([entry.vectors for entry in entries.values()])
        logits = scale(self.logits_of(checkpoint.info.model, states, reading.layer), reading.normalize)
        return {text: Entry(row.copy(), entry.cut) for (text, entry), row in zip(entries.items(), logits, strict=True)}

    def _compute(
        self, texts: list[PromptedText], checkpoint: Checkpoint, reading: Reading | None, head: int | None = None
    ) -> Iterator[tuple[PromptedText, tuple[Entry, ...]]]:
        """Entries of distinct texts, as `_run`."""
        for i, entries in self._run(self._tokenize(texts, checkpoint), checkpoint, reading, head):
            yield texts[i], entries

    def _vectors(self, texts: Sequence[TokenizedText], checkpoint: Checkpoint, reading: Reading) -> np.ndarray:
        """float32 (n, dim); under last_token_logits the states that the LM head reads."""
        if reading.pooling is Pooling.OWN:
            profiles = self._run(texts, checkpoint, None)
            vectors = {i: select_reading(profile, checkpoint, reading).vectors for i, (profile,) in profiles}
        else:
            vectors = {i: entry.vectors for i, (entry,) in self._run(texts, checkpoint, reading)}
        return np.stack([vectors[i] for i in range(len(vectors))])

    def _run(
        self, texts: Sequence[TokenizedText], checkpoint: Checkpoint, reading: Reading | None, head: int | None = None
    ) -> Iterator[tuple[int, tuple[Entry, ...]]]:
        """Yield (index, (entry,)) as passes end: the text under the reading, or its profile where there is none.

        head: layer whose logits come along, as a second entry. Under last_token_logits the entry is the state that the
        LM head reads. Raises NotFinite, OutOfMemory.
        """
        info = checkpoint.info
        output = reading and (reading.pooling, reading.layer)
        items = [self._runner.work_item(text, checkpoint, output, head) for text in texts]
        try:
            for i, result in self._scheduler_of(checkpoint).results(items):
                vectors = (result,) if head is None else result
                if not all(np.isfinite(vector).all() for vector in vectors):
                    raise NotFinite(model=info.name, precision=info.precision, device=info.device)
                if reading is not None and reading.pooling is not Pooling.LAST_TOKEN_LOGITS:
                    vectors = (scale(result, reading.normalize),)
                start, end = texts[i].pooled
                # Copies: a view would hold the whole batch.
                yield i, tuple(Entry(np.array(vector), texts[i].cut, end - start) for vector in vectors)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise OutOfMemory(model=info.name, tokens=max(len(text) for text in texts)) from error
