"""Contrastive training: the loss by hand, fast paths against slow ones, a run that can be broken off and repeated."""

import itertools
import json
import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from demo.backend.local import LocalEngine
from demo.backend.model.forward import hidden_states
from demo.backend.model.tokenization import tokenize
from demo.backend.scheduler.batch import stack
from demo.backend.training.contrastive import (
    ContrastiveTraining,
    distillation_loss,
    info_nce,
    learning_rate,
    plan_steps,
)
from demo.backend.training.learners import LoraLearner, share_weights
from demo.backend.weights.adapters import is_adapter, read_info, replaced_whole
from demo.domain.datamodels import LAST_LAYER, Pooling, Prompt, PromptedText, Reading
from demo.domain.errors import BadInput, ModelNotFound, ReadingRefused
from demo.domain.recipe import Method, PromptedPair, Recipe
from tests.conftest import CAUSAL_FAMILIES, FAMILIES

WORDS = "one two three four five six seven eight nine ten GPU OpenAI text emoji spaces inside circuit".split()
PAIRS = [
    PromptedPair(
        PromptedText(f"What is {word}?"),
        PromptedText(f"{word} is the number {i} of seventeen words"),
        PromptedText(f"{word} is no number") if i % 2 else None,
    )
    for i, word in enumerate(WORDS)
]
SOURCES = [(10, 1.0), (len(PAIRS) - 10, 2.0)]


def recipe_for(folder, pooling=Pooling.LAST_TOKEN, layer=LAST_LAYER, prompt=Prompt.PLAIN, **how) -> Recipe:
    how = {"steps": 6, "batch_size": 5, "learning_rate": 3e-3, "warmup": 2, "rank": 4, "first_block": 2, **how}
    return Recipe(Reading(str(folder), prompt, pooling, layer), **how)


def train(engine, recipe, steps=None, guide=None) -> ContrastiveTraining:
    training = engine.train(recipe, PAIRS, SOURCES, guide)
    training.losses = [step.loss for step in itertools.islice(training.steps(), steps)]
    return training


def loss_over_all(training) -> float:
    asked, answered = (
        torch.from_numpy(training.embed([getattr(pair, side) for pair in PAIRS])) for side in ("question", "answer")
    )
    return float(info_nce(asked, answered, training.recipe.temperature))


def test_info_nce_by_hand():
    """Two pairs at right angles and a temperature of 1: cosines 1, 0 / .6, .8 and mental arithmetic."""
    questions = torch.tensor([[2.0, 0.0], [0.6, 0.8]])
    answers = torch.tensor([[3.0, 0.0], [0.0, 5.0]])
    forth = -(math.log(math.e / (math.e + 1)) + math.log(math.exp(0.8) / (math.exp(0.6) + math.exp(0.8)))) / 2
    back = -(math.log(math.e / (math.e + math.exp(0.6))) + math.log(math.exp(0.8) / (1 + math.exp(0.8)))) / 2
    assert float(info_nce(questions, answers, 1.0)) == pytest.approx((forth + back) / 2, abs=1e-6)


def test_a_hard_negative_counts_for_the_questions_and_a_known_pair_for_nobody():
    questions, answers = torch.eye(2), torch.eye(2)
    negative = torch.tensor([[1.0, 0.0]])  # as near to the first question as its own answer
    loss = float(info_nce(questions, torch.cat([answers, negative]), 1.0))
    forth = (math.log((2 * math.e + 1) / math.e) + math.log((math.e + 2) / math.e)) / 2
    back = math.log((math.e + 1) / math.e)
    assert loss == pytest.approx((forth + back) / 2, abs=1e-6)
    known = torch.tensor([[False, False, True], [False, False, True]])
    assert float(info_nce(questions, torch.cat([answers, negative]), 1.0, known)) == pytest.approx(back, abs=1e-6)
    own = torch.tensor([[True, False], [False, True]])  # the diagonal is the answer, whatever is known of it
    assert float(info_nce(questions, answers, 1.0, own)) == pytest.approx(back, abs=1e-6)


def test_a_guide_that_agrees_costs_nothing_and_one_that_does_not_pulls():
    vectors = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert float(distillation_loss(vectors, vectors, 0.05)) == pytest.approx(0.0, abs=1e-5)
    assert float(distillation_loss(vectors, vectors.flip(0), 0.05)) > 1


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine():
    recipe = recipe_for("m", steps=10, warmup=4, learning_rate=1.0)
    rates = [learning_rate(recipe, step) for step in range(1, 11)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[6] == pytest.approx(0.5)
    assert rates[9] == pytest.approx(0.0)


def test_a_batch_has_one_source_and_a_round_has_every_pair_once():
    recipe = recipe_for("m", steps=400, batch_size=4)
    plan = plan_steps(recipe, [(12, 1.0), (3, 1.0), (100, 0.5)])
    sources = [np.searchsorted([12, 15], rows, side="right") for rows in plan]
    assert all(len(set(source)) == 1 for source in sources)
    assert all(len(set(rows.tolist())) == len(rows) for rows in plan)
    first = [rows for rows, source in zip(plan, sources, strict=True) if source[0] == 0][:3]
    assert sorted(np.concatenate(first)) == list(range(12))
    counts = np.bincount([source[0] for source in sources], minlength=3) / 400
    chance = np.sqrt([12, 3, 100]) * [1, 1, 0.5]
    np.testing.assert_allclose(counts, chance / chance.sum(), atol=0.08)
    assert all((a == b).all() for a, b in zip(plan, plan_steps(recipe, [(12, 1.0), (3, 1.0), (100, 0.5)]), strict=True))
    other = plan_steps(replace(recipe, seed=1), [(12, 1.0), (3, 1.0), (100, 0.5)])
    assert not all(np.array_equal(a, b) for a, b in zip(plan, other, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_training_lowers_the_loss_and_changes_nobody_elses_vectors(engine, tiny, family):
    recipe = recipe_for(tiny(family), steps=24, batch_size=8, learning_rate=2e-3)
    texts = [pair.question for pair in PAIRS]
    before = engine.embed(texts, recipe.reading).vectors
    base = {name: tensor.clone() for name, tensor in engine._checkpoint(str(tiny(family))).network.state_dict().items()}
    training = engine.train(recipe, PAIRS, SOURCES)
    untrained = loss_over_all(training)
    assert sum(1 for _ in training.steps()) == 24
    assert loss_over_all(training) < untrained - 0.1
    engine.cache.clear()
    np.testing.assert_array_equal(engine.embed(texts, recipe.reading).vectors, before)
    after = engine._checkpoint(str(tiny(family))).network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in base.items())
    assert np.abs(training.embed(texts) - before).max() > 1e-3


@pytest.mark.parametrize("method", list(Method))
def test_gradients_reach_only_what_learns(engine, tiny, method):
    training = train(engine, recipe_for(tiny("llama"), method=method), steps=1)
    learner = training._learner
    assert all(parameter.grad is not None for parameter in learner.parameters())
    network = learner._network if method is Method.LORA else share_weights(training.checkpoint.network)
    learns = {id(parameter) for parameter in learner.parameters()}
    others = [parameter for parameter in network.parameters() if id(parameter) not in learns]
    assert others
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in others)
    if method is Method.LORA:
        names = [name for name, _ in learner.named_parameters()]
        assert all("lora_" in name and (".layers.2." in name or ".layers.3." in name) for name in names)
        assert training.trainable == sum(parameter.numel() for parameter in learner.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prompt", [Prompt.PLAIN, Prompt.TOKEN_PREPENDING])
def test_frozen_layers_from_memory_give_the_step_of_a_whole_pass(engine, tiny, family, prompt):
    """Loss and gradients as if every block had run, with texts of mixed lengths and padding."""
    if prompt is Prompt.TOKEN_PREPENDING and family == "bert":
        pytest.skip("no placeholder in an encoder")
    checkpoint = engine._checkpoint(str(tiny(family)))
    learner = LoraLearner(checkpoint, recipe_for(tiny(family), prompt=prompt))
    randomize(learner)
    texts = [pair.question for pair in PAIRS[:4]] + [pair.answer for pair in PAIRS[:4]]
    if prompt is Prompt.TOKEN_PREPENDING:
        texts = [replace(text, template='This "{text}" means:', placeholder=True) for text in texts]
    tokenized = tokenize(texts, checkpoint.tokenizer, 64)
    for _ in range(2):  # the second time everything below comes from memory
        fast = learner.embed(tokenized)
        info_nce(fast[:4], fast[4:], 0.1).backward()
        gradients = [parameter.grad.clone() for parameter in learner.parameters()]
        for parameter in learner.parameters():
            parameter.grad = None
        batch = stack(tokenized, checkpoint.pad_id, torch.device("cpu"))
        states = hidden_states(learner._anatomy, batch.input_ids, batch.attention, LAST_LAYER, batch.prepending)
        slow = states[torch.arange(8), batch.pooled.sum(1) - 1]
        info_nce(slow[:4], slow[4:], 0.1).backward()
        torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-4)
        for found, parameter in zip(gradients, learner.parameters(), strict=True):
            torch.testing.assert_close(found, parameter.grad, atol=1e-5, rtol=1e-3)
            parameter.grad = None
    assert learner._cache


def randomize(learner) -> None:
    """LoRA begins with B = 0, where A has no gradient."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.LAST_TOKEN_LOGITS, Pooling.WEIGHTED_MEAN])
@pytest.mark.parametrize("layer", [3, LAST_LAYER])
def test_an_untrained_learner_embeds_as_the_engine_does(engine, tiny, pooling, layer):
    """LoRA begins as nothing: the same vectors, whatever the reading; also in batches of other texts."""
    recipe = recipe_for(tiny("llama"), pooling, layer)
    texts = [pair.answer for pair in PAIRS] + [PromptedText("a")]
    training = engine.train(recipe, PAIRS, SOURCES)
    np.testing.assert_allclose(training.embed(texts), engine.embed(texts, recipe.reading).vectors, atol=2e-5)
    np.testing.assert_allclose(training.embed(texts[:1]), training.embed(texts)[:1], atol=1e-5)


@pytest.mark.parametrize("method", list(Method))
def test_the_same_run_gives_the_same_adapter_and_a_resumed_one_too(settings, engine, tiny, tmp_path, method):
    recipe = recipe_for(tiny("llama"), method=method)
    whole = train(engine, recipe)
    broken = train(engine, recipe, steps=3)
    assert broken.losses == whole.losses[:3]
    broken.save_state(tmp_path / "state")
    resumed = LocalEngine(settings).train(recipe, PAIRS, SOURCES)
    resumed.load_state(tmp_path / "state")
    assert resumed.done == 3
    losses = [step.loss for step in resumed.steps()]
    np.testing.assert_allclose(losses, whole.losses[3:], rtol=1e-6)
    for (name, parameter), (_, other) in zip(
        whole._learner.named_parameters(), resumed._learner.named_parameters(), strict=True
    ):
        torch.testing.assert_close(parameter, other, msg=name, atol=1e-7, rtol=1e-6)


def test_a_state_of_another_recipe_or_a_damaged_one_is_refused(engine, tiny, tmp_path):
    training = train(engine, recipe_for(tiny("llama")), steps=1)
    training.save_state(tmp_path / "state")
    with pytest.raises(BadInput, match="other settings"):
        engine.train(recipe_for(tiny("llama"), steps=7), PAIRS, SOURCES).load_state(tmp_path / "state")
    (tmp_path / "state" / "state.safetensors").write_bytes(b"half")
    with pytest.raises(BadInput, match="no state"):
        training.load_state(tmp_path / "state")
    with pytest.raises(BadInput, match="no state"):
        training.load_state(tmp_path / "nowhere")


@pytest.mark.parametrize("family", CAUSAL_FAMILIES)
def test_a_saved_adapter_is_a_model_with_the_same_vectors(settings, engine, tiny, tmp_path, family):
    recipe = recipe_for(tiny(family), learning_rate=1e-2)
    training = train(engine, recipe)
    told = {"base": str(tiny(family)), "steps": 6, "reading": recipe.reading.to_dict()}
    training.save(tmp_path / "adapter", told, "# A card\n")
    assert is_adapter(tmp_path / "adapter")
    assert (tmp_path / "adapter" / "README.md").read_text() == "# A card\n"
    assert read_info(tmp_path / "adapter") == told
    texts = [pair.question for pair in PAIRS]
    other = LocalEngine(settings)
    info = other.load(str(tmp_path / "adapter"))
    assert info.default_reading == replace(recipe.reading, model=str(tmp_path / "adapter"))
    assert "adapter sha256:" in info.revision
    found = other.embed(texts, info.default_reading).vectors
    np.testing.assert_allclose(found, training.embed(texts), atol=3e-3)  # it is kept in half precision
    assert np.abs(found - engine.embed(texts, recipe.reading).vectors).max() > 1e-2


def test_the_adapter_loads_with_peft_alone(engine, tiny, tmp_path):
    recipe = recipe_for(tiny("llama"), learning_rate=1e-2)
    training = train(engine, recipe)
    training.save(tmp_path / "adapter", {})
    network = AutoModelForCausalLM.from_pretrained(tiny("llama"), dtype=torch.float32)
    network = PeftModel.from_pretrained(network, tmp_path / "adapter")
    tokens = training.checkpoint.tokenizer(PAIRS[0].question.text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = network(input_ids=tokens, output_hidden_states=True).hidden_states[-1][0, -1].numpy()
    np.testing.assert_allclose(states, training.embed([PAIRS[0].question])[0], atol=3e-3)


@pytest.mark.parametrize("pooling", [Pooling.LAST_TOKEN, Pooling.MEAN])
def test_a_saved_projection_is_a_model_with_the_same_vectors(settings, engine, tiny, tmp_path, pooling):
    recipe = recipe_for(tiny("llama"), pooling, method=Method.PROJECTION, steps=30)
    training = engine.train(recipe, PAIRS, SOURCES)
    untrained = loss_over_all(training)
    assert sum(1 for _ in training.steps()) == 30
    assert loss_over_all(training) < untrained - 0.1
    name = "0123456789abcdef"
    folder = settings.cache_dir / "trained" / name
    training.save(folder, {"base": str(tiny("llama")), "steps": 30, "reading": recipe.reading.to_dict()})
    texts = [pair.answer for pair in PAIRS]
    info = engine.load(f"trained:{name}")
    found = engine.embed(texts, info.default_reading).vectors
    np.testing.assert_allclose(found, training.embed(texts), atol=1e-4)
    inspected = engine.inspect(texts[:1], info.default_reading)[0]
    np.testing.assert_allclose(inspected.vector, found[0], atol=1e-5)


def test_a_projection_learns_in_turn_with_what_else_the_device_does(engine, tiny, monkeypatch):
    """Its texts run as anybody's, once each; its steps are taken in the device's thread, LoRA's in its own."""
    call, threads = engine._scheduler.call, []

    def in_turn(act):
        return call(lambda: (threads.append(threading.current_thread().name), act())[1])

    monkeypatch.setattr(engine._scheduler, "call", in_turn)
    training = train(engine, recipe_for(tiny("llama"), method=Method.PROJECTION, steps=30))
    assert threads == ["device"] * 30
    texts = {text for pair in PAIRS for text in (pair.question, pair.answer, pair.negative) if text}
    assert engine.counts().texts == len(texts)
    training.embed([pair.question for pair in PAIRS])
    assert engine.counts().texts == len(texts)
    train(engine, recipe_for(tiny("llama")), steps=1)
    assert threads == ["device"] * 31


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"pooling": Pooling.MAX, "method": Method.PROJECTION}, "one of last_token, mean"),
        ({"layer": 2, "method": Method.PROJECTION}, "on the last layer"),
        ({"layer": 0}, "nothing to train"),
    ],
)
def test_what_cannot_be_trained_says_why(engine, tiny, how, said):
    with pytest.raises(ReadingRefused, match=said):
        engine.train(recipe_for(tiny("llama"), **how), PAIRS, SOURCES)


def test_a_model_with_an_adapter_is_not_trained_again(settings, engine, tiny, tmp_path):
    recipe = recipe_for(tiny("llama"))
    train(engine, recipe, steps=1).save(tmp_path / "a", {"base": str(tiny("llama"))})
    with pytest.raises(ReadingRefused, match="carries an adapter already"):
        engine.train(recipe_for(tmp_path / "a"), PAIRS, SOURCES)


@pytest.mark.parametrize("name", ["../../etc", "0123", "0123456789abcdef", ""])
def test_a_name_that_nothing_was_trained_under_is_not_found(engine, name):
    with pytest.raises(ModelNotFound):
        engine.load(f"trained:{name}")


def test_a_guide_gets_the_texts_and_has_its_share(engine, tiny):
    asked = []

    def guide(texts):
        asked.extend(texts)
        return np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)

    recipe = recipe_for(tiny("llama"), guide="x", guide_weight=0.5)
    losses = train(engine, recipe, steps=1, guide=guide).losses
    assert losses[0] != train(engine, recipe, steps=1).losses[0]
    assert asked
    assert all(isinstance(text, str) for text in asked)
    # Without any share of the guide it is InfoNCE with in-batch negatives: hard ones are for the guide to judge.
    bare = [replace(pair, negative=None) for pair in PAIRS]
    expected = next(iter(engine.train(recipe, bare, SOURCES).steps())).loss
    found = train(engine, replace(recipe, guide_weight=0.0), steps=1, guide=guide).losses
    assert found == pytest.approx([expected], abs=1e-5)


def test_the_numbers_of_a_step_can_be_checked(engine, tiny):
    """The example is the batch's first question: its cosines give back the row that the loss is made of."""
    recipe = recipe_for(tiny("llama"), steps=1, temperature=0.1)
    step = next(iter(engine.train(recipe, PAIRS, SOURCES).steps()))
    assert step.step == 1
    assert step.learning_rate == pytest.approx(recipe.learning_rate / 2)
    assert len(step.example) == recipe.batch_size
    fresh = engine.train(recipe, PAIRS, SOURCES)
    pairs = [PAIRS[i] for i in fresh._plan[0]]
    asked, answered = (fresh.embed([getattr(pair, side) for pair in pairs]) for side in ("question", "answer"))
    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (asked, answered)]
    np.testing.assert_allclose(step.example, unit[0][0] @ unit[1].T, atol=1e-5)


def test_equal_texts_are_no_wrong_answers(engine, tiny):
    """The same answer twice in a batch would be pushed away from its own question."""
    twice = [
        PromptedPair(PromptedText("a b"), PromptedText("same")),
        PromptedPair(PromptedText("c d"), PromptedText("same")),
    ]
    training = engine.train(recipe_for(tiny("llama"), batch_size=2), twice, [(2, 1.0)])
    texts = [*(pair.question for pair in twice), *(pair.answer for pair in twice)]
    assert training._positives(twice, texts).tolist() == [[True, True], [True, True]]
    assert next(iter(training.steps())).loss == pytest.approx(0.0, abs=1e-6)


def test_no_right_answer_of_a_question_is_a_wrong_one(engine, tiny):
    """Neither in another pair of the batch, nor as a hard negative of any, whichever pairs the batch holds."""
    pairs = [
        PromptedPair(PromptedText("q1"), PromptedText("a1"), PromptedText("a3")),  # right for q1 in a third pair
        PromptedPair(PromptedText("q2"), PromptedText("b1"), PromptedText("a2")),
        PromptedPair(PromptedText("q1"), PromptedText("a2")),
        PromptedPair(PromptedText("q1"), PromptedText("a3")),
    ]
    training = engine.train(recipe_for(tiny("llama"), batch_size=2), pairs, [(4, 1.0)])
    batch = pairs[:2]
    texts = [*(pair.question for pair in batch), *(pair.answer for pair in batch), *(pair.negative for pair in batch)]
    assert training._positives(batch, texts).tolist() == [[True, False, True, True], [False, True, False, False]]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "adapter"
    with replaced_whole(folder) as made:
        (made / "a").write_text("1")

    def fail() -> None:
        with replaced_whole(folder) as made:
            (made / "a").write_text("2")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert (folder / "a").read_text() == "1"
    with replaced_whole(folder) as made:
        (made / "b").write_text("3")
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_damaged_adapter_is_refused_in_words(settings, engine, tiny, tmp_path):
    train(engine, recipe_for(tiny("llama")), steps=1).save(tmp_path / "a", {"base": str(tiny("llama"))})
    (tmp_path / "a" / "adapter_model.safetensors").write_bytes(b"\x00" * 100)
    from demo.domain.errors import UnsupportedModel

    with pytest.raises(UnsupportedModel, match="adapter_model.safetensors is damaged"):
        LocalEngine(settings).load(str(tmp_path / "a"))
    (tmp_path / "a" / "SHA256SUMS").unlink()  # as of another tool's adapter
    with pytest.raises(UnsupportedModel, match="adapter does not fit"):
        LocalEngine(settings).load(str(tmp_path / "a"))


def test_any_peft_adapter_over_a_known_model_is_taken(settings, tiny, tmp_path):
    """One that another tool made: no training.json, the base in its own config."""
    network = AutoModelForCausalLM.from_pretrained(tiny("llama"))
    network = get_peft_model(network, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    network.peft_config["default"].base_model_name_or_path = str(tiny("llama"))
    network.save_pretrained(tmp_path / "foreign")
    told = json.loads((tmp_path / "foreign" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == str(tiny("llama"))
    engine = LocalEngine(settings)
    reading = Reading(str(tmp_path / "foreign"), Prompt.PLAIN, Pooling.LAST_TOKEN)
    found = engine.embed([PromptedText("a text")], reading).vectors
    base = engine.embed([PromptedText("a text")], replace(reading, model=str(tiny("llama")))).vectors
    assert np.abs(found - base).max() > 1e-3


def test_the_lowest_adapter_is_below_the_layer_that_is_read(engine, tiny):
    learner = LoraLearner(engine._checkpoint(str(tiny("llama"))), recipe_for(tiny("llama"), layer=2, first_block=9))
    assert isinstance(learner, LoraLearner)
    assert {name.split(".layers.")[1][0] for name, _ in learner.named_parameters()} == {"1"}
