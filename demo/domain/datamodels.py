"""What crosses rooms: frozen values. Imports the standard library and NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

import numpy as np


class Pooling(str, Enum):
    """How the states of a text's tokens become one vector.

    last_token_logits: what the LM head says after the last token: one number for each word of the vocabulary.
    last_token: the hidden state of the last token.
    mean: the mean of all tokens' states.
    weighted_mean: the mean with weights 1…n, later tokens count more (SGPT, arXiv 2202.08904).
    max: the largest value of each dimension.
    mean_sqrt_len: the sum divided by √n (as in sentence-transformers).
    first_token: the first token's state ([CLS] of an encoder; in a GPT it has seen nothing but itself).
    """

    LAST_TOKEN_LOGITS = "last_token_logits"
    LAST_TOKEN = "last_token"
    MEAN = "mean"
    WEIGHTED_MEAN = "weighted_mean"
    MAX = "max"
    MEAN_SQRT_LEN = "mean_sqrt_len"
    FIRST_TOKEN = "first_token"


class Served(str, Enum):
    """The pooling of a model that runs elsewhere: nobody here can choose one of Pooling.

    as_served: what its server does, as whoever runs it has set it up.
    """

    AS_SERVED = "as_served"


class Prompt(str, Enum):
    """What is written around a text before the model reads it.

    chat: the text as one user message through the tokenizer's chat template, no generation prompt (the article).
    plain: the text alone, with the special tokens that the tokenizer adds by itself.
    own: the prompts that a sentence-transformers checkpoint names for queries and documents.
    e5_instruct: `Instruct: {task}` and `Query: {text}` for questions, plain for answers (E5-mistral, arXiv 2401.00368).
    prompteol: `This sentence : "{text}" means in one word:"` (arXiv 2307.16645).
    prompteol_example: the same after one worked example (same paper).
    chain_of_thought: the same behind "After thinking step by step ," (arXiv 2404.03921).
    knowledge: the same behind a hint at what matters in a sentence (same paper).
    echo: the text twice, pooled over the second copy, which has seen the first (arXiv 2402.15449).
    token_prepending: PromptEOL with a placeholder before the text, whose state is the last token's when it enters
        blocks 2 to 8, so that the whole text is seen from its beginning (arXiv 2412.11556).
    custom: a template that a person types, with {text} in it.
    """

    CHAT = "chat"
    PLAIN = "plain"
    OWN = "own"
    E5_INSTRUCT = "e5_instruct"
    PROMPTEOL = "prompteol"
    PROMPTEOL_EXAMPLE = "prompteol_example"
    CHAIN_OF_THOUGHT = "chain_of_thought"
    KNOWLEDGE = "knowledge"
    ECHO = "echo"
    TOKEN_PREPENDING = "token_prepending"
    CUSTOM = "custom"


class Postprocess(str, Enum):
    """What is done to the vectors of a set before they are compared; fitted on a reference set.

    none: nothing.
    center: the mean is subtracted.
    zscore: the mean is subtracted, each dimension divided by its deviation (arXiv 2109.04404).
    all_but_the_top: centred, then the first dim/100 principal directions removed, at least one (arXiv 1702.01417).
    whitening: centred and rotated so that every direction has the same variance (arXiv 2103.15316).
    soft_whitening: z-scored, then whitened with 1, the variance of a z-scored dimension, added to each direction's
        own: weak directions, mostly noise, are not blown up to full strength (shrinkage, Ledoit & Wolf 2004).
    """

    NONE = "none"
    CENTER = "center"
    ZSCORE = "zscore"
    ALL_BUT_THE_TOP = "all_but_the_top"
    WHITENING = "whitening"
    SOFT_WHITENING = "soft_whitening"


class Reference(str, Enum):
    """What post-processing is fitted on.

    texts: the texts at hand.
    corpus: a fixed set of sentences that comes with the lab, so that the handful at hand decides nothing.
    """

    TEXTS = "texts"
    CORPUS = "corpus"


class Kind(str, Enum):
    """What a model was trained to do.

    gpt: predict the next token, nothing else.
    tuned_gpt: a GPT, then contrastively tuned for embeddings.
    encoder: bidirectional, trained for embeddings.
    remote: runs on a server elsewhere, which does not say.
    """

    GPT = "gpt"
    TUNED_GPT = "tuned_gpt"
    ENCODER = "encoder"
    REMOTE = "remote"


class Role(str, Enum):
    """Which side of the comparison a text is on; prompts may differ (query, document)."""

    QUESTION = "question"
    ANSWER = "answer"


# Those that are words and no more: a server elsewhere writes them into no template, and pools the whole of a text.
SERVED_PROMPTS = (
    *(Prompt.PLAIN, Prompt.E5_INSTRUCT, Prompt.PROMPTEOL, Prompt.PROMPTEOL_EXAMPLE),
    *(Prompt.CHAIN_OF_THOUGHT, Prompt.KNOWLEDGE, Prompt.CUSTOM),
)
LAST_LAYER = -1
TEXT = "{text}"  # where the text stands in a template
DEFAULT_TASK = "Given a question, retrieve passages that answer the question"
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
class PromptedText:
    """A text with what is written around it, before any tokenizer has seen it."""

    text: str
    template: str = TEXT  # {text} once or more; the last one is the text's own place
    chat: bool = False  # wrap in the tokenizer's chat template as one user message
    eos: bool = False  # append the EOS token
    pool_text_only: bool = False  # leave what the template adds out of the pooled span
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
    pool_text_only: bool = False  # the checkpoint leaves its prompts out of the pooled span
    base: str = ""  # the model below, where this one is an adapter over it
    adapter: str = ""  # the folder that holds what was learned over the weights, as a script beside the lab names it
    projected: bool = False  # what was learned is a linear map after the final norm
    host: str = ""  # where the texts are sent, of a model that runs elsewhere
    notices: tuple[str, ...] = ()

    @property
    def names_prompts(self) -> bool:
        """Whether the checkpoint names prompts of its own."""
        return self.query_prompt is not None or self.document_prompt is not None

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """Every prompt that this model can be given."""
        if self.host:
            return SERVED_PROMPTS
        impossible = {None if self.has_chat_template else Prompt.CHAT, None if self.names_prompts else Prompt.OWN}
        return tuple(prompt for prompt in Prompt if prompt not in impossible)

    @property
    def poolings(self) -> tuple[Pooling | Served, ...]:
        """Every pooling that this model can be read with."""
        if self.host:
            return (Served.AS_SERVED,)
        return tuple(pooling for pooling in Pooling if pooling is not Pooling.LAST_TOKEN_LOGITS or self.has_lm_head)


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
    reason: str = ""  # for "unavailable": in words
    default_reading: Reading | None = None
    host: str = ""  # where the texts are sent, of a model that runs elsewhere


@dataclass(frozen=True)
class Progress:
    """How far a model's loading is. fraction: 0…1, or None where it cannot be known."""

    stage: str
    fraction: float | None = None


@dataclass(frozen=True)
class Embedded:
    """The embeddings of some texts, in the order of the texts."""

    vectors: np.ndarray  # float32 (n_texts, dim)
    cut: tuple[int, ...] = ()  # indices of texts that were longer than max_tokens and were cut
    token_limit: int = 0

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
    questions: tuple[str, ...] = field(init=False)
    answers: tuple[str, ...] = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "questions", self.pairing.questions)
        object.__setattr__(self, "answers", self.pairing.answers)

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
