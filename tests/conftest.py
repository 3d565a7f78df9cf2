"""Fixtures shared by the rooms' tests: tiny random checkpoints of real architectures, and engines over them."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

# Before anything imports them: no test reaches the Hub or phones home.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(2**31))
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:  # two processes on two cores: a thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a background job of a shell, whose children would ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest

from demo.backend.scheduler.malloc import release_freed_memory
from demo.settings import Settings

gc.disable()  # while everything is imported, which leaves no garbage: collecting takes a fifth of that time

TEXTS = [
    "a",
    "What is GPU?",
    "Where is the headquarter of OpenAI?",
    "A graphics processing unit (GPU) is an electronic circuit that can perform mathematical calculations quickly",
    "대한민국의 수도는 어디인가요?",
    "🙂👩‍👩‍👧 emoji and text",
    "  spaces   inside ",
    "one two three four five six seven eight nine ten " * 4,
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
)
# Written for these tests after the model card: one user message becomes <s>[INST] … [/INST].
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]"
    "{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
_COMMON = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
_GQA = {**_COMMON, "num_key_value_heads": 2, "max_position_embeddings": 512}
FAMILIES = ("llama", "mistral", "qwen3", "gemma2", "gemma3_text", "gpt2", "cohere", "granite", "bert")
CAUSAL_FAMILIES = tuple(family for family in FAMILIES if family != "bert")


# Of half a minute and more: each would be the last one of a run, with nothing left to run beside it.
LONGEST = ("test_every_tab_with_its_results", "test_nothing_typed_is_lost", "test_the_main_job_without_a_mouse")


def pytest_collection_modifyitems(items) -> None:
    """The longest tests go first."""
    items.sort(key=lambda item: not item.name.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """What is imported by now stays; without it a collection of garbage takes 20 ms instead of half a second."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def free_memory(request):
    """Of a test on real weights: engines are in cycles, and the heap keeps what they free."""
    yield
    if request.node.get_closest_marker("weights"):
        gc.collect()
        release_freed_memory()


@pytest.fixture(autouse=True, scope="module")
def free_memory_of_module():
    """A module's models leave with it."""
    yield
    gc.collect()
    release_freed_memory()


def tiny_config(family: str, vocab_size: int):
    """A config of a real architecture, small enough for a test."""
    from transformers import AutoConfig

    tokens = {"vocab_size": vocab_size, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    sizes = {
        "gpt2": {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 512},
        "bert": {**_COMMON, "max_position_embeddings": 512},
        "gemma2": {**_GQA, "head_dim": 8, "final_logit_softcapping": 3.0, "sliding_window": 8},
        "gemma3_text": {**_GQA, "head_dim": 8, "sliding_window": 8},
        "qwen3": {**_GQA, "head_dim": 8},
        "granite": {**_GQA, "logits_scaling": 4.0, "embedding_multiplier": 2.0},
        "cohere": {**_GQA, "logit_scale": 0.25},
    }
    return AutoConfig.for_model(family, **tokens, **sizes.get(family, _GQA))


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A byte-level BPE tokenizer trained on the test's own texts: every text has tokens, no text is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(TEXTS, trainer)
    raw.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=512,
        chat_template=CHAT_TEMPLATE,
    )


@pytest.fixture(scope="session")
def mistral_tokenizer(tmp_path_factory):
    """The real Mistral v1 tokenizer."""
    import mistral_common
    from transformers import LlamaTokenizer

    folder = tmp_path_factory.mktemp("mistral-v1")
    shutil.copy(Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1", folder / "tokenizer.model")
    tokenizer = LlamaTokenizer.from_pretrained(folder)
    tokenizer.chat_template = MISTRAL_TEMPLATE
    return tokenizer


def save_tiny(folder: Path, family: str, tokenizer, headless: bool = False) -> Path:
    """A random checkpoint with the same seed every time; headless: the backbone alone, as e5-mistral is stored."""
    import torch
    from transformers import AutoModel, AutoModelForCausalLM

    torch.manual_seed(0)
    config = tiny_config(family, len(tokenizer))
    if headless or family == "bert":
        config.tie_word_embeddings = False
        network = AutoModel.from_config(config)
    else:
        network = AutoModelForCausalLM.from_config(config)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_sentence_transformer(
    folder: Path, mode: str = "mean", normalize: bool = True, prompts: dict | None = None, max_tokens: int = 256
) -> Path:
    """Turn a saved checkpoint into a sentence-transformers folder, in the form its older releases write."""
    kinds = ["Transformer", "Pooling"] + (["Normalize"] if normalize else [])
    paths = ["", "1_Pooling", "2_Normalize"]
    modules = [
        {"idx": i, "name": str(i), "path": paths[i], "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    flags = {
        "cls": "pooling_mode_cls_token",
        "mean": "pooling_mode_mean_tokens",
        "max": "pooling_mode_max_tokens",
        "lasttoken": "pooling_mode_lasttoken",
    }
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "2_Normalize").mkdir(exist_ok=True)
    pooling = {"word_embedding_dimension": 32, **{flag: name == mode for name, flag in flags.items()}}
    files = {
        "modules.json": modules,
        "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {"max_seq_length": max_tokens, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": prompts or {}, "default_prompt_name": None},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_tokenizer):
    """tiny(family, headless=False) → the folder of a random checkpoint, made once a session."""
    made: dict[tuple, Path] = {}

    def make(family: str, headless: bool = False) -> Path:
        key = (family, headless)
        if key not in made:
            folder = tmp_path_factory.mktemp(f"tiny-{family}{'-headless' if headless else ''}")
            made[key] = save_tiny(folder, family, tiny_tokenizer, headless)
        return made[key]

    return make


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(device="cpu", dtype="float32", cache_dir=tmp_path / "cache", public=False, memory_gb=4)


@pytest.fixture
def engine(settings):
    """A LocalEngine on the CPU in float32 with nothing loaded."""
    from demo.backend.local import LocalEngine

    return LocalEngine(settings)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB, and what changes it: `change("size=8m")`, `change("ro")`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only an administrator of Linux can mount a small disk")
    yield folder, lambda how: subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
