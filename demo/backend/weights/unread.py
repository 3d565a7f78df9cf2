"""Unread: what a checkpoint says of itself and the lab does not follow. It is refused, or named in a notice."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import transformers

from demo.domain.errors import UnsafeWeights

_MOST_NAMES = 3
_BUFFERS = re.compile(r"(position_ids|inv_freq|attn\.(masked_)?bias)$")  # of older releases; nothing is lost with them
_CLASSIFIERS = ("ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")
CLASSIFIER = "It was trained to classify; its states were never trained for cosines."
_CROSS_ENCODER = "It is a cross-encoder, which scores a pair of texts; its states were never trained for cosines."


def check_own_code(folder: Path, model: str, embeds: bool) -> tuple[str, ...]:
    """Notices about code of its own (`auto_map`), which never runs. embeds: whether it is a checkpoint for embeddings.

    Raises UnsafeWeights where that code makes the vectors: in a checkpoint for embeddings, or under a name that
    transformers does not have. A GPT whose classes transformers has under the same names carries a stale copy of them.
    """
    notices = []
    for file in ("config.json", "tokenizer_config.json"):
        named = _auto_map(folder / file)
        classes = {reference.rsplit(".", 1)[-1] for reference in named.values()}
        described = ", ".join(f"{key}: {reference}" for key, reference in named.items())
        if not named:
            continue
        if embeds or not all(hasattr(transformers, name) for name in classes):
            reason = f"auto_map in its {file} names code of its own ({described}), which makes its vectors"
            raise UnsafeWeights(model=model, reason=reason)
        notices.append(
            f"auto_map in its {file} names code of its own ({described}), which never runs; transformers' classes of "
            "the same names compute these vectors, and the publisher's may differ."
        )
    return tuple(notices)


def _auto_map(file: Path) -> dict[str, str]:
    """What a JSON file names as code: auto class → module.Class."""
    try:
        named = json.loads(file.read_text(encoding="utf-8")).get("auto_map") or {}
    except (OSError, ValueError, AttributeError):
        return {}
    listed = {key: values if isinstance(values, list) else [values] for key, values in named.items()}
    return {key: value for key, values in listed.items() for value in values if isinstance(value, str)}


def describe_purpose(config) -> tuple[str, ...]:
    """A notice where a checkpoint was trained for something else than states or next tokens."""
    architecture = (config.architectures or [""])[0]
    if not architecture.endswith(_CLASSIFIERS):
        return ()
    scores = architecture.endswith("ForSequenceClassification") and config.num_labels == 1
    return (_CROSS_ENCODER if scores or hasattr(config, "sentence_transformers") else CLASSIFIER,)


def describe_unread_weights(network, config, unexpected: Sequence[str]) -> tuple[str, ...]:
    """A notice about tensors of the checkpoint for which its class has no place; heads of its own class aside."""
    loaded, declared = type(network).__name__, (config.architectures or [""])[0]
    has_own_head = declared != loaded and hasattr(transformers, declared)
    prefix = f"{network.base_model_prefix}."
    unread = [name for name in unexpected if not _BUFFERS.search(name)]
    if has_own_head:
        unread = [name for name in unread if name.startswith(prefix)]
    if not unread:
        return ()
    return (f"transformers' {loaded} has no place for some weights of the checkpoint: {shorten(unread)}.",)


def shorten(names: Sequence[str]) -> str:
    """The first names, and how many there are besides."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(sorted(names)[:_MOST_NAMES]) + more
