"""sentence-transformers config: the reading that a checkpoint's folder declares, in the forms of releases 2 to 6.

Reads the JSON files of a folder. Imports no torch. What it does not understand it refuses, or names in a notice: a
reading that leaves something out without a word would look right and be wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from demo.backend.model.st_prompts import choose_prompts
from demo.domain.datamodels import ChatFormat, Pooling
from demo.domain.errors import UnsafeWeights, UnsupportedModel

_NAMES = {  # newer name of a pooling, end of its older flag, in the order in which sentence-transformers joins them
    Pooling.FIRST_TOKEN: ("cls", "cls_token"),
    Pooling.MAX: ("max", "max_tokens"),
    Pooling.MEAN: ("mean", "mean_tokens"),
    Pooling.MEAN_SQRT_LEN: ("mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    Pooling.WEIGHTED_MEAN: ("weightedmean", "weightedmean_tokens"),
    Pooling.LAST_TOKEN: ("lasttoken", "lasttoken"),
}
MODES = {name: pooling for pooling, (name, _) in _NAMES.items()}
POOLING_FLAGS = {f"pooling_mode_{flag}": pooling for pooling, (_, flag) in _NAMES.items()}  # every release reads them
TRANSFORMER_CONFIGS = [
    f"sentence_{kind}_config.json" for kind in "bert roberta distilbert camembert albert xlm-roberta xlnet".split()
]
OWN_CONFIG = "config_sentence_transformers.json"
_AFTER_POOLING = {"Dense", "Dropout", "LayerNorm", "Normalize"}
_MODULE_KEYS = {  # of each module's config.json, with the values that change nothing here
    "Pooling": {"embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt", *POOLING_FLAGS},
    "WeightedLayerPooling": {"embedding_dimension", "word_embedding_dimension", "layer_start", "num_hidden_layers"},
    "Dense": {"in_features", "out_features", "bias", "activation_function", "use_residual"},
    "LayerNorm": {"dimension"},
    "Normalize": set(),
    "Dropout": {"dropout"},
}
_PORTS = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
_TOKENIZER_OPTIONS = set(
    "add_bos_token add_eos_token add_prefix_space bos_token clean_up_tokenization_spaces cls_token do_lower_case "
    "eos_token fix_mistral_regex legacy mask_token model_max_length pad_token padding_side sep_token strip_accents "
    "tokenize_chinese_chars truncation_side unk_token use_fast".split()
)
# Of the model: its precision, which the lab chooses by itself and states, and ways to the same vectors.
_HARMLESS_OPTIONS = set(
    "add_pooling_layer attn_implementation device_map dtype low_cpu_mem_usage torch_dtype use_safetensors".split()
)
_RESERVED = set("cache_dir code_revision force_download local_files_only proxies revision subfolder token".split())
_NOT_OF_THE_TEMPLATE = set("max_length padding return_dict return_tensors tokenize truncation".split())
_KNOWN_OWN = {"__version__", "default_prompt_name", "model_type", "prompts", "similarity_fn_name", "truncate_dim"}


@dataclass(frozen=True)
class Module:
    """One module of modules.json."""

    kind: str  # class name
    folder: Path
    config: Mapping[str, Any]


@dataclass(frozen=True)
class DeclaredReading:
    """How a checkpoint declares that its embeddings are made. Prompts are None where it has none."""

    poolings: tuple[Pooling, ...] = (Pooling.MEAN,)  # joined, if there are several
    query_prompt: str | None = None
    document_prompt: str | None = None
    include_prompt: bool = True
    max_tokens: int | None = None
    transformer: Path = Path()  # folder of config, weights and tokenizer
    lower_case: bool = False
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)
    config_options: Mapping[str, Any] = field(default_factory=dict)
    chat: bool = False  # the input is a chat message
    chat_structured: bool = False
    chat_options: tuple[tuple[str, Any], ...] = ()
    layers: Module | None = None  # WeightedLayerPooling
    after: tuple[Module, ...] = ()  # the pooling, but Dropout
    truncate: int | None = None
    notices: tuple[str, ...] = ()

    @property
    def normalize(self) -> bool:
        """Whether a normalization is all that follows the pooling."""
        return [module.kind for module in self.after] == ["Normalize"]

    @property
    def own_settings(self) -> tuple[str, ...]:
        """What it changes of tokenizer and model when they are loaded, beyond the length of a text."""
        harmless = {"padding_side", "pad_token", "use_fast", "clean_up_tokenization_spaces"}
        names = (set(self.tokenizer_options) - harmless) | set(self.config_options)
        return (*sorted(names), *(("do_lower_case",) if self.lower_case else ()))

    @property
    def own_modules(self) -> tuple[str, ...]:
        """What `Pooling.OWN` computes, in words; () where one of the other poolings and a normalization are all."""
        if len(self.poolings) == 1 and not self.layers and not self.truncate and (self.normalize or not self.after):
            return ()
        joined = " + ".join(pooling.value for pooling in self.poolings)
        before = ("WeightedLayerPooling",) if self.layers else ()
        after = (f"the first {self.truncate} numbers",) if self.truncate else ()
        return (*before, joined, *(module.kind for module in self.after), *after)

    def chat_format(self, template: str | None, model: str) -> ChatFormat | None:
        """How a text becomes a chat message; None where the input is the text itself."""
        if not self.chat:
            return None
        if not template:
            _refuse(model, "its input is a chat message, and its tokenizer has no chat template.")
        return ChatFormat(self.chat_structured, self.chat_options, names_task="task" in str(template))


def read_declared_reading(folder: Path, model: str, query_name: str = "") -> DeclaredReading | None:
    """The declared reading, or None for a folder that is no sentence-transformers checkpoint.

    query_name: the prompt for questions where the checkpoint has several and none is called "query". Raises
    UnsupportedModel or UnsafeWeights for what the lab does not read, or is damaged.
    """
    if not (folder / "modules.json").is_file():
        return None
    modules = _read_modules(folder, model)
    own = _load(folder / OWN_CONFIG, model)
    kind = own.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        _refuse(model, f"it is a {kind} of sentence-transformers; models of one dense vector a text can be read.")
    transformer, layers, pooling, after = _arrange(modules, model)
    query, document, notices = choose_prompts(own, query_name, model)
    notices += _own_notices(own)
    truncate = own.get("truncate_dim")
    if truncate is not None and (not isinstance(truncate, int) or truncate < 1):
        _refuse(model, f"its truncate_dim ({truncate}) is no number of dimensions.")
    return DeclaredReading(
        poolings=_read_modes(pooling, model),
        query_prompt=query,
        document_prompt=document,
        include_prompt=bool(pooling.config.get("include_prompt", True)),
        transformer=transformer.folder,
        layers=layers,
        after=after,
        truncate=truncate,
        notices=notices,
        **_read_transformer(transformer.folder, model),
    )


def _read_modules(folder: Path, model: str) -> list[Module]:
    listed = _load(folder / "modules.json", model, list)
    modules = []
    for entry in listed:
        kind, path = (entry.get("type"), entry.get("path", "")) if isinstance(entry, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(path, str):
            _refuse(model, "its modules.json is damaged.")
        if not kind.startswith("sentence_transformers."):
            raise UnsafeWeights(model=model, reason=f"it would have to run code that comes with it ({kind})")
        place = folder / path
        if not place.resolve().is_relative_to(folder.resolve()):
            _refuse(model, f"its modules.json names a folder outside of its own ({path}).")
        name = kind.rsplit(".", 1)[-1]
        config = _load(place / "config.json", model) if name in _MODULE_KEYS else {}
        modules.append(Module(name, place, config))
    return modules


def _arrange(modules: Sequence[Module], model: str) -> tuple[Module, Module | None, Module, tuple[Module, ...]]:
    """(transformer, weighted layers, pooling, modules after it). Raises UnsupportedModel for any other arrangement."""
    for module in modules:
        if module.kind not in {"Transformer", *_MODULE_KEYS}:
            _refuse(model, f"the lab does not read its {module.kind} module.")
        _check_keys(module, model)
    kinds = [module.kind for module in modules]
    if "Pooling" not in kinds or kinds[0] != "Transformer":
        _refuse(model, f"its modules ({', '.join(kinds)}) make no vector of a text that the lab can read.")
    place = kinds.index("Pooling")
    before, after = modules[1:place], modules[place + 1 :]
    for module in before if kinds[1:place] != ["WeightedLayerPooling"] else ():
        _refuse(model, f"the lab does not read its {module.kind} module before the pooling.")
    for module in after:
        if module.kind not in _AFTER_POOLING:
            _refuse(model, f"the lab does not read its {module.kind} module after the pooling.")
    kept = tuple(module for module in after if module.kind != "Dropout")  # it does nothing but in training
    return modules[0], before[0] if before else None, modules[place], kept


def _check_keys(module: Module, model: str) -> None:
    if module.kind not in _MODULE_KEYS:
        return
    for name, value in module.config.items():
        expected = _PORTS.get(name) if module.kind in ("Dense", "Normalize") else None
        if name not in _MODULE_KEYS[module.kind] and value not in (expected, None):
            _refuse(model, f"its {module.kind} module has a setting that the lab does not read ({name}: {value}).")


def _read_modes(pooling: Module, model: str) -> tuple[Pooling, ...]:
    """The modes, in the old form (one flag a mode) or the new one ("pooling_mode": "mean", or a list)."""
    named = pooling.config.get("pooling_mode")
    if named is None:
        return tuple(mode for flag, mode in POOLING_FLAGS.items() if pooling.config.get(flag)) or (Pooling.MEAN,)
    modes = named if isinstance(named, list) else [named]
    for mode in modes:
        if not isinstance(mode, str) or mode not in MODES:
            _refuse(model, f"the lab does not know its pooling ({mode}).")
    return tuple(MODES[mode] for mode in modes) or (Pooling.MEAN,)


def _read_transformer(folder: Path, model: str) -> dict[str, Any]:
    """What sentence_bert_config.json, or one of its older names, says of tokenizer and model."""
    config = next((found for name in TRANSFORMER_CONFIGS if (found := _load(folder / name, model))), {})
    options = {
        new: {**_pop_object(config, old, model), **_pop_object(config, new, model)}
        for old, new in (
            ("tokenizer_args", "processor_kwargs"),
            ("model_args", "model_kwargs"),
            ("config_args", "config_kwargs"),
        )
    }
    for values in options.values():
        values.pop("trust_remote_code", None)  # sentence-transformers leaves it out, too
    tokenizer, network, settings = (options[name] for name in ("processor_kwargs", "model_kwargs", "config_kwargs"))
    unread = [*(set(tokenizer) - _TOKENIZER_OPTIONS), *(set(network) - _HARMLESS_OPTIONS), *(set(settings) & _RESERVED)]
    config.pop("unpad_inputs", None)  # a way to the same vectors
    longest = tokenizer.pop("model_max_length", config.pop("max_seq_length", None))
    lower_case = bool(config.pop("do_lower_case", False))
    task, output = config.pop("transformer_task", None), config.pop("module_output_name", None)
    chat = _read_modality(config.pop("modality_config", None), _pop_object(config, "processing_kwargs", model), model)
    unread += [name for name, value in config.items() if value is not None]
    unread += ["transformer_task"] * (task not in (None, "feature-extraction"))
    unread += ["module_output_name"] * (output not in (None, "token_embeddings"))
    if longest is not None and (not isinstance(longest, int) or isinstance(longest, bool) or longest < 1):
        unread.append("max_seq_length")
    if unread:
        _refuse(model, f"its Transformer module has settings that the lab does not read ({', '.join(sorted(unread))}).")
    return {
        "max_tokens": longest,
        "lower_case": lower_case,
        "tokenizer_options": tokenizer,
        "config_options": settings,
        **chat,
    }


def _read_modality(modality: Any, processing: Any, model: str) -> dict[str, Any]:
    """Whether the input is the text or a chat message; without a word it is the text, as in older releases."""
    expected = {"method": "forward", "method_output_name": "last_hidden_state"}
    modality = {"text": expected} if modality is None else modality
    chosen = modality.get("message", modality.get("text")) if isinstance(modality, dict) else None
    if not isinstance(chosen, dict) or {name: chosen.get(name) for name in expected} != expected:
        _refuse(model, "its input is no text (modality_config), or its output not the last layer's states.")
    options = _pop_object(processing, "chat_template", model)
    unread = [*(name for name, value in processing.items() if value), *(_NOT_OF_THE_TEMPLATE & set(options))]
    unread += [name for name, value in options.items() if not isinstance(value, bool | int | float | str | None)]
    unread += ["restore_suffix"] * (not options.pop("restore_suffix", True))
    form = chosen.get("format") if "message" in modality else "flat"
    if unread or form not in ("flat", "structured"):
        names = ", ".join(sorted(unread)) or f"format: {form}"
        _refuse(model, f"its processing_kwargs have settings that the lab does not read ({names}).")
    return {
        "chat": "message" in modality,
        "chat_structured": form == "structured",
        "chat_options": tuple(sorted(options.items())),
    }


def _own_notices(own: Mapping[str, Any]) -> tuple[str, ...]:
    notices = ()
    similarity = own.get("similarity_fn_name")
    if similarity not in (None, "cosine"):
        notices += (f"The checkpoint was made for another similarity ({similarity}); the lab compares by cosine.",)
    unknown = sorted(set(own) - _KNOWN_OWN)
    if unknown:
        notices += (f"Not read of the checkpoint's {OWN_CONFIG}: {', '.join(unknown)}.",)
    return notices


def _pop_object(config: dict, name: str, model: str) -> dict:
    """A JSON object out of another; {} where there is none."""
    value = config.pop(name, None) or {}
    if not isinstance(value, dict):
        _refuse(model, f"the lab cannot read its {name}.")
    return dict(value)


def _load(path: Path, model: str, kind: type = dict) -> Any:
    """A JSON object (or list); empty where there is no file. Raises UnsupportedModel for anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return kind()
    except (OSError, ValueError) as error:
        raise UnsupportedModel(model=model, reason=f"its {path.name} is damaged.") from error
    if not isinstance(value, kind):
        _refuse(model, f"its {path.name} is damaged.")
    return value


def _refuse(model: str, reason: str) -> NoReturn:
    raise UnsupportedModel(model=model, reason=reason)
