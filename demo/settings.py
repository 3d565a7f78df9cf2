"""Settings: the only reader of flags and environment. Every flag has an environment twin, DEMO_<NAME>.

A flag wins over the environment, the environment over the default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path
from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from demo.catalog import DEFAULT_MODEL


def _on_spaces() -> bool:
    return "SPACE_ID" in os.environ


def _on_zerogpu() -> bool:
    return bool(os.environ.get("SPACES_ZERO_GPU"))


class Settings(BaseSettings):
    """What a host decides. Frozen: made once, at the start, and handed down."""

    model_config = SettingsConfigDict(
        env_prefix="DEMO_",
        frozen=True,
        extra="ignore",
        cli_prog_name="python app.py",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        populate_by_name=True,
        protected_namespaces=(),
    )

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on; 0.0.0.0 for a classroom.",
        validation_alias=AliasChoices("host", "DEMO_HOST", "GRADIO_SERVER_NAME"),
    )
    port: int = Field(
        7860,
        ge=0,
        le=65535,
        description="Port to listen on; 0 takes any free one.",
        validation_alias=AliasChoices("port", "DEMO_PORT", "GRADIO_SERVER_PORT"),
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, xpu, mps.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Precision of the computation; auto takes bfloat16 where the device computes it natively."
    )
    model: str = Field(DEFAULT_MODEL, description="The model the page opens with.")
    engine: Literal["local", "zerogpu", "fake"] = Field(
        default_factory=lambda: "zerogpu" if _on_zerogpu() else "local",
        description="local: this machine's GPU or CPU. zerogpu: a Space's lent GPU. fake: no weights, for tests.",
    )
    preload: tuple[str, ...] = Field(
        ("smollm2-135m-instruct", "all-minilm-l6-v2", "gpt2", "qwen3-0.6b", "qwen3-embedding-0.6b"),
        description="The models that a ZeroGPU Space keeps ready; it offers no others.",
    )
    public: bool = Field(
        default_factory=_on_spaces,
        description="Offer the catalogue only: nobody can name a Hub id or a folder.",
    )
    live: bool = Field(
        default_factory=lambda: not _on_zerogpu(),
        description="Recompute while people type; off, a button does it.",
    )
    threads: int = Field(0, ge=0, description="Processor threads for torch; 0 leaves it to torch.")
    memory_gb: float = Field(
        0, ge=0, description="Memory that loaded models may take together, in GiB; 0 takes 70 % of what is free."
    )
    cache_mb: int = Field(256, ge=0, description="Memory for embeddings already computed, in MiB.")
    disk_cache_mb: int = Field(
        0,
        ge=0,
        description="Disk for embeddings already computed, in MiB, in the cache folder, kept across restarts; 0: none. "
        "Vectors under digests, no texts.",
    )
    cache_dir: Path = Field(
        default_factory=lambda: user_cache_path("gpt-embedding-lab"),
        description="Where downloaded and converted weights are kept.",
    )
    max_texts: int = Field(200, ge=1, description="Questions, and answers, at most.")
    max_characters: int = Field(20_000, ge=1, description="Characters of one text, at most.")
    max_tokens: int = Field(2048, ge=16, description="Tokens of one text; what is longer is cut, and the page says so.")
    max_cells: int = Field(20_000, ge=1, description="Questions × answers, at most.")
    max_file_texts: int = Field(
        1000, ge=1, le=5000, description="Different questions, and answers, of a file in the tab for it, at most."
    )
    max_trainings: int = Field(1, ge=1, description="Training runs of the page at once; the others wait in line.")
    train_minutes: int = Field(20, ge=1, description="Minutes that a training run of the page may take, at most.")
    train_lora: bool = Field(
        default_factory=lambda chosen: not chosen["public"],
        description="Offer training of adapters on the page, which takes minutes, beside that of a projection; by "
        "default where --public is off.",
    )


def parse_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from a command line (None: environment only). A bad value ends the process: code 2, one line."""
    try:
        return Settings(_cli_parse_args=list(arguments) if arguments is not None else None)
    except ValidationError as error:
        for wrong in error.errors():
            if wrong["type"] == "default_factory_not_called":  # a default that another field's mistake left open
                continue
            name = str(wrong["loc"][0]).removeprefix("DEMO_").lower() if wrong["loc"] else "settings"
            print(f"--{name.replace('_', '-')} {wrong['input']!r}: {wrong['msg']}.", file=sys.stderr)
        raise SystemExit(2) from error
