"""The page over a model that runs elsewhere, without a browser: the notice before texts are sent, and the choices."""

import pytest

gradio = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")
pytest.importorskip("openai")

from demo.ui.live.handlers import LiveHandlers  # noqa: E402
from tests import embedding_server as bad  # noqa: E402
from tests.backend.remote.test_remote import make_lab  # noqa: E402
from tests.embedding_server import EmbeddingServer  # noqa: E402
from tests.page_requests import LivePage  # noqa: E402


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("demo.backend.remote.client._RETRIES", 0)
    server = EmbeddingServer()
    yield server
    server.stop()


@pytest.fixture
def open_page(server):
    """open_page(language, model): a page that the model opens."""

    def open_page(language: str, model: str = "smollm2-135m-instruct") -> LivePage:
        lab = make_lab(f"far={server.url}", model=model, remote_seconds=5)
        default = lab.status(model).default_reading
        reading = {"prompt": default.prompt.value, "pooling": default.pooling.value} if default else {}
        return LivePage(LiveHandlers(lab), language, model=model, questions="What is GPU?", **reading)

    return open_page


def test_host_of_a_remote_model_is_named_before_texts_are_sent(server, open_page):
    page = open_page("en")
    page.loaded()
    server.open.clear()
    first = page.ask(model="remote:far")
    assert (first["state"], first["again"]) == ("loading", 0.4)
    assert f"Texts go to {server.host}" in first["pieces"]["model-note"]
    server.open.set()
    answer = page.loaded()
    assert answer["state"] == "ready"
    assert f"leave this machine for {server.host}" in answer["pieces"]["status"]
    updates = answer["updates"]
    assert updates["pooling"]["choices"] == [["As its server does — as_served", "as_served"]]
    assert "chat" not in dict(updates["prompt"]["choices"])
    assert updates["layer"]["visible"] is updates["eos"]["visible"] is False
    server.misbehave = bad.answer_status(500)
    failed = page.loaded(questions="Something else?")
    assert failed["state"] == "stale"
    assert f"far, on {server.host}: it answered with an error (HTTP 500)" in failed["pieces"]["notices"]


def test_unreachable_server_leaves_the_model_in_use(server, open_page):
    page = open_page("ko")
    page.loaded()
    server.misbehave = bad.answer_status(401)
    failed = page.loaded(model="remote:far")
    assert failed["state"] == "ready"  # the heatmap of the model that is still loaded
    assert "키를 받아 주지 않아요(HTTP 401)" in failed["pieces"]["model-note"]
    assert page.form["model"] == "smollm2-135m-instruct"


def test_page_opens_with_a_remote_model(server, open_page):
    answer = open_page("en", "remote:far").loaded()
    assert answer["state"] == "ready"
    assert server.host in answer["pieces"]["status"]
