"""Settings: a flag beats the environment, the environment beats the default; a bad value ends in one line."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from demo.settings import Settings, parse_settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("DEMO_", "GRADIO_SERVER", "SPACE")):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("field", "variable", "flag", "default", "from_environment", "from_flag"),
    [
        ("port", "DEMO_PORT", "--port", 7860, 1111, 2222),
        ("host", "DEMO_HOST", "--host", "127.0.0.1", "0.0.0.0", "::1"),
        ("device", "DEMO_DEVICE", "--device", "auto", "cpu", "cuda:1"),
        ("dtype", "DEMO_DTYPE", "--dtype", "auto", "float32", "bfloat16"),
        ("model", "DEMO_MODEL", "--model", "smollm2-135m-instruct", "gpt2", "all-minilm-l6-v2"),
        ("max_texts", "DEMO_MAX_TEXTS", "--max-texts", 200, 3, 4),
    ],
)
def test_flag_beats_environment_beats_default(monkeypatch, field, variable, flag, default, from_environment, from_flag):
    assert getattr(parse_settings([]), field) == default
    monkeypatch.setenv(variable, str(from_environment))
    assert getattr(parse_settings([]), field) == from_environment
    assert getattr(parse_settings(), field) == from_environment
    assert getattr(Settings(), field) == from_environment
    assert getattr(parse_settings([flag, str(from_flag)]), field) == from_flag
    assert getattr(Settings(**{field: from_flag}), field) == from_flag


def test_our_variables_take_precedence_over_gradios(monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "1234")
    assert parse_settings([]).port == 1234
    monkeypatch.setenv("DEMO_PORT", "4321")
    assert parse_settings([]).port == 4321


def test_public_defaults_to_on_in_a_space(monkeypatch):
    assert parse_settings([]).public is False
    monkeypatch.setenv("SPACE_ID", "someone/something")
    assert parse_settings([]).public is True
    assert parse_settings(["--no-public"]).public is False


def test_lora_training_defaults_to_off_on_public_hosts(monkeypatch):
    assert parse_settings([]).train_lora is True
    assert parse_settings(["--public"]).train_lora is False
    assert parse_settings(["--public", "--train-lora"]).train_lora is True
    assert parse_settings(["--no-train-lora"]).train_lora is False
    monkeypatch.setenv("SPACE_ID", "someone/something")
    assert parse_settings([]).train_lora is False
    assert Settings().train_lora is False
    monkeypatch.setenv("DEMO_TRAIN_LORA", "true")
    assert parse_settings([]).train_lora is True


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "99999"], ["--port", "99999", "65535"]),
        (["--port", "x"], ["--port", "'x'"]),
        (["--dtype", "float8"], ["--dtype", "float8", "bfloat16"]),
        (["--max-texts", "0"], ["--max-texts", "'0'"]),
        ({"DEMO_MAX_TEXTS": "many"}, ["max-texts", "many"]),
    ],
)
def test_bad_value_ends_with_code_2_and_one_line(monkeypatch, capsys, arguments, named):
    if isinstance(arguments, dict):
        for name, value in arguments.items():
            monkeypatch.setenv(name, value)
        arguments = None
    with pytest.raises(SystemExit) as caught:
        parse_settings(arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in named)


def test_unknown_flag_ends_with_code_2(capsys):
    with pytest.raises(SystemExit) as caught:
        parse_settings(["--prot", "1"])
    assert caught.value.code == 2
    assert "--prot" in capsys.readouterr().err


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_arguments_of_the_process_are_not_read(monkeypatch):
    monkeypatch.setattr("sys.argv", ["pytest", "--port", "5"])
    assert parse_settings().port == 7860
    assert Settings().port == 7860
