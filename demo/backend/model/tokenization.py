"""Tokenization: PromptedText → token ids and the span that is pooled.

The span comes from the tokenizer's offsets in the whole string, never from tokenizing pieces apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jinja2 import TemplateError
from tokenizers import normalizers
from transformers import PreTrainedTokenizerBase

from demo.domain.datamodels import TEXT, PromptedText
from demo.domain.errors import BadInput, ReadingRefused

_MOST_CUTS = 8


@dataclass(frozen=True)
class TokenizedText:
    """One text as token ids. pooled, inside: (start, end) of the pooled tokens, and of the text's without a prompt.

    before: how many tokens before the pooled ones weighted_mean counts, so that the first has the weight before + 1.
    """

    input_ids: tuple[int, ...]
    pooled: tuple[int, int]
    inside: tuple[int, int]
    before: int = 0
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

    A longer text loses its end (or its beginning, where the tokenizer truncates there), never the template's. Raises
    ReadingRefused if the chat template refuses the text, the model has no EOS token, or nothing of the text fits;
    BadInput if the tokenizer makes no token of it.
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
    words = [("system", text.system)] if text.system else []
    words.append(("user", text.rendered()))
    structured = text.chat_format.structured
    messages = [
        {"role": role, "content": [{"type": "text", "text": content}] if structured else content}
        for role, content in words
    ]
    options = {"add_generation_prompt": False, **dict(text.chat_format.options)}
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except (TemplateError, ValueError, TypeError) as error:
        raise ReadingRefused(
            field="prompt", model=model, reason="its chat template refuses the text.", instead="plain"
        ) from error


def _encode(rendered, tokenizer: PreTrainedTokenizerBase, chat: bool, most: int | None = None):
    return tokenizer(
        rendered,
        truncation=most is not None,
        max_length=most,
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
    skips = not (text.include_prompt or text.pool_text_only or text.chat)
    if skips:
        first = _prompt_length(text, tokenizer, len(ids))
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
        first, last = (first + 1 if first else first), last + 1
    if first >= last:
        raise ReadingRefused(
            field="prompt", model=model, reason="its prompt, which it does not pool, leaves no token that it pools."
        )
    return TokenizedText(tuple(ids), (first, last), inside, first * skips, rendered, tuple(offsets), placeholder, cut)


def _prompt_length(text: PromptedText, tokenizer: PreTrainedTokenizerBase, most: int) -> int:
    """How many tokens sentence-transformers takes for the prompt: those of it alone, without a special one at its end.

    So the [CLS] or BOS before it counts, and [SEP] or EOS behind the text is pooled.
    """
    prompt = text.template.partition(TEXT)[0]
    if not prompt:
        return 0
    ids = tokenizer(prompt, truncation=True, max_length=most)["input_ids"]
    return len(ids) - (ids[-1] in tokenizer.all_special_ids)


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
    """The text shortened until all of it fits."""
    if text.chat or (text.template.endswith(TEXT) and text.template.count(TEXT) == 1):
        encoded = _encode(rendered, tokenizer, text.chat, room)
        ids, kept = encoded["input_ids"], encoded["offset_mapping"]
        if text.chat:
            suffix = _template_suffix(text, tokenizer, model)[-len(ids) :]
            ids, kept = ids[: len(ids) - len(suffix)] + suffix, kept[: len(ids) - len(suffix)]
            first, last = _text_span(text, rendered)
            if not any(left < last and right > first for left, right in kept):
                raise _no_room(model, room)
            kept += offsets[len(offsets) - len(suffix) :]
        return _tokenized(text, rendered, ids, kept, tokenizer, model, cut=True)
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
    raise _no_room(model, room)


def _template_suffix(text: PromptedText, tokenizer: PreTrainedTokenizerBase, model: str) -> list[int]:
    """The tokens that the chat template writes behind every text, as sentence-transformers finds them."""
    fillers = (replace(text, text=filler) for filler in ("0", "1 2 3 4"))
    one, other = (_encode(_render(filler, tokenizer, model), tokenizer, chat=True)["input_ids"] for filler in fillers)
    shortest = min(len(one), len(other))
    count = next((i for i in range(shortest) if one[-1 - i] != other[-1 - i]), shortest)
    return one[len(one) - count :] if count < shortest else []


def _no_room(model: str, room: int) -> ReadingRefused:
    return ReadingRefused(
        field="prompt",
        model=model,
        reason=f"what this prompt writes around a text leaves no room for it in {room:,} tokens.",
        instead="plain",
    )


def lower_texts(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a tokenizer write all texts in lower case first (do_lower_case of sentence-transformers)."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    parts = list(normalizer) if isinstance(normalizer, normalizers.Sequence) else [normalizer] if normalizer else []
    if not any(isinstance(part, normalizers.Lowercase) for part in parts):
        tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *parts])


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
