"""Learners: the trainable part over a model's frozen weights: LoRA adapters, or one linear map.

A learner embeds with gradients and saves its parameters. It knows neither the loss nor the optimizer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from demo.backend.loader import Checkpoint
from demo.backend.model.forward import Anatomy, find_anatomy, hidden_states, logits, on_entry
from demo.backend.model.pooling import pool
from demo.backend.model.tokenization import TokenizedText
from demo.backend.private_apis import LINEAR_KINDS, speed_up_lora
from demo.backend.scheduler.batch import stack
from demo.backend.weights.adapters import PROJECTION_FILE
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import LAST_LAYER, Pooling
from demo.domain.errors import ReadingRefused
from demo.domain.recipe import Method, Recipe

_NO_EMBEDDINGS = {"save_embedding_layers": False}  # "auto" would ask the Hub
_CACHE_BYTES = 2**30  # of frozen states
_SUMS_TO_ONE = (Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.FIRST_TOKEN)


EmbedFrozen = Callable[[Sequence[TokenizedText]], np.ndarray]  # vectors of the untrained model, float32 (n, dim)


class Learner:
    """Parameters under training, and the embeddings that they give."""

    is_fast = False  # whether a step over prepared texts takes milliseconds

    def prepare(self, texts: Sequence[TokenizedText]) -> None:
        """Compute the frozen part of these texts, before they are embedded."""

    def embed(self, texts: Sequence[TokenizedText]) -> Tensor:
        """One batch: (n, dim) float32, with gradients to the parameters."""
        raise NotImplementedError

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """The trainable parameters, float32."""
        raise NotImplementedError

    def parameters(self) -> list[nn.Parameter]:
        """The same without their names."""
        return [parameter for _, parameter in self.named_parameters()]

    def save(self, folder: Path) -> None:
        """Write the parameters into an existing folder."""
        raise NotImplementedError


def make_learner(checkpoint: Checkpoint, recipe: Recipe, frozen: EmbedFrozen) -> Learner:
    """The learner that the recipe names. Raises ReadingRefused where its reading cannot be learned."""
    if recipe.reading.pooling is Pooling.OWN:
        reason = "what follows its pooling is not trained. Choose another pooling than own."
        raise ReadingRefused(
            field="pooling", model=checkpoint.info.name, reason=reason, instead=Pooling.LAST_TOKEN.value
        )
    if recipe.method is Method.PROJECTION:
        return ProjectionLearner(checkpoint, recipe, frozen)
    return LoraLearner(checkpoint, recipe)


class LoraLearner(Learner):
    """LoRA on the linear layers of the blocks from `first_block` up to the reading's layer (PEFT).

    The blocks below the lowest adapter never change: they run once a text, and their states are cached.
    """

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
        self._network = get_peft_model(share_weights(checkpoint.network), config)
        self._network.peft_config["default"].base_model_name_or_path = entry.hub_id if entry else info.model
        self._network.peft_config["default"].revision = entry.revision if entry else None
        speed_up_lora(self._network)
        self._anatomy = find_anatomy(self._network.get_base_model(), checkpoint.anatomy.head is not None)
        self._device = next(checkpoint.network.parameters()).device
        self._cache: dict[TokenizedText, Tensor] = {}
        self._room = _CACHE_BYTES

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, p) for name, p in self._network.named_parameters() if p.requires_grad]

    def save(self, folder: Path) -> None:
        # In half precision: twice as much on disk would buy digits that a bfloat16 model rounds away.
        state = {
            name: tensor.half() for name, tensor in get_peft_model_state_dict(self._network, **_NO_EMBEDDINGS).items()
        }
        self._network.save_pretrained(folder, state_dict=state, **_NO_EMBEDDINGS)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty card; ours is written beside it

    def embed(self, texts: Sequence[TokenizedText]) -> Tensor:
        batch = stack(texts, self._pad_id, self._device)
        states = self._states_below(texts)
        with started_at_block(self._anatomy, self._first, states):
            states = hidden_states(
                self._anatomy, batch.input_ids, batch.attention, self._reading.layer, batch.prepending
            )
        vectors = pool(self._reading.pooling, states, batch.pooled)
        if self._reading.pooling is Pooling.LAST_TOKEN_LOGITS:
            vectors = logits(self._anatomy, vectors, self._reading.layer)
        return vectors

    def _states_below(self, texts: Sequence[TokenizedText]) -> Tensor:
        """The states that enter the lowest block with an adapter, (n, tokens, dim), cached."""
        missing = [text for text in texts if text not in self._cache]
        computed: dict[TokenizedText, Tensor] = {}
        if missing:
            batch = stack(missing, self._pad_id, self._device)
            with torch.no_grad():
                states = hidden_states(self._anatomy, batch.input_ids, batch.attention, self._first, batch.prepending)
            computed = {text: row[: len(text)].clone() for text, row in zip(missing, states, strict=True)}
        rows = [computed.get(text, self._cache.get(text)) for text in texts]
        for text, row in computed.items():
            if row.nbytes <= self._room:
                self._cache[text] = row
                self._room -= row.nbytes
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)


class ProjectionLearner(Learner):
    """One linear map of the frozen embeddings, which are computed once a text; it starts as the identity.

    Only poolings whose weights sum to one: there, mapping the pooled vector equals mapping every token's state.
    """

    is_fast = True

    def __init__(self, checkpoint: Checkpoint, recipe: Recipe, frozen: EmbedFrozen):
        reading, info = recipe.reading, checkpoint.info
        if reading.pooling not in _SUMS_TO_ONE or reading.layer not in (LAST_LAYER, info.n_layers):
            accepted = ", ".join(pooling.value for pooling in _SUMS_TO_ONE)
            raise ReadingRefused(
                field="pooling",
                model=info.name,
                reason=f"a projection is trained on the last layer, with one of {accepted}.",
                instead=Pooling.LAST_TOKEN.value,
            )
        if checkpoint.anatomy.final_norm is None or checkpoint.anatomy.narrowing is not None:
            reason = "a projection stands right after the final norm, and it has none."
            raise ReadingRefused(field="model", model=info.name, reason=reason)
        self._frozen = frozen
        self._device = next(checkpoint.network.parameters()).device
        self.weight = nn.Parameter(torch.eye(info.dim, device=self._device))
        self.bias = nn.Parameter(torch.zeros(info.dim, device=self._device))
        self._cache: dict[TokenizedText, Tensor] = {}

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        return [("weight", self.weight), ("bias", self.bias)]

    def save(self, folder: Path) -> None:
        tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in self.named_parameters()}
        save_file(tensors, folder / PROJECTION_FILE)

    def prepare(self, texts: Sequence[TokenizedText]) -> None:
        missing = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if missing:
            self._cache |= zip(missing, torch.from_numpy(self._frozen(missing)).to(self._device), strict=True)

    def embed(self, texts: Sequence[TokenizedText]) -> Tensor:
        return nn.functional.linear(torch.stack([self._cache[text] for text in texts]), self.weight, self.bias)


def share_weights(network: nn.Module) -> nn.Module:
    """A copy of the modules over the same weights: adapters in it do not change the first one."""
    tensors = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, tensors)


@contextmanager
def started_at_block(anatomy: Anatomy, first: int, states: Tensor) -> Iterator[None]:
    """While it lasts, a pass skips the blocks below `first`, which starts from `states`, (batch, tokens, dim)."""
    blocks = list(anatomy.blocks)[:first]
    for block in blocks:
        block.forward = _skip
    try:
        with on_entry(anatomy.blocks[first], lambda _: states):
            yield
    finally:
        for block in blocks:
            del block.forward


def _skip(hidden_states: Tensor, *args, **kwargs) -> Tensor:
    return hidden_states


def _linear_layers(block: nn.Module) -> list[str]:
    """The names of a block's linear layers."""
    linear = (name for name, module in block.named_modules() if isinstance(module, LINEAR_KINDS))
    return sorted({name.rpartition(".")[2] for name in linear})


def _name_of_blocks(anatomy: Anatomy) -> str:
    """The attribute that holds a family's stack of blocks: layers, h, layer …"""
    return next(
        name.rpartition(".")[2] for name, module in anatomy.backbone.named_modules() if module is anatomy.blocks
    )
