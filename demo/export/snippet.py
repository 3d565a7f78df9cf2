"""Script export: a reading as a short program of its own, in transformers, sentence-transformers or the openai client.

Renders Python source and runs none of it. Strings that a person or a checkpoint has written (templates, tasks, names,
paths) enter the source as literals. Knows no lab and no backend.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from demo.domain.choices import ROUNDING_SENSITIVE, Role
from demo.domain.datamodels import (
    LAST_LAYER,
    TEXT,
    ChatFormat,
    ModelInfo,
    Pooling,
    Postprocess,
    PromptedText,
    Reading,
    Reference,
)
from demo.domain.errors import ReadingRefused, UnknownChoice
from demo.domain.server_address import RemoteServer
from demo.export.templating import render
from demo.files.bundled import load_reference
from demo.stages.prompts import render_prompt

TRANSFORMERS, SENTENCE_TRANSFORMERS = LIBRARIES = ("transformers", "sentence-transformers")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_POOLED = {  # in NumPy, and by sentence-transformers' name
    Pooling.LAST_TOKEN: ("states[-1]", "lasttoken"),
    Pooling.FIRST_TOKEN: ("states[0]", "cls"),
    Pooling.MEAN: ("states.mean(axis=0)", "mean"),
    Pooling.WEIGHTED_MEAN: ("np.average(states, axis=0, weights=np.arange(1, len(states) + 1))", "weightedmean"),
    Pooling.MAX: ("states.max(axis=0)", "max"),
    Pooling.MEAN_SQRT_LEN: ("states.sum(axis=0) / len(states) ** 0.5", "mean_sqrt_len_tokens"),
    Pooling.LAST_TOKEN_LOGITS: ("states[-1]", ""),  # the states are logits
    Pooling.OWN: ("", ""),  # no script has it
}
_CHECKED = 10  # questions, and answers, whose cosines a script checks
Texts = tuple[tuple[str, ...], tuple[str, ...]]  # questions, answers


def render_snippet(
    reading: Reading,
    info: ModelInfo,
    library: str,
    source: str,
    texts: Texts,
    cosines: np.ndarray,
    folder: str = "",
) -> str:
    """Python source that computes the cosines of a reading, and says whether they are the lab's within rounding.

    library: one of LIBRARIES. source: see `name_source`. texts, cosines: those in the script; (n, m) of the lab.
    folder: where this machine has the weights, read before the source is; "" for a script of another machine.
    Raises ReadingRefused for what the library or a script cannot do; UnknownChoice for another library.
    """
    if library not in LIBRARIES:
        raise UnknownChoice(field="library", value=str(library)[:80], kind="library", accepted=", ".join(LIBRARIES))
    plan = _Plan(reading, info, source, texts, cosines, folder)
    _refuse_impossible(plan, encode=library == SENTENCE_TRANSFORMERS)
    return render(f"templates/{library.replace('-', '_')}.py.jinja", plan=plan)


def render_server_snippet(
    reading: Reading, info: ModelInfo, server: RemoteServer, texts: Texts, cosines: np.ndarray
) -> str:
    """Python source that asks the same embeddings server for a reading's vectors, with the `openai` client.

    The key comes from the server's environment variable; the key itself never enters a script.
    """
    plan = _Plan(reading, info, "", texts, cosines)
    fields = dict(server.fields)
    encoded = fields.pop("encoding_format", "float") == "base64"  # the client asks for it, and decodes it, by itself
    return render("templates/openai.py.jinja", plan=plan, server=server, encoded=encoded, fields=fields)


def required_packages(info: ModelInfo) -> str:
    """What pip installs for a script in transformers."""
    return "torch transformers numpy" + " peft" * bool(info.adapter)


def name_source(info: ModelInfo, hub_id: str = "", revision: str = "") -> str:
    """What a script loads: `id@commit` for weights of the Hub, else the folder.

    hub_id, revision: the catalogue's, for a model that is listed there.
    """
    if _COMMIT.fullmatch(info.revision):
        return f"{hub_id or info.model}@{info.revision}"
    return f"{hub_id}@{revision}" if hub_id else info.base or info.model


def export_prompts(reading: Reading, info: ModelInfo) -> dict[str, str]:
    """The prompts "query" and "document" of a sentence-transformers folder.

    Raises ReadingRefused where such a folder cannot hold this reading.
    """
    plan = _Plan(reading, info)
    _refuse_impossible(plan, encode=True, folder=True)
    return plan.prefixes


@dataclass(frozen=True)
class _Plan:
    """A reading as the templates read it."""

    reading: Reading
    info: ModelInfo
    source: str = ""
    texts: Texts = ((), ())
    cosines: np.ndarray | None = None
    folder: str = ""

    @cached_property
    def frames(self) -> dict[Role, PromptedText]:
        """The prompt of either side, around the text "text"."""
        frames = {role: render_prompt("text", self.reading, role, self.info) for role in Role}
        if not self.info.include_prompt:
            frames = {role: replace(frame, include_prompt=False) for role, frame in frames.items()}
        return frames

    @property
    def packages(self) -> str:
        return required_packages(self.info)

    @property
    def frame(self) -> PromptedText:
        """Either side's prompt; where they differ, they do so in the template only."""
        return self.frames[Role.ANSWER]

    @property
    def differ(self) -> bool:
        """Whether questions and answers have different templates."""
        return len({frame.template for frame in self.frames.values()}) > 1

    @property
    def skips(self) -> bool:
        """Whether the tokens of what stands before a text are not pooled."""
        frame = self.frame
        return not (frame.include_prompt or frame.pool_text_only or frame.chat) and self.worded

    @property
    def own(self) -> bool:
        """Whether the checkpoint's own modules make the vectors."""
        return self.reading.pooling is Pooling.OWN

    @property
    def own_message(self) -> bool:
        """Whether the chat message is more than the text as the user's."""
        return any(frame.system or frame.chat_format != ChatFormat() for frame in self.frames.values())

    @property
    def worded(self) -> bool:
        """Whether a template adds words to a text; chat templates aside."""
        return any(frame.template != TEXT for frame in self.frames.values())

    @property
    def tidies(self) -> bool:
        """Whether the prompt changes the text itself."""
        return self.frame.text != "text"

    @property
    def is_prefix(self) -> bool:
        """Whether all words of the template, if any, stand before the text."""
        templates = [frame.template for frame in self.frames.values()]
        return not self.tidies and all(t.endswith(TEXT) and t.count(TEXT) == 1 for t in templates)

    @property
    def prefixes(self) -> dict[str, str]:
        """What stands before a query and before a document."""
        sides = (("query", Role.QUESTION), ("document", Role.ANSWER))
        return {side: self.frames[role].system or self.frames[role].template.removesuffix(TEXT) for side, role in sides}

    @property
    def last_layer(self) -> bool:
        return self.reading.layer in (LAST_LAYER, self.info.n_layers)

    @property
    def fitted(self) -> bool:
        """Whether the vectors are post-processed."""
        return self.reading.postprocess is not Postprocess.NONE

    @property
    def on_corpus(self) -> bool:
        """Whether the post-processing is fitted on the lab's corpus."""
        return self.fitted and self.reading.reference is Reference.CORPUS

    @property
    def corpus(self) -> list[str]:
        """The lab's corpus, which a script brings along."""
        return list(load_reference())

    @property
    def is_anywhere(self) -> bool:
        """Whether the adapter's folder is named by its whole path."""
        return Path(self.info.adapter).is_absolute()

    @property
    def logits(self) -> bool:
        return self.reading.pooling is Pooling.LAST_TOKEN_LOGITS

    @property
    def pooled(self) -> tuple[str, str]:
        """The pooling in NumPy, and by sentence-transformers' name."""
        in_numpy, name = _POOLED[self.reading.pooling]
        if self.skips:  # the tokens before count for the weights of the others
            in_numpy = in_numpy.replace(
                "np.arange(1, len(states) + 1)", "np.arange(first + 1, first + len(states) + 1)"
            )
        return in_numpy, name

    @property
    def precision(self) -> str:
        """What the lab computes this reading in."""
        return self.info.precision_of(self.reading)

    @property
    def expected(self) -> list[list[str]]:
        """The lab's cosines that the script checks, as they are written."""
        return [[f"{cosine:.4f}" for cosine in row] for row in self.cosines[:_CHECKED, :_CHECKED].tolist()]

    @property
    def tolerance(self) -> float:
        """By how much rounding moves a cosine, at most: as measured, with room.

        Post-processing takes away what the vectors have in common, and so enlarges what is left of rounding.
        """
        fitted = 1 + self.fitted + (self.reading.postprocess is Postprocess.WHITENING)
        if self.precision == "float32":
            return (0.001, 0.002, 0.01)[fitted - 1]
        return (0.1 if self.reading.pooling in ROUNDING_SENSITIVE else 0.02) * fitted

    @property
    def other_weights(self) -> bool:
        """Whether the source has other weights than those that the lab computed with."""
        return self.origin[1] != "" and self.origin[1] not in self.info.revision

    @property
    def origin(self) -> tuple[str, str]:
        """(Hub id or folder, commit or "")."""
        name, _, commit = self.source.rpartition("@")
        return (name, commit) if _COMMIT.fullmatch(commit) else (self.source, "")


def _refuse_impossible(plan: _Plan, encode: bool, folder: bool = False) -> None:
    """Raises ReadingRefused. encode: for sentence-transformers; folder: for a folder that it loads."""
    info, frame = plan.info, plan.frame
    rules = [
        (plan.logits and not info.has_lm_head, "pooling", "its checkpoint has no LM head, so it has no logits."),
        (frame.chat and not info.has_chat_template, "prompt", "its tokenizer has no chat template."),
        (
            plan.source.endswith(".gguf") and not plan.folder,
            "model",
            "a GGUF file is converted by the lab; a script needs safetensors.",
        ),
        (info.projected, "model", "it is a model with a linear map inside, which only the lab can put together."),
        (
            info.adapter and not (info.projected or info.adapter_class or folder),
            "model",
            "its adapter was trained over another class of the model; export it as a folder instead.",
        ),
    ]
    if encode:
        rules += [
            (not plan.last_layer, "layer", "sentence-transformers reads the last layer only."),
            (plan.logits, "pooling", "sentence-transformers pools hidden states, not the logits of an LM head."),
            (plan.skips and not plan.is_prefix, "prompt", "sentence-transformers leaves out only what stands before."),
            (frame.placeholder, "prompt", "sentence-transformers cannot change states inside the model."),
            (frame.pool_text_only, "prompt", "sentence-transformers cannot pool the text without its prompt."),
            (info.adapter and not folder, "model", "a script puts an adapter onto a model in transformers only."),
            (plan.reading.eos, "eos", "sentence-transformers cannot append the EOS token."),
        ]
    if folder:
        rules += [
            (not plan.is_prefix, "prompt", "a sentence-transformers folder can only hold what stands before a text."),
            (plan.fitted, "postprocess", "a sentence-transformers folder can hold no post-processing."),
        ]
    else:
        rules += [
            (plan.own, "pooling", "a script holds no modules of a checkpoint; an exported folder does."),
            (bool(info.own_settings), "model", "its own settings of tokenizer and model are in no script."),
            (plan.own_message, "prompt", "a script writes a chat message without a system message and options."),
        ]
    for applies, field, reason in rules:
        if applies:
            raise ReadingRefused(field=field, model=info.name, reason=reason)
