"""A checkpoint's own reading: the JSON files of sentence-transformers, in the forms of its older and newer releases."""

from __future__ import annotations

import json

import pytest

from demo.backend.model.st_config import read_declared_reading
from demo.domain.datamodels import Pooling


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
        assert read_declared_reading(write(tmp_path, config)).pooling is pooling


def test_what_sentence_transformers_itself_writes_is_read(tmp_path):
    try:
        from sentence_transformers.sentence_transformer.modules import Pooling as Theirs
    except ImportError:  # older releases have it elsewhere
        from sentence_transformers.models import Pooling as Theirs

    for mode, pooling in (("lasttoken", Pooling.LAST_TOKEN), ("cls", Pooling.FIRST_TOKEN), ("mean", Pooling.MEAN)):
        (tmp_path / "1_Pooling").mkdir(exist_ok=True)
        Theirs(8, pooling_mode=mode, include_prompt=False).save(str(tmp_path / "1_Pooling"))
        own = read_declared_reading(write(tmp_path))
        assert own.pooling is pooling
        assert own.pool_text_only


def test_normalisation_is_what_the_modules_say(tmp_path):
    config = {"pooling_mode": "mean"}
    assert read_declared_reading(write(tmp_path, config)).normalize
    assert not read_declared_reading(write(tmp_path, config, kinds=("Transformer", "Pooling"))).normalize
    newer = write(tmp_path, config, prefix="sentence_transformer.modules")
    assert read_declared_reading(newer).normalize, "newer releases name the modules by another path"


@pytest.mark.parametrize(
    ("config", "kinds", "pooling", "word"),
    [
        ({"pooling_mode_cls_token": 1, "pooling_mode_max_tokens": 1}, (), Pooling.FIRST_TOKEN, "first_token"),
        ({"pooling_mode": "mean"}, ("Dense",), Pooling.MEAN, "Dense"),
    ],
)
def test_joined_poolings_and_later_modules_are_told(tmp_path, config, kinds, pooling, word):
    own = read_declared_reading(write(tmp_path, config, ("Transformer", "Pooling", *kinds)))
    assert own.pooling is pooling
    assert any(word in notice for notice in own.notices)


@pytest.mark.parametrize(
    ("config", "query_name", "query", "document"),
    [
        ({"prompts": {"query": "query: ", "document": ""}}, "", "query: ", ""),
        ({"prompts": {"query": "query: ", "passage": "passage: "}}, "", "query: ", "passage: "),
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
    own = read_declared_reading(folder, query_name)
    assert (own.query_prompt, own.document_prompt) == (query, document)


def test_the_longest_text_is_what_the_checkpoint_says(tmp_path):
    assert read_declared_reading(write(tmp_path, {"pooling_mode": "mean"})).max_tokens is None
    folder = write(tmp_path, {"pooling_mode": "mean"}, sentence_bert_config={"max_seq_length": 256})
    assert read_declared_reading(folder).max_tokens == 256


@pytest.mark.parametrize("content", [None, "", "{", "null", "{}", '"text"', "7", "\ufeff[]x"])
def test_missing_or_damaged_modules_are_no_such_checkpoint(tmp_path, content):
    if content is not None:
        (tmp_path / "modules.json").write_text(content, encoding="utf-8")
    assert read_declared_reading(tmp_path) is None


BROKEN_VALUES = '{"pooling_mode": [["mean"], 7], "prompts": ["a"], "default_prompt_name": [], "max_seq_length": "long"}'


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "[1]", '"text"', BROKEN_VALUES])
def test_damage_in_the_other_files_leaves_the_rest_readable(tmp_path, content):
    """What cannot be read counts as not said; the modules still do."""
    write(tmp_path, {})
    for name in ("1_Pooling/config.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (tmp_path / name).write_text(content)
    own = read_declared_reading(tmp_path)
    assert own.normalize
    assert (own.pooling, own.query_prompt, own.max_tokens) == (None, None, None)


@pytest.mark.parametrize("modules", ["[1, 2]", '["a"]', "[null]", "[[]]"])
def test_modules_of_the_wrong_kind_name_no_pooling(tmp_path, modules):
    (tmp_path / "modules.json").write_text(modules)
    own = read_declared_reading(tmp_path)
    assert own is None or own.pooling is None
