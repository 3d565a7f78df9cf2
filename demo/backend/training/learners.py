"""Learners: what of a model learns, over its frozen weights: low-rank adapters, or one linear map.

A learner embeds with gradients and saves what it learned. Must not know the loss, nor when a step is taken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from demo.backend.loader import Checkpoint
from demo.backend.model.forward import Anatomy, find_anatomy, hidden_states, logits
from demo.backend.model.pooling import pool
from demo.backend.model.tokenization import TokenizedText
from demo.backend.scheduler.batch import stack
from demo.backend.weights.adapters import PROJECTION_FILE
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import LAST_LAYER, Pooling
from demo.domain.errors import ReadingRefused
from demo.domain.recipe import Method, Recipe

_NO_EMBEDDINGS = {"save_embedding_layers": False}  # "auto" would ask the Hub
_KEPT_BYTES = 2**30  # of frozen states, between steps
_SUMS_TO_ONE = (Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.FIRST_TOKEN)


Frozen = Callable[[Sequence[TokenizedText]], np.ndarray]  # vectors of the model as it is, float32 (n, dim)


class Learner(Protocol):
    """What learns."""

    brief: bool  # whether a step over prepared texts takes milliseconds

    def prepare(self, texts: Sequence[TokenizedText]) -> None:
        """Have what of these texts never changes, before they are embedded."""

    def embed(self, texts: Sequence[TokenizedText]) -> Tensor:
        """One batch: (n, dim) float32, with gradients to what learns."""

    def parameters(self) -> list[nn.Parameter]:
        """What learns, float32."""

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The same by name."""

    def save(self, folder: Path) -> None:
        """Write what was learned into an existing folder."""


def make_learner(checkpoint: Checkpoint, recipe: Recipe, frozen: Frozen) -> Learner:
    """The learner that the recipe names. Raises ReadingRefused where its reading cannot be learned."""
    if recipe.method is Method.PROJECTION:
        return ProjectionLearner(checkpoint, recipe, frozen)
    return LoraLearner(checkpoint, recipe)


class LoraLearner:
    """LoRA on the linear layers of the blocks from `first_block` up to the reading's layer (PEFT).

    What lies below the lowest adapter never changes: it runs once a text, and its states are kept.
    """

    brief = False

    def __init__(self, checkpoint: Checkpoint, recipe: Recipe):
        reading, info = recipe.reading, checkpoint.info
        depth = info.n_layers if reading.layer == LAST_LAYER else reading.layer
        if depth == 0:
            raise ReadingRefused(field="layer", model=info.name, reason="below layer 0 there is nothing to train.")
        self._reading = reading
        self._pad_id = checkpoint.pad_id
        self._first = min(recipe.first_block, depth - 1)
        torch.manual_seed(recipe.seed)
        entry = CATALOG.get(info.model)
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=0.0,
            bias="none",
            target_modules=_linear_layers(checkpoint.anatomy.blocks[self._first]),
            layers_to_transform=list(range(self._first, depth)),
            layers_pattern=_name_of_blocks(checkpoint.anatomy),
            task_type="CAUSAL_LM" if checkpoint.anatomy.head is not None else "FEATURE_EXTRACTION",
        )
        self._network = get_peft_model(share(checkpoint.network), config)
        self._network.peft_config["default"].base_model_name_or_path = entry.hub_id if entry else info.model
        self._network.peft_config["default"].revision = entry.revision if entry else None
        for module in self._network.modules():
            if isinstance(module, LoraLayer):
                module.forward = _lean(module)
        self._anatomy = find_anatomy(self._network.get_base_model(), checkpoint.anatomy.head is not None)
        self._device = next(checkpoint.network.parameters()).device
        self._kept: dict[TokenizedText, Tensor] = {}
        self._room = _KEPT_BYTES

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, p) for name, p in self._network.named_parameters() if p.requires_grad]

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for _, parameter in self.named_parameters()]

    def save(self, folder: Path) -> None:
        # In half precision: twice as much on disk would buy digits that a bfloat16 model rounds away.
        state = {
            name: tensor.half() for name, tensor in get_peft_model_state_dict(self._network, **_NO_EMBEDDINGS).items()
        }
        self._network.save_pretrained(folder, state_dict=state, **_NO_EMBEDDINGS)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty card; ours is written beside it

    def prepare(self, texts: Sequence[TokenizedText]) -> None:
        pass  # what is kept of them is made where it is needed: all of it would not fit

    def embed(self, texts: Sequence[TokenizedText]) -> Tensor:
        batch = stack(texts, self._pad_id, self._device)
        states = self._below(texts)
        with started_at_block(self._anatomy, self._first, states):
            states = hidden_states(
                self._anatomy, batch.input_ids, batch.attention, self._reading.layer, batch.prepending
            )
        vectors = pool(self._reading.pooling, states, batch.pooled)
        if self._reading.pooling is Pooling.LAST_TOKEN_LOGITS:
            vectors = logits(self._anatomy, vectors, self._reading.layer)
        return vectors

    def _below(self, texts: Sequence[TokenizedText]) -> Tensor:
        """The states that enter the lowest block with an adapter, (n, tokens, dim); from memory where they are kept."""
        missing = [text for text in texts if text not in self._kept]
        if missing:
            alone = stack(missing, self._pad_id, self._device)
            with torch.no_grad():
                states = hidden_states(self._anatomy, alone.input_ids, alone.attention, self._first, alone.prepending)
            made = {text: row[: len(text)].clone() for text, row in zip(missing, states, strict=True)}
        else:
            made = {}
        rows = [made.get(text, self._kept.get(text)) for text in texts]
        for text, row in made.items():
            if (size := row.numel() * row.element_size()) <= self._room:
                self._kept[text] = row
                self._room -= size
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)


class ProjectionLearner:
    """One linear map of the frozen embeddings, which are made once a text; it begins as centring.

    Only poolings whose weights sum to one: there, mapping the pooled vector is mapping every token's state.
    """

    brief = True

    def __init__(self, checkpoint: Checkpoint, recipe: Recipe, frozen: Frozen):
        reading, info = recipe.reading, checkpoint.info
        if reading.pooling not in _SUMS_TO_ONE or reading.layer not in (LAST_LAYER, info.n_layers):
            accepted = ", ".join(pooling.value for pooling in _SUMS_TO_ONE)
            raise ReadingRefused(
                field="pooling",
                model=info.name,
                reason=f"a projection is trained on the last layer, with one of {accepted}.",
                instead=Pooling.LAST_TOKEN.value,
            )
        self._frozen = frozen
        self._device = next(checkpoint.network.parameters()).device
        self.weight = nn.Parameter(torch.eye(info.dim, device=self._device))
        self.bias = nn.Parameter(torch.zeros(info.dim, device=self._device))
        self._kept: dict[TokenizedText, Tensor] = {}

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        return [("weight", self.weight), ("bias", self.bias)]

    def parameters(self) -> list[nn.Parameter]:
        return [self.weight, self.bias]

    def save(self, folder: Path) -> None:
        tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in self.named_parameters()}
        save_file(tensors, folder / PROJECTION_FILE)

    def prepare(self, texts: Sequence[TokenizedText]) -> None:
        missing = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if missing:
            self._kept |= zip(missing, torch.from_numpy(self._frozen(missing)).to(self._device), strict=True)

    def embed(self, texts: Sequence[TokenizedText]) -> Tensor:
        return nn.functional.linear(torch.stack([self._kept[text] for text in texts]), self.weight, self.bias)


def share(network: nn.Module) -> nn.Module:
    """A second tree of modules over the same weights: what is hung into it, the first one never sees."""
    kept = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, kept)


@contextmanager
def started_at_block(anatomy: Anatomy, first: int, states: Tensor) -> Iterator[None]:
    """While it lasts, a pass skips the blocks below `first`, which starts from the states given."""
    blocks = list(anatomy.blocks)[:first]

    def enter(module, args, kwargs):
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    hook = anatomy.blocks[first].register_forward_pre_hook(enter, with_kwargs=True)
    for block in blocks:
        block.forward = _skip
    try:
        yield
    finally:
        hook.remove()
        for block in blocks:
            del block.forward


def _skip(hidden_states: Tensor, *args, **kwargs) -> Tensor:
    return hidden_states


def _lean(layer: LoraLayer) -> Callable[[Tensor], Tensor]:
    """What PEFT's own forward computes, in the base's precision and without a copy of the wide output: 4.4 s
    instead of 5.8 for one profiled step on two cores."""
    down, up, scaling = layer.lora_A["default"], layer.lora_B["default"], layer.scaling["default"]

    def forward(states: Tensor) -> Tensor:
        wide = layer.base_layer(states)
        narrow = nn.functional.linear(states, down.weight.to(states.dtype)).flatten(0, -2)
        return torch.addmm(wide.flatten(0, -2), narrow, (up.weight * scaling).to(states.dtype).T).view_as(wide)

    return forward


def _linear_layers(block: nn.Module) -> list[str]:
    """The names of a block's linear layers; GPT-2 calls its own Conv1D."""
    kinds = (nn.Linear, Conv1D)
    return sorted({name.rpartition(".")[2] for name, module in block.named_modules() if isinstance(module, kinds)})


def _name_of_blocks(anatomy: Anatomy) -> str:
    """What a model's family calls its stack of blocks: layers, h, layer …"""
    return next(
        name.rpartition(".")[2] for name, module in anatomy.backbone.named_modules() if module is anatomy.blocks
    )
