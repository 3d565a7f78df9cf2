"""A checkpoint's own reading: the JSON files of sentence-transformers, in the forms of its older and newer releases."""

from __future__ import annotations

import json

import pytest

from demo.backend.model.st_config import read_declared_reading
from demo.domain.datamodels import Pooling
from demo.domain.errors import UnsupportedModel


def read(folder, query_name=""):
    return read_declared_reading(folder, "a test", query_name)


def write(folder, pooling=None, kinds=("Transformer", "Pooling", "Normalize"), prefix="models", **files):
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.{prefix}.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    if pooling is not None:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("flag", "named", "pooling"),
    [
        ("pooling_mode_cls_token", "cls", Pooling.FIRST_TOKEN),
        ("pooling_mode_mean_tokens", "mean", Pooling.MEAN),
        ("pooling_mode_max_tokens", "max", Pooling.MAX),
        ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling.MEAN_SQRT_LEN),
        ("pooling_mode_weightedmean_tokens", "weightedmean", Pooling.WEIGHTED_MEAN),
        ("pooling_mode_lasttoken", "lasttoken", Pooling.LAST_TOKEN),
    ],
)
def test_a_mode_in_the_old_form_and_in_the_new_one(tmp_path, flag, named, pooling):
    old = {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": False, flag: True}
    for config in (old, {"embedding_dimension": 384, "pooling_mode": named}):
        assert read(write(tmp_path, config)).poolings == (pooling,)


def test_what_sentence_transformers_itself_writes_is_read(tmp_path):
    try:
        from sentence_transformers.sentence_transformer.modules import Pooling as Theirs
    except ImportError:  # older releases have it elsewhere
        from sentence_transformers.models import Pooling as Theirs

    for mode, pooling in (("lasttoken", Pooling.LAST_TOKEN), ("cls", Pooling.FIRST_TOKEN), ("mean", Pooling.MEAN)):
        (tmp_path / "1_Pooling").mkdir(exist_ok=True)
        Theirs(8, pooling_mode=mode, include_prompt=False).save(str(tmp_path / "1_Pooling"))
        own = read(write(tmp_path))
        assert own.poolings == (pooling,)
        assert not own.include_prompt


def test_normalisation_is_what_the_modules_say(tmp_path):
    config = {"pooling_mode": "mean"}
    assert read(write(tmp_path, config)).normalize
    assert not read(write(tmp_path, config, kinds=("Transformer", "Pooling"))).normalize
    newer = write(tmp_path, config, prefix="sentence_transformer.modules")
    assert read(newer).normalize, "newer releases name the modules by another path"


@pytest.mark.parametrize(
    ("config", "kinds", "words"),
    [
        ({"pooling_mode": "mean"}, ("Normalize",), ()),
        ({"pooling_mode": "mean"}, ("Dropout", "Normalize"), ()),
        ({"pooling_mode_cls_token": 1, "pooling_mode_max_tokens": 1}, (), ("first_token + max",)),
        ({"pooling_mode": ["max", "cls"]}, ("Normalize",), ("max + first_token", "Normalize")),
        ({"pooling_mode": "mean"}, ("Dense", "Normalize"), ("mean", "Dense", "Normalize")),
    ],
)
def test_what_one_pooling_and_a_normalization_cannot_say_is_the_own_pooling(tmp_path, config, kinds, words):
    assert read(write(tmp_path, config, ("Transformer", "Pooling", *kinds))).own_modules == words


@pytest.mark.parametrize(
    ("config", "query_name", "query", "document"),
    [
        ({"prompts": {"query": "query: ", "document": ""}}, "", "query: ", ""),
        ({"prompts": {"query": "query: ", "passage": "passage: "}}, "", "query: ", "passage: "),
        ({"prompts": {"query": "query: ", "document": "", "corpus": "c: "}}, "", "query: ", "c: "),
        ({"prompts": {"query": "query: "}, "default_prompt_name": "query"}, "", "query: ", ""),
        ({"prompts": {"query": "query: ", "x": "x: "}, "default_prompt_name": "x"}, "", "query: ", ""),
        ({"prompts": {"web_search_query": "Instruct: ", "sts_query": "S: "}}, "web_search_query", "Instruct: ", ""),
        ({"prompts": {"both": "x: "}, "default_prompt_name": "both"}, "", "x: ", "x: "),
        ({"prompts": {"query": "", "document": ""}}, "", None, None),
        ({"prompts": {}}, "", None, None),
        ({"prompts": None}, "", None, None),
        ({}, "", None, None),
    ],
)
def test_prompts_for_questions_and_answers(tmp_path, config, query_name, query, document):
    folder = write(tmp_path, {"pooling_mode": "mean"}, config_sentence_transformers=config)
    own = read(folder, query_name)
    assert (own.query_prompt, own.document_prompt) == (query, document)


def test_the_longest_text_is_what_the_checkpoint_says(tmp_path):
    assert read(write(tmp_path, {"pooling_mode": "mean"})).max_tokens is None
    folder = write(tmp_path, {"pooling_mode": "mean"}, sentence_bert_config={"max_seq_length": 256})
    assert read(folder).max_tokens == 256


def test_a_folder_without_modules_is_no_such_checkpoint(tmp_path):
    assert read(tmp_path) is None


DAMAGED = ["", "{", "null", '"text"', "7", "\ufeff[]x"]


@pytest.mark.parametrize("content", [*DAMAGED, "{}", "[1, 2]", '["a"]', "[null]", "[[]]", "[]"])
def test_damaged_modules_are_refused(tmp_path, content):
    (tmp_path / "modules.json").write_text(content, encoding="utf-8")
    with pytest.raises(UnsupportedModel, match="modules"):
        read(tmp_path)


@pytest.mark.parametrize("content", [*DAMAGED, "[]"])
@pytest.mark.parametrize(
    "name", ["1_Pooling/config.json", "config_sentence_transformers.json", "sentence_bert_config.json"]
)
def test_a_damaged_file_is_named(tmp_path, name, content):
    write(tmp_path, {})
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UnsupportedModel, match=name.rpartition("/")[2]):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("1_Pooling/config.json", {"pooling_mode": [["mean"], 7]}),
        ("1_Pooling/config.json", {"pooling_mode": "mean", "surprise": 1}),
        ("config_sentence_transformers.json", {"prompts": ["a"]}),
        ("config_sentence_transformers.json", {"prompts": {"query": 1}}),
        ("config_sentence_transformers.json", {"default_prompt_name": []}),
        ("config_sentence_transformers.json", {"truncate_dim": 0}),
        ("config_sentence_transformers.json", {"truncate_dim": "x"}),
        ("sentence_bert_config.json", {"max_seq_length": "long"}),
        ("sentence_bert_config.json", {"tokenizer_args": {"surprise": 1}}),
        ("sentence_bert_config.json", {"tokenizer_args": [1]}),
        ("sentence_bert_config.json", {"model_args": {"surprise": 1}}),
        ("sentence_bert_config.json", {"config_args": {"revision": "main"}}),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}),
        ("sentence_bert_config.json", {"modality_config": []}),
        ("sentence_bert_config.json", {"processing_kwargs": [1]}),
        ("sentence_bert_config.json", {"processing_kwargs": {"chat_template": {"restore_suffix": False}}}),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, name, content):
    write(tmp_path, {})
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UnsupportedModel):
        read(tmp_path)


@pytest.mark.parametrize(
    "kind", ["Router", "Asym", "StaticEmbedding", "WordEmbeddings", "BoW", "CNN", "LSTM", "CLIPModel"]
)
def test_another_module_is_named(tmp_path, kind):
    for kinds in ((kind, "Pooling"), ("Transformer", kind, "Pooling"), ("Transformer", "Pooling", kind)):
        with pytest.raises(UnsupportedModel, match=kind):
            read(write(tmp_path, {}, kinds))
