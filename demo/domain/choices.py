"""Choices: the closed sets of values that a reading is made of. Standard library only."""

from __future__ import annotations

from enum import Enum


class Pooling(str, Enum):
    """How the states of a text's tokens become one vector.

    last_token_logits: what the LM head says after the last token: one number for each word of the vocabulary.
    last_token: the hidden state of the last token.
    mean: the mean of all tokens' states.
    weighted_mean: the mean with weights 1…n, later tokens count more (SGPT, arXiv 2202.08904).
    max: the largest value of each dimension.
    mean_sqrt_len: the sum divided by √n (as in sentence-transformers).
    first_token: the first token's state ([CLS] of an encoder; in a GPT it has seen nothing but itself).
    own: what the checkpoint's own modules make of the states, where they are more than one of these and a
        normalization: poolings joined, Dense, LayerNorm, weighted layers, truncation (sentence-transformers).
    """

    LAST_TOKEN_LOGITS = "last_token_logits"
    LAST_TOKEN = "last_token"
    MEAN = "mean"
    WEIGHTED_MEAN = "weighted_mean"
    MAX = "max"
    MEAN_SQRT_LEN = "mean_sqrt_len"
    FIRST_TOKEN = "first_token"
    OWN = "own"


# Poolings in which nothing averages out what half precision rounds, or (own) what it does is not known.
ROUNDING_SENSITIVE = (Pooling.LAST_TOKEN_LOGITS, Pooling.LAST_TOKEN, Pooling.OWN)


class Served(str, Enum):
    """The pooling of a model that runs elsewhere: nobody here can choose one of Pooling.

    as_served: what its server does, as whoever runs it has set it up.
    """

    AS_SERVED = "as_served"


class Prompt(str, Enum):
    """What is written around a text before the model reads it.

    chat: the text as one user message through the tokenizer's chat template, no generation prompt (the article).
    plain: the text alone, with the special tokens that the tokenizer adds by itself.
    own: the prompts that a sentence-transformers checkpoint names for queries and documents, and the chat message
        that its input is, if it is one.
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
# Poolings that are no embedding below the last layer: logits are a logit lens there, and modules were trained on it.
LAST_LAYER_ONLY = (Pooling.LAST_TOKEN_LOGITS, Pooling.OWN)
TEXT = "{text}"  # where the text stands in a template
DEFAULT_TASK = "Given a question, retrieve passages that answer the question"
