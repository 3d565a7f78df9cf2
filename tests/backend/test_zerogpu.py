"""ZeroGPU without a Space: a `spaces` module that does what the real one does to arguments and results, pickle them."""

import importlib
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from demo.domain.datamodels import Pooling, Prompt, PromptedText, Reading
from demo.domain.errors import ModelNotAllowed, NotFinite
from tests.conftest import TEXTS


@pytest.fixture
def zerogpu(monkeypatch):
    """The module, on the CPU, with the calls it made."""
    calls = []

    def gpu(duration):
        def decorate(function):
            def call(*args):
                calls.append(duration)
                return pickle.loads(pickle.dumps(function(*pickle.loads(pickle.dumps(args)))))

            return call

        return decorate

    monkeypatch.setitem(sys.modules, "spaces", types.SimpleNamespace(GPU=gpu))
    monkeypatch.delitem(sys.modules, "demo.backend.zerogpu", raising=False)
    # Not `from demo.backend import zerogpu`: the package keeps the module of the test before.
    zerogpu = importlib.import_module("demo.backend.zerogpu")
    monkeypatch.setattr(zerogpu.ZeroGpuEngine, "_gpu", staticmethod(lambda: torch.device("cpu")))
    yield zerogpu, calls
    sys.modules.pop("demo.backend.zerogpu", None)


@pytest.fixture
def engine(zerogpu, settings, tiny):
    module, _ = zerogpu
    kept = (str(tiny("llama")), str(tiny("bert")))
    return module.ZeroGpuEngine(settings.model_copy(update={"preload": kept}))


def test_the_fixed_models_are_loaded_before_anyone_asks(engine, tiny):
    assert engine.loaded(str(tiny("llama"))) is not None
    assert engine.loaded(str(tiny("bert"))) is not None
    with pytest.raises(ModelNotAllowed):
        engine.load(str(tiny("gpt2")))


def test_one_gpu_call_for_what_is_not_cached(engine, zerogpu, tiny):
    _, calls = zerogpu
    reading = Reading(str(tiny("llama")), Prompt.PLAIN, Pooling.MEAN)
    texts = [PromptedText(text) for text in TEXTS]
    first = engine.embed(texts, reading).vectors
    again = engine.embed(texts, reading).vectors
    assert len(calls) == 1
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32


def test_an_error_crosses_the_process_as_itself(engine, tiny, monkeypatch):
    monkeypatch.setattr(engine._scheduler, "_run", lambda group, texts: [np.full(4, np.nan)] * len(texts))
    with pytest.raises(NotFinite):
        engine.embed([PromptedText("x")], Reading(str(tiny("llama")), Prompt.PLAIN, Pooling.MEAN))


def test_a_space_with_zerogpu_takes_this_engine_and_a_button(monkeypatch):
    from demo.settings import Settings

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setenv("SPACE_ID", "someone/space")
    settings = Settings()
    assert (settings.engine, settings.live, settings.public) == ("zerogpu", False, True)
