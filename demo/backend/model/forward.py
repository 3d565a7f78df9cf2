"""Forward pass: the hidden states of one layer (with early exit) or of every layer, and the LM head's logits.

Layers count as in transformers' `hidden_states`: 0 is the token embeddings, k the output
of block k, and the last one is taken after the final norm.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from demo.domain.datamodels import LAST_LAYER
from demo.domain.errors import UnsupportedModel

PREPENDING = range(1, 8)  # blocks, from 0, that a placeholder enters with the last token's state: 2 to 8 of the paper
_FINAL_NORMS = ("norm", "ln_f", "final_layernorm", "final_layer_norm", "final_norm")


@dataclass(frozen=True)
class Anatomy:
    """The parts of a model, whatever its family calls them."""

    backbone: nn.Module  # token ids → hidden states
    blocks: nn.ModuleList
    final_norm: nn.Module | None
    head: nn.Module | None  # hidden state → logits; None where the checkpoint has none
    soft_cap: float | None = None  # Gemma 2: logits = cap · tanh(logits / cap)
    scale: float = 1.0  # Cohere multiplies the logits, Granite divides them
    narrowing: nn.Linear | None = None  # OPT-350M: makes the last layer narrower than the others, as its embeddings are


def find_anatomy(model: nn.Module, has_lm_head: bool) -> Anatomy:
    """The parts of a transformers model. Raises UnsupportedModel if there is no stack of blocks."""
    config = model.config.get_text_config()
    backbone = model.base_model if has_lm_head or hasattr(model, "base_model") else model
    depth = config.num_hidden_layers
    stacks = [m for m in backbone.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    if not stacks:
        raise UnsupportedModel(model=type(model).__name__, reason="its architecture has no single stack of blocks.")
    # OPT and its like keep blocks and norm one level down.
    holder = next((m for m in backbone.modules() if any(child is stacks[0] for child in m.children())), backbone)
    norm = next((getattr(m, name) for m in (holder, backbone) for name in _FINAL_NORMS if hasattr(m, name)), None)
    divide = getattr(config, "logits_scaling", None)
    return Anatomy(
        backbone=backbone,
        blocks=stacks[0],
        final_norm=norm,
        head=model.get_output_embeddings() if has_lm_head else None,
        soft_cap=getattr(config, "final_logit_softcapping", None),
        scale=(getattr(config, "logit_scale", None) or 1.0) / (divide or 1.0),
        narrowing=getattr(holder, "project_out", None),
    )


@dataclass(frozen=True)
class Prepending:
    """Positions of a batch's placeholders and last tokens: (batch,) each."""

    placeholder: Tensor
    last: Tensor


class _EarlyExit(Exception):
    """Ends a forward pass at the wanted layer."""

    def __init__(self, states: Tensor):
        self.states = states


def hidden_states(
    anatomy: Anatomy, input_ids: Tensor, attention_mask: Tensor | None, layer: int, prepending: Prepending | None = None
) -> Tensor:
    """The states of one layer, (batch, tokens, dim). Blocks above the layer are not run.

    input_ids: (batch, tokens). attention_mask: 1 where a token is real, or None where nothing is padded; padding must
    be on the right, so that absolute positions (GPT-2) need no correction.
    """

    def stop(states: Tensor) -> None:
        raise _EarlyExit(states)

    is_last = layer in (LAST_LAYER, len(anatomy.blocks))
    with prepended(anatomy, prepending), nullcontext() if is_last else _on_layer(anatomy, layer, stop):
        try:
            states = _run(anatomy, input_ids, attention_mask)
        except _EarlyExit as early_exit:
            return early_exit.states
    if not is_last:
        raise UnsupportedModel(model=type(anatomy.backbone).__name__, reason=f"its layer {layer} was never reached.")
    return states


def every_layer(
    anatomy: Anatomy,
    input_ids: Tensor,
    attention_mask: Tensor | None,
    reduce: Callable[[Tensor], Tensor],
    prepending: Prepending | None = None,
) -> list[Tensor]:
    """reduce(states) of each layer, 0 … n, from one pass; states: (batch, tokens, dim). Only results stay in memory.

    All layers are equally wide here: zeros stand after the states of a last layer that is narrower.
    """
    depth = len(anatomy.blocks)
    reduced: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[Tensor], None]:
        return lambda states: reduced.__setitem__(layer, reduce(states))

    with ExitStack() as hooks:
        hooks.enter_context(prepended(anatomy, prepending))
        for layer in range(depth):
            hooks.enter_context(_on_layer(anatomy, layer, keep(layer)))
        last = _run(anatomy, input_ids, attention_mask)
        if anatomy.narrowing is not None:
            last = nn.functional.pad(last, (0, anatomy.narrowing.in_features - anatomy.narrowing.out_features))
        keep(depth)(last)
    if len(reduced) != depth + 1:
        raise UnsupportedModel(model=type(anatomy.backbone).__name__, reason="not every layer of it was reached.")
    return [reduced[layer] for layer in range(depth + 1)]


@torch.inference_mode()
def looks_back_only(model: nn.Module) -> bool:
    """Whether a token's state does not depend on what follows it: causal attention."""
    backbone = model.base_model
    ids = torch.tensor([[1, 2, 3], [1, 2, 4]], device=next(backbone.parameters()).device)
    first, second = backbone(ids).last_hidden_state[:, 0]
    return bool(torch.allclose(first, second))


def on_entry(block: nn.Module, change: Callable[[Tensor], Tensor]) -> RemovableHandle:
    """While the handle, a context manager, lasts, a block runs on change(states), (batch, tokens, dim) each."""

    def hook(module, args, kwargs):
        states = change(args[0] if args else kwargs["hidden_states"])
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    return block.register_forward_pre_hook(hook, with_kwargs=True)


def _on_layer(anatomy: Anatomy, layer: int, on_states: Callable[[Tensor], None]) -> RemovableHandle:
    """While the handle lasts, `on_states` gets the states of a layer below the last one, (batch, tokens, dim)."""
    if layer == 0:
        return on_entry(anatomy.blocks[0], lambda states: on_states(states) or states)

    def hook(module, args, output) -> None:
        on_states(output[0] if isinstance(output, tuple) else output)

    return anatomy.blocks[layer - 1].register_forward_hook(hook)


def prepended(anatomy: Anatomy, prepending: Prepending | None) -> ExitStack:
    """Token prepending (arXiv 2412.11556): entering blocks 2 to 8, the placeholder's state is the last token's."""

    def overwrite(states: Tensor) -> Tensor:
        states = states.clone()  # the state that left the block below is still that layer's
        rows = torch.arange(len(states), device=states.device)
        states[rows, prepending.placeholder] = states[rows, prepending.last]
        return states

    hooks = ExitStack()
    if prepending is not None:
        for block in list(anatomy.blocks)[PREPENDING.start : PREPENDING.stop]:
            hooks.enter_context(on_entry(block, overwrite))
    return hooks


def logits(anatomy: Anatomy, states: Tensor, layer: int) -> Tensor:
    """The LM head's logits of pooled states: (batch, dim) → (batch, vocabulary) float32.

    Below the last layer the final norm comes first: the logit lens (nostalgebraist 2020).
    """
    states = states.to(anatomy.head.weight.dtype)
    if layer in (LAST_LAYER, len(anatomy.blocks)):
        states = states[:, : anatomy.head.weight.shape[1]]  # without the zeros of `every_layer`
    else:
        states = anatomy.final_norm(states) if anatomy.final_norm is not None else states
        states = anatomy.narrowing(states) if anatomy.narrowing is not None else states
    values = anatomy.head(states).float() * anatomy.scale
    if anatomy.soft_cap:
        values = torch.tanh(values / anatomy.soft_cap) * anatomy.soft_cap
    return values


def _run(anatomy: Anatomy, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    takes_cache = getattr(anatomy.backbone.config, "use_cache", None) is not None
    options = {"use_cache": False} if takes_cache else {}
    return anatomy.backbone(input_ids=input_ids, attention_mask=attention_mask, **options).last_hidden_state
