"""Merge: a PEFT adapter is put onto a network as PEFT does it and merged into the weights, all of it or not at all.

Every tensor of the adapter's file must find its place, and the merged network must answer as PEFT's unmerged one.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel, TaskType
from torch import Tensor, nn

from demo.backend.weights.adapters import LORA_FILE, LORA_WEIGHTS
from demo.backend.weights.checkpoint_files import read_header
from demo.backend.weights.unread import CLASSIFIER, shorten
from demo.domain.errors import UnsupportedModel

_PREFIX = "base_model.model."  # before every tensor's name in an adapter's file
_SAVED_TWICE = ".modules_to_save"  # in a second name of embeddings that were resized and trained whole
_FULL, _HALF = 1e-4, 0.05  # how far merged states may be from unmerged ones, relative to their norm
_MOST_TOKENS = 32
_CLASSIFICATION = (TaskType.SEQ_CLS, TaskType.TOKEN_CLS, TaskType.QUESTION_ANS)

logger = logging.getLogger("demo")
# PEFT asks transformers for a name that it is about to rename; nobody who opens an adapter can do anything about it.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)


@dataclass(frozen=True)
class Merged:
    """What an adapter turned out to be.

    over: transformers' auto class over which PEFT puts it, for a script; "" where that is none of the common two.
    has_whole_head: whether every token has a trained row in the LM head; not where new tokens came without.
    """

    over: str
    has_whole_head: bool
    notices: tuple[str, ...]


class _WithPrefix(nn.Module):
    """A bare backbone under the name that it has in models with a head, over which an adapter was trained."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.config = backbone.config
        self.add_module(backbone.base_model_prefix, backbone)

    def get_input_embeddings(self) -> nn.Module:
        return next(self.children()).get_input_embeddings()

    def get_output_embeddings(self) -> None:
        return None


def merge_adapter(network: nn.Module, folder: Path, vocabulary: int, probe: Sequence[int], model: str) -> Merged:
    """Merge a PEFT adapter into the network's weights, in place and in their precision.

    vocabulary: tokens of the tokenizer that is used. probe: token ids on which merged and unmerged states are compared.
    Raises UnsupportedModel, after which the network must not be used.
    """
    try:
        return _merge(network, folder, vocabulary, probe, model)
    except UnsupportedModel:
        raise
    except Exception as error:  # PEFT has no errors of its own: what does not fit raises whatever it meets
        logger.info("PEFT on an adapter that does not fit: %s", type(error).__name__)
        raise UnsupportedModel(model=model, reason="its adapter does not fit the model, or is damaged.") from error


@dataclass(frozen=True, eq=False)
class Attached:
    """An adapter over a network, not yet merged into it. tokens: those that it trains one by one."""

    adapted: PeftModel
    tokens: list[int]
    about: Merged


def attach_adapter(network: nn.Module, folder: Path, vocabulary: int, model: str) -> Attached:
    """Put an adapter over a network as PEFT does, every tensor of it. Raises UnsupportedModel, and what PEFT raises."""
    config = PeftConfig.from_pretrained(str(folder))
    shapes = {name: tensor["shape"] for name, tensor in read_header(folder / LORA_WEIGHTS).items()}
    target = _network_under(network, shapes)
    has_whole_head, trained_tokens = _resize(network, target, config, shapes, vocabulary)
    device = network.device
    config.inference_mode = True
    adapted = PeftModel(target, config)
    loaded = adapted.load_adapter(str(folder), "default", torch_device=str(device))
    head = network.base_model_prefix if target is not network.base_model else ""
    twice = {name for name in shapes if _SAVED_TWICE in name and name.replace(_SAVED_TWICE, "") in shapes}
    unexpected = [name for name in loaded.unexpected_keys if name not in twice]
    beside = [name for name in unexpected if head and not name.startswith(f"{_PREFIX}{head}.")]
    lost = [name for name in unexpected if name not in beside] + _missing(adapted, loaded.missing_keys)
    if lost:
        reason = f"not every weight of its adapter fits the model ({shorten(lost)})."
        raise UnsupportedModel(model=model, reason=reason)
    over = {network: "AutoModelForCausalLM" if head else "AutoModel", network.base_model: "AutoModel"}.get(target, "")
    return Attached(adapted, trained_tokens, Merged(over, has_whole_head, _notices(folder, config, beside)))


def _merge(network: nn.Module, folder: Path, vocabulary: int, probe: Sequence[int], model: str) -> Merged:
    attached = attach_adapter(network, folder, vocabulary, model)
    ids = torch.tensor([[*probe, *attached.tokens[:_MOST_TOKENS]]], device=network.device)
    unmerged = _states(network, ids)
    _untie(network)
    try:
        attached.adapted.merge_and_unload()
        limit = _FULL if network.dtype is torch.float32 else _HALF
        pairs = zip(unmerged, _states(network, ids), strict=True)
        exact = all((a - b).norm() <= limit * a.norm() for a, b in pairs)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        exact = False
    if not exact:
        kind = attached.adapted.peft_config["default"].peft_type.value
        reason = f"its adapter, of PEFT's type {kind}, cannot become part of the weights as it is."
        raise UnsupportedModel(model=model, reason=reason)
    return attached.about


def _network_under(network: nn.Module, names: Sequence[str]) -> nn.Module:
    """The part of the network whose children bear the names in an adapter's file, which is what it was trained over."""
    backbone = network.base_model
    candidates = [network, backbone if backbone is not network else _WithPrefix(network)]
    tops = [name.removeprefix(_PREFIX).split(".")[0] for name in names]
    return max(candidates, key=lambda candidate: sum(hasattr(candidate, top) for top in tops))


def _resize(
    network: nn.Module, target: nn.Module, config: PeftConfig, shapes: dict, vocabulary: int
) -> tuple[bool, list[int]]:
    """Make the embeddings as many as the adapter was trained over, where it brings every row that is new.

    Returns whether the LM head has no invented rows, and the tokens that the adapter trains one by one.
    """
    embeddings, head = network.get_input_embeddings(), network.get_output_embeddings()
    [name] = [name for name, module in target.named_modules() if module is embeddings]
    rows = len(embeddings.weight)
    places = (f"{_PREFIX}{name}.weight", f"{_PREFIX}{name}.base_layer.weight")
    wanted = next((shapes[place][0] for place in places if place in shapes), rows)
    tokens = getattr(config, "trainable_token_indices", None) or getattr(config, "token_indices", None) or []
    if isinstance(tokens, dict):
        tokens = next(iter(tokens.values()), [])
    if set(range(rows, vocabulary)) <= set(tokens):
        wanted = max(wanted, vocabulary)
    tied = head is not None and head.weight is embeddings.weight
    heads = {f"{_PREFIX}{name}.weight" for name, module in network.named_modules() if module is head}
    if wanted != rows:
        network.resize_token_embeddings(wanted, mean_resizing=False)
    return wanted <= rows or tied or bool(heads & set(shapes)), [token for token in tokens if 0 <= token < wanted]


def _missing(adapted: nn.Module, names: Sequence[str]) -> list[str]:
    """The names without those that are a second name of a tensor in the file (VB-LoRA's vector bank)."""
    tensors = dict(adapted.named_parameters(remove_duplicate=False))
    placed = {id(tensor) for name, tensor in tensors.items() if name not in names}
    return [name for name in names if id(tensors.get(name)) not in placed]


def _untie(network: nn.Module) -> None:
    """Give every module that an adapter changes a weight of its own.

    PEFT merges in place: a tied LM head would change with the embeddings that alone are adapted.
    """
    owners = defaultdict(list)
    for name, module in network.named_modules(remove_duplicate=False):
        for kind, weight in module.named_parameters(recurse=False):
            owners[id(weight)].append((name, module, kind, weight))
    for places in owners.values():
        if any(name.endswith((".base_layer", ".original_module")) for name, *_ in places):
            for _, module, kind, weight in places[1:]:
                setattr(module, kind, nn.Parameter(weight.detach().clone(), requires_grad=False))


@torch.no_grad()
def _states(network: nn.Module, ids: Tensor) -> list[Tensor]:
    output = network(input_ids=ids, output_hidden_states=True)
    values = [*(output.hidden_states or ()), output.get("last_hidden_state"), output.get("logits")]
    return [value.float() for value in values if value is not None]


def _notices(folder: Path, config: PeftConfig, beside: list[str]) -> tuple[str, ...]:
    notices = [CLASSIFIER] if config.task_type in _CLASSIFICATION else []
    heads = sorted({name.removeprefix(_PREFIX).split(".")[0] for name in beside})
    if heads:
        notices.append(f"The adapter's weights of {', '.join(heads)} are not used; the lab reads what lies below.")
    written = json.loads((folder / LORA_FILE).read_text(encoding="utf-8"))
    unknown = sorted(name for name, value in written.items() if value and name not in config.to_dict())
    if unknown:
        notices.append(f"The installed PEFT knows no {', '.join(unknown)}, and reads the adapter without.")
    return tuple(notices)
