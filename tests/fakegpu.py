"""A GPU that exists only in tests: its tensors hold CPU data, and a CPU tensor beside one of them is an error.

Catches what runs on a CPU only by luck: ids, masks or positions left behind when the model moved. `install()` changes
torch for the whole process, so it belongs in a process of its own.
"""

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "fakegpu"
_MOVES = ("aten::_to_copy", "aten::copy_", "aten::_copy_from")
_FACTORIES = ("empty.memory_format", "empty_strided", "_to_copy")
_library = torch.library.Library("aten", "IMPL")


class _DeviceTensor(torch.Tensor):
    """A tensor that says it is on the fake GPU."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
            storage_offset=inner.storage_offset(),
        )

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, *args, **(kwargs or {}))


def install() -> None:
    """Make torch.device("fakegpu") work in this process."""
    # Wrapper tensors and inference mode exclude each other in torch; without gradients the numbers are the same.
    torch.inference_mode = torch.no_grad
    torch.__future__.set_swap_module_params_on_conversion(True)
    _setup_privateuseone_for_python_backend(NAME)
    for name in _FACTORIES:
        packet, _, overload = name.partition(".")
        operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
        _library.impl(name, lambda *args, op=operator, **kwargs: _run(op, *args, **kwargs), "PrivateUse1")
    _library.impl("_copy_from", _copy_from, "PrivateUse1")


def _run(func, *args, **kwargs):
    moves = func._schema.name in _MOVES
    target = kwargs.get("device")

    def strip(value):
        if isinstance(value, _DeviceTensor):
            return value.inner
        if isinstance(value, torch.Tensor) and value.dim() > 0 and not moves:
            raise RuntimeError(f"{func}: a tensor of shape {tuple(value.shape)} was left on the CPU")
        if isinstance(value, torch.device) and value.type == NAME:
            return torch.device("cpu")
        return value

    def wrap(value):
        return (
            _DeviceTensor(value) if isinstance(value, torch.Tensor) and not isinstance(value, _DeviceTensor) else value
        )

    result = func(*tree_map(strip, args), **tree_map(strip, kwargs))
    if moves and target is not None and torch.device(target).type != NAME:
        return result
    if func._schema.name.endswith("_"):
        return args[0]
    return tree_map(wrap, result)


def _copy_from(source, target, non_blocking=False):
    inner = [value.inner if isinstance(value, _DeviceTensor) else value for value in (source, target)]
    inner[1].copy_(inner[0])
    return target
