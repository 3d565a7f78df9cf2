"""Network: what transformers makes of a checkpoint's folder: config, tokenizer and model; none of its code runs."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from demo.backend.model.device import Placement
from demo.backend.model.forward import every_layer, find_anatomy, hidden_states, logits, looks_back_only
from demo.backend.model.st_config import DeclaredReading
from demo.backend.model.tokenization import lower_texts
from demo.backend.private_apis import is_causal
from demo.backend.weights.unread import describe_unread_weights
from demo.domain.datamodels import LAST_LAYER
from demo.domain.errors import UnsafeWeights, UnsupportedModel


def load_config(folder: Path, name: str, own: DeclaredReading | None):
    """transformers' config of a folder. Raises UnsafeWeights, UnsupportedModel."""
    options = own.config_options if own else {}
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except (ValueError, OSError, KeyError) as error:
        if "trust_remote_code" in str(error):
            raise UnsafeWeights(model=name, reason="it would have to run code that comes with it") from error
        raise UnsupportedModel(model=name, reason="transformers does not know its architecture.") from error
    if config.is_encoder_decoder:
        raise UnsupportedModel(model=name, reason="it is an encoder–decoder; GPTs and encoders can be read.")
    return config


def load_tokenizer(folder: Path, name: str, own: DeclaredReading | None) -> PreTrainedTokenizerBase:
    """transformers' fast tokenizer of a folder. Raises UnsupportedModel."""
    options = own.tokenizer_options if own else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except (ValueError, OSError, KeyError, ImportError) as error:
        raise UnsupportedModel(model=name, reason="its tokenizer cannot be loaded.") from error
    if not tokenizer.is_fast:
        raise UnsupportedModel(model=name, reason="its tokenizer gives no offsets (it has no fast version).")
    if own and own.lower_case:
        lower_texts(tokenizer)
    return tokenizer


def load_network(
    folder: Path, config, placement: Placement, name: str
) -> tuple[torch.nn.Module, bool, tuple[str, ...]]:
    """(model, whether it has an LM head of its own, notices about weights that it does not read)."""
    causal = is_causal(config)
    options = {
        "config": config,
        "dtype": placement.dtype,
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": False,
        "output_loading_info": True,
    }
    if placement.dtype is not torch.float32:
        # Fused attention rounds differently for every padded width: measured on SmolLM2 in bfloat16, a short text's
        # vector turned to a cosine of .998 with longer batch mates. Eager attention gives the same bits in any batch.
        options["attn_implementation"] = "eager"
    try:
        network, report = (AutoModelForCausalLM if causal else AutoModel).from_pretrained(folder, **options)
        has_lm_head = causal and not _is_head_missing(network, report["missing_keys"])
    except (ValueError, OSError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise UnsupportedModel(model=name, reason=f"its weights cannot be loaded ({type(error).__name__}).") from error
    stored = getattr(network.config, "quantization_config", None)
    if stored and getattr(network, "hf_quantizer", None) is None:
        method = dict(stored).get("quant_method", "unnamed")
        raise UnsupportedModel(
            model=name, reason=f"transformers does not know how its weights are quantized ({method})."
        )
    # transformers fills what is missing with random numbers. A pooler (BERT) is never read; a head is dropped.
    missing = [key for key in report["missing_keys"] if "pooler" not in key and not _is_head(network, key)]
    if missing:
        raise UnsupportedModel(model=name, reason=f"its checkpoint lacks weights, {sorted(missing)[0]} among them.")
    unread = describe_unread_weights(network, config, report["unexpected_keys"])
    if causal and not has_lm_head:
        network = network.base_model
    return network.to(placement.device).eval().requires_grad_(False), has_lm_head, unread


def _is_head_missing(network, missing_keys) -> bool:
    return network.get_output_embeddings() is None or any(_is_head(network, key) for key in missing_keys)


def _is_head(network, key: str) -> bool:
    """Whether a parameter's name belongs to the output embeddings."""
    head = network.get_output_embeddings()
    return head is not None and any(
        module is head and key.startswith(f"{name}.") for name, module in network.named_modules()
    )


@torch.inference_mode()
def check_states(network, has_lm_head: bool, name: str) -> bool:
    """Whether our logits of a two-token text equal the model's own; families differ in what follows the head.

    Raises UnsupportedModel where the states of some layer are not those that transformers calls so, or attention goes
    in other directions than the config says.
    """
    settings = network.config.get_text_config()
    both = not getattr(settings, "is_causal", True) or getattr(settings, "use_bidirectional_attention", None) is True
    if both and looks_back_only(network):
        reason = "its config.json asks for attention in both directions, and transformers' model of it only looks back."
        raise UnsupportedModel(model=name, reason=reason)
    anatomy = find_anatomy(network, has_lm_head)
    ids = torch.tensor([[1, 2]], device=next(network.parameters()).device)
    output = network(input_ids=ids, output_hidden_states=True)
    ours = every_layer(anatomy, ids, None, lambda states: states)
    ours[-1] = hidden_states(anatomy, ids, None, LAST_LAYER)
    theirs = [*(output.hidden_states or ())[:-1], output.get("last_hidden_state", ours[-1])]
    if len(theirs) != len(ours) or not all(map(_same, ours, theirs)) or any(states.dim() != 3 for states in ours):
        raise UnsupportedModel(model=name, reason="its blocks do not make the hidden states that transformers gives.")
    return anatomy.head is None or _same(logits(anatomy, ours[-1][:, -1], LAST_LAYER), output.logits[:, -1])


def _same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    if ours.shape != theirs.shape:
        return False
    return bool((ours.float() - theirs.float()).norm() <= 0.02 * theirs.float().norm())  # far above rounding
