"""sentence-transformers modules: what a checkpoint does to the states beside one pooling: `Pooling.OWN`.

A text's profile (every layer and kept pooling of it) becomes its own vector: weighted layers → poolings, joined →
Dense, LayerNorm, Normalize in their order → truncation. The numbers are those of sentence-transformers, in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from demo.backend.model.pooling import KEPT_POOLINGS, from_kept
from demo.backend.model.st_config import DeclaredReading, Module
from demo.domain.datamodels import Pooling
from demo.domain.errors import UnsafeWeights, UnsupportedModel

_ACTIVATION = "torch.nn.modules."  # the classes that sentence-transformers takes from a config without trusting code


class OwnPooling:
    """`Pooling.OWN` of a checkpoint. dim: the width of its vectors.

    Raises UnsafeWeights for pickled weights, UnsupportedModel for what cannot be computed.
    """

    def __init__(self, declared: DeclaredReading, model: str, n_layers: int, dim: int):
        self._poolings, self._truncate = declared.poolings, declared.truncate
        self._layers = _layer_weights(declared.layers, model, n_layers) if declared.layers else None
        if declared.layers and Pooling.MAX in declared.poolings:
            raise UnsupportedModel(model=model, reason="the lab does not read weighted layers under max pooling.")
        self._after = nn.Sequential(*(_LOADERS[module.kind](module, model) for module in declared.after)).eval()
        try:
            self.dim = len(self(np.zeros((n_layers + 1, len(KEPT_POOLINGS), dim), dtype=np.float32), 1))
        except RuntimeError as error:
            reason = "the modules after its pooling do not fit its vectors."
            raise UnsupportedModel(model=model, reason=reason) from error

    @torch.inference_mode()
    def __call__(self, profile: np.ndarray, count: int) -> np.ndarray:
        """A text's profile, (n_layers + 1, poolings, dim), and how many tokens are pooled → float32 (self.dim,)."""
        # All poolings but the maximum are sums over tokens, so the order of the two sums does not matter.
        states = profile[-1] if self._layers is None else np.tensordot(self._layers, profile, axes=1)
        pooled = [from_kept(pooling, states, np.asarray(count)) for pooling in self._poolings]
        vector = self._after(torch.from_numpy(np.concatenate(pooled, dtype=np.float32)))
        return vector[: self._truncate].numpy().copy()


def _layer_weights(module: Module, model: str, n_layers: int) -> np.ndarray:
    """(n_layers + 1,) float32, 0 below `layer_start`, of sum 1."""
    weights = _tensors(module, model).get("layer_weights")
    start = module.config.get("layer_start", 4)
    if weights is None or not isinstance(start, int) or weights.shape != (n_layers + 1 - start,):
        raise _misfit(module, model)
    layers = np.zeros(n_layers + 1, dtype=np.float32)
    layers[start:] = weights.float().numpy()
    return layers / layers.sum()


class _Dense(nn.Module):
    """Linear layer, activation, and a residual where there is one."""

    def __init__(self, config, activation: nn.Module):
        super().__init__()
        width, out = config["in_features"], config["out_features"]
        self.linear = nn.Linear(width, out, bias=config.get("bias", True))
        self.activation = activation
        self.use_residual = config.get("use_residual", False)
        if self.use_residual and width != out:
            self.residual = nn.Linear(width, out, bias=False)

    def forward(self, vector: Tensor) -> Tensor:
        out = self.activation(self.linear(vector))
        if not self.use_residual:
            return out
        return out + (self.residual(vector) if hasattr(self, "residual") else vector)


class _Normalize(nn.Module):
    def forward(self, vector: Tensor) -> Tensor:
        return nn.functional.normalize(vector, dim=-1)


def _dense(module: Module, model: str) -> nn.Module:
    name = module.config.get("activation_function", f"{_ACTIVATION}activation.Tanh")
    kind = getattr(nn, str(name).rpartition(".")[2], None)
    if not str(name).startswith(_ACTIVATION) or not isinstance(kind, type) or not issubclass(kind, nn.Module):
        raise UnsupportedModel(
            model=model, reason=f"the lab does not know the activation of its Dense module ({name})."
        )
    return _filled(lambda: _Dense(module.config, kind()), module, model)


def _layer_norm(module: Module, model: str) -> nn.Module:
    return _filled(lambda: nn.ModuleDict({"norm": nn.LayerNorm(module.config["dimension"])}), module, model)["norm"]


_LOADERS = {"Dense": _dense, "LayerNorm": _layer_norm, "Normalize": lambda module, model: _Normalize()}


def _filled(make: Callable[[], nn.Module], module: Module, model: str) -> nn.Module:
    """A network with the module's weights; one without any until then, so that no config can ask for the memory."""
    try:
        with torch.device("meta"):
            network = make()
        network.load_state_dict(_tensors(module, model), assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _misfit(module, model) from error
    return network.float().requires_grad_(False)


def _tensors(module: Module, model: str) -> dict[str, Tensor]:
    file = module.folder / "model.safetensors"
    if not file.is_file() and (module.folder / "pytorch_model.bin").is_file():
        raise UnsafeWeights(model=model, reason=f"the weights of its {module.kind} module are pickled")
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise _misfit(module, model) from error


def _misfit(module: Module, model: str) -> UnsupportedModel:
    return UnsupportedModel(model=model, reason=f"the weights of its {module.kind} module are missing or do not fit.")
