"""Settings: flags and environment variables; no other module reads them. Every flag has a variable, DEMO_<NAME>.

A flag takes precedence over the environment, the environment over the default.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path
from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from demo.domain.catalog import DEFAULT_MODEL
from demo.domain.server_address import RemoteServer


def _on_spaces() -> bool:
    return "SPACE_ID" in os.environ


def _on_zerogpu() -> bool:
    return bool(os.environ.get("SPACES_ZERO_GPU"))


class Settings(BaseSettings):
    """The configuration of a host: made once at the start, and frozen."""

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
    weights: Literal["auto", "resident", "stream"] = Field(
        "auto",
        description="Where a model's weights are while it computes. resident: in memory. stream: on disk, read for "
        "every set of texts, where the model allows it. auto: in memory if they fit there.",
    )
    model: str = Field(DEFAULT_MODEL, description="The model the page opens with.")
    engine: Literal["local", "ray", "zerogpu", "fake"] = Field(
        default_factory=lambda: "zerogpu" if _on_zerogpu() else "local",
        description="local: this machine's GPU or CPU. ray: replicas on a Ray cluster. zerogpu: a Space's lent GPU. "
        "fake: no weights, for tests.",
    )
    preload: tuple[str, ...] = Field(
        ("smollm2-135m-instruct", "all-minilm-l6-v2", "gpt2", "qwen3-0.6b", "qwen3-embedding-0.6b"),
        description="The models that a ZeroGPU Space keeps ready; it offers no others.",
    )
    remote: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="A model on an OpenAI-compatible embeddings server, NAME=URL or NAME=URL#MODEL, or with further "
        "fields of every request NAME=URL#MODEL?input_type=query&truncate=END; repeat it for more (in DEMO_REMOTE, "
        "with spaces between them). Texts are sent there. Its key, if it wants one, stands in the environment as "
        "DEMO_REMOTE_KEY_NAME.",
    )
    remote_seconds: float = Field(
        30, gt=0, le=600, description="Seconds for one answer of such a server; it is asked three times at most."
    )
    public: bool = Field(
        default_factory=_on_spaces,
        description="For strangers: the catalogue only, so that nobody can name a Hub id or a folder, and limits on "
        "how much one person and one address may ask. On by itself on Spaces.",
    )
    big_downloads: Literal["ask", "always", "never"] = Field(
        default_factory=lambda chosen: "never" if chosen["public"] else "ask",
        description="Weights of more than 2 GB that are not on this disk. ask: fetched once somebody says yes. always: "
        "without a question. never: refused, as by itself with --public.",
    )
    behind_proxy: bool = Field(
        default_factory=_on_spaces,
        description="Believe the proxy before the page about who asks (X-Forwarded-For). On by itself on Spaces.",
    )
    allow_host: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="A name under which this lab is reached, beside localhost, addresses and this machine's own name; "
        "repeat it for more. A private lab answers no other, against DNS rebinding.",
    )
    root_path: str = Field(
        "",
        pattern=r"^(/[\w.~-]+)*/?$",
        description="The path under which a proxy serves this lab, say /lab.",
        validation_alias=AliasChoices("root_path", "DEMO_ROOT_PATH", "GRADIO_ROOT_PATH"),
    )
    person_rate: int = Field(900, ge=6, description="Requests a minute of one open page, with --public.")
    address_rate: int = Field(
        5400, ge=6, description="Requests a minute of one address, say a school's, with --public."
    )
    metrics: Literal["off", "local", "all"] = Field(
        default_factory=lambda chosen: "off" if chosen["public"] else "local",
        description="Who gets Prometheus metrics at /metrics. local: this machine alone. Off by itself with --public.",
    )
    log_json: bool = Field(False, description="Logs as lines of JSON, requests included; never with anybody's texts.")
    live: bool = Field(
        default_factory=lambda: not _on_zerogpu(),
        description="Recompute while people type; off, a button does it.",
    )
    threads: int = Field(0, ge=0, description="Processor threads for torch; 0 leaves it to torch.")
    memory_gb: float = Field(
        0, ge=0, description="Memory that loaded models may take together, in GiB; 0 takes 70 % of what is free."
    )
    cache_mb: int = Field(
        512,
        ge=0,
        description="Memory for embeddings already computed, in MiB; a class of thirty with ten pairs each takes 330.",
    )
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
    max_texts: int = Field(
        200, ge=1, description="Questions of a comparison, and as many answers, at most (see max_cells)."
    )
    max_characters: int = Field(20_000, ge=1, description="Characters of one text, at most.")
    max_tokens: int = Field(2048, ge=16, description="Tokens of one text; what is longer is cut, and the page says so.")
    max_cells: int = Field(20_000, ge=1, description="Questions × answers, at most.")
    max_file_texts: int = Field(
        1000, ge=1, le=5000, description="Different questions, and answers, of a file in the tab for it, at most."
    )
    max_trainings: int = Field(1, ge=1, description="Training runs of the page at once; the others wait in line.")
    train_minutes: int = Field(20, ge=1, description="Minutes that a training run of the page may take, at most.")
    ray_address: str = Field(
        "",
        description="With --engine ray, the cluster to join, host:port or auto; without it one starts on this machine, "
        "for this machine alone.",
        validation_alias=AliasChoices("ray_address", "DEMO_RAY_ADDRESS", "RAY_ADDRESS"),
    )
    ray_min_replicas: int = Field(1, ge=1, description="Replicas that are always there.")
    ray_max_replicas: int = Field(2, ge=1, description="Replicas at most, when many ask.")
    ray_ongoing: int = Field(
        8,
        ge=1,
        description="Requests at the same time for which a replica is enough; above it another one starts, and a "
        "replica takes twice as many at most.",
    )
    ray_queue: int = Field(200, ge=1, description="Requests that may wait for a replica; others are turned away.")
    ray_cpus: float = Field(1, gt=0, description="Processor cores of a replica, and torch's threads in it.")
    ray_gpus: float = Field(0, ge=0, description="GPUs of a replica; 0.5: two replicas share one.")
    ray_models: int = Field(3, ge=1, description="Models that a replica keeps in memory.")
    ray_engine: Literal["local", "fake"] = Field("local", description="What a replica computes with.")
    ray_object_mb: int = Field(
        512, ge=80, description="Memory for what travels between a replica and the page, in MiB, of a Ray started here."
    )
    train_lora: bool = Field(
        default_factory=lambda chosen: not chosen["public"],
        description="Offer training of adapters on the page, which takes minutes, beside that of a projection; by "
        "default where --public is off.",
    )

    @field_validator("remote", "allow_host", mode="before")
    @classmethod
    def _split_words(cls, value: Any) -> Any:
        """Flags arrive with commas between them, the environment with spaces."""
        return tuple(filter(None, re.split(r"[\s,]+", value))) if isinstance(value, str) else value

    @field_validator("remote")
    @classmethod
    def _check_servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [RemoteServer.parse(written).name for written in value]
        if len(set(names)) < len(names):
            raise ValueError("two servers have one name")
        return value

    @property
    def own_user(self) -> bool:
        """Whether this machine's own user alone reaches the page: nobody else may name folders of its disk."""
        reached = self.public or self.behind_proxy or self.allow_host or self.root_path
        return not reached and self.host in ("127.0.0.1", "localhost", "::1", "[::1]")

    @property
    def on_spaces(self) -> bool:
        """Whether this is a Space, which stands in a frame of huggingface.co."""
        return _on_spaces()

    @property
    def servers(self) -> tuple[RemoteServer, ...]:
        """The models that run elsewhere."""
        return tuple(RemoteServer.parse(written) for written in self.remote)

    @staticmethod
    def key_of(server: RemoteServer) -> str:
        """A server's API key, "" where it has none. Read when it is needed; never stored in a setting."""
        return os.environ.get(server.key_variable, "")


def parse_settings(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from a command line (None: environment only). A bad value ends the process: code 2, one line."""
    try:
        return Settings(_cli_parse_args=list(arguments) if arguments is not None else None)
    except ValidationError as error:
        for wrong in error.errors():
            if wrong["type"] == "default_factory_not_called":  # a default that another field's mistake left open
                continue
            name = str(wrong["loc"][0]).removeprefix("DEMO_").lower() if wrong["loc"] else "settings"
            value = "" if name == "remote" else f" {wrong['input']!r}"  # an address may hold a password
            message = wrong["msg"].removeprefix("Value error, ")
            print(f"--{name.replace('_', '-')}{value}: {message}.", file=sys.stderr)
        raise SystemExit(2) from error
