"""Data models: the frozen values that cross rooms. Standard library, NumPy and the choices, which stand here too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np

from demo.domain.choices import (
    LAST_LAYER,
    ROUNDING_SENSITIVE,
    SERVED_PROMPTS,
    TEXT,
    Kind,
    Pooling,
    Postprocess,
    Prompt,
    Reference,
    Served,
)

# What a caller chooses of a reading beside the model: the arguments of `resolve_reading`, the API's and the links'.
READING_FIELDS = ("prompt", "pooling", "layer", "eos", "postprocess", "reference", "task", "template")
LABEL_WORDS = {"last_layer": "last layer", "numbered_layer": "layer {layer}", "on_corpus": " on the corpus"}
_LABELLED = 80  # characters of a custom prompt in a label


@dataclass(frozen=True)
class Reading:
    """How an embedding is read out of a model. It names every cache entry and labels every figure."""

    model: str  # catalogue id, Hub id or folder
    prompt: Prompt = Prompt.CHAT
    pooling: Pooling | Served = Pooling.LAST_TOKEN_LOGITS
    layer: int = LAST_LAYER  # 0 = token embeddings … n = last block, after the final norm; −1 = last
    normalize: bool = False  # divide by the L2 norm, where the checkpoint does so itself
    eos: bool = False  # append the EOS token, and let it be pooled
    postprocess: Postprocess = Postprocess.NONE  # done to the vectors of a set, after the model
    reference: Reference = Reference.TEXTS  # what the post-processing is fitted on
    task: str = ""  # e5_instruct only
    template: str = ""  # custom only

    def label(self, words: Mapping[str, str] = LABEL_WORDS, name: str | None = None) -> str:
        """One line for figures and exports: `smollm2-135m-instruct · chat · last_token_logits · last layer`.

        words: LABEL_WORDS in another language; `template` there shows a custom prompt, and without `on_corpus` the
        reference is left out. name: shown instead of the model's id; "" for no model.
        """
        prompt = self.prompt.value + (" + EOS" if self.eos else "")
        if self.prompt is Prompt.CUSTOM and "template" in words:
            short = self.template if len(self.template) <= _LABELLED else self.template[: _LABELLED - 1] + "…"
            prompt += words["template"].format(template=short)
        layer = words["last_layer"] if self.layer == LAST_LAYER else words["numbered_layer"].format(layer=self.layer)
        parts = [self.model if name is None else name, prompt, self.pooling.value]
        parts += [] if self.pooling is Served.AS_SERVED else [layer]  # a model elsewhere offers one layer
        if self.postprocess is not Postprocess.NONE:
            on_corpus = words.get("on_corpus", "") if self.reference is Reference.CORPUS else ""
            parts.append(self.postprocess.value + on_corpus)
        return " · ".join(filter(None, parts))

    def to_dict(self) -> dict[str, Any]:
        return {k: v.value if isinstance(v, Enum) else v for k, v in asdict(self).items()}

    def choices(self) -> dict[str, Any]:
        """The READING_FIELDS as `resolve_reading`, the API and the links take them."""
        fields = self.to_dict()
        return {name: fields[name] for name in READING_FIELDS}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Reading:
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError for anything else."""
        pooling = Served if fields.get("pooling") == Served.AS_SERVED.value else Pooling
        enums = {"prompt": Prompt, "pooling": pooling, "postprocess": Postprocess, "reference": Reference}
        return cls(**{name: enums[name](value) if name in enums else value for name, value in fields.items()})


@dataclass(frozen=True)
class ChatFormat:
    """How a checkpoint's own input is a chat message (sentence-transformers 6: "message" of modality_config)."""

    structured: bool = False  # the content is a list of typed parts, not a string
    options: tuple[tuple[str, Any], ...] = ()  # arguments of the chat template
    names_task: bool = False  # the template reads `task`: "query" or "document"


@dataclass(frozen=True)
class PromptedText:
    """A text with what is written around it, before any tokenizer has seen it."""

    text: str
    template: str = TEXT  # {text} once or more; the last one is the text's own place
    chat: bool = False  # wrap in the tokenizer's chat template as one user message
    system: str = ""  # with chat: a system message before it
    chat_format: ChatFormat = ChatFormat()  # with chat
    eos: bool = False  # append the EOS token
    pool_text_only: bool = False  # leave what the template adds out of the pooled span
    include_prompt: bool = True  # False: the tokens that stand before the text are not pooled (sentence-transformers)
    placeholder: bool = False  # token prepending: a placeholder token before the mark that opens the text

    def rendered(self) -> str:
        """The template with the text in every place of it."""
        return self.template.replace(TEXT, self.text)

    def text_span(self) -> tuple[int, int]:
        """(start, end) of the text's last place in `rendered()`, in characters."""
        start = len(self.template.rpartition(TEXT)[0].replace(TEXT, self.text))
        return start, start + len(self.text)


@dataclass(frozen=True)
class Pairing:
    """Questions, answers, and which belong together."""

    questions: tuple[str, ...]
    answers: tuple[str, ...]
    matches: frozenset[tuple[int, int]]  # (question index, answer index), from 0

    def mask(self) -> np.ndarray:
        """bool (n_questions, n_answers): True where the answer belongs to the question."""
        mask = np.zeros((len(self.questions), len(self.answers)), dtype=bool)
        for row, column in self.matches:
            mask[row, column] = True
        return mask


@dataclass(frozen=True)
class Metrics:
    """The numbers under the heatmap. None where a number has no meaning (no wrong pair, no matched question)."""

    matching_mean: float | None  # mean cosine of the matching pairs
    other_mean: float | None  # mean cosine of all other pairs
    margin: float | None  # matching_mean − other_mean
    found_first: int | None  # questions whose right answer is above every wrong one
    n_matched: int  # questions that have a right answer
    auc: float | None  # ROC AUC of the cosine as a detector of matching pairs; .5 is chance

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model once it is loaded."""

    model: str
    name: str
    kind: Kind
    n_layers: int  # 0 for a model that runs elsewhere: it can be read in one place only
    dim: int  # width of a hidden state
    vocab_size: int
    max_tokens: int  # the longest text the checkpoint was made for, template included
    has_lm_head: bool
    has_chat_template: bool
    default_reading: Reading
    revision: str  # commit, or the SHA-256 of what was loaded
    source: str  # who served the weights, in words
    weights_precision: str  # as stored at the source: "float32", "4-bit (Q4_1)" …
    precision: str  # as computed: "float32", "bfloat16", "float16"
    device: str
    parameters: int
    memory_bytes: int
    query_prompt: str | None = None  # the checkpoint's own prompt for questions; None where it names none
    document_prompt: str | None = None
    own_chat: ChatFormat | None = None  # the checkpoint's own input is a chat message
    include_prompt: bool = True  # False: the checkpoint leaves what stands before a text out of the pooled span
    own_modules: tuple[str, ...] = ()  # what Pooling.OWN computes, in words; () where the checkpoint has no need of it
    last_dim: int = 0  # width of the last layer's states, where it differs from dim
    own_dim: int = 0  # width of a vector of Pooling.OWN
    own_settings: tuple[str, ...] = ()  # what the checkpoint's config changes of tokenizer and model when they load
    base: str = ""  # the model below, where this one is an adapter over it
    adapter: str = ""  # the folder of what was learned over the weights, as a script for others names it
    folder: str = ""  # where the computing machine has its weights: no business of another person's
    adapter_folder: str = ""  # the same of the adapter
    adapter_class: str = ""  # transformers' auto class that a script puts the adapter onto; "" where it cannot
    adapter_tokenizer: bool = False  # the adapter brings the tokenizer
    projected: bool = False  # what was learned is a linear map after the final norm
    host: str = ""  # where the texts are sent, of a model that runs elsewhere
    has_eos: bool = True  # whether the tokenizer has an EOS token, which token prepending writes too
    streams: bool = False  # its weights are read from disk for every pass: the more texts share one, the better
    notices: tuple[str, ...] = ()
    full_precision: str = ""  # of readings of a single position, where the model is kept in this precision too

    def precision_of(self, reading: Reading) -> str:
        """The precision that a reading's figures are computed in.

        Rounding to bfloat16 moves cosines of one position's state by up to .006 and of its logits by up to .06;
        those of means by less than .005 (SmolLM2-135M and Gemma 3 270M on the ready sets, measured).
        """
        return self.full_precision if self.full_precision and reading.pooling in ROUNDING_SENSITIVE else self.precision

    @property
    def names_prompts(self) -> bool:
        """Whether the checkpoint names prompts of its own, or a chat message as its input."""
        return self.query_prompt is not None or self.document_prompt is not None or self.own_chat is not None

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """Every prompt that this model can be given."""
        if self.host:
            return SERVED_PROMPTS
        possible = {
            Prompt.CHAT: self.has_chat_template,
            Prompt.OWN: self.names_prompts,
            Prompt.TOKEN_PREPENDING: self.has_eos,
        }
        return tuple(prompt for prompt in Prompt if possible.get(prompt, True))

    @property
    def poolings(self) -> tuple[Pooling | Served, ...]:
        """Every pooling that this model can be read with."""
        if self.host:
            return (Served.AS_SERVED,)
        impossible = {
            None if self.has_lm_head else Pooling.LAST_TOKEN_LOGITS,
            None if self.own_modules else Pooling.OWN,
        }
        return tuple(pooling for pooling in Pooling if pooling not in impossible)

    def width(self, pooling: Pooling | Served, layer: int = LAST_LAYER) -> int:
        """How many numbers a vector of this pooling has."""
        dim = self.last_dim if self.last_dim and layer in (LAST_LAYER, self.n_layers) else self.dim
        return {Pooling.LAST_TOKEN_LOGITS: self.vocab_size, Pooling.OWN: self.own_dim}.get(pooling, dim)


@dataclass(frozen=True)
class Device:
    """What computes, in which precision, and why."""

    name: str  # "NVIDIA H200", "CPU, 2 cores"
    kind: str  # torch's device type: cuda, xpu, mps, cpu; "fake" for the fake engine
    precision: str  # "float32", "bfloat16", "float16"
    reason: str  # the choice in words


@dataclass(frozen=True)
class EngineCounts:
    """What an engine has done since it started, and holds now."""

    forward_passes: int = 0
    texts: int = 0  # that ran through a model
    cache_hits: int = 0  # texts whose embedding was known
    waiting: int = 0  # questions that wait for the device
    models: int = 0  # in memory
    model_bytes: int = 0
    bytes_read: int = 0  # of weights that are read from disk for every pass


@dataclass(frozen=True)
class ModelStatus:
    """Whether a model of the catalogue can be chosen here, and why not."""

    model: str
    name: str
    kind: Kind
    licence: str
    parameters: int
    n_layers: int
    state: str  # "loaded", "loading", "available", "unavailable"
    reason: str = ""  # in words: for "unavailable"; for others, that the weights are read from disk
    default_reading: Reading | None = None
    host: str = ""  # where the texts are sent, of a model that runs elsewhere
    fetch_bytes: int = 0  # of an unavailable one that can be had all the same, once somebody says yes: its download


@dataclass(frozen=True)
class Progress:
    """How far a model's loading or a study is. fraction: 0…1, or None where it cannot be known."""

    stage: str
    fraction: float | None = None
    seconds_left: float | None = None  # about


@dataclass(frozen=True)
class Embedded:
    """The embeddings of some texts, in the order of the texts."""

    vectors: np.ndarray  # float32 (n_texts, dim)
    cut: tuple[int, ...] = ()  # indices of texts that were longer than max_tokens and were cut
    token_limit: int = 0

    @classmethod
    def join(cls, parts: Sequence[Embedded]) -> Embedded:
        """The texts of all parts, in their order."""
        starts = np.cumsum([0, *(len(part.vectors) for part in parts)])
        cut = tuple(int(start) + i for start, part in zip(starts, parts, strict=False) for i in part.cut)
        return cls(np.concatenate([part.vectors for part in parts]), cut, parts[0].token_limit)

    def split(self, at: int) -> tuple[Embedded, Embedded]:
        """The texts before an index, and those from it on."""
        first, rest = tuple(i for i in self.cut if i < at), tuple(i - at for i in self.cut if i >= at)
        return (
            Embedded(self.vectors[:at], first, self.token_limit),
            Embedded(self.vectors[at:], rest, self.token_limit),
        )


@dataclass(frozen=True, eq=False)
class Comparison:
    """The answer of the lab: every question against every answer under one reading."""

    pairing: Pairing
    similarity: np.ndarray  # float32 (n_questions, n_answers), cosine
    metrics: Metrics
    reading: Reading
    provenance: dict[str, str]  # model, revision, source, weights_precision, precision, device, versions
    notices: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def questions(self) -> tuple[str, ...]:
        return self.pairing.questions

    @property
    def answers(self) -> tuple[str, ...]:
        return self.pairing.answers

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: what the API and `--json` answer."""
        return {
            "similarity": [[float(value) for value in row] for row in self.similarity],
            "metrics": self.metrics.to_dict(),
            "reading": self.reading.to_dict(),
            "questions": list(self.questions),
            "answers": list(self.answers),
            "matches": sorted([q + 1, a + 1] for q, a in self.pairing.matches),
            "provenance": dict(self.provenance),
            "notices": list(self.notices),
        }
