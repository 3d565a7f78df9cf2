"""Weights read from disk for every pass: vectors as of the model in memory, each weight read once, faults said."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from demo import Lab, Settings
from demo.backend import model_store
from demo.backend.decoder import decoder
from demo.backend.decoder.decoder import Decoder
from demo.backend.decoder.layer_stream import LayerStream
from demo.backend.decoder.shards import ShardReader, Shards
from demo.backend.local import LocalEngine
from demo.backend.scheduler import streamed_pass
from demo.backend.weights.locate import Weights
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import LAST_LAYER, TEXT, Pooling, Prompt, PromptedText, Reading
from demo.domain.errors import (
    BigDownload,
    BigDownloadRefused,
    ModelDoesNotFit,
    ModelLoading,
    ModelNotFetched,
    ReadingRefused,
    Stopped,
    StreamBroken,
    UnsupportedModel,
)
from demo.jobs.request_context import request_context
from demo.ui.live.handlers import LiveHandlers
from tests.conftest import TEXTS, save_tiny, tiny_config
from tests.page_requests import LivePage
from tests.waiting import eventually

FAMILIES = ("llama", "mistral", "qwen3", "gemma3_text")
DEPTH = 4
PROMPTS = {
    "plain": {},
    "chat": {"chat": True},
    "text only": {"template": f"A long beginning of a prompt: {TEXT} and its end", "pool_text_only": True},
    "token prepending": {"template": f'This sentence : "{TEXT}" means in one word:"', "placeholder": True},
}
POOLINGS = tuple(set(Pooling) - {Pooling.LAST_TOKEN_LOGITS, Pooling.OWN})


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_tokenizer):
    """By family: a checkpoint in three shards and an index; Gemma's has blocks of both kinds."""
    made = {}

    def make(family: str) -> Path:
        if family not in made:
            torch.manual_seed(0)
            config = tiny_config(family, len(tiny_tokenizer))
            if family == "gemma3_text":
                config.layer_types = ["sliding_attention", "full_attention"] * 2
            made[family] = tmp_path_factory.mktemp(family)
            AutoModelForCausalLM.from_config(config).save_pretrained(made[family], max_shard_size="100KB")
            tiny_tokenizer.save_pretrained(made[family])
            assert (made[family] / "model.safetensors.index.json").exists()
        return made[family]

    return make


@pytest.fixture
def streaming(settings) -> LocalEngine:
    return stream(settings)


def stream(settings, **changes) -> LocalEngine:
    return LocalEngine(settings.model_copy(update={"weights": "stream", **changes}))


def prompted(prompt: str = "plain", texts=TEXTS) -> list[PromptedText]:
    return [PromptedText(text, **PROMPTS[prompt]) for text in texts]


def reading(folder, pooling=Pooling.LAST_TOKEN, layer=LAST_LAYER) -> Reading:
    return Reading(str(folder), Prompt.PLAIN, pooling, layer)


def equal(found: np.ndarray, expected: np.ndarray, dtype: str = "float32") -> None:
    if dtype == "float32":
        np.testing.assert_allclose(found, expected, atol=1e-6 * max(1.0, np.abs(expected).max()), rtol=1e-5)
    else:
        assert torch.cosine_similarity(torch.tensor(found), torch.tensor(expected), dim=-1).min() > 0.9999


def weights_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


# ---- the same vectors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_streamed_equals_resident(settings, folders, family, dtype, monkeypatch):
    """Every prompt, layer and pooling, in several batches; alone; logits; early exit; each token's states."""
    if dtype == "float32":
        monkeypatch.setattr(streamed_pass, "_TOKENS", 40)
    else:  # as models too large to be packed, in batches of the same texts: half precision rounds each shape in its way
        monkeypatch.setattr(decoder, "worth_packing", lambda blocks: False)
    settings, folder = settings.model_copy(update={"dtype": dtype}), folders(family)
    whole, streamed = LocalEngine(settings), stream(settings)
    about, expected = streamed.load(str(folder)), whole.load(str(folder))
    assert about.streams
    assert not expected.streams
    assert (about.parameters, about.max_tokens) == (expected.parameters, expected.max_tokens)
    assert about.memory_bytes < expected.memory_bytes
    for prompt in PROMPTS:
        texts = prompted(prompt)
        equal(streamed.survey(texts, reading(folder), POOLINGS), whole.survey(texts, reading(folder), POOLINGS), dtype)
        for pooling in (Pooling.LAST_TOKEN_LOGITS, Pooling.MEAN):
            for layer in (0, 2, LAST_LAYER):
                one, wanted = texts[2:4], reading(folder, pooling, layer)
                early = streamed.embed(one, wanted, keep=False).vectors
                equal(early, whole.embed(one, wanted, keep=False).vectors, dtype)
    streamed.cache.clear()
    logits = reading(folder, Pooling.LAST_TOKEN_LOGITS)
    equal(streamed.embed(prompted(), logits).vectors, whole.embed(prompted(), logits).vectors, dtype)
    for found, told in zip(*(each.inspect(prompted()[:3], reading(folder)) for each in (streamed, whole)), strict=True):
        equal(found.states, told.states, dtype)
        assert found.tokens == told.tokens


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_are_converted_as_transformers_does(settings, tmp_path, tiny_tokenizer, stored):
    folder = save_tiny(tmp_path / "model", "llama", tiny_tokenizer)
    file = folder / "model.safetensors"
    save_file({name: tensor.to(stored) for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    if stored is torch.float64:
        with pytest.raises(UnsupportedModel, match="stored as F64"):
            stream(settings).load(str(folder))
        return
    found, expected = (
        each.embed(prompted(), reading(folder)).vectors for each in (stream(settings), LocalEngine(settings))
    )
    equal(found, expected)


@pytest.mark.parametrize("family", ["mistral", "gemma3_text"])
def test_a_backbone_without_a_head_is_streamed_as_one(settings, tmp_path, tiny_tokenizer, family):
    folder = save_tiny(tmp_path / "model", family, tiny_tokenizer, headless=True)
    streamed = stream(settings)
    assert not streamed.load(str(folder)).has_lm_head
    equal(
        streamed.embed(prompted(), reading(folder)).vectors,
        LocalEngine(settings).embed(prompted(), reading(folder)).vectors,
    )


@pytest.mark.parametrize("kind", [{}, {"use_rslora": True}, {"use_dora": True}], ids=["lora", "rslora", "dora"])
def test_an_adapter_is_merged_as_blocks_are_read(settings, tmp_path, folders, kind):
    folder = adapter(tmp_path, folders("llama"), target_modules=["q_proj", "v_proj", "down_proj"], **kind)
    streamed, whole = stream(settings), LocalEngine(settings)
    expected = whole.survey(prompted(), reading(folder), POOLINGS)
    equal(streamed.survey(prompted(), reading(folder), POOLINGS), expected)
    streamed.cache.clear()
    equal(streamed.survey(prompted(), reading(folder), POOLINGS), expected)  # merged anew, not once more
    bare = LocalEngine(settings).survey(prompted(), reading(folders("llama")), POOLINGS)
    assert np.abs(bare - expected).max() > 0.01


def test_an_adapter_of_more_than_blocks_is_refused(streaming, tmp_path, folders):
    folder = adapter(tmp_path, folders("llama"), target_modules=["q_proj", "embed_tokens"])
    with pytest.raises(UnsupportedModel, match="no LoRA of the blocks alone"):
        streaming.load(str(folder))


def adapter(folder: Path, base: Path, **options) -> Path:
    torch.manual_seed(1)
    network = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, init_lora_weights=False, **options)
    )
    network.peft_config["default"].base_model_name_or_path = str(base)
    network.save_pretrained(folder)
    return folder


# ---- each weight once ------------------------------------------------------------------------------------------------


def test_many_texts_share_one_reading_of_the_weights(settings, folders, monkeypatch):
    """100 × 100 texts, in many batches, from the lab's own calls."""
    monkeypatch.setattr(streamed_pass, "_TOKENS", 64)
    engine, folder = stream(settings), folders("llama")
    engine.load(str(folder))
    lab, before = Lab(settings, engine), engine.counts().bytes_read
    questions, answers = ([f"{word} number {i}" for i in range(100)] for word in ("question", "answer"))
    lab.compare(questions, answers, model=str(folder), prompt="chat", pooling="last_token_logits")
    assert 0 < engine.counts().bytes_read - before <= 1.2 * weights_of(folder)
    engine.cache.clear()
    before = engine.counts().bytes_read
    lab.compare_large(lab.compare(questions, answers, model=str(folder), pooling="mean").pairing, model=str(folder))
    assert engine.counts().bytes_read - before <= 2 * 1.2 * weights_of(folder)


def test_questions_and_answers_with_other_prompts_share_it_too(streaming, folders):
    folder = folders("llama")
    streaming.load(str(folder))
    before = streaming.counts().bytes_read
    streaming.embed(prompted("chat") + prompted("text only"), reading(folder, Pooling.MEAN))
    assert streaming.counts().bytes_read - before <= 1.2 * weights_of(folder)


def test_an_early_exit_reads_no_further(streaming, folders):
    folder = folders("llama")
    streaming.load(str(folder))
    before = streaming.counts().bytes_read
    streaming.embed(prompted(), reading(folder, layer=1), keep=False)
    assert streaming.counts().bytes_read - before < weights_of(folder) / 2


def test_a_prompts_beginning_is_kept(streaming, folders, monkeypatch):
    folder, opened = folders("llama"), []
    own = streaming._checkpoint(str(folder)).decoder
    run = own.run
    monkeypatch.setattr(
        own,
        "run",
        lambda passes, depth, ahead, report: opened.append(len(ahead)) or run(passes, depth, ahead, report),
    )
    for text in TEXTS[:3]:
        streaming.embed([PromptedText(text, chat=True)], reading(folder))
    assert opened == [1, 0, 0]


# ---- which models ----------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_streamed_and_said(settings, folders, monkeypatch):
    folder = folders("llama")
    engine = LocalEngine(settings)
    engine._store.budget = 200_000  # bytes: less than the weights, more than two blocks
    assert engine.load(str(folder)).streams
    [notice] = engine.load(str(folder)).notices
    assert "read from disk for every set of texts" in notice
    assert "needs" in notice
    engine = LocalEngine(settings.model_copy(update={"weights": "resident"}))
    engine._store.budget = 200_000
    with pytest.raises(ModelDoesNotFit):
        engine.load(str(folder))
    assert not LocalEngine(settings).load(str(folder)).streams


MISTRAL = "mistral-7b-instruct-v0.1"


def test_a_listed_model_is_streamed_once_it_is_on_this_disk(settings, folders, monkeypatch):
    """Choosing it in a list fetches nothing."""
    monkeypatch.setattr(model_store, "fetched", lambda entry: None)
    engine = LocalEngine(settings)  # 4 GiB for models
    status = engine._store.status(CATALOG[MISTRAL])
    assert status.state == "unavailable"
    assert "hf download mistralai/Mistral-7B-Instruct-v0.1" in status.reason
    assert status.fetch_bytes == 0
    with pytest.raises(ModelNotFetched, match="hf download mistralai"):
        engine.load(MISTRAL)


def test_a_big_download_is_a_question_that_is_answered_once(settings, monkeypatch, tmp_path):
    """Where the Hub can be reached: in the list as what can be had, and fetched after a yes only."""

    def locate(model, cache_dir, on_progress, folders, consent):
        consent(14_500_000_000, tmp_path)
        raise Fetched

    class Fetched(Exception):
        pass

    monkeypatch.setattr(model_store, "fetched", lambda entry: None)
    monkeypatch.setattr(model_store, "unavailable_reason", lambda entry, folder: "")
    monkeypatch.setattr(model_store, "hub_reachable", lambda: True)
    monkeypatch.setattr(model_store, "locate_weights", locate)
    engine = LocalEngine(settings)
    status = engine._store.status(CATALOG[MISTRAL])
    assert (status.state, status.fetch_bytes) == ("unavailable", 2 * CATALOG[MISTRAL].parameters)
    with pytest.raises(BigDownload, match="14.5 GB would be fetched to .*, where .* GB are free") as asked:
        engine.load(MISTRAL)
    assert asked.value.values["place"] == str(tmp_path)
    engine.permit_download(MISTRAL)
    with pytest.raises(Fetched):
        engine.load(MISTRAL)
    for rule, error in (("never", ModelNotFetched), ("always", Fetched)):
        ruled = LocalEngine(settings.model_copy(update={"big_downloads": rule}))
        assert (ruled._store.status(CATALOG[MISTRAL]).fetch_bytes > 0) is (rule == "always")
        with pytest.raises(error):
            ruled.load(MISTRAL)
        with pytest.raises(BigDownloadRefused if rule == "never" else Fetched):  # one that would fit
            ruled.load("qwen3-0.6b")
    with pytest.raises(BigDownload, match="this machine's disk"):
        LocalEngine(settings.model_copy(update={"host": "0.0.0.0"})).load(MISTRAL)


def test_strangers_begin_no_big_download_by_default():
    assert Settings(public=True).big_downloads == "never"
    assert Settings(public=True, big_downloads="ask").big_downloads == "ask"
    assert Settings(public=False).big_downloads == "ask"


def test_the_list_and_the_page_say_that_a_model_is_streamed(settings, folders, monkeypatch):
    weights = Weights(folders("mistral"), "0" * 40, "the local Hub cache", "bfloat16")
    monkeypatch.setattr(model_store, "fetched", lambda entry: weights)
    monkeypatch.setattr(model_store, "locate_weights", lambda *arguments: weights)
    lab = Lab(settings, LocalEngine(settings))
    for state in ("available", "loaded"):
        status = lab.status(MISTRAL)
        assert status.state == state
        assert "needs 32.4 GiB, this machine has 4.0 GiB for models; its weights are read from disk" in status.reason
        assert lab.open(MISTRAL).streams
    page = LivePage(LiveHandlers(lab), "ko", questions="GPU?", model=MISTRAL)
    answer = eventually(page.ask, until=lambda answer: answer["state"] == "ready")
    assert "디스크에서 읽어" in answer["pieces"]["model-note"]
    assert "디스크에서 읽어" in answer["pieces"]["notices"]


def test_what_cannot_be_streamed_is_read_whole_and_said(streaming, tiny):
    for family in ("gpt2", "bert"):
        about = streaming.load(str(tiny(family)))
        assert not about.streams
        assert "in memory all the same" in about.notices[-1]
    streaming._store.budget = 1000
    with pytest.raises(ModelDoesNotFit):
        streaming.load(str(tiny("cohere")))


def test_what_needs_weights_in_memory_is_refused(streaming, folders, tmp_path):
    with pytest.raises(ReadingRefused, match="needs them in memory"):
        streaming.export(reading(folders("llama")), {}, tmp_path / "out")


# ---- faults ----------------------------------------------------------------------------------------------------------


def open_files() -> int:
    return sum(
        ".safetensors" in os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    )


def nothing_is_left_open() -> bool:
    return not open_files() and not [thread for thread in threading.enumerate() if thread.name.startswith("weights")]


def copy_of(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


FAULTS = {
    "missing": (lambda file: file.unlink(), "no such file"),
    "cut": (lambda file: os.truncate(file, file.stat().st_size // 2), "has changed since"),
    "replaced": (lambda file: file.write_bytes(b"x" * file.stat().st_size), "has changed since"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_gone_is_a_sentence(streaming, folders, tmp_path, fault):
    folder = copy_of(folders("llama"), tmp_path / "model")
    streaming.load(str(folder))
    break_it, sentence = FAULTS[fault]
    last = sorted(folder.glob("*.safetensors"))[-1]
    kept = last.read_bytes(), last.stat()
    break_it(last)
    with pytest.raises(StreamBroken, match=sentence):
        streaming.embed(prompted(), reading(folder))
    eventually(nothing_is_left_open)
    last.write_bytes(kept[0])
    os.utime(last, ns=(kept[1].st_atime_ns, kept[1].st_mtime_ns))
    assert np.isfinite(streaming.embed(prompted(), reading(folder)).vectors).all()


def test_a_file_that_is_cut_while_it_is_read_is_a_sentence(streaming, folders, tmp_path, monkeypatch):
    folder = copy_of(folders("llama"), tmp_path / "model")
    streaming.load(str(folder))
    fill = LayerStream.fill

    def cut(self, reader, layer):
        if layer == 2:
            for file in folder.glob("*.safetensors"):
                os.truncate(file, 100)
        fill(self, reader, layer)

    monkeypatch.setattr(LayerStream, "fill", cut)
    with pytest.raises(StreamBroken, match="cannot be read any more"):
        streaming.embed(prompted(), reading(folder))
    eventually(nothing_is_left_open)


def test_a_shard_that_is_missing_from_the_start_is_a_sentence(streaming, folders, tmp_path):
    folder = copy_of(folders("llama"), tmp_path / "model")
    sorted(folder.glob("*.safetensors"))[0].unlink()
    with pytest.raises(UnsupportedModel, match="is missing"):
        streaming.load(str(folder))


def test_a_config_that_promises_other_weights_is_a_sentence(streaming, folders, tmp_path):
    folder = copy_of(folders("llama"), tmp_path / "model")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"intermediate_size": 64', '"intermediate_size": 96'))
    with pytest.raises(UnsupportedModel, match="another shape"):
        streaming.load(str(folder))


@pytest.mark.parametrize("layer", range(DEPTH))
def test_a_pass_ends_within_the_layer_once_nobody_waits(streaming, folders, monkeypatch, layer):
    folder = folders("llama")
    streaming.load(str(folder))
    gone, filled, fill = threading.Event(), [], LayerStream.fill

    def watch(self, reader, number):
        filled.append(number)
        fill(self, reader, number)

    own = streaming._checkpoint(str(folder)).stream
    compute = own.compute

    def leave(steps):
        if len(steps) and own.at == layer:
            gone.set()
        compute(steps)

    monkeypatch.setattr(LayerStream, "fill", watch)
    monkeypatch.setattr(own, "compute", leave)
    with request_context(is_cancelled=gone.is_set):
        if layer < DEPTH - 1:
            with pytest.raises(Stopped):
                streaming.embed(prompted(), reading(folder))
            assert max(filled) <= layer + 2
        else:
            streaming.embed(prompted(), reading(folder))
    eventually(nothing_is_left_open)
    monkeypatch.undo()
    expected = LocalEngine(streaming.settings.model_copy(update={"weights": "resident"}))
    equal(streaming.embed(prompted(), reading(folder)).vectors, expected.embed(prompted(), reading(folder)).vectors)


def test_a_pass_that_does_not_fit_is_split(streaming, folders, monkeypatch):
    """The memory runs out, as if by another program: half of the texts at a time do fit."""
    folder, run = folders("llama"), Decoder._run_block
    streaming.load(str(folder))
    expected = streaming.embed(prompted(), reading(folder)).vectors
    streaming.cache.clear()
    sizes = []

    def run_out(self, block, tree, *others):
        sizes.append(len(tree.nodes))
        if len(tree.nodes) > 4:
            raise MemoryError
        run(self, block, tree, *others)

    monkeypatch.setattr(Decoder, "_run_block", run_out)
    equal(streaming.embed(prompted(), reading(folder)).vectors, expected)
    assert max(sizes) > 4
    eventually(nothing_is_left_open)


def test_two_never_stream_at_once(streaming, folders, monkeypatch):
    one, other = folders("llama"), folders("qwen3")
    under_way, most, read = [], [], LayerStream.read

    def watched(self, depth):
        under_way.append(self)
        most.append(len(under_way))
        try:
            yield from read(self, depth)
        finally:
            under_way.remove(self)

    for folder in (one, other):
        streaming.load(str(folder))
    monkeypatch.setattr(LayerStream, "read", watched)
    found = {}

    def ask(name, folder, texts):
        found[name] = streaming.embed(texts, reading(folder)).vectors

    asked = [
        threading.Thread(target=ask, args=(place, folder, prompted(texts=[f"text {place}", "shared"])))
        for place, folder in enumerate((one, one, other, other))
    ]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert max(most) == 1
    assert len(found) == 4
    np.testing.assert_array_equal(found[0][1], found[1][1])
    eventually(nothing_is_left_open)


# ---- waiting ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch):
    """Passes wait before their third layer until the event is set; `begun` is set once one does."""
    go, fill = threading.Event(), LayerStream.fill
    go.begun = threading.Event()

    def wait(self, reader, layer):
        if layer == 2:
            go.begun.set()
            assert go.wait(60)
        fill(self, reader, layer)

    monkeypatch.setattr(LayerStream, "fill", wait)
    yield go
    go.set()


def test_who_cannot_wait_is_told_how_far_it_is_and_asks_again(streaming, folders, held):
    lab, folder = Lab(streaming.settings, streaming), str(folders("llama"))
    streaming.load(folder)

    def ask():
        with request_context(timeout=0.01, asker="page"):
            return streaming.embed(prompted(), reading(folder)).vectors

    def told() -> str:
        with pytest.raises(ModelLoading) as loading:
            ask()
        return loading.value.values["stage"]

    eventually(lambda: told().startswith("layer 2 of 4"))
    passes = streaming.counts().forward_passes
    held.set()
    found = lab.wait_for_model(ask, lambda loading: None)
    assert streaming.counts().forward_passes == passes
    assert len(found) == len(TEXTS)


def test_answers_are_kept_until_the_last_one_is_there(settings, folders, monkeypatch):
    """As `python -m demo article` asks, here without any cache."""
    engine, folder = stream(settings, cache_mb=0), str(folders("llama"))
    engine.load(folder)

    def ask():
        with request_context(timeout=0.001):
            return [engine.embed([PromptedText(text)], reading(folder)).vectors for text in TEXTS[:3]]

    assert len(Lab.wait_for_model(ask, lambda loading: None)) == 3
    assert engine.counts().forward_passes <= 3


def test_a_newer_edit_takes_the_place_of_the_older_one(streaming, folders, held):
    folder = str(folders("llama"))
    streaming.load(folder)

    def ask(text: str):
        with request_context(timeout=0.01, asker="page"):
            return streaming.embed([PromptedText(text)], reading(folder)).vectors

    for text in ("first", "second", "third"):
        with pytest.raises(ModelLoading):
            ask(text)
        assert held.begun.wait(60)
    held.set()
    Lab.wait_for_model(lambda: ask("third"), lambda loading: None)
    eventually(lambda: streaming.counts().waiting == 0)
    assert streaming.counts().texts <= 2, "the second one never ran"
    key = streaming._checkpoint(folder).key
    assert (key, PromptedText("third")) in streaming.cache
    assert (key, PromptedText("second")) not in streaming.cache


def test_other_models_answer_beside_a_stream(streaming, folders, tiny, held):
    folder = str(folders("llama"))
    streaming.load(folder)
    answer = threading.Thread(target=streaming.embed, args=(prompted(), reading(folder)))
    answer.start()
    eventually(lambda: streaming.counts().bytes_read > 0)
    assert len(streaming.embed(prompted(), reading(tiny("gpt2"))).vectors) == len(TEXTS)
    assert answer.is_alive()
    held.set()
    answer.join()


def test_a_reader_that_was_stopped_reads_no_more(folders):
    shards = Shards(folders("llama"), "model")
    name, stored = next(iter(shards.tensors.items()))
    with shards.open() as reader:
        assert isinstance(reader, ShardReader)
        reader.stopped = True
        reader.read(replace(stored), torch.empty(stored.shape))
    assert shards.bytes_read == 0, name
