"""Tiny random sentence-transformers checkpoints, written by that library itself, and edits of their files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import CHAT_TEMPLATE, tiny_config

_SIZES = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
SIZES = {  # of families that conftest does not have
    "distilbert": {"dim": 32, "n_layers": 4, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 512},
    "mpnet": _SIZES,
    "modernbert": {**_SIZES, "max_position_embeddings": 512, "cls_token_id": 1, "sep_token_id": 2},
    "qwen2": {**_SIZES, "num_key_value_heads": 2},
    "xlm-roberta": _SIZES,
}
SPECIAL = {  # what a tokenizer writes around every text
    "none": "$A",
    "both": "<s> $A </s>",
    "before": "<s> $A",
    "after": "$A </s>",
}
STRUCTURED = (
    "{% for message in messages %}[{{ message['role'] }}] {% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %} [end]{% endfor %}"
)
TASK = CHAT_TEMPLATE + "{% if task == 'query' %}<s>{% endif %}{% if add_generation_prompt %}<|im_start|>{% endif %}"


def make_tokenizer(tokenizer, special: str = "none", template: str | None = None, **attributes):
    """A copy of a tokenizer that writes special tokens around a text, and has this chat template or none."""
    import copy

    from tokenizers.processors import TemplateProcessing

    made = copy.deepcopy(tokenizer)
    ids = [(token, made.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
    made.backend_tokenizer.post_processor = TemplateProcessing(single=SPECIAL[special], special_tokens=ids)
    made.chat_template = template
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def save_base(folder: Path, family: str, tokenizer, **config) -> Path:
    """A random backbone of a family, as AutoModel saves it."""
    import torch
    from transformers import AutoConfig, AutoModel

    tokens = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    made = AutoConfig.for_model(family, **tokens, **SIZES[family]) if family in SIZES else None
    made = made or tiny_config(family, len(tokenizer))
    for name, value in config.items():
        setattr(made, name, value)
    torch.manual_seed(0)
    AutoModel.from_config(made).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def no_modules(dim: int) -> list:
    return []


@dataclass(frozen=True)
class Folder:
    """One checkpoint. edits: file → changes of its JSON object, or its whole text. refused, notice: words expected."""

    family: str = "bert"
    special: str = "none"
    template: str | None = None
    pooling: Any = "mean"
    include_prompt: bool = True
    after: Callable[[int], Sequence] = no_modules
    before: Callable[[int], Sequence] = no_modules
    prompts: dict[str, str] | None = None
    default: str | None = None
    tokenizer: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    transformer: dict[str, Any] = field(default_factory=dict)
    edits: dict[str, Any] = field(default_factory=dict)
    truncate: int | None = None
    similarity: str | None = None
    refused: str = ""
    notice: str = ""

    def save(self, folder: Path, tokenizer) -> Path:
        """Write it, as sentence-transformers does, and edit what that has written."""
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

        made = make_tokenizer(tokenizer, self.special, self.template, **self.tokenizer)
        base = save_base(folder / "base", self.family, made, **self.config)
        torch.manual_seed(1)
        first = Transformer(str(base), **self.transformer)
        dim = first.get_embedding_dimension()
        pooling = Pooling(dim, self.pooling, include_prompt=self.include_prompt)
        modules = [first, *self.before(dim), pooling, *self.after(pooling.get_embedding_dimension())]
        model = SentenceTransformer(
            modules=modules,
            device="cpu",
            prompts=self.prompts,
            default_prompt_name=self.default,
            truncate_dim=self.truncate,
            similarity_fn_name=self.similarity,
        )
        model.save_pretrained(str(folder / "checkpoint"), create_model_card=False)
        for name, change in self.edits.items():
            edit(folder / "checkpoint" / name, change)
        return folder / "checkpoint"


def edit(file: Path, change: Any) -> None:
    """Change a JSON file: keys of an object (None removes one), a function of the whole, or its whole text."""
    if isinstance(change, str):
        file.write_text(change)
        return
    value = json.loads(file.read_text()) if file.exists() else {}
    if callable(change):
        value = change(value)
    else:
        value = {name: new for name, new in {**value, **change}.items() if new is not None}
    file.write_text(json.dumps(value))
