"""Adapters on disk: a folder of trained weights and information, over a model that it names.

An adapter is a plain PEFT folder, so that it loads over the Hub's model without this project (`merge.py` puts it onto
the model), or a projection: one safetensors file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PromptLearningConfig
from safetensors.torch import load_file
from torch import Tensor, nn

from demo.backend.model.forward import Anatomy
from demo.backend.weights.checkpoint_files import LORA_FILE, file_sha256, is_allowed, require_safetensors
from demo.backend.weights.intact import sync_folder, write_digests
from demo.domain.errors import UnsafeWeights, UnsupportedModel

PROJECTION_FILE = "projection.safetensors"
LORA_WEIGHTS = "adapter_model.safetensors"
INFO_FILE = "training.json"


class ProjectedNorm(nn.Module):
    """The final norm, followed by a projection, (…, dim) → (…, dim)."""

    def __init__(self, norm: nn.Module, weight: Tensor, bias: Tensor):
        super().__init__()
        self.norm = norm
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, states: Tensor) -> Tensor:
        states = self.norm(states)
        return nn.functional.linear(states.float(), self.weight, self.bias).to(states.dtype)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    # Not Path.is_file, which raises for what can be no name of a file.
    return any(os.path.isfile(folder / name) for name in (LORA_FILE, PROJECTION_FILE))


def is_projection(folder: Path) -> bool:
    """Whether the adapter is a linear map, not LoRA."""
    return (folder / PROJECTION_FILE).is_file()


def read_info(folder: Path) -> dict:
    """The information of `write_info`; {} for another tool's adapter."""
    try:
        info = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return info if isinstance(info, dict) else {}


def read_config(folder: Path) -> dict:
    """PEFT's configuration of an adapter; {} for a projection. Raises UnsupportedModel where it cannot be read."""
    if is_projection(folder):
        return {}
    try:
        config = json.loads((folder / LORA_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise UnsupportedModel(model=folder.name, reason=f"its {LORA_FILE} is not readable.")
    return config


def require_mergeable(folder: Path, model: str) -> None:
    """Whether an adapter's files are such that they may become part of a model's weights.

    Raises UnsupportedModel for a kind that changes no weights, UnsafeWeights for pickles and foreign code.
    """
    if is_projection(folder):
        return
    config = read_config(folder)
    kind = str(config.get("peft_type"))
    peft_config = PEFT_TYPE_TO_CONFIG_MAPPING.get(kind)
    if peft_config is None:
        raise UnsupportedModel(model=model, reason=f"the installed PEFT does not know adapters of the type {kind}.")
    if issubclass(peft_config, PromptLearningConfig):
        reason = (
            f"its adapter ({kind}) puts trained states before a text. Adapters that change weights are read, like LoRA."
        )
        raise UnsupportedModel(model=model, reason=reason)
    if config.get("megatron_config"):
        raise UnsafeWeights(model=model, reason=f"megatron_config in its {LORA_FILE} names code to be imported")
    require_safetensors(folder, LORA_WEIGHTS, model)


def base_of(folder: Path) -> str:
    """The model that an adapter was trained on: a catalogue id, a Hub id or a folder; "" where it does not say."""
    return str(read_info(folder).get("base") or read_config(folder).get("base_model_name_or_path") or "")


def base_revision_of(folder: Path) -> str:
    """The revision of the base model that an adapter names; "" where it names none."""
    return str(read_config(folder).get("revision") or "")


def adapter_revision(folder: Path) -> str:
    """The shortened SHA-256 of every file that its vectors depend on: weights, configuration, tokenizer."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and (is_allowed(name) or name in (LORA_FILE, LORA_WEIGHTS, PROJECTION_FILE)):
            digest.update(f"{name} {file_sha256(path)}\n".encode())
    return f"adapter sha256:{digest.hexdigest()[:16]}"


def add_projection(anatomy: Anatomy, folder: Path) -> None:
    """Put a projection after the final norm of a model."""
    tensors = load_file(folder / PROJECTION_FILE)
    device = next(anatomy.backbone.parameters()).device
    wrapped = ProjectedNorm(anatomy.final_norm, tensors["weight"].to(device), tensors["bias"].to(device))
    holder, name = next(
        (module, name)
        for module in anatomy.backbone.modules()
        for name, child in module.named_children()
        if child is anatomy.final_norm
    )
    setattr(holder, name, wrapped)


def write_info(folder: Path, info: dict, card: str = "") -> None:
    """Write an adapter's information beside its weights: JSON for programs, a model card for people."""
    if card:
        (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / INFO_FILE).write_text(json.dumps(info, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_digests(folder)


@contextmanager
def replaced_whole(folder: Path) -> Iterator[Path]:
    """A temporary folder to write into; at the end it replaces `folder` in one step: all of it, or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield made
        made.chmod(0o755)  # mkdtemp's are for their maker alone, and so are safetensors' files
        for path in filter(Path.is_file, made.iterdir()):
            path.chmod(0o644)
        sync_folder(made)
        if folder.exists():
            # A folder cannot be put over a full one: the old one steps aside first.
            aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            folder.replace(aside / folder.name)
            made.replace(folder)
            shutil.rmtree(aside)
        else:
            made.replace(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
