"""Fused linear layers: those over one input as one matrix product, packed for the processor where that pays.

Packed: the weight once more, in the order in which oneDNN multiplies it fastest; the activation is fused into the
product. torch's own compiler does the same, but needs a C++ compiler on the machine.
Measured on two cores with AMX in bfloat16: SmolLM2's products over 10 tokens took 11.9 ms, else 18.4; its gate and up
over 1,024 tokens 2.1 ms a block, else 2.9. In float32 on two cores with AVX2 alone: over 12
tokens 65 ms, else 101; over 60 tokens 146 ms, else 202.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, silu

from demo.backend.private_apis import pack_linear_weight, packed_linear, packed_linear_times

# A second copy of the weights pays for small models only, whose passes over one text are what typing waits for.
_MOST_PACKED_BYTES = 512 * 2**20
# Rows that the order is chosen for; that for one row was slower over a dozen in float32 (measured).
_ROWS = {torch.bfloat16: 1, torch.float32: 256}
_ACTIVATIONS = {("swish", ""): silu, ("gelu", "tanh"): partial(gelu, approximate="tanh"), ("gelu", "none"): gelu}


class UnexpectedArchitecture(Exception):
    """The model is not built as the decoder expects."""


def require(condition: bool) -> None:
    """Raises UnexpectedArchitecture unless the condition holds."""
    if not condition:
        raise UnexpectedArchitecture()


@dataclass(frozen=True, eq=False)
class FusedLinear:
    """One or several linear layers over the same input as one: (…, in) → (…, sum of outs)."""

    weight: Tensor
    bias: Tensor | None
    packed: Tensor | None

    def __call__(self, states: Tensor) -> Tensor:
        states = states.to(self.weight.dtype)
        if self.packed is None:
            return linear(states, self.weight, self.bias)
        return packed_linear(states, self.packed, self.bias)

    @property
    def packed_bytes(self) -> int:
        return 0 if self.packed is None else self.weight.nbytes


@dataclass(frozen=True, eq=False)
class FusedGate:
    """activation(gate(x)) · up(x): (…, in) → (…, out)."""

    product: FusedLinear  # both as one
    activation: Callable[[Tensor], Tensor]
    packed: tuple[Tensor, Tensor] | None  # gate and up
    onednn_name: tuple[str, str]  # of the activation: algorithm and variant

    def __call__(self, states: Tensor) -> Tensor:
        if self.packed is None:
            gate, up = self.product(states).chunk(2, dim=-1)
            return self.activation(gate).mul_(up)
        states = states.to(self.product.weight.dtype)
        gate = packed_linear(states, self.packed[0], None, *self.onednn_name)
        return packed_linear_times(states, self.packed[1], gate)

    @property
    def packed_bytes(self) -> int:
        return 0 if self.packed is None else self.product.weight.nbytes


@dataclass(frozen=True, eq=False)
class FusedActivation:
    """activation(linear(x)): (…, in) → (…, out), in one kernel where the weight is packed."""

    product: FusedLinear
    activation: Callable[[Tensor], Tensor]
    onednn_name: tuple[str, str] | None

    def __call__(self, states: Tensor) -> Tensor:
        if self.onednn_name is None:
            return self.activation(self.product(states))
        states = states.to(self.product.weight.dtype)
        return packed_linear(states, self.product.packed, self.product.bias, *self.onednn_name)

    @property
    def packed_bytes(self) -> int:
        return self.product.packed_bytes


def worth_packing(blocks: list[nn.Module]) -> bool:
    """Whether these blocks' weights should be in memory twice."""
    weights = [module.weight for block in blocks for module in block.modules() if isinstance(module, nn.Linear)]
    native = all(weight.device.type == "cpu" and weight.dtype in _ROWS for weight in weights)
    return native and sum(weight.nbytes for weight in weights) <= _MOST_PACKED_BYTES


def fuse(*layers: nn.Linear, pack: bool) -> FusedLinear:
    """Linear layers over one input as one; their weights become views of its weight. Raises UnexpectedArchitecture."""
    require(all(type(layer) is nn.Linear for layer in layers))
    biases = [layer.bias for layer in layers]
    require(all(bias is None for bias in biases) or all(bias is not None for bias in biases))
    bias = None if biases[0] is None else torch.cat([bias.data for bias in biases])
    weight = layers[0].weight.data
    if len(layers) > 1:
        weight = _join([layer.weight.data for layer in layers])
        for layer, part in zip(layers, weight.split([layer.out_features for layer in layers]), strict=True):
            layer.weight.data = part
    return FusedLinear(weight, bias, pack_linear_weight(weight, _ROWS[weight.dtype]) if pack else None)


def _join(weights: list[Tensor]) -> Tensor:
    """Weights, (outs, in) each, one below the other: a view where they lie so already."""
    first = weights[0]
    if first.device.type != "cpu":  # streamed weights alone lie so, and not every device has addresses
        return torch.cat(weights)
    memory = {weight.untyped_storage().data_ptr() for weight in weights}
    ends = [weight.data_ptr() + weight.nbytes for weight in weights]
    if len(memory) > 1 or ends[:-1] != [weight.data_ptr() for weight in weights[1:]]:
        return torch.cat(weights)
    return first.as_strided((sum(map(len, weights)), first.shape[1]), first.stride())


def fuse_gate(gate: nn.Linear, up: nn.Linear, activation: Callable[[Tensor], Tensor], pack: bool) -> FusedGate:
    """The first half of a gated MLP. Raises UnexpectedArchitecture."""
    name = _name_activation(activation) if pack and gate.bias is None else None
    product = fuse(gate, up, pack=pack and not name)
    halves = [pack_linear_weight(half, _ROWS[half.dtype]) for half in product.weight.chunk(2)] if name else [None]
    packed = None if None in halves else tuple(halves)
    return FusedGate(product, activation, packed, name or ("none", ""))


def fuse_activation(layer: nn.Linear, activation: Callable[[Tensor], Tensor], pack: bool) -> FusedActivation:
    """A linear layer and the activation after it. Raises UnexpectedArchitecture."""
    product = fuse(layer, pack=pack)
    return FusedActivation(product, activation, _name_activation(activation) if product.packed is not None else None)


def _name_activation(activation: Callable[[Tensor], Tensor]) -> tuple[str, str] | None:
    """oneDNN's name of an activation; None where it has none."""
    probe = torch.linspace(-6, 6, 97)
    values = activation(probe)
    return next((name for name, own in _ACTIVATIONS.items() if torch.allclose(own(probe), values)), None)
