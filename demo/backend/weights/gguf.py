"""GGUF: converts a quantized file to a folder of safetensors and tokenizer."""

from __future__ import annotations

import errno
import gc
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from demo.backend.private_apis import unmark_quantized
from demo.backend.weights.gguf_metadata import UNREAD, read_fields, require_followed, write_reading
from demo.domain.errors import UnsupportedModel

_WEIGHTS_AT_ONCE = 2**21  # bytes of a file's weights between two reports: some tenths of a second
_READING_SHARE = 0.9  # of a conversion; the rest is writing
_converting = threading.Lock()
GGUF_FORMAT = 2  # of what is made of a person's file; a new number converts them anew


def inspect_gguf(file: Path, model: str) -> tuple[str, int]:
    """The precision in words, like "4-bit (Q4_1)", and the number of weights."""
    try:
        from gguf import GGUFReader, LlamaFileType
    except ImportError as error:
        raise UnsupportedModel(model=model, reason=f"GGUF files need the Python package {error.name}.") from error
    try:
        reader = GGUFReader(file)
    except ValueError as error:
        raise UnsupportedModel(model=model, reason=f"{file.name} is not a GGUF file ({error}).") from error
    except IndexError as error:
        raise UnsupportedModel(model=model, reason=f"{file.name} is incomplete.") from error
    parameters = sum(int(tensor.n_elements) for tensor in reader.tensors)
    field = reader.fields.get("general.file_type")
    try:
        file_type = LlamaFileType(field.contents() if field else LlamaFileType.GUESSED).name
    except ValueError:  # a type younger than the reader
        file_type = LlamaFileType.GUESSED.name
    return _in_words(file_type), parameters


def _in_words(file_type: str) -> str:
    """MOSTLY_Q4_K_M → "4-bit (Q4_K_M)"; MOSTLY_BF16 → "bfloat16"."""
    name = file_type.removeprefix("MOSTLY_").removeprefix("ALL_")
    floats = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    if name in floats:
        return floats[name]
    bits = re.search(r"\d", name)
    return f"{bits.group()}-bit ({name})" if bits else "GGUF of unknown precision"


@contextmanager
def _weights_counted(file: Path, report: Callable[[float], None]) -> Iterator[None]:
    """While it lasts, `gguf.dequantize`, which transformers calls for each tensor, works part by part.

    report: the share of all weights that are read, 0…1; it may raise to stop. A tensor may hold most of a model: read
    at once, it would be a minute without a word.
    """
    import gguf

    total = sum(int(tensor.n_elements) for tensor in gguf.GGUFReader(file).tensors)
    whole, done = gguf.dequantize, 0

    def dequantize(data: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
        nonlocal done
        rows = max(1, _WEIGHTS_AT_ONCE * len(data) // max(1, data.size)) if data.ndim > 1 else len(data)
        parts = []
        for start in range(0, len(data), rows):
            parts.append(whole(data[start : start + rows], kind))
            done += parts[-1].size
            report(min(1.0, done / total))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    with _converting:  # one at a time: the function belongs to everybody
        gguf.dequantize = dequantize
        try:
            yield
        finally:
            gguf.dequantize = whole


def convert_gguf(file: Path, folder: Path, model: str, report: Callable[[float], None] = lambda done: None) -> None:
    """Write the file's weights as float32 safetensors, its config, tokenizer and declared reading into the folder.

    Exact: every block of a GGUF stands for float32 numbers, and those are what is written. Reading a GGUF takes
    seconds for each 100 million weights; what is written here loads in a fraction of a second.

    report: how much of it is done, 0…1; it may raise to stop.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with _weights_counted(file, lambda done: report(_READING_SHARE * done)):
            network = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except ImportError as error:
        reason = "GGUF files need the Python packages gguf and accelerate."
        raise UnsupportedModel(model=model, reason=reason) from error
    except (ValueError, KeyError, NotImplementedError, RuntimeError) as error:
        reason = f"its GGUF file cannot be converted ({_first_sentence(error)})."
        raise UnsupportedModel(model=model, reason=reason) from error
    report(_READING_SHARE)
    _add_special_tokens(tokenizer, file)
    unread = require_followed(file, network, tokenizer, model)
    write_reading(read_fields(file), folder, model)
    (folder / UNREAD).write_text(json.dumps(unread), encoding="utf-8")
    unmark_quantized(network)
    try:
        network.save_pretrained(folder)
    except SafetensorError as error:  # the disk is full: safetensors does not say so with an OSError
        raise OSError(errno.EIO, str(error)) from error
    tokenizer.save_pretrained(folder)
    del network, tokenizer
    gc.collect()


def _add_special_tokens(tokenizer, file: Path) -> None:
    """Put BOS before and EOS after every text where the file says so: not every transformers release reads it."""
    from gguf import GGUFReader
    from tokenizers.processors import TemplateProcessing

    fields = GGUFReader(file).fields
    ids = {}
    for name in ("bos", "eos"):
        add = fields.get(f"tokenizer.ggml.add_{name}_token")
        token_id = fields.get(f"tokenizer.ggml.{name}_token_id")
        if add and token_id and add.contents():
            ids[name] = int(token_id.contents())
    before, after = ([ids[name]] if name in ids else [] for name in ("bos", "eos"))
    expected = before + tokenizer("a", add_special_tokens=False)["input_ids"] + after
    if tokenizer("a")["input_ids"] == expected:
        return
    tokens = {name: tokenizer.convert_ids_to_tokens(number) for name, number in ids.items()}
    template = f"{tokens.get('bos', '')} $A {tokens.get('eos', '')}".strip()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=template, special_tokens=[(tokens[name], ids[name]) for name in ids]
    )


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.split(". ")[0].rstrip(".")[:200] or type(error).__name__
