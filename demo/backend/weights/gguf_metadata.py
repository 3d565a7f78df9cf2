"""GGUF metadata: the reading that a file declares, and what of it transformers would not follow.

llama.cpp is who says what a GGUF file means: its pooling (`ARCH.pooling_type`) is the file's own, its embeddings are
normalized, and its keys change the vectors. transformers reads some of them, and passes over the rest without a word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from demo.backend.model.forward import looks_back_only
from demo.domain.errors import UnsupportedModel

_MODES = {1: "mean", 2: "cls", 3: "lasttoken"}  # of pooling_type; 0 is none, 4 ranks pairs
UNREAD = "gguf_unread.json"  # beside a converted file: keys that nobody here knows
_SAME: dict[str, Callable[[Any], Any]] = {  # key → what the loaded config says of it, where the two must agree
    "block_count": lambda config: config.num_hidden_layers,
    "embedding_length": lambda config: config.hidden_size,
    "attention.head_count": lambda config: config.num_attention_heads,
    "attention.head_count_kv": lambda config: config.num_key_value_heads,
    "attention.key_length": lambda config: _head_dim(config),
    "attention.value_length": lambda config: _head_dim(config),
    "attention.layer_norm_rms_epsilon": lambda config: config.rms_norm_eps,
    "attention.layer_norm_epsilon": lambda config: getattr(config, "layer_norm_epsilon", config.norm_eps),
    "attention.sliding_window": lambda config: config.sliding_window,
    "attn_logit_softcapping": lambda config: config.attn_logit_softcapping,
    "final_logit_softcapping": lambda config: config.final_logit_softcapping,
    "rope.dimension_count": lambda config: _head_dim(config) * _rope(config).get("partial_rotary_factor", 1.0),
    "rope.freq_base_swa": lambda config: config.rope_parameters["sliding_attention"]["rope_theta"],
    "rope.freq_base": lambda config: _rope(config)["rope_theta"],
    "rope.scaling.type": lambda config: "none",
    "rope.scale_linear": lambda config: 1.0,
    "rope.scaling.factor": lambda config: 1.0,
}
# Not of the vectors, or followed elsewhere, or wrong weights would not fit.
_HARMLESS = {"attention.causal", "context_length", "feed_forward_length", "pooling_type", "vocab_size"}
_HARMLESS |= {"rope.scaling.finetuned", "rope.scaling.original_context_length", "tensor_data_layout"}
_OF_THE_FILE = ("GGUF.", "general.", "quantize.", "split.", "tokenizer.")
_SPLITS = ("default", "gpt-2", "llama-bpe", "llama3", "qwen2", "smollm")  # rules that transformers has, too
_PARTS = ("rope_freqs", "rope_factors_long", "rope_factors_short", "cls", "dense_2", "dense_3")  # tensors passed over


def read_fields(file: Path) -> dict[str, Any]:
    """The metadata of a GGUF file but its lists of tokens: key → value."""
    from gguf import GGUFReader, GGUFValueType

    fields = GGUFReader(file).fields
    lists = {key for key, field in fields.items() if field.types[:1] == [GGUFValueType.ARRAY]}
    return {key: fields[key].contents() for key in fields if key not in lists or not key.startswith("tokenizer.")}


def require_followed(file: Path, network, tokenizer, model: str) -> list[str]:
    """Make a converted network follow its file. Returns the keys that nobody here knows.

    Raises UnsupportedModel where the network would compute other vectors than the file means.
    """
    from gguf import GGUFReader

    fields = read_fields(file)
    architecture = fields.get("general.architecture", "")
    own = {key.removeprefix(f"{architecture}."): value for key, value in fields.items()}
    for tensor in GGUFReader(file).tensors:
        part = tensor.name.partition(".")[0]
        if part in _PARTS and not (part == "rope_freqs" and bool(np.all(tensor.data == 1))):
            raise UnsupportedModel(model=model, reason=f"the lab does not read the part {part} of its GGUF file.")
    if own.get("attention.causal") is False:
        network.config.is_causal = False
        if looks_back_only(network):
            raise UnsupportedModel(model=model, reason="its GGUF file is not causal, and transformers' model of it is.")
    # What is not read of the tokenizer: a space before a text, and the rule by which words are split.
    words = fields.get("tokenizer.ggml.model")
    spaced = tokenizer.convert_ids_to_tokens(tokenizer("a", add_special_tokens=False)["input_ids"])[0][:1] in "▁Ġ"
    if fields.get("tokenizer.ggml.add_space_prefix", words == "llama") != spaced:
        reason = f"transformers does not follow its GGUF file (add_space_prefix: {not spaced})."
        raise UnsupportedModel(model=model, reason=reason)
    pre = fields.get("tokenizer.ggml.pre", "default")
    unread = [f"tokenizer.ggml.pre ({pre})"] if words == "gpt2" and pre not in _SPLITS else []
    for key, value in own.items():
        if key in _HARMLESS:
            continue
        if key not in _SAME:
            unread += [key] * (not key.startswith(_OF_THE_FILE))
        elif not _agree(value, _SAME[key], network.config):
            raise UnsupportedModel(model=model, reason=f"transformers does not follow its GGUF file ({key}: {value}).")
    return sorted(unread)


def write_reading(fields: Mapping[str, Any], folder: Path, model: str) -> None:
    """The pooling that the file declares, as sentence-transformers' files in the converted folder.

    Normalized, as llama.cpp gives its embeddings. Raises UnsupportedModel for a reranker or an unknown pooling.
    """
    pooling = fields.get(f"{fields.get('general.architecture', '')}.pooling_type", 0)
    if pooling in (-1, 0):
        return
    if pooling not in _MODES:
        what = "it scores pairs of texts" if pooling == 4 else "the lab does not know it"
        raise UnsupportedModel(model=model, reason=f"its GGUF file declares the pooling {pooling}: {what}.")
    kinds = ("Transformer", "Pooling", "Normalize")
    files = {
        "modules.json": [
            {
                "idx": i,
                "name": str(i),
                "path": f"{i}_{kind}" if i else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for i, kind in enumerate(kinds)
        ],
        "1_Pooling/config.json": {"pooling_mode": _MODES[pooling]},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def unread_notice(folder: Path) -> tuple[str, ...]:
    """A notice of the keys of a converted file that nobody here knows."""
    try:
        unread = json.loads((folder / UNREAD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    return (f"Not read of the GGUF file: {', '.join(unread)}.",) if unread else ()


def _agree(value: Any, expected: Callable[[Any], Any], config) -> bool:
    try:
        wanted = expected(config)
        return value == wanted if isinstance(wanted, str) else bool(np.isclose(value, wanted, rtol=1e-4, atol=0))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _head_dim(config) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _rope(config) -> Mapping[str, Any]:
    parameters = config.rope_parameters
    return parameters.get("full_attention", parameters)  # Gemma has others for sliding windows, which no key names
