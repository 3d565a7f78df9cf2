"""Our own pass through a GPT: equal to the model's, never used where it is not, and the shared beginning runs once."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from demo.backend.decoder.decoder import Decoder, make_decoder
from demo.backend.decoder.prefix_tree import PrefixTree, build_tree
from demo.backend.local import LocalEngine
from demo.backend.model.forward import Prepending, every_layer, find_anatomy, hidden_states
from demo.backend.scheduler.batch import stack
from demo.domain.datamodels import LAST_LAYER, TEXT, Pooling, Prompt, PromptedText, Reading
from tests.conftest import FAMILIES, TEXTS

FAST = ("llama", "mistral", "qwen3", "gemma3_text")
PROBE = list(range(5, 13))
PROMPTS = {
    "plain": {},
    "chat": {"chat": True},
    "prompteol": {"template": f'This sentence : "{TEXT}" means in one word:"'},
    "text only": {"template": f"A long beginning of a prompt: {TEXT} and its end", "pool_text_only": True},
    "token prepending": {"template": f'This sentence : "{TEXT}" means in one word:"', "placeholder": True},
}


def load(folder, dtype=torch.float32):
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval().requires_grad_(False)
    return network, find_anatomy(network, has_lm_head=True)


def with_tree(ids: torch.Tensor) -> PrefixTree:
    return build_tree(ids.numpy(), ids.device)


def watch(monkeypatch, look) -> list:
    """`look` at the tree of every pass."""
    looks, run = [], Decoder._run
    monkeypatch.setattr(Decoder, "_run", lambda self, one, depth: looks.append(look(one.tree)) or run(self, one, depth))
    return looks


def slow(settings, folder) -> LocalEngine:
    """The model's own pass."""
    engine = LocalEngine(settings.model_copy(update={"cache_mb": 0}))
    engine._store.own_pass = False
    assert engine._checkpoint(str(folder)).decoder is None
    return engine


@pytest.mark.parametrize("family", FAMILIES)
def test_the_decoder_runs_these_families_only(engine, tiny, family):
    """cohere norms differently, granite and gemma2 do more, gpt2 and bert are built otherwise."""
    assert (engine._checkpoint(str(tiny(family))).decoder is not None) == (family in FAST)


@pytest.mark.parametrize("family", FAST)
@torch.inference_mode()
def test_every_state_of_every_layer_equals_the_models(tiny, family):
    network, anatomy = load(tiny(family))
    ids = torch.tensor([[7, 8, 9, 10, 11, 12], [30, 31, 32, 33, 34, 35]])
    expected = every_layer(anatomy, ids, None, torch.clone)
    decoder = make_decoder(anatomy, network.config, 8, PROBE)
    every = decoder.every_layer(with_tree(ids), torch.clone)
    for layer, (found, states) in enumerate(zip(every, expected, strict=True)):
        torch.testing.assert_close(found, states, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(decoder.hidden_states(with_tree(ids), layer), states, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(decoder.hidden_states(with_tree(ids), LAST_LAYER), expected[-1], atol=1e-5, rtol=1e-5)
    # The model itself still works: its weights are views of the decoder's.
    torch.testing.assert_close(hidden_states(anatomy, ids, None, LAST_LAYER), expected[-1], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("family", FAST)
@torch.inference_mode()
def test_tokens_after_a_cached_prefix_equal_those_of_one_pass(tiny, family):
    network, anatomy = load(tiny(family))
    decoder = make_decoder(anatomy, network.config, 16, PROBE)
    beginning, rests = (9, 8, 7, 6), torch.tensor([[20, 21, 22], [23, 24, 25]])
    whole = torch.cat([torch.tensor([beginning]).expand(2, -1), rests], dim=1)
    prefix = decoder.prefix(beginning)
    assert decoder.prefix(beginning) is prefix
    places = Prepending(torch.tensor([4, 4]), torch.tensor([6, 6]))
    for prepending in (None, places):
        expected = decoder.every_layer(with_tree(whole), torch.clone, prepending)
        with_prefix = decoder.every_layer(with_tree(rests), torch.clone, prepending, prefix, join=True)
        for found, states in zip(with_prefix, expected, strict=True):
            torch.testing.assert_close(found, states, atol=1e-5, rtol=1e-5)
        for layer in (0, 2, LAST_LAYER):
            found = decoder.hidden_states(with_tree(rests), layer, prepending, prefix)
            torch.testing.assert_close(found, expected[layer][:, 4:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAST)
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("pooling", [Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.WEIGHTED_MEAN, Pooling.FIRST_TOKEN])
def test_the_fast_engine_equals_the_slow_one(settings, engine, tiny, family, prompt, pooling):
    """Prompts with a beginning that is kept, poolings that read it, texts longer than a sliding window."""
    texts = [PromptedText(text, **PROMPTS[prompt]) for text in TEXTS]
    for layer in (2, LAST_LAYER):
        reading = Reading(str(tiny(family)), Prompt.PLAIN, pooling, layer)
        expected = slow(settings, tiny(family)).embed(texts, reading).vectors
        np.testing.assert_allclose(engine.embed(texts, reading).vectors, expected, atol=1e-5, rtol=1e-5)
        alone = np.concatenate([engine.embed([text], reading).vectors for text in texts])
        np.testing.assert_allclose(alone, expected, atol=1e-5, rtol=1e-5)


def test_the_beginning_of_a_prompt_runs_once(settings, tiny, monkeypatch):
    engine = LocalEngine(settings.model_copy(update={"cache_mb": 0}))
    reading = Reading(str(tiny("llama")), Prompt.CHAT, Pooling.LAST_TOKEN)
    widths = watch(monkeypatch, lambda tree: tree.nodes.shape)
    engine.load(str(tiny("llama")))
    widths.clear()
    texts = [PromptedText(text, chat=True) for text in ("What is GPU?", "What is CPU?")]
    engine.embed(texts, reading)
    beginning, rests = widths
    assert beginning[0] == 1
    assert rests[0] == 2
    widths.clear()
    engine.embed(texts[:1], reading)
    assert len(widths) == 1, "the rest alone"
    assert widths[0][1] <= rests[1]


SAME = "one two three four five"
ALIKE = (SAME, f"{SAME} six", f"{SAME} seven eight", f"{SAME} six seven", "one", "two", "one two emoji 🙂")


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("pooling", [Pooling.LAST_TOKEN, Pooling.WEIGHTED_MEAN, Pooling.MAX])
def test_texts_with_a_common_beginning_equal_each_text_alone(settings, tiny, prompt, pooling):
    texts = [PromptedText(text, **PROMPTS[prompt]) for text in ALIKE]
    reading = Reading(str(tiny("llama")), Prompt.PLAIN, pooling)
    alone = slow(settings, tiny("llama"))
    expected = np.concatenate([alone.embed([text], reading).vectors for text in texts])
    engine = LocalEngine(settings.model_copy(update={"cache_mb": 0}))
    np.testing.assert_allclose(engine.embed(texts, reading).vectors, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_common_beginning_runs_once(engine, tiny, prompt):
    """With token prepending the end of a text stands in its beginning, too: none is shared."""
    checkpoint = engine._checkpoint(str(tiny("llama")))
    texts = engine._tokenize([PromptedText(text, **PROMPTS[prompt]) for text in ALIKE], checkpoint)
    start = len(texts[0].beginning)
    rests = [text.input_ids[start:] for text in texts]
    tree = stack(texts, checkpoint.pad_id, checkpoint.device, start, with_tree=True).tree
    beginnings, tokens = {rest[:end] for rest in rests for end in range(1, len(rest) + 1)}, sum(map(len, rests))
    assert len(beginnings) < tokens
    assert len(tree.tokens) == (tokens if prompt == "token prepending" else len(beginnings))


@pytest.mark.parametrize("family", ["llama", "bert", "gpt2"])
def test_only_the_decoders_work_items_name_their_beginning(engine, tiny, family):
    """The model's own pass runs its padding: there like lengths go together, and nothing else counts."""
    checkpoint = engine._checkpoint(str(tiny(family)))
    [text] = engine._tokenize([PromptedText("What is GPU?")], checkpoint)
    item = engine._runner.work_item(text, checkpoint, None)
    assert item.beginning == (text.input_ids if family in FAST else ())


def test_a_model_with_other_states_gets_no_decoder(tiny):
    network, anatomy = load(tiny("llama"))
    assert make_decoder(anatomy, network.config, 8, PROBE) is not None
    block = anatomy.blocks[2]
    block.register_forward_hook(lambda module, args, output: output * 1.01 if torch.is_tensor(output) else output)
    assert make_decoder(anatomy, network.config, 8, PROBE) is None


def test_half_precision_is_near_float32_and_hardly_depends_on_batch_mates(tiny):
    network, anatomy = load(tiny("llama"))
    exact = make_decoder(anatomy, network.config, 64, PROBE)
    network, anatomy = load(tiny("llama"), torch.bfloat16)
    half = make_decoder(anatomy, network.config, 64, PROBE)
    ids = torch.arange(40).reshape(4, 10) + 5
    with torch.inference_mode():
        expected, found = (each.hidden_states(with_tree(ids), LAST_LAYER) for each in (exact, half))
        assert torch.cosine_similarity(expected, found, dim=-1).min() > 0.999
        alone = torch.cat([half.hidden_states(with_tree(row[None, :6]), LAST_LAYER) for row in ids])
        assert torch.cosine_similarity(alone, found[:, :6], dim=-1).min() > 0.9999
