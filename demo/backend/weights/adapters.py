"""Adapters on disk: a folder of what was learned and what is known of it, and how it is put onto a model.

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
    """The final norm, and one linear map after it: what a projection adds to a model."""

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
    """Whether what was learned is a linear map, not LoRA."""
    return (folder / PROJECTION_FILE).is_file()


def read_info(folder: Path) -> dict:
    """What was written beside the weights; {} where it is another tool's adapter."""
    try:
        told = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def base_of(folder: Path) -> str:
    """The model that an adapter was trained on: a catalogue id, a Hub id or a folder; "" where it does not say."""
    told = read_info(folder).get("base", "")
    if told or not (folder / LORA_FILE).is_file():
        return told
    return json.loads((folder / LORA_FILE).read_text(encoding="utf-8")).get("base_model_name_or_path") or ""


def adapter_revision(folder: Path) -> str:
    """The SHA-256 of what was learned, shortened."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return f"adapter sha256:{digest.hexdigest()[:16]}"


def merge_lora(network: nn.Module, folder: Path) -> nn.Module:
    """The network with a LoRA adapter added to its weights, once, in their precision."""
    return PeftModel.from_pretrained(network, folder, local_files_only=True).merge_and_unload()


def add_projection(anatomy: Anatomy, folder: Path) -> None:
    """Hang a projection behind the final norm of a model."""
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
    """What is known of an adapter, beside its weights: for programs, and as a card for people."""
    if card:
        (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / INFO_FILE).write_text(json.dumps(info, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def replaced_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of `folder` at the end: all of it, or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield made
        made.chmod(0o755)  # mkdtemp's are for their maker alone, and so are safetensors' files
        for path in made.iterdir():
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
