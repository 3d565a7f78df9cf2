"""Heap: the C library's memory, kept between passes. Knows no tensor.

glibc gives a large buffer back to the system when it is freed, and the next pass has its pages zeroed and mapped anew:
bfloat16 products of SmolLM2 over 2,040 rows ran at 1.4 TFLOP a second so, and at 2.4 with their buffers kept (measured,
two cores with AMX). Elsewhere than on glibc nothing happens.
"""

from __future__ import annotations

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES = 512 * 2**20  # of freed memory; what is beyond goes back to the system
_LARGEST_BYTES = 32 * 2**20  # of a buffer that is kept; a model's weights are larger, and leave with it


def keep_freed_memory() -> None:
    """From now on a pass finds the buffers of the one before."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # no C library to be had by name; not glibc; Windows
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def release_freed_memory() -> None:
    """What is free goes back to the system now: a model has left."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
