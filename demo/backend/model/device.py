"""Device and precision: chosen once at the start, with the reason in words."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from demo.backend.private_apis import cpu_bfloat16_units
from demo.domain.datamodels import Device
from demo.domain.errors import UnknownChoice

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ROUNDING = "A cosine may differ from float32's by a few hundredths."
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_SHARE_FOR_MODELS = 0.7


@dataclass(frozen=True)
class Placement:
    """The device and precision in which models are loaded and run."""

    device: torch.device
    dtype: torch.dtype
    info: Device

    def in_precision(self, precision: str) -> Placement:
        """The same device in another precision."""
        return Placement(self.device, PRECISIONS[precision], replace(self.info, precision=precision))


def choose_device(device: str = "auto", dtype: str = "auto") -> Placement:
    """The named device, or the best one of this machine, and the precision that it computes natively.

    bfloat16 where it is native (CUDA from compute capability 8.0, XPU, CPUs with AVX512-BF16 or AMX), else float16 on
    GPUs and float32 on CPUs. Raises UnknownChoice with what this machine offers.
    """
    place, why_device = _choose_place(device)
    native, why_native = _native_bfloat16(place)
    if dtype not in ("auto", *PRECISIONS):
        raise UnknownChoice(field="dtype", value=dtype[:40], kind="precision", accepted=", ".join(PRECISIONS))
    precision, why = dtype, f"{dtype} was asked for"
    if dtype == "auto":
        precision = "bfloat16" if native else "float32" if place.type == "cpu" else "float16"
        why = f"{precision}, because {why_native}"
    rounding = "" if precision == "float32" or dtype == "auto" else f" {ROUNDING}"
    info = Device(_device_name(place), place.type, precision, f"{why_device}; {why}.{rounding}")
    return Placement(place, PRECISIONS[precision], info)


def memory_budget(place: torch.device, gigabytes: float = 0) -> int:
    """Bytes that loaded models may take together: as given, or 70 % of the device's free memory now."""
    if gigabytes:
        return int(gigabytes * 2**30)
    return int(_free_memory(place) * _SHARE_FOR_MODELS)


def _choose_place(name: str) -> tuple[torch.device, str]:
    found = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        if found is None:
            return torch.device("cpu"), "CPU, because torch finds no GPU"
        return found, f"{found.type.upper()}, because torch finds one"
    accepted = ["auto", "cpu"]
    if found is not None:
        accepted += [found.type] + [f"{found.type}:{i}" for i in range(torch.accelerator.device_count())]
    if name not in accepted:
        raise UnknownChoice(
            field="device", value=name[:40], kind="device of this machine", accepted=", ".join(accepted)
        )
    return torch.device(name), f"{name} was asked for"


def _native_bfloat16(place: torch.device) -> tuple[bool, str]:
    """(Whether the device computes bfloat16 natively, the reason as a clause after "because")."""
    if place.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif place.type == "xpu":
        native = torch.xpu.is_bf16_supported()
    elif place.type == "cpu":
        return _cpu_bfloat16()
    else:
        # MPS has no query for it, and older Apple GPUs emulate bfloat16.
        native = False
    return native, f"this GPU computes it {'natively' if native else 'faster than bfloat16'}"


def _cpu_bfloat16() -> tuple[bool, str]:
    units = cpu_bfloat16_units()
    return bool(units), f"this processor has {units[0] if units else 'neither AVX512-BF16 nor AMX'}"


def _device_name(place: torch.device) -> str:
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    if place.type == "xpu":
        return torch.xpu.get_device_name(place)
    if place.type == "cpu":
        return f"CPU, {torch.get_num_threads()} threads ({platform.machine()})"
    return place.type.upper()


def _free_memory(place: torch.device) -> int:
    if place.type in ("cuda", "xpu"):
        return getattr(torch, place.type).mem_get_info(place)[0]
    if place.type == "mps":
        return torch.mps.recommended_max_memory()
    free = psutil.virtual_memory().available
    return min([free, *_container_limits()])


def _container_limits() -> list[int]:
    """Bytes that this container may still take, by each of its limits; psutil sees only the whole machine."""
    limits = []
    for path in _CGROUP_LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 2**60:
            limits.append(max(0, int(text) - psutil.Process(os.getpid()).memory_info().rss))
    return limits
