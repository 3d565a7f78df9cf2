"""Prompts as the papers print them, and each against a slow reading written from the paper with plain transformers."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from demo import Lab
from demo.backend.fake import FakeEngine
from demo.backend.local import LocalEngine
from demo.backend.model.tokenization import tokenize
from demo.domain.choices import Role
from demo.domain.datamodels import Prompt, PromptedText, Reading
from demo.domain.errors import BadCharacter, BadInput, ReadingRefused, TextTooLong
from demo.settings import Settings
from demo.stages.prompts import render_prompt

INFO = FakeEngine().load("qwen3-embedding-0.6b")
QUESTION, ANSWER = Role.QUESTION, Role.ANSWER
TEXT = "What is GPU?"
PAPERS = {
    "plain": TEXT,
    "prompteol": 'This sentence : "What is GPU." means in one word:"',
    "prompteol_example": (
        'This sentence : "A man is smoking." means in one word:"Smoking".'
        'This sentence : "What is GPU." means in one word:"'
    ),
    "chain_of_thought": 'After thinking step by step , this sentence : "What is GPU." means in one word:"',
    "knowledge": (
        "The essence of a sentence is often captured by its main subjects and actions, while descriptive terms provide "
        "additional but less central details. With this in mind , this sentence : "
        '"What is GPU." means in one word:"'
    ),
    "echo": "Rewrite the sentence: What is GPU?, rewritten sentence: What is GPU?",
}


def rendered(text, prompt, role=ANSWER, **reading):
    return render_prompt(text, Reading("m", Prompt(prompt), **reading), role, INFO).rendered()


@pytest.mark.parametrize(("prompt", "expected"), PAPERS.items())
def test_prompt_is_printed_as_in_its_paper(prompt, expected):
    assert rendered(TEXT, prompt) == rendered(TEXT, prompt, QUESTION) == expected


@pytest.mark.parametrize(
    ("text", "tidied"),
    [("a cat", "a cat."), ("a cat.", "a cat."), ("a cat?", "a cat."), ('say "hi"', "say 'hi'"), ("it's", "it's.")],
)
def test_prompteol_tidies_the_text(text, tidied):
    assert rendered(text, "prompteol") == f'This sentence : "{tidied}" means in one word:"'


def test_instructions_are_for_questions_only():
    task = "Find the answer"
    assert rendered(TEXT, "e5_instruct", QUESTION, task=task) == "Instruct: Find the answer\nQuery: What is GPU?"
    assert rendered(TEXT, "e5_instruct", ANSWER, task=task) == TEXT
    assert rendered(TEXT, "own", QUESTION) == "query: What is GPU?"
    assert rendered(TEXT, "own", ANSWER) == TEXT


def test_a_text_that_looks_like_a_template_is_only_a_text():
    odd = "{text} and {0} and {{x}}"
    assert rendered(odd, "custom", template="Say: {text}!") == f"Say: {odd}!"
    prompted = PromptedText(odd, template="{text} = {text}!")
    start, end = prompted.text_span()
    assert prompted.rendered()[start:end] == odd
    assert prompted.rendered()[end:] == "!"


def test_echo_pools_the_second_copy_only(tiny_tokenizer):
    prompted = render_prompt("one two three", Reading("m", Prompt.ECHO), ANSWER, INFO)
    (tokens,) = tokenize([prompted], tiny_tokenizer, 512)
    start, end = tokens.pooled
    assert end == len(tokens)
    assert tiny_tokenizer.decode(tokens.input_ids[start:end]).strip() == "one two three"
    assert tiny_tokenizer.decode(tokens.input_ids[:start]).count("one two three") == 1


@pytest.mark.parametrize("chat", [False, True])
def test_eos_is_appended_once_and_pooled(tiny_tokenizer, chat):
    (tokens,) = tokenize([PromptedText("a b", chat=chat, eos=True)], tiny_tokenizer, 512)
    assert tokens.input_ids[-1] == tiny_tokenizer.eos_token_id
    assert tokens.input_ids.count(tiny_tokenizer.eos_token_id) == 1
    assert tokens.pooled == (0, len(tokens))
    (again,) = tokenize([PromptedText("a b</s>", eos=True)], tiny_tokenizer, 512)
    assert again.input_ids.count(tiny_tokenizer.eos_token_id) == 1


def test_tokenizer_without_eos_is_refused(tiny_tokenizer):
    bare = type(tiny_tokenizer)(tokenizer_object=tiny_tokenizer.backend_tokenizer)
    with pytest.raises(ReadingRefused, match="no EOS token"):
        tokenize([PromptedText("a", eos=True)], bare, 64)


@pytest.mark.parametrize("prompt", ["echo", "prompteol", "chat", "plain"])
@pytest.mark.parametrize("eos", [False, True])
def test_a_cut_text_leaves_the_template_whole(tiny_tokenizer, prompt, eos):
    prompted = render_prompt("word " * 3000, Reading("m", Prompt(prompt), eos=eos), ANSWER, INFO)
    (tokens,) = tokenize([prompted], tiny_tokenizer, 200)
    text = tiny_tokenizer.decode(tokens.input_ids)
    assert tokens.cut
    assert 170 < len(tokens) <= 200
    assert text.endswith("</s>") == eos
    if prompt == "echo":
        assert "rewritten sentence: word" in text
        first, second = text.removesuffix("</s>").split(", rewritten sentence: ")
        assert first.removeprefix("Rewrite the sentence: ").strip() == second.strip()
    if prompt == "prompteol":
        assert text.removesuffix("</s>").endswith('means in one word:"')


FORMS = {**PAPERS, "custom": f"<<{TEXT}>>", "e5_instruct": TEXT, "chat": f"<|im_start|>user\n{TEXT}<|im_end|>\n"}


@pytest.mark.parametrize("prompt", FORMS)
@pytest.mark.parametrize("layer", [-1, 2])
@torch.inference_mode()
def test_prompt_equals_a_slow_reading_written_from_its_paper(settings, tiny, prompt, layer):
    folder = str(tiny("llama"))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    lab = Lab(settings, LocalEngine(settings))
    texts = ["A man plays a guitar.", "서울은 대한민국의 수도다.", "one two three four five six."]
    pooling = "mean" if prompt == "echo" else "last_token"
    found = lab.embed(texts, model=folder, prompt=prompt, pooling=pooling, layer=layer, template="<<{text}>>")
    for text, vector in zip(texts, found, strict=True):
        string = FORMS[prompt].replace("What is GPU.", text).replace(TEXT, text)  # the texts end with a full stop
        encoded = tokenizer(string, return_tensors="pt", return_offsets_mapping=True)
        states = model(input_ids=encoded["input_ids"], output_hidden_states=True).hidden_states[layer][0]
        expected = states[-1]
        if prompt == "echo":
            second = string.rindex(text)
            expected = states[[i for i, (_, end) in enumerate(encoded["offset_mapping"][0]) if end > second]].mean(0)
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("no place", BadInput),
        ("{text}" * 5, BadInput),
        ("{text}\x00", BadCharacter),
        ("{text}" + "a" * 30_000, TextTooLong),
    ],
)
def test_unusable_template_is_refused(template, error):
    lab = Lab(Settings(), FakeEngine())
    with pytest.raises(error) as refused:
        lab.compare("a", "b", prompt="custom", template=template)
    assert refused.value.field == "template"


def test_task_and_template_are_part_of_the_reading_only_where_they_matter():
    lab = Lab(engine=FakeEngine())
    assert lab.reading(prompt="plain", task="x", template="{text}!").task == ""
    assert lab.reading(prompt="e5_instruct").task
    assert lab.reading(prompt="custom", template="{text}!").template == "{text}!"
    assert "+ EOS" in lab.reading(prompt="plain", eos=True).label()
