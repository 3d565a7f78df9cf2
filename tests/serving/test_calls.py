"""Other programs against a live page over the fake engine: the guide as it stands, and OpenAI's own client."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT

pytest.importorskip("gradio", reason="gradio is not installed: no page to ask")

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.settings import Settings
from tests.waiting import eventually

GUIDE = ROOT / "examples" / "programs" / "README.md"
TEXTS = ["What is GPU?", "A graphics processor."]
READING = {"prompt": "prompteol", "pooling": "last_token", "postprocess": "zscore"}
NAMED = "smollm2-135m-instruct?prompt=prompteol&pooling=last_token&postprocess=zscore"
NEEDS = {"python": sys.executable, "sh": "bash", "js": "node"}
# What a snippet prints, by a word that only it holds.
PRINTED = {
    "curl -s http://127.0.0.1:7860/v1/embeddings": r'"object":\s?"embedding"',
    "from openai import OpenAI": r"2 vectors, \d+ tokens\n\['smollm2",
    '/v1/embeddings", {': r"2 vectors, \d+ tokens",
    "langchain_openai": "2 vectors",
    "from mcp import Client": r"Q1 +-?0\.\d{3}\*",
    "from gradio_client import Client": r"\[\[.*\]\] [\d.]+\n2 vectors",
    "ID=$(curl": r'"similarity": \[\[',
    "const lab": r"\[ \[ -?0\.\d+ \] \] mean",
    "python -m demo compare": r'"similarity": \[\n',
}


def snippets() -> list:
    found = re.findall(r"^```(python|sh|js)\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [pytest.param(language, code, id=f"{language}-{i}") for i, (language, code) in enumerate(found)]


@pytest.fixture(scope="module")
def lab() -> Lab:
    engine = FakeEngine(unreachable=())
    engine.load("all-minilm-l6-v2")
    return Lab(Settings(engine="fake", port=0, public=False), engine)


@pytest.fixture(scope="module")
def url(lab):
    from demo.ui.page import create_page, launch_options

    page = create_page(lab)
    _, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
    yield url.rstrip("/")
    page.close(verbose=False)


@pytest.fixture(scope="module")
def client(url):
    openai = pytest.importorskip("openai", reason="openai is not installed: no client to ask with")
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.mark.parametrize(("language", "code"), snippets())
def test_the_guides_snippets_run_as_they_stand(url, tmp_path, language, code):
    if shutil.which(NEEDS[language]) is None:
        pytest.skip(f"{NEEDS[language]} is not installed")
    if "langchain_openai" in code:
        pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")
    if "python -m demo" in code:
        (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = {"python": ["-c"], "sh": ["-euo", "pipefail", "-c"], "js": ["--input-type=module", "-e"]}
    done = subprocess.run(
        [NEEDS[language], *commands[language], code.replace("http://127.0.0.1:7860", url)],
        cwd=tmp_path,
        env={
            **os.environ,
            "DEMO_ENGINE": "fake",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    [expected] = [pattern for word, pattern in PRINTED.items() if word in code]
    assert re.search(expected, done.stdout), done.stdout


def test_the_guide_names_every_field_and_every_code_of_an_exit():
    guide = GUIDE.read_text(encoding="utf-8")
    from demo.serving.api.mcp_tools import TOOLS
    from demo.serving.api.request import READING_FIELDS

    assert all(f"`{name}`" in guide for name in (*READING_FIELDS, *(tool.name for tool in TOOLS)))
    assert re.findall(r"^\| (\d+) \|", guide, flags=re.MULTILINE) == ["0", "1", "2", "130"]


def test_openais_client_gets_the_labs_own_vectors_in_both_encodings(client, lab):
    expected = lab.embed(TEXTS, **READING, reference="corpus")
    packed = client.embeddings.create(model=NAMED, input=TEXTS)  # base64, unless it is told otherwise
    plain = client.embeddings.create(
        model="smollm2-135m-instruct", input=TEXTS, extra_body=READING, encoding_format="float", user="somebody"
    )
    for answer in (packed, plain):
        np.testing.assert_allclose([one.embedding for one in answer.data], expected, atol=1e-6)
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > 10


def test_openais_client_raises_its_own_errors_with_our_sentences(client):
    import openai

    with pytest.raises(openai.NotFoundError, match="was not found") as missing:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="weighted_mean") as refused:
        client.embeddings.create(model="gpt2?pooling=meen", input="a")
    assert refused.value.param == "pooling"
    with pytest.raises(openai.NotFoundError, match="/v1/embeddings"):
        client.chat.completions.create(model="gpt2", messages=[])
    assert client.models.retrieve("gpt2?pooling=mean").id == "gpt2?pooling=mean"


def test_who_hangs_up_is_not_waited_for_any_more(url, lab, monkeypatch):
    """The question is asked with a turn that says whether somebody still wants it: a worker drops it when not."""
    from demo.jobs.request_context import current_request

    asked, dropped = threading.Event(), threading.Event()
    embed = FakeEngine.embed

    def watched(self, *arguments):
        turn = current_request()
        asked.set()
        eventually(lambda: turn.is_cancelled())
        dropped.set()
        return embed(self, *arguments)

    monkeypatch.setattr(FakeEngine, "embed", watched)
    host, port = url.removeprefix("http://").split(":")
    body = b'{"input": "nobody waits for this", "pooling": "mean"}'
    with socket.create_connection((host, int(port))) as line:
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert asked.wait(10)
    assert dropped.wait(10)


def test_the_page_answers_while_programs_wait(url, lab, monkeypatch):
    """Eight questions at once hold eight threads of their own, and nobody else's."""
    import httpx

    monkeypatch.setattr(lab.engine, "seconds_per_text", 0.25)
    asked = [
        threading.Thread(
            target=httpx.post,
            args=(f"{url}/v1/embeddings",),
            kwargs={"json": {"input": f"text {i}", "pooling": "mean"}, "timeout": 30},
        )
        for i in range(12)
    ]
    for thread in asked:
        thread.start()
    assert httpx.get(f"{url}/health", timeout=30).status_code == 200
    assert any(thread.is_alive() for thread in asked), "the page has not waited for them"
    for thread in asked:
        thread.join()
