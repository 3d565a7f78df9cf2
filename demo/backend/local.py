"""LocalEngine: an Engine on this machine's GPU or CPU."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

from demo.backend.export import export_sentence_transformer
from demo.backend.loader import Checkpoint, count_parameters, load_checkpoint
from demo.backend.model.device import choose_device, memory_budget
from demo.backend.model.pooling import KEPT_POOLINGS, from_kept, scale
from demo.backend.model.tokenization import TokenizedText, remove_token, spell, tokenize
from demo.backend.protocol import Guide, OnProgress
from demo.backend.scheduler.batch import out_of_memory
from demo.backend.scheduler.cache import EmbeddingCache, Entry
from demo.backend.scheduler.cpu_lanes import CpuLanes
from demo.backend.scheduler.disk_cache import DiskCache
from demo.backend.scheduler.malloc import keep_freed_memory, release_freed_memory
from demo.backend.scheduler.model_runner import ModelRunner
from demo.backend.scheduler.scheduler import Scheduler
from demo.backend.training.contrastive import ContrastiveTraining
from demo.backend.weights.locate import cached_unavailable_reason, find_adapter, locate_weights
from demo.domain.catalog import CATALOG, CatalogEntry
from demo.domain.datamodels import (
    LAST_LAYER,
    Device,
    Embedded,
    EngineCounts,
    ModelInfo,
    ModelStatus,
    Pooling,
    Progress,
    PromptedText,
    Reading,
)
from demo.domain.errors import ModelDoesNotFit, NotFinite, OutOfMemory, ReadingRefused
from demo.domain.recipe import PromptedPair, Recipe
from demo.domain.results import Inspected
from demo.settings import Settings

# Tokens of the passes at a time, on two cores. Products of SmolLM2's size in bfloat16 ran at 1.3 TFLOP a second with
# 600 rows and 1.7 with 1,020; 2.4 with 2,040, but what lies between them is slower then. In float32 512 do (measured).
_CPU_TOKENS = {torch.float32: 512, torch.bfloat16: 1024, torch.float16: 1024}
_GPU_TOKENS = 16_384

logger = logging.getLogger("demo")


class LocalEngine:
    """Loads checkpoints within a memory budget and embeds each distinct text once, in batches."""

    fast = True  # whether models may be read by our own decoder

    def __init__(self, settings: Settings):
        if settings.threads:
            torch.set_num_threads(settings.threads)
        transformers_logging.disable_progress_bar()  # the page and the terminal show our own
        self.settings = settings
        self.placement = choose_device(settings.device, settings.dtype)
        self.budget = memory_budget(self.placement.device, settings.memory_gb)
        self.cache = EmbeddingCache(settings.cache_mb * 2**20)
        self._disk = DiskCache(settings.cache_dir, settings.disk_cache_mb * 2**20) if settings.disk_cache_mb else None
        tokens = _CPU_TOKENS[self.placement.dtype] if self.placement.device.type == "cpu" else _GPU_TOKENS
        keep_freed_memory()
        self._why_not = cached_unavailable_reason(settings.cache_dir)
        self._runner = ModelRunner()
        self._scheduler = Scheduler(self._runner.run, tokens, cores=CpuLanes(self.placement.device))
        self._checkpoints: OrderedDict[str, Checkpoint] = OrderedDict()  # least recently used first
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()  # guards the two above
        self._load_lock = threading.Lock()  # one model at a time enters memory, so that the budget holds

    @property
    def forward_passes(self) -> int:
        return self._runner.count

    def counts(self) -> EngineCounts:
        with self._lock:
            models, size, passes = len(self._checkpoints), self._used(), self._runner
        return EngineCounts(passes.count, passes.texts, self.cache.hits, self._scheduler.waiting, models, size)

    def device(self) -> Device:
        return self.placement.info

    def models(self) -> list[ModelStatus]:
        return [self._status(entry) for entry in CATALOG.values()]

    def loaded(self, model: str) -> ModelInfo | None:
        checkpoint = self._find(model)
        return checkpoint.info if checkpoint else None

    def load(self, model: str, on_progress: OnProgress | None = None) -> ModelInfo:
        return self._checkpoint(model, on_progress).info

    def embed(self, texts: Sequence[PromptedText], reading: Reading, keep: bool = True) -> Embedded:
        checkpoint = self._checkpoint(reading.model)
        if reading.pooling is Pooling.LAST_TOKEN_LOGITS:
            self._require_head(checkpoint)
        texts = self._own_span(texts, checkpoint)
        how = (checkpoint.key, reading.pooling, reading.layer, reading.normalize)
        distinct = list(dict.fromkeys(texts))
        found = self._known(distinct, how)
        made = {
            text: self._read(profile, checkpoint, reading)
            for text in distinct
            if text not in found and (profile := self.cache.get((checkpoint.key, text))) is not None
        }
        missing = [text for text in distinct if text not in found and text not in made]
        # Every layer and pooling of a text comes out of the pass that it needs anyway; for a set too large to be kept
        # the pass ends at the reading's layer.
        all_layers = keep and self._can_keep(len(missing), checkpoint)
        wide = reading.pooling is Pooling.LAST_TOKEN_LOGITS
        head = reading.layer if wide and all_layers else None
        said: dict[PromptedText, Entry] = {}
        for text, entry in self._compute(missing, checkpoint, None if all_layers else reading, head) if missing else ():
            if head is not None:
                entry, logits = entry
                said[text] = replace(logits, numbers=scale(logits.numbers, reading.normalize))
            if all_layers:
                self.cache.put((checkpoint.key, text), entry)
                entry = self._read(entry, checkpoint, reading)
            made[text] = entry
        if wide:
            made = self._apply_head({text: made[text] for text in made if text not in said}, checkpoint, reading) | said
        # Logits are as wide as the vocabulary: a thousand of them would fill the cache.
        keep = keep or not wide
        for text, entry in made.items():
            found[text] = entry
            if keep and entry.numbers.base is None:  # else it is part of a profile, which is kept already
                self.cache.put((how, text), entry)
        if self._disk and made:
            self._disk.put({(how, text): entry for text, entry in made.items()})
        return Embedded(
            vectors=np.stack([found[text].numbers for text in texts]),
            cut=tuple(i for i, text in enumerate(texts) if found[text].cut),
            token_limit=checkpoint.info.max_tokens,
        )

    def survey(self, texts: Sequence[PromptedText], reading: Reading, poolings: Sequence[Pooling]) -> np.ndarray:
        checkpoint = self._checkpoint(reading.model)
        texts = self._own_span(texts, checkpoint)
        places: dict[PromptedText, list[int]] = {}
        for i, text in enumerate(texts):
            places.setdefault(text, []).append(i)
        depth = checkpoint.info.n_layers + 1
        out = np.empty((len(poolings), depth, len(texts), checkpoint.info.dim), dtype=np.float32)
        known = {text: self.cache.get((checkpoint.key, text)) for text in places}
        missing = [text for text, profile in known.items() if profile is None]
        found = [(text, profile) for text, profile in known.items() if profile is not None]
        keep = self._can_keep(len(missing), checkpoint)
        for text, profile in itertools.chain(found, self._compute(missing, checkpoint, None) if missing else ()):
            if keep:
                self.cache.put((checkpoint.key, text), profile)
            count = np.full(depth, profile.count)
            for row, pooling in enumerate(poolings):
                vectors = scale(from_kept(pooling, profile.numbers, count), reading.normalize)
                out[row][:, places[text]] = vectors[:, None]
        return out

    def count_cached(self, texts: Sequence[PromptedText], model: str) -> int:
        checkpoint = self._checkpoint(model)
        return sum((checkpoint.key, text) in self.cache for text in self._own_span(texts, checkpoint))

    def count_tokens(self, texts: Sequence[PromptedText], model: str) -> list[int]:
        return [len(text) for text in self._tokenize(texts, self._checkpoint(model))]

    def logits_of(self, model: str, states: np.ndarray, layer: int) -> np.ndarray:
        checkpoint = self._checkpoint(model)
        self._require_head(checkpoint)
        return self._scheduler.call(lambda: self._runner.logits(checkpoint, states, layer))

    def inspect(self, texts: Sequence[PromptedText], reading: Reading) -> list[Inspected]:
        checkpoint = self._checkpoint(reading.model)
        embedded = self.embed(texts, reading)
        return [
            Inspected(
                text=text.text,
                prompted=tokens.rendered,
                tokens=spell(tokens, checkpoint.tokenizer),
                token_ids=tokens.input_ids,
                pooled=tokens.pooled,
                inside=tokens.inside,
                states=self._scheduler.call(partial(self._runner.states, tokens, checkpoint, reading.layer)),
                vector=vector,
                cut=tokens.cut,
            )
            for text, tokens, vector in zip(texts, self._tokenize(texts, checkpoint), embedded.vectors, strict=True)
        ]

    def leave_one_out(self, text: PromptedText, reading: Reading) -> tuple[np.ndarray, tuple[int, ...]]:
        checkpoint = self._checkpoint(reading.model)
        [whole] = self._tokenize([text], checkpoint)
        without = {position: remove_token(whole, position) for position in range(*whole.inside)}
        without = {position: rest for position, rest in without.items() if rest is not None}
        if not without:
            return np.empty((0, checkpoint.info.dim), dtype=np.float32), ()
        vectors = self._vectors(list(without.values()), checkpoint, reading)
        if reading.pooling is Pooling.LAST_TOKEN_LOGITS:
            vectors = scale(self.logits_of(reading.model, vectors, reading.layer), reading.normalize)
        return vectors, tuple(without)

    def read_tokens(
        self, model: str, vectors: np.ndarray, pooling: Pooling, layer: int, count: int
    ) -> list[tuple[tuple[str, float], ...]]:
        tokenizer = self._checkpoint(model).tokenizer
        values = vectors if pooling is Pooling.LAST_TOKEN_LOGITS else self.logits_of(model, vectors, layer)
        chances = torch.softmax(torch.from_numpy(np.asarray(values, dtype=np.float32)), dim=-1)
        best = chances.topk(min(count, chances.shape[-1]), dim=-1)
        return [
            tuple((tokenizer.decode([int(token)]), float(chance)) for token, chance in zip(*row, strict=True))
            for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def export(self, reading: Reading, prompts: Mapping[str, str], out: Path) -> None:
        export_sentence_transformer(self._checkpoint(reading.model), reading, prompts, out)

    def train(
        self,
        recipe: Recipe,
        pairs: Sequence[PromptedPair],
        sources: Sequence[tuple[int, float]],
        guide: Guide | None = None,
    ) -> ContrastiveTraining:
        checkpoint = self._checkpoint(recipe.reading.model)
        if recipe.reading.pooling is Pooling.LAST_TOKEN_LOGITS:
            self._require_head(checkpoint)
        if find_adapter(recipe.reading.model, self.settings.cache_dir):
            reason = "it carries an adapter already. Train the model below it."
            raise ReadingRefused(field="model", model=checkpoint.info.name, reason=reason)
        frozen = partial(self._vectors, checkpoint=checkpoint, reading=replace(recipe.reading, normalize=False))
        with self._runner.lock:  # the copy of the modules must not see the hooks of a forward pass
            return ContrastiveTraining(checkpoint, recipe, pairs, sources, guide, frozen, self._scheduler.call)

    def release(self, model: str) -> None:
        """Let go of a model; what still computes with it keeps it until then."""
        with self._lock:
            self._checkpoints.pop(model, None)
        release_freed_memory()

    def _known(self, texts: Sequence[PromptedText], how: tuple) -> dict[PromptedText, Entry]:
        """What is kept of texts under a reading, in memory or on disk."""
        found = {text: entry for text in texts if (entry := self.cache.get((how, text))) is not None}
        missing = [text for text in texts if text not in found]
        if self._disk and missing:
            for (_, text), entry in self._disk.get((how, text) for text in missing).items():
                found[text] = entry
                self.cache.put((how, text), entry)
        return found

    def _own_span(self, texts: Sequence[PromptedText], checkpoint: Checkpoint) -> list[PromptedText]:
        """The texts, pooled as the checkpoint itself pools them."""
        return [replace(text, pool_text_only=True) if checkpoint.pool_text_only else text for text in texts]

    def _tokenize(self, texts: Sequence[PromptedText], checkpoint: Checkpoint) -> list[TokenizedText]:
        info = checkpoint.info
        return tokenize(self._own_span(texts, checkpoint), checkpoint.tokenizer, info.max_tokens, info.name)

    def _require_head(self, checkpoint: Checkpoint) -> None:
        if checkpoint.anatomy.head is None:
            raise ReadingRefused(
                field="pooling",
                model=checkpoint.info.name,
                reason="its checkpoint has no LM head, so it has no logits.",
                instead=Pooling.LAST_TOKEN.value,
            )

    def _can_keep(self, count: int, checkpoint: Checkpoint) -> bool:
        """Whether the cache has room for every layer and pooling of so many texts."""
        profile = (checkpoint.info.n_layers + 1) * len(KEPT_POOLINGS) * checkpoint.info.dim * 4
        return count * profile <= self.cache.max_bytes // 2

    def _read(self, profile: Entry, checkpoint: Checkpoint, reading: Reading) -> Entry:
        """One reading out of a text's profile; for logits, the state that the LM head will read."""
        layer = checkpoint.info.n_layers if reading.layer == LAST_LAYER else reading.layer
        vector = from_kept(reading.pooling, profile.numbers[layer], np.asarray(profile.count))
        if reading.pooling is not Pooling.LAST_TOKEN_LOGITS:
            vector = scale(vector, reading.normalize)
        return Entry(vector, profile.cut)

    def _apply_head(self, made: dict[PromptedText, Entry], checkpoint: Checkpoint, reading: Reading):
        """The same entries with logits in the place of states."""
        if not made:
            return made
        states = np.stack([entry.numbers for entry in made.values()])
        values = scale(self.logits_of(checkpoint.info.model, states, reading.layer), reading.normalize)
        return {text: Entry(row.copy(), entry.cut) for (text, entry), row in zip(made.items(), values, strict=True)}

    def _compute(self, texts: list[PromptedText], checkpoint: Checkpoint, reading: Reading | None, head=None):
        """Yield (text, Entry) of distinct texts: under a reading, or all of them; with a head [those, its logits]."""
        for i, entry in self._run_batches(self._tokenize(texts, checkpoint), checkpoint, reading, head):
            yield texts[i], entry

    def _vectors(self, tokenized: Sequence[TokenizedText], checkpoint: Checkpoint, reading: Reading) -> np.ndarray:
        entries = dict(self._run_batches(list(tokenized), checkpoint, reading))
        return np.stack([entries[i].numbers for i in range(len(entries))])

    def _run_batches(self, tokenized: list[TokenizedText], checkpoint: Checkpoint, reading: Reading | None, head=None):
        """Yield (index, Entry); under last_token_logits the entry is the state that the LM head reads."""
        info = checkpoint.info
        how = reading and (reading.pooling, reading.layer)
        items = [self._runner.work_item(text, checkpoint, how, head) for text in tokenized]
        try:
            for i, found in self._scheduler.results(items):
                vectors = (found,) if head is None else found
                if not all(np.isfinite(vector).all() for vector in vectors):
                    raise NotFinite(model=info.name, precision=info.precision, device=info.device)
                if reading is not None and reading.pooling is not Pooling.LAST_TOKEN_LOGITS:
                    vectors = (scale(found, reading.normalize),)
                start, end = tokenized[i].pooled  # copies: not the whole batch is kept
                entries = [Entry(np.array(vector), tokenized[i].cut, end - start) for vector in vectors]
                yield i, entries if head is not None else entries[0]
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise OutOfMemory(model=info.name, tokens=max(len(text) for text in tokenized)) from error

    def _find(self, model: str) -> Checkpoint | None:
        with self._lock:
            checkpoint = self._checkpoints.get(model)
            if checkpoint:
                self._checkpoints.move_to_end(model)
            return checkpoint

    def _checkpoint(self, model: str, on_progress: OnProgress | None = None) -> Checkpoint:
        """The model in memory, loaded once however many ask at the same moment."""
        found = self._find(model)
        if found:
            return found
        with self._lock:
            lock = self._loading.setdefault(model, threading.Lock())
        with lock:
            return self._find(model) or self._load(model, on_progress or (lambda progress: None))

    def _load(self, model: str, on_progress: OnProgress) -> Checkpoint:
        entry = CATALOG.get(model)
        if entry:
            self._check_fits(entry.name, entry.memory_bytes(self._itemsize))
        on_progress(Progress("locating"))
        weights = locate_weights(model, self.settings.cache_dir, on_progress)
        size = self._itemsize
        need = entry.memory_bytes(size) if entry else int(count_parameters(weights.folder) * size * 1.2)
        self._check_fits(entry.name if entry else model, need)
        with self._load_lock:
            self._make_room(need)
            on_progress(Progress("loading"))
            with ThreadPoolExecutor(1) as alone:  # a thread that ends: see Worker.call
                what = (model, weights, self.placement, self.settings.max_tokens, self.fast)
                checkpoint = alone.submit(load_checkpoint, *what).result()
            with self._lock:
                self._checkpoints[model] = checkpoint
            self._make_room(0, keep=1)  # its packed products are known only now
        logger.info("%s is ready: %s, %s", checkpoint.info.name, checkpoint.info.source, checkpoint.info.precision)
        return checkpoint

    def _make_room(self, need: int, keep: int = 0) -> None:
        """Let go of the least recently used models, but for so many, until `need` bytes fit the budget."""
        with self._lock:
            while len(self._checkpoints) > keep and need + self._used() > self.budget:
                name = self._checkpoints.popitem(last=False)[0]
                release_freed_memory()
                logger.info("%s leaves memory", name)

    def _used(self) -> int:
        return sum(checkpoint.info.memory_bytes for checkpoint in self._checkpoints.values())

    def _check_fits(self, name: str, need: int) -> None:
        if need > self.budget:
            raise ModelDoesNotFit(
                model=name, need=_gib(need), precision=self.placement.info.precision, have=_gib(self.budget)
            )

    def _status(self, entry: CatalogEntry) -> ModelStatus:
        need = entry.memory_bytes(self._itemsize)
        with self._lock:
            loaded = entry.id in self._checkpoints
        state, reason = ("loaded" if loaded else "available"), ""
        if not loaded and need > self.budget:
            state, reason = "unavailable", f"needs {_gib(need)}, this machine has {_gib(self.budget)} for models"
        elif not loaded and (reason := self._why_not(entry)):
            state = "unavailable"
        return entry.status(state, reason)

    @property
    def _itemsize(self) -> int:
        return self.placement.dtype.itemsize


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
