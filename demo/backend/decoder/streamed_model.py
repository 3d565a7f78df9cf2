"""Streamed model: a decoder whose weights stay on disk: blocks come by layer_stream.py, embeddings by row, the LM head
in slices. Of its modules only norms, biases and rotary angles are in memory.

Whether the decoder computes what the model computes is measured as for a model in memory, on a copy of it that has one
block of each kind: all others are built alike.
"""

from __future__ import annotations

import copy
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import init_empty_weights
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import linear
from transformers import AutoModel, AutoModelForCausalLM

from demo.backend.decoder.decoder import Decoder, make_decoder
from demo.backend.decoder.fused_linear import require
from demo.backend.decoder.layer_stream import Compute, LayerStream, Weight, expected_seconds
from demo.backend.decoder.shards import Shards, Stored
from demo.backend.model.forward import find_anatomy
from demo.backend.private_apis import ADAPTED_KINDS, CAUSAL_LANGUAGE_MODELS, LoraLayer, is_causal, merge_again
from demo.backend.weights.adapters import LORA_WEIGHTS
from demo.backend.weights.checkpoint_files import read_header
from demo.backend.weights.merge import Merged, attach_adapter
from demo.domain.errors import UnsupportedModel

_SLICE_BYTES = 32 * 2**20  # of the LM head that are in memory at once
_SAMPLE = 2  # blocks at most: as many as there are buffers


class StreamedEmbedding(nn.Module):
    """Token embeddings, read row by row: ids → (…, dim), as the model's own module makes them of its weight."""

    def __init__(self, embedding: nn.Embedding, shards: Shards, stored: Stored):
        super().__init__()
        embedding.padding_idx = None  # of training alone; a row of that number need not be among those that were read
        self._own, self._dtype = embedding, embedding.weight.dtype
        self.weight = self._own.weight.to("meta").data  # for its shape and dtype
        self._own.weight = None  # what stays of it scales the rows (Gemma)
        self._shards, self._stored = shards, stored
        self._lock = threading.Lock()

    def forward(self, ids: Tensor) -> Tensor:
        distinct, places = ids.unique(return_inverse=True)
        rows = torch.empty(len(distinct), self._stored.shape[1], dtype=self._dtype)
        with self._shards.open() as reader:
            for row, token in zip(rows, distinct.tolist(), strict=True):
                reader.read(self._stored, row[None], token)
        with self._lock:
            return functional_call(self._own, {"weight": rows}, (places,))


class StreamedHead(nn.Module):
    """The LM head, read slice by slice: (…, dim) → (…, vocabulary)."""

    def __init__(self, head: nn.Linear, shards: Shards, stored: Stored, compute: Compute):
        super().__init__()
        self.weight = torch.empty_like(head.weight, device="meta")  # for its shape and dtype
        self._shards, self._stored, self._compute = shards, stored, compute

    def forward(self, states: Tensor) -> Tensor:
        vocabulary, dim = self.weight.shape
        logits = states.new_empty((*states.shape[:-1], vocabulary))
        memory = torch.empty(max(1, _SLICE_BYTES // (dim * self.weight.itemsize)), dim, dtype=self.weight.dtype)
        with self._shards.open() as reader:
            for start in range(0, vocabulary, len(memory)):
                part = memory[: vocabulary - start]
                reader.read(self._stored, part, start)
                target = logits[..., start : start + len(part)]
                self._compute([lambda target=target, part=part: target.copy_(linear(states, part))])
        return logits


@dataclass(frozen=True, eq=False)
class StreamedModel:
    """A model whose weights are on disk."""

    network: nn.Module
    sample: nn.Module  # the same with one block of each kind, for what must be measured on the model itself
    has_lm_head: bool
    parameters: int
    stream: LayerStream
    resident_bytes: int

    def add_lora(self, folder: Path, vocabulary: int, name: str) -> Merged:
        """Merge a LoRA adapter, of the blocks alone, into each block's weights as they are read, as PEFT merges it.

        vocabulary: tokens of the tokenizer that is used. Raises UnsupportedModel.
        """
        refused = UnsupportedModel(
            model=name, reason="its adapter is no LoRA of the blocks alone, and others need the weights in memory."
        )
        blocks = find_anatomy(self.network, self.has_lm_head).blocks
        [stem] = [path.split(".")[-1] for path, module in self.network.named_modules() if module is blocks]
        if not all(f".{stem}." in tensor for tensor in read_header(folder / LORA_WEIGHTS)):
            raise refused
        attached = attach_adapter(self.network, folder, vocabulary, name)
        layers = [[module for module in block.modules() if isinstance(module, LoraLayer)] for block in blocks]
        changed = [module for module in attached.adapted.modules() if isinstance(module, ADAPTED_KINDS)]
        if len(changed) != sum(map(len, layers)):
            raise refused
        attached.adapted.unload()
        self.stream.merges.update({at: partial(merge_again, found) for at, found in enumerate(layers) if found})
        return attached.about


def open_streamed(folder: Path, config, dtype: torch.dtype, name: str, compute: Compute) -> StreamedModel:
    """A model over a folder's safetensors files. compute: runs the blocks' steps.

    Raises UnexpectedArchitecture, UnsupportedModel or StreamBroken.
    """
    require(config.model_type in CAUSAL_LANGUAGE_MODELS)
    shards = Shards(folder, name)
    build = partial(_Builder, shards, config, dtype, is_causal(config), name, compute)
    numbers = _one_of_each(config)
    sample = build(numbers)
    started, before = time.perf_counter(), shards.bytes_read
    with shards.open() as reader:
        for place in range(len(numbers)):
            sample.stream.fill(reader, place)
    rate = (shards.bytes_read - before) / max(time.perf_counter() - started, 1e-9)
    whole = build(list(range(config.num_hidden_layers)))
    network = whole.network
    whole.stream.seconds = expected_seconds(shards.nbytes, rate, whole.parameters, dtype)
    resident = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()) if not whole.streams(tensor))
    return StreamedModel(
        network=network,
        sample=sample.network,
        has_lm_head=whole.has_lm_head,
        parameters=whole.parameters,
        stream=whole.stream,
        resident_bytes=resident + whole.stream.nbytes,
    )


def make_streamed_decoder(model: StreamedModel, config, longest: int, probe: list[int]) -> Decoder:
    """The decoder of a streamed model, proven on its sample. Raises UnexpectedArchitecture."""
    sample, whole = (find_anatomy(network, model.has_lm_head) for network in (model.sample, model.network))
    require(make_decoder(sample, model.sample.config, longest, probe) is not None)
    return Decoder(whole, config, longest, model.stream)


class _Builder:
    """A network with the blocks of these numbers."""

    def __init__(self, shards: Shards, config, dtype, causal: bool, name: str, compute: Compute, numbers: list[int]):
        self._shards, self._name = shards, name
        config = copy.deepcopy(config)
        kinds = getattr(config, "layer_types", None)
        if kinds:
            config.layer_types = [kinds[number] for number in numbers]
        config.num_hidden_layers = len(numbers)
        options = {"dtype": dtype} | ({} if dtype is torch.float32 else {"attn_implementation": "eager"})
        with init_empty_weights(include_buffers=False):
            network = (AutoModelForCausalLM if causal else AutoModel).from_config(config, **options)
        self._prefix = f"{network.base_model_prefix}."
        head = network.get_output_embeddings() if causal else None
        tied = bool(getattr(config, "tie_word_embeddings", False))
        names = {id(module): name for name, module in network.named_modules()}
        backbone = network.base_model if causal else network
        embed = getattr(backbone, "embed_tokens", None)
        require(isinstance(embed, nn.Embedding) and (head is None or (type(head) is nn.Linear and head.bias is None)))
        rows = self._find(f"{names[id(embed)]}.weight")
        head_rows = None
        if head is not None:
            with suppress(UnsupportedModel):  # then it has none
                head_rows = rows if tied else self._find(f"{names[id(head)]}.weight")
        self.has_lm_head = head_rows is not None
        if head is not None and not self.has_lm_head:
            network = backbone
        if tied and self.has_lm_head:
            head.weight = embed.weight  # counted once
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self._inside = {id(embed), id(head)}
        blocks = find_anatomy(network, self.has_lm_head).blocks
        self.stream = LayerStream(shards, self._fill(network, names, blocks, numbers, dtype), dtype, compute)
        backbone.embed_tokens = StreamedEmbedding(embed, shards, rows)
        if self.has_lm_head:
            network.set_output_embeddings(StreamedHead(head, shards, head_rows, compute))
        self.network = network.eval().requires_grad_(False)

    def streams(self, tensor: Tensor) -> bool:
        return self.stream.holds(tensor)

    def _fill(self, network, names: dict[int, str], blocks, numbers: list[int], dtype) -> list[list[Weight]]:
        """Small weights are read now; the matrices of each block are returned."""
        layers: list[list[Weight]] = [[] for _ in blocks]
        place = {id(module): at for at, block in enumerate(blocks) for module in block.modules()}
        stem = names[id(blocks)]
        with self._shards.open() as reader:
            for module in network.modules():
                at = place.get(id(module))
                name = names[id(module)]
                if at is not None:
                    name = f"{stem}.{numbers[at]}" + name.removeprefix(f"{stem}.{at}")
                own = [] if id(module) in self._inside else list(module.named_parameters(recurse=False))
                for kind, parameter in own:
                    stored = self._find(f"{name}.{kind}")
                    if stored.shape != tuple(parameter.shape):
                        reason = f"{name}.{kind} of its checkpoint has another shape than its config.json says."
                        raise UnsupportedModel(model=self._name, reason=reason)
                    if at is not None and parameter.ndim > 1:
                        layers[at].append((module, kind, stored))
                    else:
                        values = torch.empty(stored.shape, dtype=dtype)
                        reader.read(stored, values)
                        setattr(module, kind, nn.Parameter(values, requires_grad=False))
        return layers

    def _find(self, name: str) -> Stored:
        """A parameter's place, whether or not the checkpoint names the backbone before it. Raises UnsupportedModel."""
        for candidate in (name, name.removeprefix(self._prefix), self._prefix + name):
            if candidate in self._shards.tensors:
                return self._shards.tensors[candidate]
        raise UnsupportedModel(model=self._name, reason=f"its checkpoint lacks weights, {name} among them.")


def _one_of_each(config) -> list[int]:
    """The number of the first block of each kind. Raises UnexpectedArchitecture where there are too many."""
    kinds = getattr(config, "layer_types", None) or [""]
    numbers = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    require(len(numbers) <= _SAMPLE)
    return numbers
