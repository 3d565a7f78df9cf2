"""`/mcp`: an assistant's tools, through the protocol's own client against a live page over the fake engine."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import httpx
import numpy as np
import pytest

mcp = pytest.importorskip("mcp", reason="mcp is not installed: no client to call with")

from demo.backend.fake import FakeEngine  # noqa: E402
from demo.domain.datamodels import Pooling, Postprocess, Prompt  # noqa: E402
from demo.lab import Lab  # noqa: E402
from demo.serving.api.mcp_tools import TOOLS, describe_members  # noqa: E402
from demo.settings import Settings  # noqa: E402
from tests.serving.conftest import SECRET, serve  # noqa: E402

QUESTIONS = ["Where is the headquarter of OpenAI?", "What is GPU?"]
ANSWERS = ["OpenAI is based at San Francisco.", "A graphics processing unit (GPU) is an electronic circuit."]
CHOSEN = {"model": "smollm2-135m-instruct", "prompt": "prompteol", "pooling": "last_token", "postprocess": "zscore"}


def converse(url: str, *calls: tuple[str, dict], mode: str = "auto") -> list:
    """The server's tools, and what each call came to."""

    async def run() -> list:
        async with mcp.Client(f"{url}/mcp", mode=mode) as client:
            listed = await client.list_tools()
            return [listed.tools, *[await client.call_tool(name, arguments) for name, arguments in calls]]

    return asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize("mode", ["auto", "legacy"])  # of 2026, without a handshake; and of before
def test_assistant_lists_the_tools_and_compares_texts_as_the_lab_does(url, live_lab, mode):
    tools, answer = converse(url, ("compare", {"questions": QUESTIONS, "answers": ANSWERS, **CHOSEN}), mode=mode)
    assert [tool.name for tool in tools] == ["compare", "embed", "list_models", "describe_readings"]
    assert all(tool.description and tool.output_schema for tool in tools)
    schema = tools[0].input_schema
    assert schema["required"] == ["questions", "answers"]
    assert schema["properties"]["pooling"]["enum"] == [pooling.value for pooling in Pooling]
    assert all(described["description"] for described in schema["properties"].values())
    expected = live_lab.compare(QUESTIONS, ANSWERS, **CHOSEN)
    assert not answer.is_error
    np.testing.assert_allclose(answer.structured_content["similarity"], expected.similarity, atol=1e-6)
    sentence = answer.content[0].text
    assert f"{expected.similarity[0, 0]:.3f}*" in sentence
    assert f"{expected.similarity[0, 1]:.3f}\n" in sentence
    assert f"AUC (.5 is chance) {expected.metrics.auc:.4f}" in sentence
    assert "Q2: What is GPU?" in sentence


def test_embed_list_models_and_describe_readings_answer_as_the_lab_does(url, live_lab):
    _, embedded, alone, models, readings = converse(
        url,
        ("embed", {"texts": ANSWERS, **CHOSEN, "role": "question"}),
        ("embed", {"texts": ANSWERS[:1], **CHOSEN, "role": "question"}),
        ("list_models", {}),
        ("describe_readings", {}),
    )
    expected = live_lab.embed(ANSWERS, **CHOSEN, role="question", reference="corpus")
    np.testing.assert_allclose(embedded.structured_content["embeddings"], expected, atol=1e-6)
    np.testing.assert_allclose(alone.structured_content["embeddings"], expected[:1], atol=1e-6)
    assert "mistral-7b-instruct-v0.1" in models.content[0].text
    assert len(models.structured_content["models"]) == len(live_lab.models())
    assert "weighted_mean: the mean with weights 1…n" in readings.content[0].text


BAD = [  # test_openai.py holds the rest: both validate with one model
    ("compare", {}, "questions"),
    ("compare", {"questions": QUESTIONS}, "answers"),
    ("compare", {"questions": 7, "answers": ["a"]}, "questions"),
    ("compare", {"questions": ["a"], "answers": ["a"], "matches": [[1, 9]]}, "belongs"),
    ("compare", {"questions": ["a"], "answers": ["a"], "poling": "mean"}, "poling"),
    ("compare", {"questions": ["a"], "answers": ["a"], "pooling": "meen"}, "weighted_mean"),
    ("compare", {"questions": ["a"], "answers": ["a"], "model": "qwen/qwen9"}, "qwen/qwen9"),
    ("embed", {"texts": [f"text {i}" for i in range(201)]}, "At most 200"),
    ("list_models", {"all": True}, "all"),
    ("train", {}, "compare, embed"),
]


def test_bad_input_is_a_tool_error_in_words(url):
    _, *answers = converse(url, *[(name, arguments) for name, arguments, _ in BAD])
    for (name, arguments, sentence), answer in zip(BAD, answers, strict=True):
        assert answer.is_error, (name, arguments)
        [content] = answer.content
        assert sentence in content.text, (content.text, sentence)
        assert "Traceback" not in content.text


def test_malformed_oversized_and_foreign_requests_are_refused(url):
    with httpx.Client(base_url=url, timeout=20) as http:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert http.post("/mcp", json=call, headers=headers).status_code == 200
        assert http.get("/mcp").status_code == 405, "nothing to stream"
        deep = b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
        assert 400 <= http.post("/mcp", content=deep, headers=headers).status_code < 500
        modern = {**headers, "MCP-Protocol-Version": "2026-07-28"}
        assert 400 <= http.post("/mcp", content=deep, headers=modern).status_code < 500
        large = http.post("/mcp", content=b'{"a": "' + b"a" * 2**21 + b'"}', headers=headers)
        assert large.status_code == 413
        foreign = http.post("/mcp", json=call, headers={**headers, "Host": "evil.example"})
        assert foreign.status_code in (403, 421), "a name that this machine does not have"


def test_unexpected_error_is_answered_without_traceback_or_text(url, broken, caplog):
    _, answer = converse(url, ("embed", {"texts": [SECRET]}))
    assert answer.is_error
    assert answer.content[0].text == "Something went wrong on our side."
    assert SECRET not in caplog.text
    assert "RuntimeError" in caplog.text


def test_every_choice_is_explained():
    for kind in (Prompt, Pooling, Postprocess):
        assert all(len(what) > 3 for what in describe_members(kind).values()), describe_members(kind)


def test_tools_are_json_and_describe_every_argument():
    for tool in TOOLS:
        json.dumps(tool.describe())
        assert len(tool.description) > 40
        assert all(field["description"] for field in tool.describe()["input_schema"]["properties"].values())


def test_mcp_is_not_imported_before_the_first_request():
    code = "import sys, demo.serving; assert not {'mcp', 'mcp_types', 'openai'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_public_host_answers_under_any_name_and_offers_the_list_only():
    http = serve(Lab(Settings(engine="fake", public=True), FakeEngine()), base_url="http://lab.example")

    def call(name: str, arguments: dict) -> dict:
        headers = {"Accept": "application/json, text/event-stream"}
        params = {"name": name, "arguments": arguments}
        request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        answer = http.post("/mcp", json=request, headers=headers)
        assert answer.status_code == 200, answer.text
        [data] = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        return json.loads(data.removeprefix("data: "))["result"]

    texts = {"questions": QUESTIONS, "answers": ANSWERS}
    assert not call("compare", texts)["isError"]
    refused = call("compare", {**texts, "model": "/etc"})
    assert refused["isError"]
    assert "offers only the list" in refused["content"][0]["text"]
