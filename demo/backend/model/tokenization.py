"""Tokenization: PromptedText → token ids and the span that is pooled.

The span comes from the tokenizer's offsets in the whole string, never from tokenizing pieces apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from demo.domain.datamodels import TEXT, PromptedText
from demo.domain.errors import BadInput, ReadingRefused

_MOST_CUTS = 8


@dataclass(frozen=True)
class TokenizedText:
    """One text as token ids. pooled, inside: (start, end) of the pooled tokens, and of the text's without a prompt."""

    input_ids: tuple[int, ...]
    pooled: tuple[int, int]
    inside: tuple[int, int]
    rendered: str = ""  # the string that was tokenized
    offsets: tuple[tuple[int, int], ...] = ()  # of each token in it; (0, 0) for tokens that stand for no characters
    placeholder: int | None = None  # position of token prepending's placeholder
    cut: bool = False

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def beginning(self) -> tuple[int, ...]:
        """The prompt's tokens before the text, which are equal for every text."""
        end = self.inside[0] if self.placeholder is None else min(self.placeholder, self.inside[0])
        return self.input_ids[:end]


def tokenize(
    texts: Sequence[PromptedText], tokenizer: PreTrainedTokenizerBase, max_tokens: int, model: str = "this model"
) -> list[TokenizedText]:
    """Token ids of every text, at most max_tokens of them, what is around the text included.

    A longer text loses its end, never the template's. Raises ReadingRefused if the chat template refuses the text,
    the model has no EOS token, or nothing of the text fits; BadInput if the tokenizer makes no token of it.
    """
    rendered = [_render(text, tokenizer, model) for text in texts]
    out: list[TokenizedText | None] = [None] * len(texts)
    for chat in {text.chat for text in texts}:
        rows = [i for i, text in enumerate(texts) if text.chat is chat]
        encoded = _encode([rendered[i] for i in rows], tokenizer, chat)
        for i, ids, offsets in zip(rows, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            room = max_tokens - texts[i].eos - texts[i].placeholder
            if len(ids) <= room:
                out[i] = _tokenized(texts[i], rendered[i], ids, offsets, tokenizer, model)
            else:
                out[i] = _cut(texts[i], rendered[i], offsets, tokenizer, room, model)
            if not out[i].input_ids:
                raise BadInput(problem=f"The tokenizer of {model} makes no token of one of the texts.")
    return out


def _render(text: PromptedText, tokenizer: PreTrainedTokenizerBase, model: str) -> str:
    """The string that the tokenizer receives."""
    if not text.chat:
        return text.rendered()
    message = [{"role": "user", "content": text.rendered()}]
    try:
        return tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=False)
    except (TemplateError, ValueError) as error:
        raise ReadingRefused(
            field="prompt", model=model, reason="its chat template refuses the text.", instead="plain"
        ) from error


def _encode(rendered, tokenizer: PreTrainedTokenizerBase, chat: bool):
    return tokenizer(
        rendered,
        add_special_tokens=not chat,  # a chat template writes them itself
        return_offsets_mapping=True,
        return_attention_mask=False,
        verbose=False,
    )


def _tokenized(
    text: PromptedText, rendered: str, ids, offsets, tokenizer: PreTrainedTokenizerBase, model: str, cut: bool = False
) -> TokenizedText:
    ids, offsets = list(ids), [tuple(offset) for offset in offsets]
    start, end = _text_span(text, rendered)
    own = [i for i, (left, right) in enumerate(offsets) if left < end and right > start and right > left]
    inside = (own[0], own[-1] + 1) if own else (0, len(ids))
    first, last = inside if text.pool_text_only else (0, len(ids))
    if (text.eos or text.placeholder) and tokenizer.eos_token_id is None:
        field = "eos" if text.eos else "prompt"
        raise ReadingRefused(field=field, model=model, reason="its tokenizer has no EOS token.")
    if text.eos:
        # Some tokenizers append it by themselves: never twice.
        if ids[-1:] != [tokenizer.eos_token_id]:
            ids.append(tokenizer.eos_token_id)
            offsets.append((0, 0))
        last = len(ids)
    placeholder = None
    if text.placeholder:
        # Before the mark that opens the text. Any token will do, since its state is overwritten: EOS every model has.
        placeholder = next((i for i, (_, right) in enumerate(offsets) if right >= start and right > 0), inside[0])
        ids.insert(placeholder, tokenizer.eos_token_id)
        offsets.insert(placeholder, (0, 0))
        inside = (inside[0] + 1, inside[1] + 1)
        first, last = (first + 1 if text.pool_text_only else first), last + 1
    return TokenizedText(tuple(ids), (first, last), inside, rendered, tuple(offsets), placeholder, cut)


def _text_span(text: PromptedText, rendered: str) -> tuple[int, int]:
    """(start, end) of the person's text in the rendered string."""
    start, end = text.text_span()
    if text.chat:
        # The last occurrence: a system prompt before it may hold the same words.
        offset = max(0, rendered.rfind(text.rendered()))
        return offset + start, offset + end
    return start, end


def _cut(
    text: PromptedText, rendered: str, offsets, tokenizer: PreTrainedTokenizerBase, room: int, model: str
) -> TokenizedText:
    """The text shortened at its end until all of it fits."""
    if not text.chat and text.template.endswith(TEXT) and text.template.count(TEXT) == 1:
        encoded = tokenizer(rendered, truncation=True, max_length=room, return_offsets_mapping=True)
        return _tokenized(text, rendered, encoded["input_ids"], encoded["offset_mapping"], tokenizer, model, cut=True)
    copies = text.template.count(TEXT)
    for _ in range(_MOST_CUTS):
        excess = -(-(len(offsets) - room) // copies)
        first, last = _text_span(text, rendered)
        inside = [start for start, end in offsets if start >= first and end <= last and end > start]
        if excess >= len(inside):
            break
        text = replace(text, text=rendered[first : inside[-excess]])
        rendered = _render(text, tokenizer, model)
        encoded = _encode(rendered, tokenizer, text.chat)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        if len(ids) <= room:
            return _tokenized(text, rendered, ids, offsets, tokenizer, model, cut=True)
    raise ReadingRefused(
        field="prompt",
        model=model,
        reason=f"what this prompt writes around a text leaves no room for it in {room:,} tokens.",
        instead="plain",
    )


def spell(text: TokenizedText, tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Each token as it stands in the text; tokens without characters (BOS, EOS) by their name."""
    return tuple(
        text.rendered[start:end] if end > start else str(tokenizer.convert_ids_to_tokens(token))
        for token, (start, end) in zip(text.input_ids, text.offsets, strict=True)
    )


def remove_token(text: TokenizedText, position: int) -> TokenizedText | None:
    """The text without one of its own tokens, in every copy of it (echo); None where nothing to pool would be left."""
    start, end = text.inside
    own = text.input_ids[start:end]
    copies = [i for i in range(start + 1) if text.input_ids[i : i + len(own)] == own]
    gone = {copy + position - start for copy in copies}

    def moved(index: int) -> int:
        return index - sum(1 for place in gone if place < index)

    pooled, inside = ((moved(left), moved(right)) for left, right in (text.pooled, text.inside))
    if pooled[0] == pooled[1]:
        return None
    kept = [i for i in range(len(text)) if i not in gone]
    return replace(
        text,
        input_ids=tuple(text.input_ids[i] for i in kept),
        offsets=tuple(text.offsets[i] for i in kept),
        pooled=pooled,
        inside=inside,
        placeholder=None if text.placeholder is None else moved(text.placeholder),
    )
