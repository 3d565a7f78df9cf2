"""Streamed pass: texts through a decoder whose weights are read from disk, each of them once for all texts together.

The texts run in batches of a few hundred tokens, every batch through one block before the next block comes. A prompt's
beginning runs as a batch of its own, ahead of those that continue it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from demo.backend.decoder.decoder import Pass
from demo.backend.decoder.kv_prefix import KVPrefix
from demo.backend.loader import Checkpoint
from demo.backend.model.pooling import pool, pool_kept
from demo.backend.model.tokenization import TokenizedText
from demo.backend.scheduler.batch import Batch, stack
from demo.domain.datamodels import Pooling

_TOKENS = 256  # of a batch: a step of a 7B model on two cores takes a third of a second, and others wait for it

Output = tuple[Pooling, int]  # pooling and layer
Report = Callable[[int, int], None]  # a layer begins, of how many; raises to end the pass


@dataclass(eq=False)
class StreamProgress:
    """How far the pass that runs is: of which model, layers done, of how many, since when."""

    model: str
    layer: int = 0
    depth: int = 1
    began: float = field(default_factory=time.monotonic)

    def seconds_left(self) -> float | None:
        """Estimated from the layers that are done; None before the first."""
        spent = time.monotonic() - self.began
        return spent / self.layer * (self.depth - self.layer) if self.layer else None


@dataclass(eq=False)
class _Part:
    """One batch: rows of the request's texts. reduced: the poolings of each layer, where all are wanted."""

    rows: list[int]
    batch: Batch
    prefix: KVPrefix | None
    step: Pass
    reduced: list[Tensor]


def run_streamed(
    checkpoint: Checkpoint,
    texts: Sequence[TokenizedText],
    shared: Sequence[tuple[int, ...]],
    output: Output | None,
    report: Report,
) -> list[Tensor]:
    """float32 (dim,) a text, or (n_layers + 1, poolings, dim) of KEPT_POOLINGS where `output` is None.

    shared: of each text, the beginning that its batch mates have in common. Raises StreamBroken, and what report does.
    """
    parts, ahead, growing = _open(checkpoint, texts, shared, each_layer=output is None)
    depth = len(checkpoint.decoder) if output is None else checkpoint.decoder.depth(output[1])
    states = checkpoint.decoder.run([part.step for part in parts], depth, ahead, report)
    results = {}
    for part, end in zip(parts, states, strict=True):
        if output is None:
            pooled = torch.stack(part.reduced, dim=1)
        else:
            pooled = pool(output[0], _joined(part, end, output[1]), part.batch.pooled)
        results |= zip(part.rows, pooled, strict=True)
    if depth == len(checkpoint.decoder):
        for beginning, prefix in growing.items():
            checkpoint.decoder.keep_prefix(beginning, prefix)
    return [results[row] for row in range(len(texts))]


def token_states(checkpoint: Checkpoint, texts: Sequence[TokenizedText], layer: int, report: Report) -> list[Tensor]:
    """The states of each text's tokens at one layer, float32 (n_tokens, dim)."""
    parts, ahead, _ = _open(checkpoint, texts, [()] * len(texts), each_layer=False)
    states = checkpoint.decoder.run([part.step for part in parts], checkpoint.decoder.depth(layer), ahead, report)
    by_row = {row: end[at] for part, end in zip(parts, states, strict=True) for at, row in enumerate(part.rows)}
    return [by_row[row][: len(text)] for row, text in enumerate(texts)]


def _open(checkpoint: Checkpoint, texts: Sequence[TokenizedText], shared, each_layer: bool):
    """(the batches, passes of beginnings that must run ahead of them, their prefixes by beginning)."""
    groups: dict[tuple, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        groups[shared[row], text.placeholder is None].append(row)
    ahead: list[Pass] = []
    growing: dict[tuple[int, ...], KVPrefix] = {}
    opened: dict[tuple[int, ...], KVPrefix | None] = {(): None}
    parts = []
    for (beginning, _), rows in groups.items():
        if beginning not in opened:
            opened[beginning], first = checkpoint.decoder.open_prefix(beginning)
            if first:
                ahead.append(first)
                growing[beginning] = opened[beginning]
        for some in _split(rows, texts, len(beginning)):
            batch = stack([texts[row] for row in some], checkpoint.pad_id, checkpoint.device, len(beginning), True)
            parts.append(_part(some, batch, opened[beginning], len(beginning), each_layer))
    return parts, ahead, growing


def _part(rows: list[int], batch: Batch, prefix: KVPrefix | None, start: int, each_layer: bool) -> _Part:
    part = _Part(rows, batch, prefix, Pass(batch.tree, batch.prepending, prefix, start), [])
    if each_layer:
        reduce = pool_kept(batch.pooled)
        part.step.on_layer = lambda layer, states: part.reduced.append(reduce(_joined(part, states, layer)))
    return part


def _joined(part: _Part, states: Tensor, layer: int) -> Tensor:
    return part.prefix.prepend_to(states, layer) if part.batch.pools_prefix else states


def _split(rows: list[int], texts: Sequence[TokenizedText], start: int) -> Iterator[list[int]]:
    """Batches of like lengths, and of texts that begin alike."""
    some: list[int] = []
    for row in sorted(rows, key=lambda row: (-(len(texts[row]) // 4), texts[row].input_ids)):
        if some and (len(texts[some[0]]) + 3 - start) * (len(some) + 1) > _TOKENS:
            yield some
            some = []
        some.append(row)
    yield some
