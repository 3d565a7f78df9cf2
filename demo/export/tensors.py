"""Tensors: named arrays as a safetensors file. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np


def write_tensors(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """A safetensors file. `safe_open(path, "np")` gives the arrays by name and, by `metadata()`, the metadata.

    Raises OSError.
    """
    from safetensors.numpy import save  # here: whoever takes nothing home does not wait for it

    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, dict(metadata)))
