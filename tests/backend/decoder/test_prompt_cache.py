"""What is typed at the end of a text runs alone: equal to the whole text's own pass, kept within bytes."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from demo.backend.decoder import prompt_cache
from demo.backend.decoder.decoder import make_decoder
from demo.backend.decoder.kv_prefix import KVPrefix
from demo.backend.decoder.prompt_cache import PromptCache
from demo.backend.local import LocalEngine
from demo.domain.datamodels import LAST_LAYER, Pooling, Prompt, PromptedText, Reading
from tests.backend.decoder.test_decoder import FAST, PROBE, PROMPTS, load, slow, watch, with_tree

# As somebody types, deletes, goes on elsewhere and pastes.
VERSIONS = (
    "What is the capital of",
    "What is the capital of F",
    "What is the capital of France and",
    "What is the capital of France",
    "What is the capital of 한국 🙂?",
    "Is the capital of France",
    "What is the capital of France and of Spain, and which is larger",
)


def kept(checkpoint) -> list[KVPrefix]:
    return [entry.whole for entry in checkpoint.decoder.prompt_cache._entries.values() if entry.whole]


def beginning(tokens: int, width: int = 4) -> KVPrefix:
    """Of two blocks."""
    block, states = torch.zeros(1, 1, tokens, width), torch.arange(tokens * width).reshape(tokens, width).float()
    return KVPrefix((block, block), (block, block), (states, states, states))


@pytest.mark.parametrize("family", FAST)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_version_of_a_text_is_read_as_if_it_came_first(settings, engine, tiny, family, prompt):
    """The pass that keeps them, of every layer and pooling."""
    alone = slow(settings, tiny(family))
    for pooling in (Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.FIRST_TOKEN, Pooling.MAX):
        for layer in (1, LAST_LAYER):
            reading = Reading(str(tiny(family)), Prompt.PLAIN, pooling, layer)
            for version in VERSIONS:
                text = [PromptedText(version, **PROMPTS[prompt])]
                expected = alone.embed(text, reading).vectors
                np.testing.assert_allclose(engine.embed(text, reading).vectors, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_only_what_is_new_runs(engine, tiny, prompt, monkeypatch):
    reading = Reading(str(tiny("llama")), Prompt.PLAIN, Pooling.MEAN)
    checkpoint = engine._checkpoint(str(tiny("llama")))
    versions = ("a b c d e f g", "a b c d e f g h", "a b c d e f g h i")
    texts = [PromptedText(version, **PROMPTS[prompt]) for version in versions]
    tokenized = engine._tokenize(texts, checkpoint)
    whole = [len(text) - len(text.beginning) * (len(text.beginning) >= 4) for text in tokenized]
    engine.embed(texts[:1], reading)
    ran = watch(monkeypatch, lambda tree: len(tree.tokens))
    engine.embed(texts[1:2], reading)
    engine.embed(texts[2:], reading)
    if prompt == "token prepending":  # the end of a text stands in its beginning
        assert ran == whole[1:]
    else:
        same = len(os.path.commonprefix([text.input_ids for text in tokenized[1:]]))
        assert ran == [whole[1], len(tokenized[2]) - same], "the first is seen, the second kept"


def test_a_pass_that_ends_early_goes_on_from_it_and_is_not_kept(engine, tiny, monkeypatch):
    checkpoint = engine._checkpoint(str(tiny("llama")))
    [text] = engine._tokenize([PromptedText("one two three four five six")], checkpoint)
    item = engine._runner.work_item(text, checkpoint, (Pooling.MEAN, 1))
    whole = engine._runner.work_item(text, checkpoint, None)
    [expected] = engine._runner.run(item.group, [item.content])
    engine._runner.run(item.group, [item.content])
    assert not kept(checkpoint)
    engine._runner.run(whole.group, [whole.content])
    assert len(kept(checkpoint)) == 1
    ran = watch(monkeypatch, lambda tree: len(tree.tokens))
    [found] = engine._runner.run(item.group, [item.content])
    assert ran == [1]
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


def test_texts_that_share_a_pass_are_not_kept(settings, tiny):
    engine = LocalEngine(settings)
    texts = [PromptedText(version) for version in VERSIONS]
    reading = Reading(str(tiny("llama")), Prompt.PLAIN, Pooling.MEAN)
    engine.embed(texts, reading)
    engine.embed([PromptedText(f"{text.text} again") for text in texts], reading)
    assert not kept(engine._checkpoint(reading.model))


@torch.inference_mode()
def test_half_precision_is_hardly_another_vector(tiny):
    network, anatomy = load(tiny("llama"), torch.bfloat16)
    decoder = make_decoder(anatomy, network.config, 64, PROBE)
    ids = torch.arange(5, 45)[None]
    expected = decoder.every_layer(with_tree(ids), torch.clone)
    wholes: list[KVPrefix] = []
    decoder.every_layer(with_tree(ids[:, :35]), torch.clone, keep=wholes.append)
    found = decoder.every_layer(with_tree(ids[:, 30:]), torch.clone, None, wholes[0].cut(30), join=True)
    for one, other in zip(found, expected, strict=True):
        assert torch.cosine_similarity(one, other, dim=-1).min() > 0.999


def test_bytes_are_bounded_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(prompt_cache, "_BYTES", 2 * beginning(10, 64).nbytes + 2000)
    texts = PromptCache(beginning(1, 64).nbytes)
    for first in (100, 200, 300):
        texts.put(tuple(range(first, first + 10)), 0, beginning(10, 64))
    assert texts.get((*range(100, 110), 1), 0) == (None, False)
    assert len(texts.get((*range(300, 310), 1), 0)[0]) == 10
    assert len(texts.get((*range(200, 210), 1), 0)[0]) == 10


def test_a_text_that_would_need_all_the_room_is_never_taken_down(engine, tiny, monkeypatch):
    """Taken down and then dropped, a long text would cost a gigabyte at every letter."""
    checkpoint = engine._checkpoint(str(tiny("llama")))
    texts = engine._tokenize([PromptedText(f"a b c d e f g h {end}") for end in ("i", "j", "k l")], checkpoint)
    made = []
    for text in texts[:2]:
        item = engine._runner.work_item(text, checkpoint, None)
        engine._runner.run(item.group, [item.content])
    [whole] = kept(checkpoint)
    assert whole.nbytes == len(texts[1]) * checkpoint.decoder.prompt_cache._bytes_a_token
    monkeypatch.setattr(prompt_cache, "_BYTES", whole.nbytes)
    monkeypatch.setattr("demo.backend.decoder.decoder.PrefixRecorder", lambda before: made.append(before))
    item = engine._runner.work_item(texts[2], checkpoint, None)
    engine._runner.run(item.group, [item.content])
    assert made == []


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=12).map(tuple), max_size=6), st.integers(0, 3))
def test_the_last_text_that_began_so_is_found_and_its_last_token_always_runs(before, known):
    texts = PromptCache(1)
    for ids in before:
        texts.put(ids, known, beginning(len(ids)))
    wanted = (0, 1, 0, 0, 1, 0, 1, 1)
    least = known + prompt_cache._LEAST
    alike = [ids for ids in before if ids[:least] == wanted[:least]]
    prefix, again = texts.get(wanted, known)
    assert again == bool(alike)
    if alike:
        assert len(prefix) == max(n for n in range(len(wanted)) if alike[-1][:n] == wanted[:n])
        assert {tensor.shape[2] for tensor in (*prefix.keys, *prefix.values)} == {len(prefix)}
        torch.testing.assert_close(prefix.states[0], beginning(len(prefix)).states[0])


def test_a_text_is_worth_keeping_once_another_began_like_it():
    texts = PromptCache(1)
    assert texts.get((1, 2, 3, 4), 0) == (None, False), "too short to be begun by any"
    assert texts.get((1, 2, 3, 4, 5), 0) == (None, False)
    assert texts.get((1, 2, 3, 4, 6), 0) == (None, True)
    assert texts.get((1, 2, 3, 5, 6), 0) == (None, False)
