"""Model runner: one forward pass over texts that share it: prefix → batch → forward → pool → NumPy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from demo.backend.decoder.kv_prefix import KVPrefix
from demo.backend.loader import Checkpoint
from demo.backend.model.forward import every_layer, hidden_states, logits
from demo.backend.model.pooling import KEPT_POOLINGS, from_kept, pool, pool_kept, scale
from demo.backend.model.tokenization import TokenizedText
from demo.backend.scheduler.batch import Batch, stack
from demo.backend.scheduler.cache import Entry
from demo.backend.scheduler.request_queue import WorkItem
from demo.backend.scheduler.streamed_pass import Output, Report, StreamProgress, run_streamed, token_states
from demo.domain.datamodels import LAST_LAYER, Pooling, Reading
from demo.domain.errors import ReadingRefused, Stopped

_LEAST_SHARED = 4  # tokens of a prompt's beginning that are worth caching
_HEAD_ROWS = 256  # states that go through the LM head together

Keep = Callable[[KVPrefix], None]


@dataclass(frozen=True)
class BatchKey:
    """What texts must have in common to share a pass."""

    checkpoint: Checkpoint
    shared: tuple[int, ...] | None  # leading tokens that need not run again; None: the model's own pass
    output: Output | None  # None: every layer and kept pooling

    @property
    def decodes(self) -> bool:
        """Whether our decoder runs it."""
        return self.shared is not None and self.checkpoint.encoder is None


class ModelRunner:
    """Forward passes on one device. A model's own pass hangs hooks into its modules: one at a time.

    passes, texts: counts of what has run. lock: while it is held, no hook hangs in a model. streaming: how far the pass
    is whose weights are read from disk; None while there is none. wanted: whether anybody still waits for it.
    """

    def __init__(self):
        self.streaming: StreamProgress | None = None
        self.wanted: Callable[[], bool] = lambda: True
        self.passes = 0
        self.texts = 0
        self.lock = threading.RLock()
        self._counting = threading.Lock()

    def work_item(
        self, text: TokenizedText, checkpoint: Checkpoint, output: Output | None, head: int | None = None
    ) -> WorkItem:
        """A text for the scheduler: only what follows the shared beginning will run.

        head, where `output` is None: the layer whose last token the LM head reads in the same pass.
        """
        if checkpoint.stream:  # whatever their beginnings, texts share the one reading of the weights
            key = BatchKey(checkpoint, (), output)
            return WorkItem(key, (key, text, head), (text, head), _streamed_bytes(text, checkpoint, output))
        key = BatchKey(checkpoint, _shared(text, checkpoint), output)
        length = len(text) - len(key.shared or ())
        beginning = text.input_ids if key.decodes else ()  # nothing else shares beginnings
        return WorkItem(key, (key, text, head), (text, head), length, beginning)

    @torch.inference_mode()
    def run(self, key: BatchKey, contents: list[tuple[TokenizedText, int | None]]) -> list[Any]:
        """One pass: float32 (dim,) a text, or (n_layers + 1, poolings, dim) of KEPT_POOLINGS where `output` is None.

        With a head, a pair: that, and the logits (vocabulary,).
        """
        if not isinstance(key, BatchKey):  # a step of a streamed pass
            return [key()]
        texts, heads = [text for text, _ in contents], [head for _, head in contents]
        if key.checkpoint.stream:
            with self._pass_of(key, len(texts)), self._streamed(key.checkpoint) as report:
                shared = [_shared(text, key.checkpoint) for text in texts]
                kept = run_streamed(key.checkpoint, texts, shared, key.output, report)
                return self._add_logits(key, [vectors.numpy() for vectors in kept], heads)
        prefix, keep = _cached_prefix(key, texts)
        batch = _stack(key, texts, prefix)
        with self._pass_of(key, len(texts)):
            if key.output is None:
                kept = torch.stack(_every_layer(key, batch, prefix, keep), dim=1).cpu().numpy()
                return self._add_logits(key, list(kept), heads)
            pooling, layer = key.output
            return list(pool(pooling, _one_layer(key, batch, layer, prefix), batch.pooled).cpu().numpy())

    @torch.inference_mode()
    def hidden_states(self, texts: list[TokenizedText], checkpoint: Checkpoint, layer: int) -> list[np.ndarray]:
        """The states of each text's tokens at one layer, float32 (n_tokens, dim)."""
        if checkpoint.stream:
            with self._pass_of(BatchKey(checkpoint, (), None)), self._streamed(checkpoint) as report:
                return [states.numpy() for states in token_states(checkpoint, texts, layer, report)]
        return [self._hidden_states(text, checkpoint, layer) for text in texts]

    def _hidden_states(self, text: TokenizedText, checkpoint: Checkpoint, layer: int) -> np.ndarray:
        key = BatchKey(checkpoint, None if _shared(text, checkpoint) is None else (), None)
        batch = _stack(key, [text], None)
        with self._pass_of(key):
            return _one_layer(key, batch, layer, None)[0].float().cpu().numpy()

    @torch.inference_mode()
    def logits(self, checkpoint: Checkpoint, states: np.ndarray, layer: int) -> np.ndarray:
        """The LM head's logits of states of one layer, (n, dim): float32 (n, vocabulary)."""
        out = []
        # A streamed head computes in the scheduler's lanes, one of which may wait for the lock.
        with nullcontext() if checkpoint.stream else self.lock:
            for start in range(0, len(states), _HEAD_ROWS):
                rows = torch.from_numpy(np.ascontiguousarray(states[start : start + _HEAD_ROWS], dtype=np.float32))
                out.append(logits(checkpoint.anatomy, rows.to(checkpoint.device), layer).float().cpu().numpy())
        return np.concatenate(out)

    def _add_logits(self, key: BatchKey, results: list[Any], heads: list[int | None]) -> list[Any]:
        """results: (n_layers + 1, poolings, dim) each. Logits come along here: a call of their own would wait for a
        pass."""
        last_token = KEPT_POOLINGS.index(Pooling.LAST_TOKEN)
        for layer in {*heads} - {None}:
            rows = [row for row, head in enumerate(heads) if head == layer]
            states = np.stack([results[row][layer, last_token] for row in rows])
            for row, values in zip(rows, self.logits(key.checkpoint, states, layer), strict=True):
                results[row] = results[row], values
        return results

    @contextmanager
    def _streamed(self, checkpoint: Checkpoint) -> Iterator[Report]:
        """While a pass reads its weights from disk: what it reports to, which raises Stopped once nobody waits."""
        self.streaming = progress = StreamProgress(checkpoint.info.name)

        def report(layer: int, depth: int) -> None:
            progress.layer, progress.depth = layer, depth
            if not self.wanted():
                raise Stopped()

        try:
            yield report
        finally:
            self.streaming = None

    def _pass_of(self, key: BatchKey, texts: int = 0) -> AbstractContextManager:
        """Counts a pass; while the model's own pass runs, the lock is held."""
        with self._counting:
            self.passes += 1
            self.texts += texts
        return self.lock if key.shared is None else nullcontext()


def select_reading(profile: Entry, checkpoint: Checkpoint, reading: Reading) -> Entry:
    """One reading out of a text's profile, (dim,); for logits, the state that the LM head will read."""
    layer = checkpoint.info.n_layers if reading.layer == LAST_LAYER else reading.layer
    if reading.pooling is Pooling.OWN:
        if checkpoint.own_pooling is None or layer != checkpoint.info.n_layers:
            reason = "it has no modules of its own for this layer."
            raise ReadingRefused(field="pooling", model=checkpoint.info.name, reason=reason)
        vector = checkpoint.own_pooling(profile.vectors, profile.count)
    else:
        vector = from_kept(reading.pooling, profile.vectors[layer], np.asarray(profile.count))
        vector = vector[..., : checkpoint.info.width(Pooling.MEAN, layer)]
    if reading.pooling is not Pooling.LAST_TOKEN_LOGITS:
        vector = scale(vector, reading.normalize)
    return Entry(vector, profile.cut)


def _shared(text: TokenizedText, checkpoint: Checkpoint) -> tuple[int, ...] | None:
    """The beginning that need not run again; None where only the model's own pass will do."""
    own_pass = checkpoint.decoder or checkpoint.encoder
    if own_pass is None or len(text) > own_pass.longest:
        return None
    if checkpoint.encoder:
        return () if text.placeholder is None else None
    beginning = text.beginning
    return beginning if len(beginning) >= _LEAST_SHARED else ()


def _streamed_bytes(text: TokenizedText, checkpoint: Checkpoint, output: Output | None) -> int:
    """Memory that a text takes on its way: its states, and of every layer the poolings where all are kept."""
    info = checkpoint.info
    kept = (info.n_layers + 1) * len(KEPT_POOLINGS) if output is None else 1
    return 4 * info.dim * (2 * len(text) + kept)


def _cached_prefix(key: BatchKey, texts: list[TokenizedText]) -> tuple[KVPrefix | None, Keep | None]:
    """The beginning that need not run: the prompt's, or that of a text typed before.

    Keep: what caches the text after its pass; only for a text that runs alone.
    """
    decoder, shared = key.checkpoint.decoder, key.shared
    if not key.decodes:
        return None, None
    keep = None
    if len(texts) == 1 and texts[0].placeholder is None:
        ids, n_prompt = texts[0].input_ids, len(shared)
        prefix, again = decoder.prompt_cache.get(ids, n_prompt)
        keep = partial(decoder.prompt_cache.put, ids, n_prompt) if again else None
        if prefix is not None:
            return prefix, keep
    return (decoder.prefix(shared) if shared else None), keep


def _stack(key: BatchKey, texts: list[TokenizedText], prefix: KVPrefix | None) -> Batch:
    checkpoint, start = key.checkpoint, len(prefix) if prefix else 0
    packed = key.shared is not None and not key.decodes
    return stack(texts, checkpoint.pad_id, checkpoint.device, start, key.decodes, packed)


def _every_layer(key: BatchKey, batch: Batch, prefix: KVPrefix | None, keep: Keep | None) -> list[torch.Tensor]:
    """(n, poolings, dim) of each layer."""
    reduce, decoder = pool_kept(batch.pooled), key.checkpoint.decoder
    if key.shared is None:
        return every_layer(key.checkpoint.anatomy, batch.input_ids, batch.attention, reduce, batch.prepending)
    if batch.packed:
        return key.checkpoint.encoder.every_layer(batch.packed, reduce)
    return decoder.every_layer(batch.tree, reduce, batch.prepending, prefix, batch.pools_prefix, keep)


def _one_layer(key: BatchKey, batch: Batch, layer: int, prefix: KVPrefix | None) -> torch.Tensor:
    """(n, tokens, dim) of the layer, the columns those of the batch's pooled mask."""
    if key.shared is None:
        return hidden_states(key.checkpoint.anatomy, batch.input_ids, batch.attention, layer, batch.prepending)
    if batch.packed:
        return key.checkpoint.encoder.hidden_states(batch.packed, layer)
    states = key.checkpoint.decoder.hidden_states(batch.tree, layer, batch.prepending, prefix)
    return prefix.prepend_to(states, layer) if batch.pools_prefix else states
