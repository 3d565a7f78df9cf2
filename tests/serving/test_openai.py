"""OpenAI-compatible API over the fake engine: `/v1/embeddings` and `/v1/models`."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from demo.backend.fake import DIM, FakeEngine
from demo.domain.catalog import CATALOG
from demo.lab import Lab
from demo.serving.api import calls
from demo.serving.api import openai as module
from demo.serving.api.calls import ApiCalls
from demo.serving.api.openai import create_openai_routes
from demo.serving.api.request import split_model
from demo.settings import Settings
from tests.serving.conftest import SECRET, serve

TEXTS = ["What is GPU?", "A graphics processor.", "한국어 문장"]
READING = {"prompt": "prompteol", "pooling": "last_token", "layer": 20, "eos": True, "postprocess": "zscore"}
NAMED = "smollm2-135m-instruct?prompt=prompteol&pooling=last_token&layer=20&eos=true&postprocess=zscore"


@pytest.fixture(scope="module")
def lab() -> Lab:
    lab = Lab(Settings(engine="fake", public=False), FakeEngine())
    lab.open()
    return lab


@pytest.fixture(scope="module")
def http(lab) -> TestClient:
    return serve_openai(lab)


def serve_openai(lab: Lab, patience: float = 20.0) -> TestClient:
    return TestClient(Starlette(routes=create_openai_routes(ApiCalls(lab, patience))), raise_server_exceptions=False)


def ask(http: TestClient, status: int = 200, **body) -> dict:
    sent = json.dumps({"input": "a", **body})  # in ASCII: half a character can be sent too
    response = http.post("/v1/embeddings", content=sent, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    return response.json()


def vectors(answer: dict) -> np.ndarray:
    return np.array([one["embedding"] for one in answer["data"]], dtype=np.float32)


def refusal(http: TestClient, status: int = 400, **body) -> dict:
    error = ask(http, status, **body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    return error


def test_response_has_openais_form(http):
    answer = ask(http, input=TEXTS, model="smollm2-135m-instruct")
    assert answer["object"] == "list"
    assert answer["model"] == "smollm2-135m-instruct"
    assert [(one["object"], one["index"]) for one in answer["data"]] == [("embedding", i) for i in range(3)]
    assert vectors(answer).shape == (3, DIM)
    assert answer["reading"]["pooling"] == "last_token_logits"


def test_reading_in_the_body_and_in_the_name_give_the_labs_vectors(http, lab):
    expected = lab.embed(TEXTS, **READING, reference="corpus", role="question")
    beside = ask(http, input=TEXTS, model="smollm2-135m-instruct", **READING, role="question")
    named = ask(http, input=TEXTS, model=f"{NAMED}&role=question")
    for answer in (beside, named):
        np.testing.assert_allclose(vectors(answer), expected, atol=1e-6)
    assert named["model"] == f"{NAMED}&role=question", "a client gets the name back that it sent"
    assert beside["reading"] == named["reading"]
    assert beside["reading"]["reference"] == "corpus"


@pytest.mark.parametrize("model", [name for name in CATALOG if name in ("all-minilm-l6-v2", "qwen3-embedding-0.6b")])
def test_default_is_the_models_own_reading(http, lab, model):
    np.testing.assert_allclose(vectors(ask(http, input=TEXTS, model=model)), lab.embed(TEXTS, model), atol=1e-6)


def test_vector_does_not_depend_on_the_other_texts_of_a_request(http):
    """Post-processing is fitted on the corpus, never on the texts that are sent."""
    many = vectors(ask(http, input=TEXTS, **READING))
    alone = vectors(ask(http, input=TEXTS[1], **READING))
    np.testing.assert_allclose(many[1], alone[0], atol=1e-6)
    error = refusal(http, postprocess="zscore", reference="texts")
    assert error["param"] == "reference"
    assert "corpus" in error["message"]


def test_base64_holds_little_endian_float32(http):
    plain = vectors(ask(http, input=TEXTS))
    packed = ask(http, input=TEXTS, encoding_format="base64")["data"]
    decoded = [np.frombuffer(base64.b64decode(one["embedding"]), dtype="<f4") for one in packed]
    np.testing.assert_array_equal(np.stack(decoded), plain)


def test_usage_counts_the_tokens_of_the_prompt_too(http, lab):
    """The fake's tokens are words: three words, and six around them in PromptEOL's `This sentence : "…" means …`."""
    plain = ask(http, input=["one two three"] * 2, prompt="plain", pooling="mean")["usage"]
    assert plain == {"prompt_tokens": 6, "total_tokens": 6}
    around = ask(http, input="one two three", prompt="prompteol", pooling="mean")["usage"]["prompt_tokens"]
    reading = lab.reading(prompt="prompteol", pooling="mean")
    [prompted] = lab.prompted(["one two three"], reading, "answer")
    assert around == len(prompted.rendered().split()) > 3


def test_normalize_divides_by_the_length(http):
    answer = vectors(ask(http, input=TEXTS, pooling="mean", prompt="plain", normalize=True))
    np.testing.assert_allclose(np.linalg.norm(answer, axis=1), 1, atol=1e-6)
    bare = vectors(ask(http, input=TEXTS, model="smollm2-135m-instruct?pooling=mean&prompt=plain"))
    np.testing.assert_allclose(answer, bare / np.linalg.norm(bare, axis=1, keepdims=True), atol=1e-6)


def test_fewer_dimensions_need_a_model_trained_for_them(http):
    whole = vectors(ask(http, model="qwen3-embedding-0.6b"))
    short = vectors(ask(http, model="qwen3-embedding-0.6b", dimensions=32))
    np.testing.assert_allclose(short, whole[:, :32] / np.linalg.norm(whole[:, :32]), atol=1e-6)
    assert vectors(ask(http, dimensions=DIM)).shape == (1, DIM), "as many as there are is no request"
    assert "not trained for shorter" in refusal(http, dimensions=32)["message"]
    assert "no more" in refusal(http, dimensions=DIM + 1)["message"]
    assert refusal(http, model="qwen3-embedding-0.6b", pooling="mean", dimensions=32)["param"] == "dimensions"
    for nonsense in (0, -1, 2.5, True, "32", [32]):
        assert refusal(http, dimensions=nonsense)["param"] == "dimensions"


BAD = [
    ({"input": []}, "input", "list of texts"),
    ({"input": None}, "input", "list of texts"),
    ({"input": [1, 2, 3]}, "input", "check_embedding_ctx_length=False"),
    ({"input": [[1, 2], [3]]}, "input", "token ids"),
    ({"input": ["a", None]}, "input", "not a text"),
    ({"input": ["a", "  "]}, "input", "Text 2"),
    ({"input": ["a\x00"]}, "input", "U+0000"),
    ({"input": "\ud800"}, "input", "U+D800"),
    ({"input": "x" * 20_001}, "input", "20,000"),
    ({"input": ["a"] * 1_001}, "input", "1,000"),
    ({"model": 7}, "model", "a name"),
    ({"model": "gpt2?pooling"}, "model", "MODEL?prompt"),
    ({"model": "gpt2?poling=mean"}, "poling", "pooling"),
    ({"model": "smollm2-135m-instruct?pooling=meen"}, "pooling", "weighted_mean"),
    ({"model": "smollm2-135m-instruct?eos=perhaps"}, "eos", "true, false"),
    ({"model": "smollm2-135m-instruct?layer=99"}, "layer", "0 to 30"),
    ({"model": "smollm2-135m-instruct?pooling=mean", "pooling": "mean"}, "pooling", "said twice"),
    ({"model": "smollm2-135m-instruct?" + "&".join(f"pooling=mean{i}" for i in range(99))}, "model", "MODEL?prompt"),
    ({"poling": "mean"}, "poling", "not a field"),
    ({"\ud800": 1}, "\ud800", "not a field"),
    ({"pooling": "\ud800"}, "pooling", "weighted_mean"),
    ({"pooling": ["mean"]}, "pooling", "a name"),
    ({"layer": "deep"}, "layer", "0 to 30"),
    ({"layer": {}}, "layer", "whole number"),
    ({"role": "judge"}, "role", "question, answer"),
    ({"normalize": "yes"}, "normalize", "true, false"),
    ({"prompt": "custom", "template": "no place"}, "template", "{text}"),
    ({"prompt": "own"}, "prompt", "plain"),
    ({"encoding_format": "binary"}, "encoding_format", "base64"),
    ({"model": "all-minilm-l6-v2", "pooling": "last_token_logits"}, "pooling", "LM head"),
    ({"model": "mistral-7b-instruct-v0.1"}, "model", "memory"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "param", "sentence"), BAD, ids=lambda value: json.dumps(value)[:60])
def test_bad_request_names_its_parameter(http, body, param, sentence):
    error = refusal(http, **body)
    assert error["param"] == param
    assert sentence in error["message"]


def test_unknown_model_is_404(http):
    error = refusal(http, 404, model="text-embedding-3-small")
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert http.get("/v1/models/text-embedding-3-small").status_code == 404
    public = serve(Lab(Settings(engine="fake", public=True), FakeEngine()))
    error = refusal(public, 404, model="/etc")
    assert "all-minilm-l6-v2" in error["message"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"input": NaN}', 400),
        (b'{"input": "\xff"}', 400),
        (b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"input": "a", "layer": ' + b"9" * 10_000 + b"}", 400),
        (b'{"input": "' + b"a" * (8 * 2**20) + b'"}', 413),
    ],
    ids=["nothing", "a list", "half", "NaN", "not UTF-8", "deep", "long number", "large"],
)
def test_unreadable_body_is_a_client_error(http, body, status):
    response = http.post("/v1/embeddings", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_content_type_of_a_form_is_refused(http):
    response = http.post("/v1/embeddings", content='{"input": "a"}', headers={"Content-Type": "text/plain"})
    assert response.status_code == 415
    assert "application/json" in response.json()["error"]["message"]


def test_other_addresses_and_methods_are_told_the_endpoints(http):
    assert http.get("/v1/embeddings").headers["allow"] == "POST"
    answer = http.post("/v1/chat/completions", json={})
    assert answer.status_code == 404
    assert "/v1/embeddings" in answer.json()["error"]["message"]


def test_models_list_holds_those_that_fit_this_machine(http):
    listed = http.get("/v1/models").json()
    ids = [model["id"] for model in listed["data"]]
    assert listed["object"] == "list"
    assert set(ids) == set(CATALOG) - {"mistral-7b-instruct-v0.1", "e5-mistral-7b-instruct"}
    one = http.get("/v1/models/all-minilm-l6-v2").json()
    assert (one["id"], one["object"], one["reading"]["pooling"]) == ("all-minilm-l6-v2", "model", "mean")
    assert http.get("/v1/models/gpt2%3Fpooling=mean").json()["id"] == "gpt2?pooling=mean"
    assert "8.0 GiB" in http.get("/v1/models/mistral-7b-instruct-v0.1").json()["error"]["message"]


def test_model_name_is_split_from_its_reading():
    assert split_model("a/b") == ("a/b", {})
    template = "a?template=%7Btext%7D%20%26%20more&eos=1&normalize=FALSE&layer=-2"
    assert split_model(template) == (
        "a",
        {"template": "{text} & more", "eos": True, "normalize": False, "layer": "-2"},
    )


def test_too_many_numbers_are_refused_before_they_are_computed(http, monkeypatch, lab):
    monkeypatch.setattr(module, "MOST_NUMBERS", 5 * DIM)
    assert vectors(ask(http, input=["a"] * 5)).shape == (5, DIM)
    counted = lab.engine.embedded_texts
    assert "At most 5 texts" in refusal(http, input=[f"text {i}" for i in range(6)])["message"]
    assert lab.engine.embedded_texts == counted


def test_more_texts_than_the_page_accepts_are_embedded(http):
    assert len(ask(http, input=[f"text {i}" for i in range(300)], pooling="mean")["data"]) == 300


def test_loading_model_is_waited_for_and_then_503():
    engine = FakeEngine(load_seconds=0.6)
    impatient = serve_openai(Lab(Settings(engine="fake"), engine), patience=0.1)
    response = impatient.post("/v1/embeddings", json={"input": "a"})
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.json()["error"]["code"] == "model_loading"
    patient = serve_openai(Lab(Settings(engine="fake"), FakeEngine(load_seconds=0.3)))
    assert ask(patient)["data"]


def test_unavailable_weights_are_503(http):
    assert refusal(http, 503, model="gpt2")["code"] == "weights_unavailable"


def test_api_calls_run_behind_people(http, held):
    held.released.set()
    ask(http, input="a text that is in no cache")
    assert held.contexts
    assert not any(context.interactive for context in held.contexts)


def test_calls_beyond_the_queue_are_told_to_retry(http, held, monkeypatch):
    monkeypatch.setattr(calls, "_MOST_CALLS", 1)
    with http, ThreadPoolExecutor(1) as pool:  # one event loop for both
        first = pool.submit(ask, http, input="the only call that is accepted")
        assert held.started.wait(20)
        response = http.post("/v1/embeddings", json={"input": "b"})
        held.released.set()
        assert first.result()["data"]
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "busy"
    assert "retry-after" in response.headers


def test_unexpected_error_is_answered_without_traceback_or_text(http, broken, caplog):
    error = refusal(http, 500, input=SECRET)
    assert SECRET not in error["message"] + caplog.text
    assert "RuntimeError" in caplog.text


def test_bug_in_the_api_itself_is_500_and_logged_with_its_stack(lab, monkeypatch, caplog):
    monkeypatch.setattr(module, "split_model", None)  # not callable
    assert serve(lab).get("/v1/models/gpt2").status_code == 500
    assert "_retrieve_model" in caplog.text


def test_refusals_of_the_middleware_have_openais_form_below_v1():
    public = serve(Lab(Settings(engine="fake", public=True), FakeEngine()))
    error = refusal(public, 413, input="a" * 2**21)
    assert (error["type"], error["code"]) == ("invalid_request_error", "request_too_large")
    assert "1" in error["message"]
