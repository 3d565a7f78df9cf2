"""Passes: texts that share a forward pass, and what comes out of it. Knows no queue, no cache and no reading's name."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from demo.backend.decoder.kv_prefix import KVPrefix, with_prefix
from demo.backend.loader import Checkpoint
from demo.backend.model.forward import every_layer, hidden_states, logits
from demo.backend.model.pooling import KEPT_POOLINGS, pool, pool_kept
from demo.backend.model.tokenization import TokenizedText
from demo.backend.scheduler.batch import Batch, stack
from demo.backend.scheduler.scheduler import WorkItem
from demo.domain.datamodels import Pooling

_LEAST_SHARED = 4  # tokens of a prompt's beginning that are worth keeping
_HEAD_ROWS = 256  # states that go through the LM head together

Output = tuple[Pooling, int]  # pooling and layer
Keep = Callable[[KVPrefix], None]


@dataclass(frozen=True)
class BatchKey:
    """What texts must have in common to share a pass."""

    checkpoint: Checkpoint
    shared: tuple[int, ...] | None  # leading tokens that need not run again; None: the model's own pass
    how: Output | None  # None: every layer and pooling

    @property
    def decodes(self) -> bool:
        """Whether our decoder runs it."""
        return self.shared is not None and self.checkpoint.encoder is None


class ModelRunner:
    """Forward passes on one device. Those of the model's own, which hangs hooks into its modules, one at a time."""

    def __init__(self):
        self.count = 0
        self.texts = 0  # that shared them
        self.lock = threading.RLock()  # while it is held, no hook hangs in a model
        self._counting = threading.Lock()

    def work_item(
        self, text: TokenizedText, checkpoint: Checkpoint, how: Output | None, head: int | None = None
    ) -> WorkItem:
        """A text as the worker knows it: only what follows the shared beginning will run.

        head, where `how` is None: the layer whose last token the LM head reads in the same pass.
        """
        group = BatchKey(checkpoint, _shared(text, checkpoint), how)
        length = len(text) - len(group.shared or ())
        beginning = text.input_ids if group.decodes else ()  # nothing else shares beginnings
        return WorkItem(group, (group, text, head), (text, head), length, beginning)

    @torch.inference_mode()
    def run(self, group: BatchKey, contents: list[tuple[TokenizedText, int | None]]) -> list[Any]:
        """One pass: float32 (dim,) a text, or (n_layers + 1, poolings, dim) of pooling.KEPT where `how` is None.

        With a head, a pair: that, and the logits (vocabulary,).
        """
        texts, heads = [text for text, _ in contents], [head for _, head in contents]
        prefix, keep = _known(group, texts)
        batch = _stack(group, texts, prefix)
        with self._pass_of(group, len(texts)):
            if group.how is None:
                return self._with_logits(group, torch.stack(_every_layer(group, batch, prefix, keep), dim=1), heads)
            pooling, layer = group.how
            return list(pool(pooling, _one_layer(group, batch, layer, prefix), batch.pooled).cpu().numpy())

    @torch.inference_mode()
    def states(self, text: TokenizedText, checkpoint: Checkpoint, layer: int) -> np.ndarray:
        """The states of a text's tokens at one layer, float32 (n_tokens, dim)."""
        group = BatchKey(checkpoint, None if _shared(text, checkpoint) is None else (), None)
        batch = _stack(group, [text], None)
        with self._pass_of(group):
            return _one_layer(group, batch, layer, None)[0].float().cpu().numpy()

    @torch.inference_mode()
    def logits(self, checkpoint: Checkpoint, states: np.ndarray, layer: int) -> np.ndarray:
        """What the LM head says of states of one layer, (n, dim): float32 (n, vocabulary)."""
        out = []
        with self.lock:
            for start in range(0, len(states), _HEAD_ROWS):
                rows = torch.from_numpy(np.ascontiguousarray(states[start : start + _HEAD_ROWS], dtype=np.float32))
                out.append(logits(checkpoint.anatomy, rows.to(checkpoint.device), layer).float().cpu().numpy())
        return np.concatenate(out)

    def _with_logits(self, group: BatchKey, kept: torch.Tensor, heads: list[int | None]) -> list[Any]:
        """kept: (n, n_layers + 1, poolings, dim). What the LM head says comes along: another turn would cost a pass."""
        results: list[Any] = list(kept.cpu().numpy())
        for layer in {*heads} - {None}:
            rows = [row for row, head in enumerate(heads) if head == layer]
            with self.lock:
                said = logits(
                    group.checkpoint.anatomy, kept[rows, layer, KEPT_POOLINGS.index(Pooling.LAST_TOKEN)], layer
                )
            for row, values in zip(rows, said.float().cpu().numpy(), strict=True):
                results[row] = results[row], values
        return results

    def _pass_of(self, group: BatchKey, texts: int = 0) -> AbstractContextManager:
        """Counts it; while it lasts, the lock is held if the model's own pass runs."""
        with self._counting:
            self.count += 1
            self.texts += texts
        return self.lock if group.shared is None else nullcontext()


def _shared(text: TokenizedText, checkpoint: Checkpoint) -> tuple[int, ...] | None:
    """The beginning that need not run again; None where only the model's own pass will do."""
    own_pass = checkpoint.decoder or checkpoint.encoder
    if own_pass is None or len(text) > own_pass.longest:
        return None
    if checkpoint.encoder:
        return () if text.placeholder is None else None
    beginning = text.beginning
    return beginning if len(beginning) >= _LEAST_SHARED else ()


def _known(group: BatchKey, texts: list[TokenizedText]) -> tuple[KVPrefix | None, Keep | None]:
    """What need not run, and what to do with the text that runs alone.

    The prompt's beginning need not, nor what a text that was asked for of late began with.
    """
    decoder, shared = group.checkpoint.decoder, group.shared
    if not group.decodes:
        return None, None
    keep = None
    if len(texts) == 1 and texts[0].placeholder is None:
        ids, known = texts[0].input_ids, len(shared)
        beginning, again = decoder.recent.find(ids, known)
        keep = partial(decoder.recent.keep, ids, known) if again else None
        if beginning is not None:
            return beginning, keep
    return (decoder.prefix(shared) if shared else None), keep


def _stack(group: BatchKey, texts: list[TokenizedText], prefix: KVPrefix | None) -> Batch:
    checkpoint, start = group.checkpoint, len(prefix) if prefix else 0
    packed = group.shared is not None and not group.decodes
    return stack(texts, checkpoint.pad_id, checkpoint.device, start, group.decodes, packed)


def _every_layer(group: BatchKey, batch: Batch, prefix: KVPrefix | None, keep: Keep | None) -> list[torch.Tensor]:
    """(n, poolings, dim) of each layer."""
    reduce, decoder = pool_kept(batch.pooled), group.checkpoint.decoder
    if group.shared is None:
        return every_layer(group.checkpoint.anatomy, batch.input_ids, batch.attention, reduce, batch.prepending)
    if batch.packed:
        return group.checkpoint.encoder.every_layer(batch.packed, reduce)
    return decoder.every_layer(batch.tree, reduce, batch.prepending, prefix, batch.joins, keep)


def _one_layer(group: BatchKey, batch: Batch, layer: int, prefix: KVPrefix | None) -> torch.Tensor:
    """(n, tokens, dim) of the layer, the columns those of the batch's pooled mask."""
    decoder = group.checkpoint.decoder
    if group.shared is None:
        return hidden_states(group.checkpoint.anatomy, batch.input_ids, batch.attention, layer, batch.prepending)
    if batch.packed:
        return group.checkpoint.encoder.hidden_states(batch.packed, layer)
    states = decoder.hidden_states(batch.tree, layer, batch.prepending, prefix)
    return with_prefix(prefix, states, layer) if batch.joins else states
