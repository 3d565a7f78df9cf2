"""Layer stream: the weights of one block after the other, read from disk into two buffers that are used in turns.

While one block computes, a thread reads the next one: a model needs the memory of two of its blocks, whatever its size,
and a pass takes as long as the longer of reading and computing. Weights lie in a buffer as the fused products take
them, so nothing is copied and nothing more is allocated. llama.cpp maps the files instead, accelerate and AirLLM make
new tensors of every layer, one after the other with the computation.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from demo.backend.decoder.shards import ShardReader, Shards, Stored

Compute = Callable[[Sequence[Callable[[], None]]], None]  # runs steps, in any order, and returns after the last
Weight = tuple[nn.Module, str, Stored]  # a module's parameter, and where it lies

_ROWS = 128  # of a typical pass: the article's four texts


def compute_here(steps: Sequence[Callable[[], None]]) -> None:
    """Run steps in the calling thread."""
    for step in steps:
        step()


class LayerStream:
    """layers: the weights of each block, in the order in which they shall lie. One pass at a time reads.

    compute: runs a block's steps. merges: by layer, what is done to its weights each time they have been read.
    """

    def __init__(
        self, shards: Shards, layers: Sequence[Sequence[Weight]], dtype: torch.dtype, compute: Compute = compute_here
    ):
        self.shards = shards
        self.at = 0  # the layer that computes
        self.seconds = 0.0  # that a pass over a few short texts is expected to take
        self.compute = compute
        self.merges: dict[int, Callable[[], None]] = {}
        self._lock = threading.Lock()
        sizes = [sum(stored.numel * dtype.itemsize for _, _, stored in weights) for weights in layers]
        self._buffers = [torch.empty(max(sizes), dtype=torch.uint8) for _ in layers[:2]]
        self._slots = [self._place(weights, self._buffers[index % 2], dtype) for index, weights in enumerate(layers)]

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers."""
        return sum(buffer.nbytes for buffer in self._buffers)

    def holds(self, weight: Tensor) -> bool:
        """Whether a weight lies in a buffer."""
        return weight.untyped_storage().data_ptr() in {buffer.data_ptr() for buffer in self._buffers}

    def read(self, depth: int) -> Iterator[int]:
        """Yield 0 … depth − 1, each once the block's weights are in place; they stay until the next one is asked for.

        Close the iterator to end early. Raises StreamBroken.
        """
        with self._lock, self.shards.open() as reader, ThreadPoolExecutor(1, "weights") as thread:
            try:
                ahead = [thread.submit(self.fill, reader, layer) for layer in range(min(1, depth))]
                for layer in range(depth):
                    ahead.pop().result()
                    if layer + 1 < depth:
                        ahead.append(thread.submit(self.fill, reader, layer + 1))
                    self.at = layer
                    yield layer
            finally:
                reader.stopped = True

    def fill(self, reader: ShardReader, layer: int) -> None:
        """Read a block's weights into its buffer."""
        for stored, target in self._slots[layer]:
            reader.read(stored, target)
        if layer in self.merges and not reader.stopped:
            self.merges[layer]()

    @staticmethod
    def _place(weights: Sequence[Weight], buffer: Tensor, dtype: torch.dtype) -> list[tuple[Stored, Tensor]]:
        slots, at = [], 0
        for module, name, stored in weights:
            end = at + stored.numel * dtype.itemsize
            target = buffer[at:end].view(dtype).view(stored.shape)
            setattr(module, name, nn.Parameter(target, requires_grad=False))
            slots.append((stored, target))
            at = end
        return slots


def expected_seconds(file_bytes: int, bytes_per_second: float, weights: int, dtype: torch.dtype) -> float:
    """How long a pass over a few short texts takes: the longer of reading all weights and computing with them."""
    return max(file_bytes / bytes_per_second, weights * _seconds_per_weight(dtype))


@cache
def _seconds_per_weight(dtype: torch.dtype) -> float:
    """Measured on one product of a few milliseconds."""
    states, weight = torch.zeros(_ROWS, 2048, dtype=dtype), torch.zeros(4096, 2048, dtype=dtype)
    linear(states, weight)
    started = time.perf_counter()
    linear(states, weight)
    return (time.perf_counter() - started) / weight.numel()
