"""Forward: one pass → the state of the layer asked for, and the LM head at one position.

Runs only as deep as it must. Layers count as in transformers' `hidden_states`: 0 is the token embeddings, k the output
of block k, and the last one is taken after the final norm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from demo.datamodels import LAST_LAYER
from demo.errors import UnsupportedModel

_FINAL_NORMS = ("norm", "ln_f", "final_layernorm", "final_layer_norm", "final_norm")


@dataclass(frozen=True)
class Anatomy:
    """Where the parts of a model are, whatever its family calls them."""

    backbone: nn.Module  # token ids → hidden states
    blocks: nn.ModuleList
    final_norm: nn.Module | None
    head: nn.Module | None  # hidden state → logits; None where the checkpoint has none
    soft_cap: float | None = None  # Gemma 2: logits = cap · tanh(logits / cap)
    scale: float = 1.0  # Cohere multiplies the logits, Granite divides them


def find_anatomy(model: nn.Module, has_lm_head: bool) -> Anatomy:
    """The parts of a transformers model. Raises UnsupportedModel if there is no stack of blocks."""
    config = model.config.get_text_config()
    backbone = model.base_model if has_lm_head or hasattr(model, "base_model") else model
    depth = config.num_hidden_layers
    stacks = [m for m in backbone.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    if not stacks:
        raise UnsupportedModel(model=type(model).__name__, reason="its architecture has no single stack of blocks.")
    norm = next((getattr(backbone, name) for name in _FINAL_NORMS if hasattr(backbone, name)), None)
    divide = getattr(config, "logits_scaling", None)
    return Anatomy(
        backbone=backbone,
        blocks=stacks[0],
        final_norm=norm,
        head=model.get_output_embeddings() if has_lm_head else None,
        soft_cap=getattr(config, "final_logit_softcapping", None),
        scale=(getattr(config, "logit_scale", None) or 1.0) / (divide or 1.0),
    )


class _DeepEnough(Exception):
    """Ends a forward pass at the layer that was asked for."""

    def __init__(self, states: Tensor):
        self.states = states


def hidden_states(anatomy: Anatomy, input_ids: Tensor, attention_mask: Tensor | None, layer: int) -> Tensor:
    """The states of one layer, (batch, tokens, dim). Blocks above the layer are not run.

    input_ids: (batch, tokens). attention_mask: 1 where a token is real, or None where nothing is padded; padding must
    be on the right, so that absolute positions (GPT-2) need no correction.
    """
    if layer == LAST_LAYER or layer == len(anatomy.blocks):
        return _run(anatomy, input_ids, attention_mask)
    if layer == 0:
        block = anatomy.blocks[0]

        def stop_before(module, args, kwargs):
            raise _DeepEnough(args[0] if args else kwargs["hidden_states"])

        hook = block.register_forward_pre_hook(stop_before, with_kwargs=True)
    else:
        block = anatomy.blocks[layer - 1]

        def stop_after(module, args, output):
            raise _DeepEnough(output[0] if isinstance(output, tuple) else output)

        hook = block.register_forward_hook(stop_after)
    try:
        _run(anatomy, input_ids, attention_mask)
    except _DeepEnough as deep_enough:
        return deep_enough.states
    finally:
        hook.remove()
    raise UnsupportedModel(model=type(anatomy.backbone).__name__, reason=f"its layer {layer} was never reached.")


def logits(anatomy: Anatomy, states: Tensor, layer: int) -> Tensor:
    """What the LM head says of pooled states, (batch, dim) → (batch, vocabulary) float32.

    Below the last layer the final norm comes first: the logit lens (nostalgebraist 2020).
    """
    states = states.to(anatomy.head.weight.dtype)
    if layer not in (LAST_LAYER, len(anatomy.blocks)) and anatomy.final_norm is not None:
        states = anatomy.final_norm(states)
    values = anatomy.head(states).float() * anatomy.scale
    if anatomy.soft_cap:
        values = torch.tanh(values / anatomy.soft_cap) * anatomy.soft_cap
    return values


def _run(anatomy: Anatomy, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    takes_cache = getattr(anatomy.backbone.config, "use_cache", None) is not None
    options = {"use_cache": False} if takes_cache else {}
    return anatomy.backbone(input_ids=input_ids, attention_mask=attention_mask, **options).last_hidden_state
