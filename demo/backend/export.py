"""Export: a reading as a folder that `SentenceTransformer(folder)` loads, with the same vectors.

The weights are those in memory, in the precision in which they compute.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from demo.backend.loader import Checkpoint
from demo.backend.model.st_config import MODES, POOLING_FLAGS
from demo.backend.weights.adapters import replaced_whole
from demo.backend.weights.download import describe_os_error
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import LAST_LAYER, ChatFormat, Pooling, Prompt, Reading
from demo.domain.errors import BadInput, ReadingRefused

_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---

# {name}, {label}

Written by the lab "Are GPTs good embedding models?".

- Model: {name}, revision {revision}, from {source}
- Licence of the weights: {licence}
- Weights: {weights} at the source, {precision} here
- Reading: {label}
- Texts longer than {max_tokens} tokens are cut. The lab reads texts without white space around them, and this folder
  reads them as they are: `text.strip()` first.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("this folder")
model.encode_query(["a question"]), model.encode_document(["an answer"])
```

The vectors are the lab's, within the rounding of {precision}. {needs}
"""


def export_sentence_transformer(
    checkpoint: Checkpoint, reading: Reading, prompts: Mapping[str, str], out: Path
) -> None:
    """Write the folder `out`: all of it, or nothing.

    prompts: what stands before a "query" and before a "document". Raises BadInput where the folder holds something
    already or cannot be written, ReadingRefused for what such a folder cannot hold.
    """
    _require_expressible(checkpoint, reading)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BadInput(field="out", problem=f"{out} is there already. A new or an empty folder is accepted.")
        with replaced_whole(out) as folder:
            _write(checkpoint, reading, prompts, folder)
    except OSError as error:
        raise BadInput(field="out", problem=f"{out} cannot be written: {describe_os_error(error)}.") from error


def _require_expressible(checkpoint: Checkpoint, reading: Reading) -> None:
    info = checkpoint.info
    if reading.pooling is Pooling.LAST_TOKEN_LOGITS:
        field, reason = "pooling", "sentence-transformers pools hidden states, not the logits of an LM head."
    elif reading.layer not in (LAST_LAYER, info.n_layers):
        field, reason = "layer", "sentence-transformers reads the last layer only."
    elif info.projected:
        field, reason = "model", "sentence-transformers has no place for a map inside the model."
    elif _padding(checkpoint.tokenizer) is None:
        field, reason = "model", "its tokenizer has no token to pad with."
    else:
        return
    raise ReadingRefused(field=field, model=info.name, reason=reason)


def _write(checkpoint: Checkpoint, reading: Reading, prompts: Mapping[str, str], folder: Path) -> None:
    info, declared, own = checkpoint.info, checkpoint.declared, reading.pooling is Pooling.OWN
    chat = ChatFormat() if reading.prompt is Prompt.CHAT else info.own_chat if reading.prompt is Prompt.OWN else None
    checkpoint.anatomy.backbone.save_pretrained(folder)
    _tokenizer(checkpoint.tokenizer, chat is not None).save_pretrained(folder)
    before, after = ([declared.layers] if declared.layers else [], declared.after) if own else ([], ())
    kinds = ["Transformer", *(module.kind for module in before), "Pooling", *(module.kind for module in after)]
    kinds += ["Normalize"] * reading.normalize
    paths = [f"{place}_{kind}" if place else "" for place, kind in enumerate(kinds)]
    transformer = {"max_seq_length": info.max_tokens, "do_lower_case": False}
    if chat:
        # Texts are read as messages; "flat" is a message whose content is the text itself.
        form = "structured" if chat.structured else "flat"
        forward = {"method": "forward", "method_output_name": "last_hidden_state"}
        transformer["modality_config"] = {"text": forward, "message": {**forward, "format": form}}
        transformer["module_output_name"] = "token_embeddings"
        transformer["processing_kwargs"] = {"chat_template": dict(chat.options)}
    poolings = declared.poolings if own else (reading.pooling,)
    modes = {flag: pooling in poolings for flag, pooling in POOLING_FLAGS.items()}  # every release reads these
    if poolings != tuple(pooling for pooling in POOLING_FLAGS.values() if pooling in poolings):  # in another order
        modes = {"pooling_mode": [name for pooling in poolings for name, mode in MODES.items() if mode is pooling]}
    files = {
        "modules.json": [
            {"idx": i, "name": str(i), "path": paths[i], "type": f"sentence_transformers.models.{kind}"}
            for i, kind in enumerate(kinds)
        ],
        "sentence_bert_config.json": transformer,
        f"{paths[1 + len(before)]}/config.json": {
            "word_embedding_dimension": info.last_dim or info.dim,
            **modes,
            "include_prompt": info.include_prompt,
        },
        "config_sentence_transformers.json": {
            "prompts": dict(prompts),
            # What `encode` writes before a text when it is not told which kind of text it is.
            "default_prompt_name": "document" if prompts.get("document") else None,
            "similarity_fn_name": "cosine",
            "truncate_dim": declared.truncate if own else None,
        },
    }
    for module, path in [*zip(before, paths[1:], strict=False), *zip(after, paths[2 + len(before) :], strict=False)]:
        (folder / path).mkdir()
        for name in filter(lambda name: (module.folder / name).exists(), ("config.json", "model.safetensors")):
            shutil.copyfile(module.folder / name, folder / path / name)
    if reading.normalize:
        files[f"{paths[-1]}/config.json"] = {}
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    (folder / "README.md").write_text(_card(checkpoint, reading), encoding="utf-8")


def _tokenizer(tokenizer: PreTrainedTokenizerBase, chat: bool) -> PreTrainedTokenizerBase:
    """The same tokenizer with the lab's padding, without a chat template unless the reading uses it."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.padding_side = "right"
    tokenizer.pad_token = _padding(tokenizer)
    if not chat:
        tokenizer.chat_template = None
    return tokenizer


def _padding(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Any special token will do: what is padded is masked."""
    return tokenizer.pad_token or tokenizer.eos_token or tokenizer.unk_token or tokenizer.bos_token


def _card(checkpoint: Checkpoint, reading: Reading) -> str:
    info = checkpoint.info
    return (
        _CARD.format(
            name=info.name,
            label=reading.label(),
            revision=info.revision,
            source=info.source,
            licence=CATALOG[info.model].licence if info.model in CATALOG else "as its publisher states it",
            weights=info.weights_precision,
            precision=info.precision,
            max_tokens=info.max_tokens,
            needs="Needs sentence-transformers 6." if reading.prompt is Prompt.CHAT or info.own_chat else "",
        ).rstrip()
        + "\n"
    )
