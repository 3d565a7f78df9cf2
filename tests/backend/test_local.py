"""The local engine: right before fast. Random checkpoints of real architectures, on the CPU in float32."""

import threading

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from demo import Lab
from demo.backend import model_store
from demo.backend.local import LocalEngine
from demo.backend.model import device
from demo.domain.choices import ROUNDING_SENSITIVE, Role
from demo.domain.datamodels import LAST_LAYER, Pooling, Prompt, PromptedText, Reading
from demo.domain.errors import ModelDoesNotFit, NotFinite, OutOfMemory, ReadingRefused
from demo.serving.api.embeddings import embed_texts
from demo.settings import Settings
from tests.conftest import FAMILIES, TEXTS, make_sentence_transformer, save_tiny

PROMPTED = [PromptedText(text) for text in TEXTS]
LONG = PromptedText("ten chars " * 1000)


def reading(folder, pooling=Pooling.MEAN, layer=LAST_LAYER, prompt=Prompt.PLAIN):
    return Reading(str(folder), prompt, pooling, layer)


def uncached(settings) -> LocalEngine:
    return LocalEngine(settings.model_copy(update={"cache_mb": 0}))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pooling", [Pooling.LAST_TOKEN, Pooling.MEAN, Pooling.FIRST_TOKEN, Pooling.MAX])
def test_a_vector_does_not_depend_on_its_batch_mates(settings, tiny, family, pooling):
    """Alone, among equals, among longer ones: the same vector within 1e-5."""
    engine, folder = uncached(settings), tiny(family)
    together = engine.embed([*PROMPTED, LONG], reading(folder, pooling)).vectors
    for text, vector in zip(PROMPTED, together, strict=False):
        alone = engine.embed([text], reading(folder, pooling)).vectors[0]
        np.testing.assert_allclose(vector, alone, atol=1e-5, rtol=1e-5)
    equals = engine.embed([PROMPTED[1]] * 3 + [PROMPTED[2]], reading(folder, pooling)).vectors
    np.testing.assert_allclose(equals[0], together[1], atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(equals[0], equals[1])


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "mistral"])
@torch.inference_mode()
def test_logits_equal_the_articles_loop(settings, tiny, tiny_tokenizer, family):
    """Its loop: one text at a time, chat template, logits[:, -1, :] of the causal model."""
    slow = AutoModelForCausalLM.from_pretrained(tiny(family)).eval()
    texts = TEXTS[:6]
    wanted = reading(tiny(family), Pooling.LAST_TOKEN_LOGITS, prompt=Prompt.CHAT)
    found = uncached(settings).embed([PromptedText(text, chat=True) for text in texts], wanted).vectors
    for text, vector in zip(texts, found, strict=True):
        ids = tiny_tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], return_tensors="pt", return_dict=True, add_generation_prompt=False
        )["input_ids"]
        np.testing.assert_allclose(vector, slow(ids).logits[0, -1].numpy(), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_article_on_a_random_mistral_with_the_real_tokenizer(settings, tmp_path, mistral_tokenizer):
    """The 7B pair's path, end to end: GPT with its head, and e5's backbone that has none."""
    gpt = save_tiny(tmp_path / "gpt", "mistral", mistral_tokenizer)
    e5 = save_tiny(tmp_path / "e5", "mistral", mistral_tokenizer, headless=True)
    prompts = {"web_search_query": "Instruct: find\nQuery: ", "query": "Q: "}
    make_sentence_transformer(e5, "lasttoken", normalize=True, prompts=prompts)
    lab = Lab(settings, LocalEngine(settings))
    questions, answers = ["What is GPU?"], ["A circuit.", "San Francisco."]
    compared = lab.compare(questions, answers, model=str(gpt))
    assert (compared.reading.prompt, compared.reading.pooling) == (Prompt.CHAT, Pooling.LAST_TOKEN_LOGITS)
    slow = AutoModelForCausalLM.from_pretrained(gpt).eval()
    ids = mistral_tokenizer("<s>[INST] What is GPU? [/INST]", add_special_tokens=False, return_tensors="pt").input_ids
    vector = lab.embed(questions, model=str(gpt))[0]
    np.testing.assert_allclose(vector, slow(ids).logits[0, -1].numpy(), atol=1e-5)
    with pytest.raises(ReadingRefused) as refused:
        lab.compare(questions, answers, model=str(e5), pooling="last_token_logits")
    assert refused.value.instead == "last_token"
    assert "no LM head" in str(refused.value)
    own = lab.compare(questions, answers, model=str(e5))
    assert (own.reading.prompt, own.reading.pooling, own.reading.normalize) == (Prompt.OWN, Pooling.LAST_TOKEN, True)


@pytest.mark.parametrize("mode", ["mean", "cls", "max", "lasttoken"])
@pytest.mark.parametrize("family", ["bert", "qwen3"])
def test_own_reading_equals_sentence_transformers(settings, tmp_path, tiny_tokenizer, family, mode):
    from sentence_transformers import SentenceTransformer

    plain = type(tiny_tokenizer)(
        tokenizer_object=tiny_tokenizer.backend_tokenizer, pad_token="<pad>", eos_token="</s>", model_max_length=512
    )
    folder = save_tiny(tmp_path, family, plain, headless=True)
    prompts = {"query": "find: ", "document": ""}
    make_sentence_transformer(folder, mode, prompts=prompts, max_tokens=48)
    oracle = SentenceTransformer(str(folder), device="cpu")
    texts = [*TEXTS, "long text " * 100]
    lab = Lab(settings, LocalEngine(settings))
    np.testing.assert_allclose(
        lab.embed(texts, model=str(folder)),
        oracle.encode_document([text.strip() for text in texts]),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        lab.embed(texts, model=str(folder), role="question"),
        oracle.encode_query([text.strip() for text in texts]),
        atol=1e-5,
    )


def test_each_distinct_text_runs_once(engine, tiny):
    wanted = reading(tiny("llama"))
    engine.embed([PROMPTED[0]] * 50 + [PROMPTED[1]], wanted)
    assert engine.counts().forward_passes == 1
    engine.embed(PROMPTED[:2], wanted)
    assert engine.counts().forward_passes == 1
    engine.embed([PROMPTED[0], PROMPTED[2]], wanted)
    assert engine.counts().forward_passes == 2


def test_the_same_reading_gives_the_same_vector(settings, tiny):
    first = uncached(settings).embed(PROMPTED, reading(tiny("llama"))).vectors
    again = uncached(settings).embed(PROMPTED, reading(tiny("llama"))).vectors
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "bert"])
def test_bfloat16_is_the_same_alone_and_in_a_batch(settings, tiny, family):
    engine = uncached(settings.model_copy(update={"dtype": "bfloat16"}))
    for pooling in (Pooling.LAST_TOKEN, Pooling.MEAN):
        together = engine.embed(PROMPTED, reading(tiny(family), pooling)).vectors
        for text, vector in zip(PROMPTED, together, strict=True):
            alone = engine.embed([text], reading(tiny(family), pooling)).vectors[0]
            cosine = vector @ alone / np.linalg.norm(vector) / np.linalg.norm(alone)
            assert cosine == pytest.approx(1, abs=1e-4)


def test_a_cut_text_is_told_of_also_from_the_cache(engine, tiny):
    for _ in range(2):
        embedded = engine.embed([PROMPTED[0], LONG], reading(tiny("llama")))
        assert embedded.cut == (1,)
        assert embedded.token_limit == 512


def test_tokens_are_counted_as_the_model_reads_them(engine, tiny, tiny_tokenizer):
    folder = str(tiny("llama"))
    counted = engine.count_tokens([*PROMPTED, LONG, PromptedText("a", eos=True)], folder)
    assert counted[: len(TEXTS)] == [len(tiny_tokenizer(text).input_ids) for text in TEXTS]
    assert counted[len(TEXTS) :] == [512, 2], "a cut text counts as far as it is read, an EOS counts as well"
    assert engine.counts().forward_passes == 0


@pytest.mark.parametrize("pooling", ["last_token_logits", "weighted_mean"])
def test_a_program_gets_the_labs_own_vectors(settings, engine, tiny, pooling):
    """Of a program's texts only the reading that was asked for is computed; a person's come with every other."""
    lab = Lab(settings, engine)
    chosen = {"model": str(tiny("qwen3")), "prompt": "prompteol", "pooling": pooling, "layer": 3}
    chosen |= {"postprocess": "center", "reference": "corpus"}
    told = embed_texts(lab, TEXTS[1:4], Role.QUESTION, chosen, 10**6)
    np.testing.assert_allclose(
        told.vectors, Lab(settings).embed(TEXTS[1:4], **chosen, role="question"), atol=1e-6, rtol=1e-5
    )


def test_a_model_is_loaded_once_however_many_ask(engine, tiny, monkeypatch):
    loads, original = [], model_store.load_checkpoint

    def counting(*args):
        loads.append(args[0])
        return original(*args)

    monkeypatch.setattr(model_store, "load_checkpoint", counting)
    threads = [threading.Thread(target=engine.load, args=(str(tiny("llama")),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


@pytest.fixture
def in_half(settings, monkeypatch):
    """Engines of a processor with bfloat16 products: (dtype) → engine."""
    monkeypatch.setattr(device, "cpu_bfloat16_units", lambda: ["AMX"])
    return lambda dtype="auto": LocalEngine(settings.model_copy(update={"dtype": dtype}))


@pytest.mark.parametrize("pooling", [Pooling.LAST_TOKEN_LOGITS, Pooling.LAST_TOKEN])
def test_readings_of_one_position_are_float32_in_small_gpts(engine, in_half, tiny, pooling):
    chosen, full = reading(tiny("llama"), pooling), in_half()
    np.testing.assert_allclose(full.embed(PROMPTED, chosen).vectors, engine.embed(PROMPTED, chosen).vectors, atol=1e-6)
    info = full.loaded(chosen.model)
    assert (info.precision, info.precision_of(chosen)) == ("bfloat16", "float32")
    assert (
        Lab(full.settings, full)
        .compare(["a"], ["b"], model=chosen.model, prompt="plain", pooling=pooling)
        .provenance["precision"]
        == "float32"
    )


def test_a_model_is_loaded_once_its_first_reading_can_be_computed(in_half, tiny):
    engine, model = in_half(), str(tiny("llama"))
    info = engine.load(model)
    assert info.default_reading.pooling in ROUNDING_SENSITIVE
    assert engine.loaded(model) == info
    del engine._store._checkpoints[model, torch.float32]
    assert engine.loaded(model) is None


def test_a_survey_is_in_the_precision_of_its_readings_pooling(in_half, tiny):
    engine = in_half()
    for pooling in (Pooling.LAST_TOKEN, Pooling.MEAN):
        surveyed = engine.survey(PROMPTED, reading(tiny("llama"), pooling), [pooling])[0, -1]
        np.testing.assert_allclose(surveyed, engine.embed(PROMPTED, reading(tiny("llama"), pooling)).vectors, atol=1e-6)


@pytest.mark.parametrize("why", ["another pooling", "a precision of choice", "a large model", "an encoder"])
def test_everything_else_is_in_the_precision_of_the_device(in_half, tiny, monkeypatch, why):
    pooling = Pooling.MEAN if why == "another pooling" else Pooling.LAST_TOKEN
    if why == "a large model":
        monkeypatch.setattr(model_store, "_MOST_FULL_BYTES", 1000)
    engine = in_half("bfloat16" if why == "a precision of choice" else "auto")
    chosen = reading(tiny("bert" if why == "an encoder" else "llama"), pooling)
    engine.load(chosen.model)
    info = engine.loaded(chosen.model)
    assert info.precision_of(chosen) == "bfloat16"
    assert any("float32's" in notice for notice in info.notices) == (why == "a large model")


def test_both_precisions_of_a_model_count_and_leave_together(in_half, tiny):
    engine, model = in_half(), str(tiny("llama"))
    for pooling in (Pooling.MEAN, Pooling.LAST_TOKEN):
        engine.embed(PROMPTED, reading(model, pooling))
    one = engine.loaded(model).memory_bytes
    assert engine.counts().models == 1
    assert engine.counts().model_bytes > 2 * one
    engine.release(model)
    assert engine.counts().models == engine.counts().model_bytes == 0


def test_least_recently_used_leaves_first(settings, tiny):
    engine = LocalEngine(settings)
    folders = [str(tiny(family)) for family in ("llama", "gpt2", "qwen3")]
    sizes = [engine.load(folder).memory_bytes for folder in folders]
    engine = LocalEngine(settings)
    engine._store.budget = sum(sizes) - min(sizes) // 2
    engine.load(folders[0])
    engine.load(folders[1])
    engine.load(folders[0])
    engine.load(folders[2])
    assert engine.loaded(folders[0]) is not None
    assert engine.loaded(folders[1]) is None
    assert engine.loaded(folders[2]) is not None


def test_what_does_not_fit_is_refused_and_changes_nothing(engine, tiny):
    engine.load(str(tiny("llama")))
    engine._store.budget = 1000
    with pytest.raises(ModelDoesNotFit):
        engine.load(str(tiny("gpt2")))
    assert engine.loaded(str(tiny("llama"))) is not None


def test_the_catalogue_says_what_does_not_fit(settings):
    engine = LocalEngine(settings)
    states = {status.model: status for status in engine.models()}
    assert states["mistral-7b-instruct-v0.1"].state == "unavailable"
    assert "GiB" in states["mistral-7b-instruct-v0.1"].reason
    assert len(states) == 9


def test_out_of_memory_halves_the_batch(engine, tiny, monkeypatch):
    expected = engine.embed(PROMPTED, reading(tiny("llama"))).vectors
    small = LocalEngine(engine.settings.model_copy(update={"cache_mb": 0}))
    original, sizes = small._scheduler._run, []

    def run(group, texts):
        sizes.append(len(texts))
        if len(texts) > 2:
            raise torch.OutOfMemoryError("no room")
        return original(group, texts)

    monkeypatch.setattr(small._scheduler, "_run", run)
    np.testing.assert_allclose(small.embed(PROMPTED, reading(tiny("llama"))).vectors, expected, atol=1e-5)
    assert max(sizes) > 2

    def never(group, texts):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(small._scheduler, "_run", never)
    with pytest.raises(OutOfMemory, match="tokens"):
        small.embed(PROMPTED, reading(tiny("llama")))


def test_numbers_that_are_not_finite_are_an_error(engine, tiny, monkeypatch):
    nowhere = np.full(32, np.nan, np.float32)
    monkeypatch.setattr(engine._scheduler, "_run", lambda group, texts: [nowhere for _ in texts])
    with pytest.raises(NotFinite):
        engine.embed(PROMPTED[:1], reading(tiny("llama")))


def test_settings_can_force_device_and_precision():
    lab = Lab(device="cpu", dtype="float32")
    assert lab.device().precision == "float32"
    assert "was asked for" in lab.device().reason
    assert isinstance(Settings().live, bool)
