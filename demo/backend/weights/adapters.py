"""Adapters on disk: a folder of trained weights and information, and how it is added to a model.

A LoRA adapter is a plain PEFT folder, so that it loads over the Hub's model without this project; a projection is one
safetensors file. Neither ever holds the model's own weights.
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

from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn

from demo.backend.model.forward import Anatomy

PROJECTION_FILE = "projection.safetensors"
LORA_FILE = "adapter_config.json"
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


def base_of(folder: Path) -> str:
    """The model that an adapter was trained on: a catalogue id, a Hub id or a folder; "" where it does not say."""
    base = read_info(folder).get("base", "")
    if base or not (folder / LORA_FILE).is_file():
        return base
    return json.loads((folder / LORA_FILE).read_text(encoding="utf-8")).get("base_model_name_or_path") or ""


def adapter_revision(folder: Path) -> str:
    """The shortened SHA-256 of the trained weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return f"adapter sha256:{digest.hexdigest()[:16]}"


def merge_lora(network: nn.Module, folder: Path) -> nn.Module:
    """The network with a LoRA adapter merged into its weights, in their precision."""
    return PeftModel.from_pretrained(network, folder, local_files_only=True).merge_and_unload()


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
