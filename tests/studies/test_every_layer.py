"""One forward pass gives every layer and pooling, kept: the fast path equals the slow one, and nothing runs twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from demo.backend.local import LocalEngine
from demo.backend.model.forward import find_anatomy
from demo.backend.model.pooling import KEPT_POOLINGS
from demo.backend.model.tokenization import remove_token, tokenize
from demo.domain.choices import LAST_LAYER_ONLY
from demo.domain.datamodels import LAST_LAYER, TEXT, Pooling, Prompt, PromptedText, Reading
from demo.domain.errors import ReadingRefused
from demo.lab import Lab
from tests.conftest import FAMILIES, TEXTS, save_tiny

PROMPTED = [PromptedText(text) for text in TEXTS]
STATES = [pooling for pooling in Pooling if pooling not in LAST_LAYER_ONLY]
SENTENCE = f'This sentence : "{TEXT}" means in one word:"'


def reading(folder, pooling=Pooling.MEAN, layer=LAST_LAYER, normalize=False):
    return Reading(str(folder), Prompt.PLAIN, pooling, layer, normalize)


def uncached(settings) -> LocalEngine:
    """Nothing can be kept, so every call runs its own pass, no deeper than its layer."""
    return LocalEngine(settings.model_copy(update={"cache_mb": 0}))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("normalize", [False, True])
def test_a_survey_equals_one_pass_a_reading(settings, engine, tiny, family, normalize):
    folder, slow = tiny(family), uncached(settings)
    survey = engine.survey(PROMPTED, reading(folder, normalize=normalize), STATES)
    assert survey.shape == (len(STATES), 5, len(TEXTS), 32)
    for i, pooling in enumerate(STATES):
        for layer in range(5):
            expected = slow.embed(PROMPTED, reading(folder, pooling, layer, normalize)).vectors
            np.testing.assert_allclose(survey[i, layer], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("layer", [0, 2, LAST_LAYER])
@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_the_logits_of_a_pass_are_those_of_its_states(settings, engine, tiny, family, layer, normalize):
    """In the pass itself, out of a kept pass, and where nothing is kept: the same; and no turn of their own."""
    wanted = reading(tiny(family), Pooling.LAST_TOKEN_LOGITS, layer, normalize)
    calls, call = [], engine._scheduler.call
    engine._scheduler.call = lambda act: calls.append(act) or call(act)
    at_once = engine.embed(PROMPTED, wanted).vectors
    assert not calls, "the head had a turn of its own"
    other = LocalEngine(settings)
    other.embed(PROMPTED, reading(tiny(family)))
    np.testing.assert_allclose(at_once, other.embed(PROMPTED, wanted).vectors, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(at_once, uncached(settings).embed(PROMPTED, wanted).vectors, atol=1e-5, rtol=1e-5)


def test_a_survey_that_nothing_is_kept_of_is_the_same(settings, engine, tiny):
    kept = engine.survey(PROMPTED, reading(tiny("llama")), STATES)
    np.testing.assert_allclose(uncached(settings).survey(PROMPTED, reading(tiny("llama")), STATES), kept, atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_another_pooling_or_layer_runs_no_model(settings, engine, tiny, family):
    """After the first pass every other reading of the same texts is arithmetic, the logits of every layer included."""
    folder, slow = tiny(family), uncached(settings)
    engine.embed(PROMPTED, reading(folder, Pooling.LAST_TOKEN_LOGITS))
    passes = engine.counts().forward_passes
    assert passes > 0
    for pooling in (*STATES, Pooling.LAST_TOKEN_LOGITS):
        for layer in (0, 1, 3, 4, LAST_LAYER):
            found = engine.embed(PROMPTED, reading(folder, pooling, layer)).vectors
            expected = slow.embed(PROMPTED, reading(folder, pooling, layer)).vectors
            np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
    assert engine.counts().forward_passes == passes


def test_only_an_edited_text_runs(engine, tiny):
    engine.embed(PROMPTED, reading(tiny("llama")))
    passes = engine.counts().forward_passes
    engine.embed([*PROMPTED[:-1], PromptedText("edited")], reading(tiny("llama"), Pooling.MAX, 2))
    assert engine.counts().forward_passes == passes + 1


@pytest.mark.parametrize("family", ["llama", "gpt2"])  # our own decoder, and the model's pass
def test_a_set_too_large_to_be_kept_runs_no_deeper_than_its_layer(settings, tiny, family):
    engine = LocalEngine(settings.model_copy(update={"cache_mb": 0}))
    checkpoint = engine._checkpoint(str(tiny(family)))
    end = checkpoint.anatomy.blocks[3].mlp.register_forward_pre_hook(lambda *_: seen.append(1))
    if checkpoint.decoder:
        block = checkpoint.decoder._blocks[3]
        checkpoint.decoder._blocks[3] = replace(block, down=lambda states: seen.append(1) or block.down(states))
    seen = []
    engine.embed(PROMPTED, reading(tiny(family), layer=2))
    assert seen == []
    engine.embed(PROMPTED, reading(tiny(family)))
    assert seen
    end.remove()


def test_of_a_part_of_many_texts_no_more_is_kept_than_its_reading_needs(settings, engine, tiny):
    folder, slow = tiny("llama"), uncached(settings)
    for pooling in (Pooling.MEAN, Pooling.LAST_TOKEN_LOGITS):
        found = engine.embed(PROMPTED, reading(folder, pooling), keep=False).vectors
        expected = slow.embed(PROMPTED, reading(folder, pooling)).vectors
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
    assert engine.count_cached(PROMPTED, reading(folder)) == 0
    passes = engine.counts().forward_passes
    engine.embed(PROMPTED, reading(folder, Pooling.MEAN), keep=False)
    assert engine.counts().forward_passes == passes
    engine.embed(PROMPTED, reading(folder, Pooling.LAST_TOKEN_LOGITS), keep=False)
    assert engine.counts().forward_passes > passes


def test_it_tells_how_many_texts_need_no_pass(settings, engine, tiny):
    engine.embed(PROMPTED[:2], reading(tiny("llama")))
    assert engine.count_cached(PROMPTED, reading(tiny("llama"))) == 2
    assert uncached(settings).count_cached(PROMPTED, reading(tiny("llama"))) == 0


def test_a_final_norm_that_stands_one_level_down_is_found():
    """OPT keeps its blocks and norm in `decoder`; without the norm its logit lens would be another model's."""
    config = AutoConfig.for_model(
        "opt",
        vocab_size=50,
        hidden_size=16,
        ffn_dim=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        word_embed_proj_dim=16,
    )
    model = AutoModelForCausalLM.from_config(config)
    assert find_anatomy(model, has_lm_head=True).final_norm is model.model.decoder.final_layer_norm


def test_kept_poolings_are_those_that_cannot_be_had_from_others():
    assert set(KEPT_POOLINGS) | {Pooling.LAST_TOKEN_LOGITS, Pooling.MEAN_SQRT_LEN, Pooling.OWN} == set(Pooling)


# ---- token prepending -------------------------------------------------------------------------------------------


@torch.inference_mode()
def prepend_slowly(folder, ids: list[int], placeholder: int) -> list[np.ndarray]:
    """The paper's loop, block by block on one text: what enters blocks 2 to 8 has the last token's state up front."""
    network = AutoModelForCausalLM.from_pretrained(folder).eval().model
    positions = torch.arange(len(ids))[None]
    states = network.embed_tokens(torch.tensor([ids]))
    rotary = network.rotary_emb(states, positions)
    causal = torch.full((len(ids), len(ids)), torch.finfo(torch.float32).min).triu(1)[None, None]
    layers = [states[0].numpy().copy()]
    for number, block in enumerate(network.layers, start=1):
        if 2 <= number <= 8:
            states = torch.cat([states[:, :placeholder], states[:, -1:], states[:, placeholder + 1 :]], dim=1)
        states = block(states, attention_mask=causal, position_ids=positions, position_embeddings=rotary)
        states = states[0] if isinstance(states, tuple) else states
        layers.append(states[0].numpy().copy())
    layers[-1] = network.norm(states)[0].numpy()
    return layers


@pytest.fixture(scope="module")
def deep(tmp_path_factory, tiny_tokenizer):
    """A llama of ten blocks: two of them above those that token prepending touches."""
    folder = save_tiny(tmp_path_factory.mktemp("deep"), "llama", tiny_tokenizer)
    config = AutoConfig.from_pretrained(folder)
    config.num_hidden_layers = 10
    config.layer_types = None
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def test_token_prepending_equals_the_papers_loop(engine, deep, tiny_tokenizer):
    texts = ["What is GPU.", "one two three four five six seven.", "대한민국의 수도는 어디인가요.", "a."]
    wanted = [PromptedText(text, template=SENTENCE, placeholder=True) for text in texts]
    survey = engine.survey(wanted, reading(deep), [Pooling.LAST_TOKEN, Pooling.MEAN])
    for i, text in enumerate(texts):
        before, after = SENTENCE.split(TEXT)
        whole = tiny_tokenizer(before + text + after, return_offsets_mapping=True)
        placeholder = next(k for k, (_, end) in enumerate(whole["offset_mapping"]) if end >= len(before))
        ids = list(whole["input_ids"])
        ids.insert(placeholder, tiny_tokenizer.eos_token_id)
        for layer, states in enumerate(prepend_slowly(deep, ids, placeholder)):
            np.testing.assert_allclose(survey[0, layer, i], states[-1], atol=1e-5, rtol=1e-4)
            np.testing.assert_allclose(survey[1, layer, i], states.mean(axis=0), atol=1e-5, rtol=1e-4)


def test_token_prepending_alone_and_in_a_batch(settings, deep):
    slow, wanted = uncached(settings), [PromptedText(text, template=SENTENCE, placeholder=True) for text in TEXTS]
    together = slow.embed(wanted, reading(deep, Pooling.LAST_TOKEN, 9)).vectors
    for text, vector in zip(wanted, together, strict=True):
        alone = slow.embed([text], reading(deep, Pooling.LAST_TOKEN, 9)).vectors[0]
        np.testing.assert_allclose(vector, alone, atol=1e-5, rtol=1e-5)


def test_the_placeholder_stands_before_the_mark_that_opens_the_text(tiny_tokenizer):
    [tokens] = tokenize([PromptedText("What is GPU", template=SENTENCE, placeholder=True)], tiny_tokenizer, 512)
    assert tokens.input_ids[tokens.placeholder] == tiny_tokenizer.eos_token_id
    start, end = tokens.offsets[tokens.placeholder + 1]
    assert '"' in tokens.rendered[start:end]
    inside = tokens.offsets[tokens.inside[0]][0], tokens.offsets[tokens.inside[1] - 1][1]
    assert "What is GPU" in tokens.rendered[slice(*inside)]
    assert tokens.pooled == (0, len(tokens))


# ---- what the model receives, and what it says --------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [PromptedText("What is GPU"), PromptedText("What is GPU", template=SENTENCE)])
def test_inspection_shows_the_tokens_and_their_states(engine, tiny, prompt):
    [with_eos] = engine.inspect([PromptedText("a", eos=True)], reading(tiny("llama")))
    assert with_eos.tokens[-1] == "</s>", "special tokens by their names"
    [seen] = engine.inspect([prompt], reading(tiny("llama"), Pooling.MEAN, 2))
    assert seen.prompted == prompt.rendered() == "".join(seen.tokens)
    assert "".join(seen.tokens[slice(*seen.inside)]).strip(' "') == "What is GPU"
    np.testing.assert_allclose(seen.states[slice(*seen.pooled)].mean(axis=0), seen.vector, atol=1e-5)
    np.testing.assert_array_equal(
        seen.vector, engine.embed([prompt], reading(tiny("llama"), Pooling.MEAN, 2)).vectors[0]
    )


@torch.inference_mode()
def test_leaving_a_token_out_is_the_pass_without_it(engine, tiny, tiny_tokenizer):
    text = "one two three"
    vectors, positions = engine.leave_one_out(PromptedText(text), reading(tiny("llama"), Pooling.LAST_TOKEN))
    ids = tiny_tokenizer(text)["input_ids"]
    assert positions == tuple(range(len(ids)))
    network = AutoModelForCausalLM.from_pretrained(tiny("llama")).eval().model
    for position, vector in zip(positions, vectors, strict=True):
        rest = ids[:position] + ids[position + 1 :]
        expected = network(torch.tensor([rest])).last_hidden_state[0, -1].numpy()
        np.testing.assert_allclose(vector, expected, atol=1e-5, rtol=1e-4)


def test_a_token_leaves_every_copy_of_the_text(tiny_tokenizer):
    echo = PromptedText("GPU fan", template=f"{TEXT} = {TEXT}", pool_text_only=True)
    [whole] = tokenize([echo], tiny_tokenizer, 512)
    rest = remove_token(whole, whole.inside[0])
    gone = len(whole) - len(rest)
    assert gone in (1, 2), "twice where both copies are cut into the same tokens"
    assert rest.pooled[1] - rest.pooled[0] == whole.pooled[1] - whole.pooled[0] - 1


def test_a_single_token_cannot_be_left_out(engine, tiny):
    vectors, positions = engine.leave_one_out(PromptedText("a"), reading(tiny("llama"), Pooling.LAST_TOKEN))
    assert vectors.shape == (0, 32)
    assert positions == ()


@torch.inference_mode()
@pytest.mark.parametrize("family", ["llama", "gemma2", "cohere"])
def test_what_an_embedding_says_is_what_the_model_would_say_next(engine, tiny, tiny_tokenizer, family):
    text = PromptedText("What is GPU")
    vector = engine.embed([text], reading(tiny(family), Pooling.LAST_TOKEN)).vectors
    [said] = engine.read_tokens(str(tiny(family)), vector, Pooling.LAST_TOKEN, LAST_LAYER, 5)
    ids = torch.tensor([tiny_tokenizer("What is GPU")["input_ids"]])
    logits = AutoModelForCausalLM.from_pretrained(tiny(family)).eval()(ids).logits[0, -1]
    expected = logits.softmax(-1).topk(5)
    assert [chance for _, chance in said] == pytest.approx(expected.values.tolist(), abs=1e-5)
    assert said[0][0] == tiny_tokenizer.decode([int(expected.indices[0])])


def test_a_model_without_a_head_says_nothing(engine, tiny):
    with pytest.raises(ReadingRefused, match="no LM head"):
        engine.read_tokens(str(tiny("bert")), np.ones((1, 32)), Pooling.MEAN, LAST_LAYER, 5)


@pytest.mark.parametrize("pooling", [*STATES, Pooling.LAST_TOKEN_LOGITS])
def test_a_cell_is_explained_by_shares_of_its_cosine(settings, engine, tiny, pooling):
    lab = Lab(settings, engine)
    reading = {"model": str(tiny("llama")), "prompt": "plain", "pooling": pooling.value, "postprocess": "center"}
    told = lab.explain(TEXTS[1:4], TEXTS[4:7], 1, 2, **reading)
    compared = lab.compare(TEXTS[1:4], TEXTS[4:7], **reading)
    assert told.cosine == pytest.approx(float(compared.similarity[1, 2]), abs=1e-6)
    if told.method == "decomposition":
        assert told.question_shares.sum() == pytest.approx(told.cosine, abs=1e-4)
        assert told.answer_shares.sum() == pytest.approx(told.cosine, abs=1e-4)
    assert len(told.question_top_tokens) == 10
