"""Batch: texts that share a forward pass as tensors, their size, and the retreat when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from demo.backend.decoder.prefix_tree import PrefixTree, build_tree, to_device
from demo.backend.encoder.packing import Packed, pack
from demo.backend.model.forward import Prepending
from demo.backend.model.tokenization import TokenizedText

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts that run together, padded on the right: (n, tokens) each."""

    input_ids: Tensor
    attention: Tensor | None  # 1 where a token is real; None where nothing is padded
    pooled: Tensor  # 0 where a token is not pooled, as in pooling.py
    prepending: Prepending | None  # token prepending only
    pools_prefix: bool  # whether tokens before `start` are pooled; the columns of `pooled` include them then
    tree: PrefixTree | None  # of the input_ids, for a decoder
    packed: Packed | None  # the input_ids without padding, for an encoder


def stack(
    texts: Sequence[TokenizedText],
    pad_id: int,
    device: torch.device,
    start: int = 0,
    with_tree: bool = False,
    packed: bool = False,
) -> Batch:
    """Tokenized texts as one batch on the device.

    start: leading tokens that all texts share and that are left out. with_tree: for a decoder; packed: for an encoder.
    """
    lengths = [len(text) for text in texts]
    shape = len(texts), max(lengths)
    ids, attention, pooled = np.full(shape, pad_id), np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text.input_ids
        attention[row, : len(text)] = 1
        pooled[row, slice(*text.pooled)] = 1 + text.before
    pools_prefix = bool(pooled[:, :start].any())
    prepending = None
    if texts[0].placeholder is not None:
        placeholders = np.array([text.placeholder for text in texts])
        prepending = Prepending(to_device(placeholders, device), to_device(np.array(lengths) - 1, device))
    # Token prepending lets the end of a text into its beginning, which no other text shares then.
    share = prepending is None
    return Batch(
        input_ids=to_device(ids[:, start:], device),
        attention=None if min(lengths) == max(lengths) else to_device(attention[:, start:], device),
        pooled=to_device(pooled if pools_prefix else pooled[:, start:], device),
        prepending=prepending,
        pools_prefix=pools_prefix,
        tree=build_tree(ids[:, start:], device, np.array(lengths) - start, share) if with_tree else None,
        packed=pack(ids, np.array(lengths), device) if packed else None,
    )


def plan_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of the texts of each batch: similar lengths together, at most token_budget tokens, padding included.

    The longest come first, so that a lack of memory shows at once. A text longer than the budget runs alone.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        # The first of a batch is its longest, so it sets the width.
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= token_budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def run_with_retreat(run: Callable[[list[int]], list[Result]], batch: list[int]) -> list[Result]:
    """Run a batch, or its halves where memory runs out. Raises torch's error if one text alone is too much."""
    try:
        return run(batch)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error) or len(batch) == 1:
            raise
    # Out of the except block: until then the traceback keeps the failed pass's tensors alive.
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None:
        getattr(torch, accelerator.type).empty_cache()
    middle = len(batch) // 2
    return run_with_retreat(run, batch[:middle]) + run_with_retreat(run, batch[middle:])


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out. On the CPU, torch has no class of its own for it."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "allocate memory" in str(error)
