"""Token ids, the pooled span, and cutting what is too long."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from demo.backend.model.tokenization import tokenize
from demo.domain.datamodels import PromptedText
from demo.domain.errors import ReadingRefused
from tests.conftest import TEXTS


def test_plain_is_the_tokenizers_own_call(tiny_tokenizer):
    found = tokenize([PromptedText(text) for text in TEXTS], tiny_tokenizer, 512)
    for text, tokens in zip(TEXTS, found, strict=True):
        assert list(tokens.input_ids) == tiny_tokenizer(text)["input_ids"]
        assert tokens.pooled == (0, len(tokens))
        assert not tokens.cut


def test_chat_is_one_user_message_without_a_generation_prompt(tiny_tokenizer):
    for text in TEXTS:
        (tokens,) = tokenize([PromptedText(text, chat=True)], tiny_tokenizer, 512)
        message = [{"role": "user", "content": text}]
        expected = tiny_tokenizer.apply_chat_template(message, tokenize=True, add_generation_prompt=False)
        assert list(tokens.input_ids) == list(expected["input_ids"])


def test_the_real_mistral_template(mistral_tokenizer):
    """`<s>[INST] … [/INST]`, one <s> only, the text's own tokens in between."""
    (tokens,) = tokenize([PromptedText("What is GPU?", chat=True)], mistral_tokenizer, 512)
    assert mistral_tokenizer.decode(tokens.input_ids) == "<s>[INST] What is GPU? [/INST]"
    assert tokens.input_ids.count(mistral_tokenizer.bos_token_id) == 1
    assert tokens.input_ids[0] == mistral_tokenizer.bos_token_id


@pytest.mark.parametrize("text", TEXTS)
def test_the_pooled_span_is_found_by_offsets(tiny_tokenizer, text):
    """Only the tokens that hold the text, also where a token reaches over its edge."""
    prompted = PromptedText(text.strip(), template="query: {text} end.", pool_text_only=True)
    (tokens,) = tokenize([prompted], tiny_tokenizer, 512)
    start, end = tokens.pooled
    assert 0 < start < end < len(tokens)
    decoded = tiny_tokenizer.decode(tokens.input_ids[start:end])
    assert text.strip() in decoded


@pytest.mark.parametrize("chat", [False, True])
def test_a_long_text_loses_its_end_never_the_templates(tiny_tokenizer, chat):
    long = "word " * 2000
    (tokens,) = tokenize([PromptedText(long.strip(), chat=chat)], tiny_tokenizer, 64)
    assert tokens.cut
    assert len(tokens) <= 64
    assert len(tokens) > 56
    if chat:
        assert tiny_tokenizer.decode(tokens.input_ids).endswith("<|im_end|>\n")


def test_a_cut_plain_text_is_the_tokenizers_own_truncation(tiny_tokenizer):
    text = " ".join(TEXTS) * 20
    (tokens,) = tokenize([PromptedText(text)], tiny_tokenizer, 100)
    assert list(tokens.input_ids) == tiny_tokenizer(text, truncation=True, max_length=100)["input_ids"]


def test_no_room_for_the_text_is_said(tiny_tokenizer):
    with pytest.raises(ReadingRefused, match="leaves no room"):
        tokenize([PromptedText("word " * 100, template="a b c d e f g h " * 10 + "{text}!")], tiny_tokenizer, 16)


def test_a_template_that_refuses_the_text_is_said(tiny_tokenizer):
    refusing = type(tiny_tokenizer)(
        tokenizer_object=tiny_tokenizer.backend_tokenizer, chat_template="{{ raise_exception('no') }}"
    )
    with pytest.raises(ReadingRefused) as refused:
        tokenize([PromptedText("x", chat=True)], refusing, 64)
    assert refused.value.instead == "plain"


@given(st.text(min_size=1, max_size=300), st.integers(24, 80), st.booleans())
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_fits_and_has_a_pooled_token(tiny_tokenizer, text, max_tokens, chat):
    (tokens,) = tokenize([PromptedText(text, chat=chat)], tiny_tokenizer, max_tokens)
    assert 1 <= len(tokens) <= max_tokens
    assert 0 <= tokens.pooled[0] < tokens.pooled[1] <= len(tokens)
