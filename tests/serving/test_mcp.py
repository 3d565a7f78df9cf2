"""`/mcp`: an assistant's tools, through the protocol's own client against a live page over the fake engine."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no page to ask")
mcp = pytest.importorskip("mcp", reason="mcp is not installed: no client to ask with")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.datamodels import Pooling, Postprocess, Prompt  # noqa: E402
from demo.jobs.request_context import current_request  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.serving.api.mcp_tools import TOOLS, describe_members  # noqa: E402
from demo.settings import Settings  # noqa: E402
from tests.waiting import eventually  # noqa: E402

QUESTIONS = ["Where is the headquarter of OpenAI?", "What is GPU?"]
ANSWERS = ["OpenAI is based at San Francisco.", "A graphics processing unit (GPU) is an electronic circuit."]
CHOSEN = {"model": "smollm2-135m-instruct", "prompt": "prompteol", "pooling": "last_token", "postprocess": "zscore"}


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab(Settings(engine="fake", port=0, public=False), FakeEngine())


@pytest.fixture(scope="module")
def url(lab):
    from demo.ui.page import create_page, launch_options

    page = create_page(lab)
    _, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
    yield url
    page.close(verbose=False)


def converse(url: str, *calls: tuple[str, dict], mode: str = "auto") -> list:
    """The server's tools, and what each call came to."""

    async def run() -> list:
        async with mcp.Client(f"{url}mcp", mode=mode) as client:
            listed = await client.list_tools()
            return [listed.tools, *[await client.call_tool(name, arguments) for name, arguments in calls]]

    return asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize("mode", ["auto", "legacy"])  # of 2026, without a handshake; and of before
def test_an_assistant_finds_the_tools_and_compares_the_articles_texts(url, lab, mode):
    tools, answer = converse(url, ("compare", {"questions": QUESTIONS, "answers": ANSWERS, **CHOSEN}), mode=mode)
    assert [tool.name for tool in tools] == ["compare", "embed", "list_models", "describe_readings"]
    assert all(tool.description and tool.output_schema for tool in tools)
    schema = tools[0].input_schema
    assert schema["required"] == ["questions", "answers"]
    assert schema["properties"]["pooling"]["enum"] == [pooling.value for pooling in Pooling]
    assert all(described["description"] for described in schema["properties"].values())
    expected = lab.compare(QUESTIONS, ANSWERS, **CHOSEN)
    assert not answer.is_error
    np.testing.assert_allclose(answer.structured_content["similarity"], expected.similarity, atol=1e-6)
    said = answer.content[0].text
    assert f"{expected.similarity[0, 0]:.3f}*" in said
    assert f"{expected.similarity[0, 1]:.3f}\n" in said
    assert f"AUC (.5 is chance) {expected.metrics.auc:.4f}" in said
    assert "Q2: What is GPU?" in said


def test_vectors_models_and_readings_are_told(url, lab):
    _, embedded, alone, models, readings = converse(
        url,
        ("embed", {"texts": ANSWERS, **CHOSEN, "role": "question"}),
        ("embed", {"texts": ANSWERS[:1], **CHOSEN, "role": "question"}),
        ("list_models", {}),
        ("describe_readings", {}),
    )
    expected = lab.embed(ANSWERS, **CHOSEN, role="question", reference="corpus")
    np.testing.assert_allclose(embedded.structured_content["embeddings"], expected, atol=1e-6)
    np.testing.assert_allclose(alone.structured_content["embeddings"], expected[:1], atol=1e-6)
    assert "mistral-7b-instruct-v0.1" in models.content[0].text
    assert len(models.structured_content["models"]) == len(lab.models())
    assert "weighted_mean: the mean with weights 1…n" in readings.content[0].text


BAD = [
    ("compare", {}, "questions"),
    ("compare", {"questions": QUESTIONS}, "answers"),
    ("compare", {"questions": 7, "answers": ["a"]}, "questions"),
    ("compare", {"questions": ["a", 7], "answers": ["a"]}, "questions"),
    ("compare", {"questions": ["a"], "answers": ["a"], "matches": [[1, 9]]}, "belongs"),
    ("compare", {"questions": ["a"], "answers": ["a"], "poling": "mean"}, "poling"),
    ("compare", {"questions": ["a"], "answers": ["a"], "pooling": "meen"}, "weighted_mean"),
    ("compare", {"questions": ["a"], "answers": ["a"], "model": "qwen/qwen9"}, "qwen/qwen9"),
    ("compare", {"questions": ["a"], "answers": ["a"], "model": {}}, "a name"),
    ("embed", {"texts": ["a\x00"]}, "U+0000"),
    ("embed", {"texts": [f"text {i}" for i in range(201)]}, "At most 200"),
    ("embed", {"texts": ["a"], "layer": 99}, "0 to 30"),
    ("embed", {"texts": ["a"], "role": "judge"}, "question, answer"),
    ("list_models", {"all": True}, "all"),
    ("train", {}, "compare, embed"),
]


def test_bad_input_is_a_tools_error_in_words(url):
    _, *answers = converse(url, *[(name, arguments) for name, arguments, _ in BAD])
    for (name, arguments, said), answer in zip(BAD, answers, strict=True):
        assert answer.is_error, (name, arguments)
        [content] = answer.content
        assert said in content.text, (content.text, said)
        assert "Traceback" not in content.text


def test_what_is_not_the_protocol_is_refused(url):
    import httpx

    with httpx.Client(base_url=url, timeout=20) as http:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert http.post("mcp", json=call, headers=headers).status_code == 200
        assert http.get("mcp").status_code == 405, "nothing to stream"
        deep = b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
        assert 400 <= http.post("mcp", content=deep, headers=headers).status_code < 500
        modern = {**headers, "MCP-Protocol-Version": "2026-07-28"}
        assert 400 <= http.post("mcp", content=deep, headers=modern).status_code < 500
        large = http.post("mcp", content=b'{"a": "' + b"a" * 2**21 + b'"}', headers=headers)
        assert large.status_code == 413
        foreign = http.post("mcp", json=call, headers={**headers, "Host": "evil.example"})
        assert foreign.status_code in (403, 421), "a name that this machine does not have"


def test_what_goes_wrong_on_our_side_is_said_without_a_traceback_or_a_text(url, monkeypatch, caplog):
    secret = "a text of mine"

    def broken(self, *arguments):
        raise RuntimeError(secret)

    monkeypatch.setattr(FakeEngine, "embed", broken)
    _, answer = converse(url, ("embed", {"texts": [secret]}))
    assert answer.is_error
    assert answer.content[0].text == "Something went wrong on our side."
    assert secret not in caplog.text
    assert "RuntimeError" in caplog.text


def test_every_choice_is_explained():
    for kind in (Prompt, Pooling, Postprocess):
        assert all(len(what) > 3 for what in describe_members(kind).values()), describe_members(kind)


def test_the_tools_are_json_and_say_what_every_argument_is():
    for tool in TOOLS:
        json.dumps(tool.describe())
        assert len(tool.description) > 40
        assert all(field["description"] for field in tool.describe()["input_schema"]["properties"].values())


def test_the_protocols_package_is_not_imported_before_somebody_asks():
    import subprocess
    import sys

    code = "import sys, demo.serving; assert not {'mcp', 'mcp_types', 'openai'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_public_host_answers_under_any_name_and_offers_the_list_only():
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from demo.serving import create_middleware, create_routes

    public = Lab(Settings(engine="fake", public=True), FakeEngine())
    routes = create_routes(public)
    app = Starlette(routes=routes, middleware=create_middleware(public, routes=routes))
    http = TestClient(app, base_url="http://lab.example")

    def call(name: str, arguments: dict) -> dict:
        headers = {"Accept": "application/json, text/event-stream"}
        params = {"name": name, "arguments": arguments}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = http.post("/mcp", json=asked, headers=headers)
        assert answer.status_code == 200, answer.text
        [data] = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        return json.loads(data.removeprefix("data: "))["result"]

    texts = {"questions": QUESTIONS, "answers": ANSWERS}
    assert not call("compare", texts)["isError"]
    refused = call("compare", {**texts, "model": "/etc"})
    assert refused["isError"]
    assert "offers only the list" in refused["content"][0]["text"]


@pytest.mark.parametrize("headers", [{}, {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}])
def test_who_hangs_up_is_not_waited_for_any_more(url, monkeypatch, headers):
    """As over /v1: a worker drops what nobody wants; both of the protocol's ways of one request notice."""
    asked, dropped = threading.Event(), threading.Event()
    embed = FakeEngine.embed

    def watched(self, *arguments):
        turn = current_request()
        asked.set()
        eventually(lambda: turn.is_cancelled())
        dropped.set()
        return embed(self, *arguments)

    monkeypatch.setattr(FakeEngine, "embed", watched)
    params = {"name": "embed", "arguments": {"texts": ["nobody waits for this"]}}
    if headers:
        said = {"protocolVersion": headers["MCP-Protocol-Version"], "clientCapabilities": {}}
        params["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in said.items()}
        headers = {**headers, "Mcp-Name": "embed"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(call).encode()
    address = urlsplit(url)
    headers = {
        **headers,
        "Host": address.netloc,
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((address.hostname, address.port)) as line:
        line.sendall(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
        assert asked.wait(20)
    assert dropped.wait(10)
