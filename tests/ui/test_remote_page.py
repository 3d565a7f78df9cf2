"""The page over a model that runs elsewhere, without a browser: what is said before texts are sent, what is offered."""

import pytest

gradio = pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")
pytest.importorskip("openai")

from demo.ui import page as page_module  # noqa: E402
from demo.ui.live.handlers import Session  # noqa: E402
from demo.ui.page import create_page  # noqa: E402
from tests import embedding_server as bad  # noqa: E402
from tests.backend.remote.test_remote import make_lab  # noqa: E402
from tests.embedding_server import EmbeddingServer  # noqa: E402
from tests.page_requests import page_request  # noqa: E402
from tests.waiting import eventually  # noqa: E402


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("demo.backend.remote.client._RETRIES", 0)
    server = EmbeddingServer()
    yield server
    server.stop()


@pytest.fixture
def open_page(server, monkeypatch):
    """open_page(language, model) → (ask, settle) of a page that the model opens."""

    def open_page(language: str, model: str = "smollm2-135m-instruct"):
        made = {}
        wire = page_module._wire
        monkeypatch.setattr(page_module, "_wire", lambda page, handlers, live: made.update(h=handlers))
        lab = make_lab(f"far={server.url}", model=model, remote_seconds=5)
        create_page(lab)
        monkeypatch.setattr(page_module, "_wire", wire)
        handlers = made["h"]
        request = page_request("one", language)
        session = Session(model=model)

        def ask(**other):
            said = f"seq={session.sent}&settled={session.news}"
            values = [other.get(widget.elem_id, widget.value) for widget in handlers.widgets.choices]
            return handlers.on_compute(request, session, *values, said)

        def settle():
            return handlers.on_settle(session)

        return ask, settle

    return open_page


def answered(ask, **other):
    """What comes of asking again and again, as the page does while a model is on its way."""
    return eventually(lambda: ask(**other), until=lambda answer: answer["state"] != "loading")


def test_where_texts_go_is_said_before_any_is_sent(server, open_page):
    ask, settle = open_page("en")
    answered(ask)
    server.open.clear()
    first = ask(model="remote:far")
    assert (first["state"], first["again"]) == ("loading", 0.4)
    assert f"Texts go to {server.host}" in first["pieces"]["model-note"]
    server.open.set()
    answer = answered(ask, model="remote:far")
    assert answer["state"] == "ready"
    assert f"leave this machine for {server.host}" in answer["pieces"]["status"]
    due = {widget.elem_id: (widget, news) for widget, news in settle().items()}
    assert due["pooling"][1]["choices"] == ["as_served"]
    assert "chat" not in due["prompt"][1]["choices"]
    assert due["layer"][1]["visible"] is due["eos"][1]["visible"] is False
    for widget, news in due.values():  # Gradio makes the widget anew, and refuses what it could not be made with
        type(widget)(**{**widget.constructor_args, **{k: v for k, v in news.items() if k != "__type__"}})
    server.misbehave = bad.answer_status(500)
    taken = {"prompt": "plain", "pooling": "as_served", "layer": 0}  # as the page has them by now
    failed = answered(ask, model="remote:far", questions="Something else?", **taken)
    assert failed["state"] == "stale"
    assert f"far, on {server.host}: it answered with an error (HTTP 500)." in failed["pieces"]["notices"]


def test_a_server_that_cannot_be_had_leaves_the_model_in_use(server, open_page):
    ask, settle = open_page("ko")
    answered(ask)
    settle()
    server.misbehave = bad.answer_status(401)
    failed = answered(ask, model="remote:far")
    assert failed["state"] == "ready"  # the picture that was drawn, of the model that is still there
    assert "키를 받아 주지 않아요(HTTP 401)" in failed["pieces"]["model-note"]
    news = {widget.elem_id: news for widget, news in settle().items()}
    assert news["model"]["value"] == "smollm2-135m-instruct"


def test_a_page_may_open_with_such_a_model(server, open_page):
    ask, _ = open_page("en", "remote:far")
    answer = answered(ask)
    assert answer["state"] == "ready"
    assert server.host in answer["pieces"]["status"]
