"""Private APIs: the only uses of names that torch, transformers, PEFT and huggingface_hub do not document.

tests/backend/test_private_apis.py fails when a release changes one of them; requirements.txt bounds the releases.
Libraries are imported where they are needed: weights are found without torch, and nothing here without its caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def cpu_bfloat16_units() -> list[str]:
    """The processor's units that compute bfloat16: AMX, AVX512-BF16."""
    import torch

    units = {"AMX": "_is_amx_tile_supported", "AVX512-BF16": "_is_avx512_bf16_supported"}
    return [unit for unit, query in units.items() if getattr(torch.cpu, query, lambda: False)()]


def pack_linear_weight(weight: Tensor, rows: int) -> Tensor | None:
    """A weight once more in oneDNN's order for products of so many rows; None where torch or the processor has none."""
    import torch

    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        packed_linear(weight[:1], packed, None)
    except (AttributeError, RuntimeError):
        return None
    return packed


def packed_linear(
    states: Tensor, packed: Tensor, bias: Tensor | None, activation: str = "none", variant: str = ""
) -> Tensor:
    """activation(states · packedᵀ + bias), (…, in) → (…, out), as one oneDNN product."""
    import torch

    return torch.ops.mkldnn._linear_pointwise(states, packed, bias, activation, [], variant)


def packed_linear_times(states: Tensor, packed: Tensor, factor: Tensor) -> Tensor:
    """(states · packedᵀ) · factor, element by element, as one oneDNN product."""
    import torch

    return torch.ops.mkldnn._linear_pointwise.binary(states, factor, packed, None, "mul")


def language_model_types() -> tuple[dict[str, str], dict[str, str]]:
    """transformers' (causal, masked) language models: model type → class name."""
    from transformers.models.auto import modeling_auto

    return modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES


def linear_kinds() -> tuple[type, ...]:
    """Classes of linear layers; GPT-2 has its own."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return nn.Linear, Conv1D


def unmark_quantized(network: Any) -> None:
    """Take the marks of a quantized file off a model that is float32 by now: transformers refuses to save it else."""
    network.config.__dict__.pop("quantization_config", None)
    network.hf_quantizer = None
    network.is_quantized = False


def speed_up_lora(network: nn.Module) -> None:
    """Replace PEFT's forward of every LoRA layer by one in the base's precision, without a copy of the wide output.

    4.4 s instead of 5.8 for one profiled training step on two cores.
    """
    from peft.tuners.lora import LoraLayer

    for module in network.modules():
        if isinstance(module, LoraLayer):
            module.forward = _lean_forward(module)


def _lean_forward(layer: Any) -> Callable[[Tensor], Tensor]:
    import torch

    down, up, scaling = layer.lora_A["default"], layer.lora_B["default"], layer.scaling["default"]

    def forward(states: Tensor) -> Tensor:
        wide = layer.base_layer(states)
        narrow = torch.nn.functional.linear(states, down.weight.to(states.dtype)).flatten(0, -2)
        return torch.addmm(wide.flatten(0, -2), narrow, (up.weight * scaling).to(states.dtype).T).view_as(wide)

    return forward


def hub_transport_error() -> type[Exception]:
    """The base error of huggingface_hub's HTTP library, which it has changed: the parent of its own error."""
    from huggingface_hub.errors import HfHubHTTPError

    return HfHubHTTPError.__bases__[0]
