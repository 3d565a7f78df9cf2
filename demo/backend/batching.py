"""Batching: who shares a forward pass, and the retreat when memory runs out. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

Result = TypeVar("Result")


def plan_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of the texts of each batch: like lengths together, at most token_budget tokens, padding included.

    The longest come first, so that a lack of memory shows at once. A text longer than the budget goes alone.
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
    """Run a batch; where memory runs out, run its halves. Raises what torch raised if one text alone is too much."""
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
