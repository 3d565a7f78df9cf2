"""Checkpoint files: whether a folder is a complete checkpoint, its precision, and which of its files are used.

Reads names, JSON and the headers of safetensors; loads no weights.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from demo.domain.errors import UnsafeWeights, UnsupportedModel

# By name, so that neither pickles and code nor second copies (onnx/, consolidated.safetensors) are ever fetched.
ALLOWED = (
    "config.json generation_config.json model.safetensors model-*.safetensors model.safetensors.index.json "
    "tokenizer.json tokenizer_config.json tokenizer.model special_tokens_map.json added_tokens.json vocab.json "
    "vocab.txt merges.txt spiece.model sentencepiece.bpe.model *.tiktoken chat_template.jinja chat_template.json "
    "modules.json config_sentence_transformers.json sentence_*_config.json "
    "[0-9]*_*/config.json [0-9]*_*/model.safetensors"  # sentence-transformers' pooling and dense layers
).split()
LORA_FILE = "adapter_config.json"
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
TOKENIZERS = "tokenizer.json tokenizer_config.json tokenizer.model vocab.json vocab.txt spiece.model".split()
_PRECISIONS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)  # what damaged JSON leads to
_LONGEST_HEADER = 100_000_000  # bytes, as in safetensors itself


def is_allowed(name: str) -> bool:
    """Whether a file of a repository or package belongs to the checkpoint."""
    return any(fnmatchcase(name, pattern) for pattern in ALLOWED)


def find_defect(folder: Path) -> str:
    """Why transformers cannot load this folder; "" when it can."""
    unreadable = "config.json or the list of weight files is not readable"
    try:
        json.loads((folder / "config.json").read_text("utf-8"))
        for file in weight_files(folder):
            unreadable = f"{file.name} is incomplete or not a safetensors file"
            read_header(file)
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except _UNREADABLE:
        return unreadable
    return "" if has_tokenizer(folder) else "the tokenizer is missing"


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer."""
    return any((folder / name).exists() for name in TOKENIZERS) or any(folder.glob("*.tiktoken"))


def module_folders(folder: Path) -> list[Path]:
    """The folders that modules.json names inside this one, the transformer's first; [] where there are none.

    What else it may say is read, or refused, when the checkpoint is loaded.
    """
    try:
        paths = [module["path"] for module in json.loads((folder / "modules.json").read_text("utf-8"))]
        inside = [folder / path for path in paths]
        return [path for path in inside if path.resolve().is_relative_to(folder.resolve())]
    except (OSError, *_UNREADABLE):
        return []


def find_pickle(names: Iterable[str]) -> str:
    """Pickled weights in the checkpoint or in one of its modules' folders without safetensors beside; "" for none."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if not folder or fnmatchcase(folder, "[0-9]*_*"):
            folders.setdefault(folder, []).append(file)
    for folder, files in sorted(folders.items()):
        pickled = [file for file in files if "model" in file and file.endswith(PICKLED)]
        if pickled and not any(file.endswith(".safetensors") for file in files):
            return f"{folder}/{min(pickled)}".lstrip("/")
    return ""


def require_safetensors(folder: Path, name: str, model: str) -> Path:
    """The path of a weight file. Raises UnsafeWeights where only a pickle holds such weights, else UnsupportedModel."""
    if (folder / name).is_file():
        return folder / name
    pickle = find_pickle(path.name for path in folder.iterdir())
    if pickle:
        raise UnsafeWeights(model=model, reason=f"{pickle} holds pickled weights, and there is no {name}")
    raise UnsupportedModel(model=model, reason=f"in this folder, {name} is missing.")


def is_damaged(file: Path) -> bool:
    """Whether a safetensors or JSON file is cut off or unreadable."""
    try:
        if file.suffix == ".safetensors":
            read_header(file)
        elif file.suffix == ".json":
            json.loads(file.read_text("utf-8"))
    except _UNREADABLE:
        return True
    return False


def weight_files(folder: Path) -> list[Path]:
    """The safetensors that transformers would load: the one file, or the parts that its index names."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").exists() or not index.exists():
        return [folder / "model.safetensors"]
    return [folder / name for name in sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))]


def read_header(file: Path) -> dict[str, dict]:
    """A safetensors file's header: tensor name → dtype, shape, offsets. ValueError or KeyError for a cut file."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(size - 8, _LONGEST_HEADER):
            raise ValueError("cut inside its header")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    if size != 8 + length + max((tensor["data_offsets"][1] for tensor in header.values()), default=0):
        raise ValueError("cut inside its tensors")
    return header


def stored_precision(folder: Path) -> str:
    """The dtype of most of the weights."""
    count: Counter[str] = Counter()
    for file in weight_files(folder):
        for tensor in read_header(file).values():
            count[tensor["dtype"]] += math.prod(tensor["shape"])
    dtype = count.most_common(1)[0][0] if count else "F32"
    return _PRECISIONS.get(dtype, dtype.lower())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, memoized until the file changes."""
    stat = path.stat()
    return _sha256_of(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@functools.lru_cache(maxsize=256)
def _sha256_of(path: Path, size: int, modified: int, inode: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
