"""sentence-transformers config: the pooling, prompts, normalization and length that a checkpoint declares.

Reads the JSON files of a folder. Imports no torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from demo.domain.datamodels import Pooling

_NAMES = {  # newer name of a pooling, end of its older flag
    Pooling.FIRST_TOKEN: ("cls", "cls_token"),
    Pooling.MAX: ("max", "max_tokens"),
    Pooling.MEAN: ("mean", "mean_tokens"),
    Pooling.MEAN_SQRT_LEN: ("mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    Pooling.WEIGHTED_MEAN: ("weightedmean", "weightedmean_tokens"),
    Pooling.LAST_TOKEN: ("lasttoken", "lasttoken"),
}
_MODES = {name: pooling for pooling, (name, _) in _NAMES.items()}
POOLING_FLAGS = {f"pooling_mode_{flag}": pooling for pooling, (_, flag) in _NAMES.items()}  # every release reads them
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # the names sentence-transformers looks for, in its order
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class DeclaredReading:
    """How a checkpoint declares that its embeddings are made. Prompts are None where it has none."""

    pooling: Pooling | None
    normalize: bool
    query_prompt: str | None
    document_prompt: str | None
    pool_text_only: bool = False  # "include_prompt": false
    max_tokens: int | None = None
    notices: tuple[str, ...] = ()


def read_declared_reading(folder: Path, query_name: str = "") -> DeclaredReading | None:
    """The declared reading, or None for a folder that is no sentence-transformers checkpoint.

    query_name: the prompt for questions where the checkpoint has several and none is called "query".
    """
    modules = _load(folder / "modules.json")
    if not isinstance(modules, list):
        return None
    modules = [module for module in modules if isinstance(module, dict)]
    kinds = {str(module.get("type", "")).rsplit(".", 1)[-1]: str(module.get("path", "")) for module in modules}
    notices = tuple(
        f"The checkpoint also has a {kind} module after the pooling; the lab reads the vector before it."
        for kind in kinds
        if kind not in _KNOWN_MODULES
    )
    pooling_config = _load_object(folder / kinds["Pooling"] / "config.json") if "Pooling" in kinds else {}
    pooling, more = _read_pooling(pooling_config)
    own = _load_object(folder / "config_sentence_transformers.json")
    named = own.get("prompts") if isinstance(own.get("prompts"), dict) else {}
    prompts = {name: text for name, text in named.items() if isinstance(text, str)}
    default = prompts.get(str(own.get("default_prompt_name")))
    document = next((prompts[name] for name in _DOCUMENT_PROMPTS if name in prompts), default)
    query = prompts.get(query_name, prompts.get("query", default))
    has_prompts = any(prompts.values()) and (query or document)
    max_tokens = _load_object(folder / "sentence_bert_config.json").get("max_seq_length")
    return DeclaredReading(
        pooling=pooling,
        normalize="Normalize" in kinds,
        query_prompt=(query or "") if has_prompts else None,
        document_prompt=(document or "") if has_prompts else None,
        pool_text_only=not pooling_config.get("include_prompt", True),
        max_tokens=max_tokens if isinstance(max_tokens, int) else None,
        notices=notices + more,
    )


def _read_pooling(config: dict) -> tuple[Pooling | None, tuple[str, ...]]:
    """The mode, in the old form (one flag a mode) or the new one ("pooling_mode": "mean")."""
    named = config.get("pooling_mode")
    modes = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    poolings = [_MODES[mode] for mode in map(str, modes) if mode in _MODES] if modes else []
    poolings = poolings or [pooling for flag, pooling in POOLING_FLAGS.items() if config.get(flag) and not modes]
    notices = ()
    if len(poolings) > 1:
        notices = (f"The checkpoint joins several poolings; the lab reads the first, {poolings[0].value}.",)
    return (poolings[0] if poolings else None), notices


def _load_object(path: Path) -> dict:
    """A JSON object; {} where there is none or it cannot be read."""
    value = _load(path)
    return value if isinstance(value, dict) else {}


def _load(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
