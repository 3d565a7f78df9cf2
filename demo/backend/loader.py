"""Loader: a folder of weights becomes a checkpoint in memory: tokenizer, model, and its description."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase

from demo.backend.decoder.decoder import Decoder, make_decoder
from demo.backend.decoder.layer_stream import Compute, LayerStream
from demo.backend.decoder.streamed_model import make_streamed_decoder, open_streamed
from demo.backend.encoder.encoder import Encoder, make_encoder
from demo.backend.model.device import Placement
from demo.backend.model.forward import Anatomy, find_anatomy
from demo.backend.model.st_config import DeclaredReading, read_declared_reading
from demo.backend.model.st_modules import OwnPooling
from demo.backend.network import check_states, load_config, load_network, load_tokenizer
from demo.backend.private_apis import CAUSAL_LANGUAGE_MODELS, MASKED_LANGUAGE_MODELS
from demo.backend.weights.adapters import add_projection, base_of, is_projection, read_info
from demo.backend.weights.checkpoint_files import has_tokenizer, read_header, weight_files
from demo.backend.weights.locate import Weights
from demo.backend.weights.merge import merge_adapter
from demo.backend.weights.unread import check_own_code, describe_purpose
from demo.domain.catalog import CATALOG, CatalogEntry
from demo.domain.datamodels import ChatFormat, Kind, ModelInfo, Pooling, Prompt, Reading
from demo.domain.errors import UnsupportedModel
from demo.domain.recipe import TRAINED

_NO_LENGTH = 1_000_000  # tokenizers without a limit carry a huge number
_POSITION_TABLES = ("position_embeddings", "embed_positions", "wpe")  # RoBERTa's and OPT's begin a few rows later
logger = logging.getLogger("demo")
_PROBE = "An ordinary sentence, by which two ways through a model are compared."


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A loaded model. Immutable, so that threads may share it."""

    tokenizer: PreTrainedTokenizerBase
    network: torch.nn.Module  # as transformers loads it
    anatomy: Anatomy
    info: ModelInfo
    pad_id: int
    decoder: Decoder | None = None  # our own pass through a GPT, where the model allows it
    encoder: Encoder | None = None  # our own pass through an encoder
    declared: DeclaredReading | None = None  # of a sentence-transformers folder
    own_pooling: OwnPooling | None = None  # what Pooling.OWN computes

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def stream(self) -> LayerStream | None:
        """What reads its weights from disk for every pass; None where they are in memory."""
        return self.decoder.stream if self.decoder else None

    @property
    def embedded_tokens(self) -> int:
        """How many tokens the model has an embedding for; some tokenizers have more."""
        return len(self.network.get_input_embeddings().weight)

    @property
    def key(self) -> tuple[str, ...]:
        """Cache key of everything that its vectors depend on, apart from text and reading."""
        return (self.info.model, self.info.revision, self.info.precision, self.info.device, torch.__version__)


def count_parameters(folder: Path) -> int:
    """Parameters in a folder's safetensors files, from their headers alone."""
    tensors = (tensor for file in weight_files(folder) for tensor in read_header(file).values())
    return sum(math.prod(tensor["shape"]) for tensor in tensors)


def load_checkpoint(
    model: str,
    weights: Weights,
    placement: Placement,
    max_tokens: int,
    own_pass: bool = True,
    stream_by: Compute | None = None,
) -> Checkpoint:
    """Tokenizer and model of a verified folder, on the device, in its precision.

    own_pass: whether our decoder or encoder runs it where one fits. stream_by: the weights stay on disk, and this runs
    the steps of a pass. Never runs code of the checkpoint and never invents weights: a checkpoint without an LM head
    has none here either. Raises UnsupportedModel, UnsafeWeights; UnexpectedArchitecture where it cannot be streamed.
    """
    entry = CATALOG.get(model)
    training = read_info(weights.adapter) if weights.adapter and not entry else {}
    name = entry.name if entry else _name_trained(model, training) if weights.adapter else model
    folder = weights.folder
    adapter = weights.adapter
    beside_adapter = bool(adapter and (adapter / "modules.json").is_file())
    declaring = adapter if beside_adapter else weights.checkpoint or folder
    own = read_declared_reading(declaring, name, entry.query_prompt if entry else "")
    if own and own.transformer.resolve() != (adapter if beside_adapter else folder).resolve():
        raise UnsupportedModel(model=name, reason="its transformer lies in another folder than its weights.")
    config = load_config(folder, name, own)
    adapter_tokenizer = bool(adapter and has_tokenizer(adapter))
    tokenizer = load_tokenizer(adapter if adapter_tokenizer else folder, name, own)
    streamed = open_streamed(folder, config, placement.dtype, name, stream_by) if stream_by else None
    own_code = check_own_code(folder, name, bool(own)) + (check_own_code(adapter, name, bool(own)) if adapter else ())
    if streamed:
        network, has_lm_head, unread = streamed.network, streamed.has_lm_head, ()
    else:
        network, has_lm_head, unread = load_network(folder, config, placement, name)
    name += " (without its own code)" if own_code else ""
    notices = weights.notices + (own.notices if own else ()) + own_code + describe_purpose(config) + unread
    adapter_class, probe = "", tokenizer(_PROBE)["input_ids"]
    if adapter and not is_projection(adapter):
        if streamed:
            merged = streamed.add_lora(adapter, len(tokenizer), name)
        else:
            merged = merge_adapter(network, adapter, len(tokenizer), probe, name)
        network.eval().requires_grad_(False)
        notices, adapter_class = notices + merged.notices, merged.over
        if has_lm_head and not merged.has_whole_head:
            notices += ("The LM head has no rows for the tokens that the adapter adds, so its logits are not offered.",)
            has_lm_head = False
    anatomy = find_anatomy(network, has_lm_head)
    if adapter and is_projection(adapter):
        _project(anatomy, adapter, name)
    if not check_states(streamed.sample if streamed else network, has_lm_head, name):
        notices += ("The model does more after its LM head than the lab knows, so its logits are not offered.",)
        has_lm_head = False
        anatomy = find_anatomy(network, has_lm_head)
    text_config = network.config.get_text_config()  # an adapter may have changed the vocabulary's size
    own_chat = own.chat_format(tokenizer.chat_template, name) if own else None
    if own and own.layers and not getattr(config, "output_hidden_states", False):
        own = replace(own, layers=None)  # sentence-transformers leaves its WeightedLayerPooling alone, too
        notices += ("The checkpoint's WeightedLayerPooling does nothing: its config does not ask for all layers.",)
    own_pooling = None
    if own and own.own_modules:
        if anatomy.narrowing is not None:
            reason = "its last layer is narrower than the others, and the lab reads no modules after such a layer."
            raise UnsupportedModel(model=name, reason=reason)
        own_pooling = OwnPooling(own, name, text_config.num_hidden_layers, text_config.hidden_size)
    kind = entry.kind if entry else _kind(config, tuned=bool(own or adapter))
    tensors = (*network.parameters(), *network.buffers())
    reads_logits = has_lm_head and adapter_class != "AutoModel"  # such an adapter was trained on states
    info = ModelInfo(
        model=model,
        name=name,
        kind=kind,
        n_layers=text_config.num_hidden_layers,
        dim=text_config.hidden_size,
        vocab_size=text_config.vocab_size,
        max_tokens=min(max_tokens, _longest(tokenizer, text_config, own, network)),
        has_lm_head=has_lm_head,
        has_chat_template=bool(tokenizer.chat_template),
        has_eos=tokenizer.eos_token_id is not None,
        default_reading=_trained_reading(model, training)
        or _default_reading(model, kind, own, own_chat, reads_logits, bool(tokenizer.chat_template)),
        revision=weights.revision,
        source=weights.source,
        weights_precision=weights.precision,
        precision=placement.info.precision,
        device=placement.info.name,
        parameters=streamed.parameters if streamed else sum(map(torch.numel, network.parameters())),
        memory_bytes=streamed.resident_bytes if streamed else sum(tensor.nbytes for tensor in tensors),
        streams=streamed is not None,
        query_prompt=own.query_prompt if own else None,
        document_prompt=own.document_prompt if own else None,
        own_chat=own_chat,
        include_prompt=own.include_prompt if own else True,
        own_modules=own.own_modules if own else (),
        own_settings=own.own_settings if own else (),
        last_dim=anatomy.narrowing.out_features if anatomy.narrowing is not None else 0,
        own_dim=own_pooling.dim if own_pooling else 0,
        base=base_of(weights.adapter) if weights.adapter else "",
        adapter=_name_adapter(model, weights.adapter, entry),
        folder=str(folder.absolute()),
        adapter_folder=str(adapter.absolute()) if adapter else "",
        adapter_class=adapter_class,
        adapter_tokenizer=adapter_tokenizer,
        projected=bool(weights.adapter and is_projection(weights.adapter)),
        notices=notices,
    )
    rows = len(network.get_input_embeddings().weight)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id in range(rows) else 0  # what is padded is masked
    decoder = encoder = None
    if streamed:
        decoder = make_streamed_decoder(streamed, text_config, info.max_tokens, probe)
    elif own_pass:
        measured = anatomy, text_config, info.max_tokens, probe
        decoder = make_decoder(*measured) if config.model_type in CAUSAL_LANGUAGE_MODELS else None
        encoder = None if decoder else make_encoder(*measured)
        info = replace(info, memory_bytes=info.memory_bytes + getattr(decoder or encoder, "packed_bytes", 0))
    for notice in notices:
        logger.warning("%s: %s", name, notice)
    return Checkpoint(tokenizer, network, anatomy, info, pad_id, decoder, encoder, own, own_pooling)


def _project(anatomy: Anatomy, adapter: Path, name: str) -> None:
    try:
        add_projection(anatomy, adapter)
    except (ValueError, OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise UnsupportedModel(model=name, reason="its adapter does not fit the model, or is damaged.") from error


def _name_trained(model: str, training: dict) -> str:
    """`SmolLM2-135M-Instruct, trained 60 steps`; without such information the folder's path."""
    base = CATALOG.get(str(training.get("base")))
    if not training.get("steps") or base is None:
        return model
    return f"{base.name}, trained {training['steps']} steps"


def _name_adapter(model: str, adapter: Path | None, entry: CatalogEntry | None) -> str:
    """The adapter's folder for take-home code: the lab's own, a person's, or the downloaded one; no path of a host."""
    if adapter is None:
        return ""
    if entry:
        return Path(entry.adapter).name
    return "adapter" if model.startswith(TRAINED) else model


def _trained_reading(model: str, training: dict) -> Reading | None:
    """The reading that an adapter was trained with."""
    try:
        return replace(Reading.from_dict(training["reading"]), model=model)
    except (KeyError, TypeError, ValueError):
        return None


def _longest(tokenizer, config, own: DeclaredReading | None, network: torch.nn.Module) -> int:
    """The most tokens of a text, template included, that the checkpoint supports."""
    limits = [tokenizer.model_max_length, getattr(config, "max_position_embeddings", None)]
    if own and own.max_tokens:
        limits = [own.max_tokens]
    return min([limit for limit in (*limits, _positions(network)) if limit and limit < _NO_LENGTH], default=_NO_LENGTH)


def _positions(network: torch.nn.Module) -> int | None:
    """How many tokens a model's table of positions holds; None where it has no table."""
    for name, module in network.named_modules():
        if name.endswith(_POSITION_TABLES) and isinstance(module, torch.nn.Embedding):
            first = getattr(module, "offset", 0) if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - first
    return None


def _kind(config, tuned: bool) -> Kind:
    if config.model_type in MASKED_LANGUAGE_MODELS or config.model_type not in CAUSAL_LANGUAGE_MODELS:
        return Kind.ENCODER
    return Kind.TUNED_GPT if tuned else Kind.GPT


def _default_reading(
    model: str,
    kind: Kind,
    own: DeclaredReading | None,
    own_chat: ChatFormat | None,
    has_lm_head: bool,
    has_chat: bool,
) -> Reading:
    """The reading that the checkpoint declares; for a pure GPT the article's, as far as the checkpoint allows it."""
    entry: CatalogEntry | None = CATALOG.get(model)
    if own:
        prompt = Prompt.OWN if own_chat or own.query_prompt is not None else Prompt.PLAIN
        if own.own_modules:
            return Reading(model, prompt, Pooling.OWN)
        return Reading(model, prompt, own.poolings[0], normalize=own.normalize)
    if entry:
        prompt, pooling, normalize = entry.prompt, entry.pooling, entry.normalize
    else:
        prompt = Prompt.CHAT if kind is Kind.GPT else Prompt.PLAIN
        pooling = Pooling.MEAN if kind is Kind.ENCODER else Pooling.LAST_TOKEN_LOGITS
        normalize = False
    if prompt is Prompt.OWN or (prompt is Prompt.CHAT and not has_chat):
        prompt = Prompt.PLAIN
    if pooling is Pooling.LAST_TOKEN_LOGITS and not has_lm_head:
        pooling = Pooling.LAST_TOKEN
    return Reading(model, prompt, pooling, normalize=normalize)
