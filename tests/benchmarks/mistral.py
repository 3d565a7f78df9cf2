"""A random checkpoint of Mistral-7B's exact shape, with its real v1 tokenizer.

python -m tests.benchmarks.mistral FOLDER [--small]
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mistral_common
import torch
from safetensors.torch import save_file
from transformers import LlamaTokenizer, MistralConfig

from tests.conftest import MISTRAL_TEMPLATE

SHAPE = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
SMALL = {"hidden_size": 1024, "intermediate_size": 3584, "num_hidden_layers": 8, "num_attention_heads": 8}
LAYERS_A_SHARD = 4


def make_checkpoint(folder: Path, small: bool) -> None:
    """Random bfloat16 weights in shards with an index, config and tokenizer. A shard at a time is in memory."""
    shape = SMALL if small else SHAPE
    kv_heads = shape["num_attention_heads"] // 4
    config = MistralConfig(
        **shape, num_key_value_heads=kv_heads, vocab_size=32000, sliding_window=4096, dtype="bfloat16"
    )
    config.architectures = ["MistralForCausalLM"]
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    shutil.copy(Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1", folder / "tokenizer.model")
    tokenizer = LlamaTokenizer.from_pretrained(folder)
    tokenizer.chat_template = MISTRAL_TEMPLATE
    tokenizer.save_pretrained(folder)
    generator = torch.Generator().manual_seed(0)
    pool = (torch.randn(2**24 + 12_289, generator=generator) * 0.02).bfloat16()

    def matrix(rows: int, columns: int) -> torch.Tensor:
        start = int(torch.randint(0, 12_289, (1,), generator=generator))
        many = -(-rows * columns // 2**24)
        return pool[start : start + 2**24].repeat(many)[: rows * columns].view(rows, columns)

    wide, inner = shape["hidden_size"], shape["intermediate_size"]
    kv = wide // 4
    sizes = {"q": (wide, wide), "k": (kv, wide), "v": (kv, wide), "o": (wide, wide)}
    ones = torch.ones(wide, dtype=torch.bfloat16)

    def layer(number: int) -> dict[str, torch.Tensor]:
        stem = f"model.layers.{number}"
        tensors = {f"{stem}.self_attn.{name}_proj.weight": matrix(*size) for name, size in sizes.items()}
        for name, size in {"gate": (inner, wide), "up": (inner, wide), "down": (wide, inner)}.items():
            tensors[f"{stem}.mlp.{name}_proj.weight"] = matrix(*size)
        return tensors | {f"{stem}.{name}_layernorm.weight": ones.clone() for name in ("input", "post_attention")}

    def shards() -> Iterator[dict[str, torch.Tensor]]:
        yield {"model.embed_tokens.weight": matrix(32000, wide), "model.norm.weight": ones.clone()}
        for first in range(0, shape["num_hidden_layers"], LAYERS_A_SHARD):
            yield {name: tensor for number in range(LAYERS_A_SHARD) for name, tensor in layer(first + number).items()}
        yield {"lm_head.weight": matrix(32000, wide)}

    count = 2 + shape["num_hidden_layers"] // LAYERS_A_SHARD
    places: dict[str, str] = {}
    for number, tensors in enumerate(shards(), 1):
        file = f"model-{number:05}-of-{count:05}.safetensors"
        save_file(tensors, folder / file, {"format": "pt"})
        places |= dict.fromkeys(tensors, file)
    index = {"metadata": {"total_size": weights_of(folder)}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def weights_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    make_checkpoint(options.folder, options.small)


if __name__ == "__main__":
    main()
