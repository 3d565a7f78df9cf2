"""CPU lanes: how many passes run side by side on a device, and how many cores each of them gets.

Measured on two cores with AVX2, SmolLM2 in float32: two passes of 128 tokens side by side did 39 texts a second, one of
128 after the other on both cores 30, of 512 35; the vectors were the same to the last bit.
"""

from __future__ import annotations

import torch
from threadpoolctl import ThreadpoolController

_LANES = 2


class CpuLanes:
    """count: the lanes of the device; more than one on a CPU only."""

    def __init__(self, device: torch.device):
        self._threads = torch.get_num_threads()
        # torch.set_num_threads would set it for every thread that begins later, too.
        self._libraries = ThreadpoolController().select(user_api="openmp").lib_controllers
        self.count = _LANES if device.type == "cpu" and self._threads >= _LANES and self._libraries else 1

    def use_cores(self, exclusive: bool) -> None:
        """From now on the calling thread computes on all cores, or on its lane's part of them."""
        if self.count > 1:
            torch.get_num_threads()  # a thread's first call sets what torch.set_num_threads was given
            for library in self._libraries:
                library.set_num_threads(self._threads if exclusive else self._threads // self.count)
