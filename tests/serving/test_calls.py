"""Other programs against a live page over the fake engine: the guide's snippets, OpenAI's own client, hanging up."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from demo.serving.api.mcp_tools import TOOLS
from demo.serving.api.request import READING_FIELDS
from tests import ROOT
from tests.serving.conftest import SECRET

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
def client(url):
    openai = pytest.importorskip("openai", reason="openai is not installed: no client to call with")
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=30) as client:
        yield client


@pytest.mark.parametrize(("language", "code"), snippets())
def test_snippet_of_the_guide_runs_as_it_stands(url, tmp_path, language, code):
    if shutil.which(NEEDS[language]) is None:
        pytest.skip(f"{NEEDS[language]} is not installed")
    if "langchain_openai" in code:
        pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")
    if "python -m demo" in code:
        (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = {"python": ["-c"], "sh": ["-euo", "pipefail", "-c"], "js": ["--input-type=module", "-e"]}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "DEMO_ENGINE": "fake", "PYTHONPATH": str(ROOT), "PATH": path}
    command = [NEEDS[language], *commands[language], code.replace("http://127.0.0.1:7860", url)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    [expected] = [pattern for word, pattern in PRINTED.items() if word in code]
    assert re.search(expected, done.stdout), done.stdout


def test_guide_names_every_field_and_exit_code():
    guide = GUIDE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in guide for name in (*READING_FIELDS, *(tool.name for tool in TOOLS)))
    assert re.findall(r"^\| (\d+) \|", guide, flags=re.MULTILINE) == ["0", "1", "2", "130"]


def test_openais_client_gets_the_labs_vectors_in_both_encodings(client, live_lab):
    expected = live_lab.embed(TEXTS, **READING, reference="corpus")
    packed = client.embeddings.create(model=NAMED, input=TEXTS)  # base64 is the client's default
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


def test_unexpected_error_of_a_gradio_endpoint_is_a_result_without_the_text(url, broken, caplog):
    address = f"{url}/gradio_api/call/embed"
    event = httpx.post(address, json={"data": [[SECRET], *[None] * 10]}).json()["event_id"]
    result = httpx.get(f"{address}/{event}").text
    assert '"code": "Unexpected"' in result
    assert SECRET not in result + caplog.text
    assert "RuntimeError" in caplog.text


MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "embed"}
META = {"protocolVersion": MODERN["MCP-Protocol-Version"], "clientCapabilities": {}}


def mcp_call(**meta) -> dict:
    params = {"name": "embed", "arguments": {"texts": ["nobody waits for this"]}, **meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


@pytest.mark.parametrize(
    ("path", "call", "headers"),
    [
        ("/v1/embeddings", {"input": "nobody waits for this", "pooling": "mean"}, {}),
        ("/mcp", mcp_call(), {}),
        ("/mcp", mcp_call(_meta={f"io.modelcontextprotocol/{name}": value for name, value in META.items()}), MODERN),
    ],
    ids=["openai", "mcp", "mcp of 2026"],
)
def test_request_is_cancelled_when_the_client_disconnects(url, held, path, call, headers):
    body, address = json.dumps(call).encode(), urlsplit(url)
    headers = {
        **headers,
        "Host": address.netloc,
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((address.hostname, address.port)) as line:
        line.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        assert held.started.wait(20)
    assert held.cancelled.wait(20)


def test_page_answers_while_more_api_calls_wait_than_there_are_threads(url, held):
    def call(i: int) -> int:
        return httpx.post(
            f"{url}/v1/embeddings", json={"input": f"text {i}", "pooling": "mean"}, timeout=30
        ).status_code

    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(call, i) for i in range(12)]
        assert held.started.wait(20)
        assert httpx.get(f"{url}/health", timeout=30).status_code == 200
        held.released.set()
        assert [one.result() for one in calls] == [200] * 12
