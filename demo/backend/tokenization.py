"""Tokenization: PromptedText → token ids and the span that is pooled. Knows no model and no device.

The span is found by the tokenizer's offsets in the whole string, never by tokenizing pieces apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from demo.datamodels import PromptedText
from demo.errors import BadInput, ReadingRefused

_MOST_CUTS = 8


@dataclass(frozen=True)
class TokenizedText:
    """One text as token ids. pooled: (start, end) of the pooled tokens."""

    input_ids: tuple[int, ...]
    pooled: tuple[int, int]
    cut: bool = False

    def __len__(self) -> int:
        return len(self.input_ids)


def tokenize(
    texts: Sequence[PromptedText], tokenizer: PreTrainedTokenizerBase, max_tokens: int, model: str = "this model"
) -> list[TokenizedText]:
    """Token ids of every text, at most max_tokens of them, what is around the text included.

    A longer text loses its end, never the template's. Raises ReadingRefused if the chat template refuses the text,
    BadInput if the tokenizer makes no token of it.
    """
    rendered = [_render(text, tokenizer, model) for text in texts]
    out: list[TokenizedText | None] = [None] * len(texts)
    for chat in {text.chat for text in texts}:
        rows = [i for i, text in enumerate(texts) if text.chat is chat]
        encoded = tokenizer(
            [rendered[i] for i in rows],
            add_special_tokens=not chat,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        for i, ids, offsets in zip(rows, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            if len(ids) > max_tokens:
                out[i] = _cut(texts[i], rendered[i], offsets, tokenizer, max_tokens, model)
            else:
                out[i] = _tokenized(texts[i], rendered[i], ids, offsets)
            if not out[i].input_ids:
                raise BadInput(problem=f"The tokenizer of {model} makes no token of one of the texts.")
    return out


def _render(text: PromptedText, tokenizer: PreTrainedTokenizerBase, model: str) -> str:
    """The string that the tokenizer receives."""
    if not text.chat:
        return text.before + text.text + text.after
    message = [{"role": "user", "content": text.before + text.text + text.after}]
    try:
        return tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=False)
    except (TemplateError, ValueError) as error:
        raise ReadingRefused(
            field="prompt", model=model, reason="its chat template refuses the text.", instead="plain"
        ) from error


def _tokenized(text: PromptedText, rendered: str, ids, offsets, cut: bool = False) -> TokenizedText:
    pooled = (0, len(ids))
    if text.pool_text_only:
        first, last = _text_span(text, rendered)
        inside = [i for i, (start, end) in enumerate(offsets) if start < last and end > first and end > start]
        if inside:
            pooled = (inside[0], inside[-1] + 1)
    return TokenizedText(tuple(ids), pooled, cut)


def _text_span(text: PromptedText, rendered: str) -> tuple[int, int]:
    """(start, end) of the person's text in the rendered string."""
    if not text.chat:
        return len(text.before), len(text.before) + len(text.text)
    # The last occurrence: a system prompt before it may hold the same words.
    start = rendered.rfind(text.text)
    return (start, start + len(text.text)) if start >= 0 else (0, len(rendered))


def _cut(
    text: PromptedText, rendered: str, offsets, tokenizer: PreTrainedTokenizerBase, max_tokens: int, model: str
) -> TokenizedText:
    """The text shortened at its end until all of it fits."""
    if not text.chat and not text.after:
        encoded = tokenizer(rendered, truncation=True, max_length=max_tokens, return_offsets_mapping=True)
        return _tokenized(text, rendered, encoded["input_ids"], encoded["offset_mapping"], cut=True)
    shorter = text.text
    for _ in range(_MOST_CUTS):
        excess = len(offsets) - max_tokens
        first, last = _text_span(PromptedText(shorter, text.before, text.after, text.chat), rendered)
        inside = [start for start, end in offsets if start >= first and end <= last and end > start]
        if excess <= 0 or excess >= len(inside):
            break
        shorter = rendered[first : inside[-excess]]
        rendered = _render(PromptedText(shorter, text.before, text.after, text.chat), tokenizer, model)
        encoded = tokenizer(rendered, add_special_tokens=not text.chat, return_offsets_mapping=True, verbose=False)
        offsets = encoded["offset_mapping"]
        if len(offsets) <= max_tokens:
            whole = PromptedText(shorter, text.before, text.after, text.chat, text.pool_text_only)
            return _tokenized(whole, rendered, encoded["input_ids"], offsets, cut=True)
    raise ReadingRefused(
        field="prompt",
        model=model,
        reason=f"what this prompt writes around a text leaves no room for it in {max_tokens:,} tokens.",
        instead="plain",
    )
