"""Private APIs: the only uses of names that torch, transformers, PEFT and huggingface_hub do not document.

tests/backend/test_private_apis.py fails when a release changes one of them; requirements.txt bounds the releases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from huggingface_hub.errors import HfHubHTTPError
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from transformers.models.auto import modeling_auto
from transformers.pytorch_utils import Conv1D

CAUSAL_LANGUAGE_MODELS = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES  # model type → class name
MASKED_LANGUAGE_MODELS = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
LINEAR_KINDS = (nn.Linear, Conv1D)  # GPT-2 has its own class of linear layers
ADAPTED_KINDS = (BaseTunerLayer, AuxiliaryTrainingWrapper)  # what PEFT puts over a module: to adapt it, to replace it
HUB_TRANSPORT_ERROR = HfHubHTTPError.__bases__[0]  # the base error of the Hub's HTTP library, which has changed once


def is_causal(config) -> bool:
    """Whether a checkpoint is stored as a language model with its head, by the class that its config names."""
    return (config.architectures or [""])[0] in CAUSAL_LANGUAGE_MODELS.values()


def cpu_bfloat16_units() -> list[str]:
    """The processor's units that compute bfloat16: AMX, AVX512-BF16."""
    units = {"AMX": "_is_amx_tile_supported", "AVX512-BF16": "_is_avx512_bf16_supported"}
    return [unit for unit, query in units.items() if getattr(torch.cpu, query, lambda: False)()]


def pack_linear_weight(weight: Tensor, rows: int) -> Tensor | None:
    """A weight in oneDNN's order for products of so many rows; None where torch or the processor has no such order."""
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
    return torch.ops.mkldnn._linear_pointwise(states, packed, bias, activation, [], variant)


def packed_linear_times(states: Tensor, packed: Tensor, factor: Tensor) -> Tensor:
    """(states · packedᵀ) · factor, element by element, as one oneDNN product."""
    return torch.ops.mkldnn._linear_pointwise.binary(states, factor, packed, None, "mul")


def unmark_quantized(network: Any) -> None:
    """Take the marks of a quantized file off a model that is float32 by now: transformers refuses to save it else."""
    network.config.__dict__.pop("quantization_config", None)
    network.hf_quantizer = None
    network.is_quantized = False


def merge_again(layers: Sequence[LoraLayer]) -> None:
    """Merge adapters into base weights that have just been read anew, in place."""
    for layer in layers:
        base = layer.get_base_layer()
        weight = base.weight.data
        layer.merged_adapters.clear()
        layer.merge()
        if base.weight.data_ptr() != weight.data_ptr():  # DoRA makes a new one
            weight.copy_(base.weight.data)
            base.weight.data = weight


def speed_up_lora(network: nn.Module) -> None:
    """Replace PEFT's forward of every LoRA layer by one in the base's precision, without a copy of the wide output.

    4.4 s instead of 5.8 for one profiled training step on two cores.
    """
    for module in network.modules():
        if isinstance(module, LoraLayer):
            module.forward = _lean_forward(module)


def _lean_forward(layer: LoraLayer) -> Callable[[Tensor], Tensor]:
    down, up, scaling = layer.lora_A["default"], layer.lora_B["default"], layer.scaling["default"]

    def forward(states: Tensor) -> Tensor:
        wide = layer.base_layer(states)
        narrow = nn.functional.linear(states, down.weight.to(states.dtype)).flatten(0, -2)
        return torch.addmm(wide.flatten(0, -2), narrow, (up.weight * scaling).to(states.dtype).T).view_as(wide)

    return forward
