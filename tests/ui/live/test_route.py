"""POST /live over a real server: the same checks as every request, cancellation, and the visitor that ZeroGPU needs."""

import json
import threading
from types import SimpleNamespace

import httpx
import pytest
from gradio.context import LocalContext

from demo.backend.fake import FakeEngine
from demo.domain.errors import Stopped
from demo.jobs.request_context import current_request
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.page import create_page, launch_options
from tests.page_requests import DEFAULTS
from tests.waiting import eventually

BODY = {"form": {**DEFAULTS, "questions": "What is GPU?", "answers": "A chip."}, "link": ""}


class WatchedEngine(FakeEngine):
    """Keeps each request's context and visitor; a held one runs only after `free`, unless nobody waits any more."""

    def __init__(self):
        super().__init__()
        self.contexts, self.visitors = [], []
        self.free = threading.Event()
        self.free.set()
        self.stopped = 0

    def embed(self, texts, reading, *rest, **more):
        context = current_request()
        self.contexts.append(context)
        self.visitors.append((LocalContext.request.get(None), LocalContext.blocks.get(None)))
        while not self.free.wait(0.01):
            if context.is_cancelled():
                self.stopped += 1
                raise Stopped()
        return super().embed(texts, reading, *rest, **more)


@pytest.fixture(scope="module")
def served():
    engine = WatchedEngine()
    engine.load("smollm2-135m-instruct")
    lab = Lab(Settings(engine="fake", port=0), engine)
    page = create_page(lab)
    _, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
    yield SimpleNamespace(url=url, engine=engine, page=page)
    page.close(verbose=False)


@pytest.fixture
def web(served):
    with httpx.Client(base_url=served.url, timeout=30) as web:
        yield web


def test_live_request_is_answered_as_interactive(served, web):
    answer = web.post("/live", json=BODY)
    assert answer.json()["state"] == "ready"
    assert answer.headers["content-type"] == "application/json"
    assert served.engine.contexts[-1].interactive


def test_language_comes_from_the_address_or_the_browser(web):
    assert "질문" in web.post("/live?lang=ko", json=BODY).json()["updates"]["questions"]["label"]
    korean = web.post("/live", json=BODY, headers={"Accept-Language": "ko-KR"}).json()
    assert "한국어" not in korean["pieces"]["status"]
    assert 'lang="ko"' in korean["pieces"]["status"].split("</h1>")[0]


def test_request_of_a_page_that_has_gone_is_cancelled(served):
    engine, before = served.engine, served.engine.stopped
    engine.free.clear()
    try:
        with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=served.url, timeout=1) as web:
            web.post("/live", json={**BODY, "form": {**BODY["form"], "questions": "Typed and left?"}})
        eventually(lambda: engine.stopped > before)
    finally:
        engine.free.set()


def test_visitor_and_page_reach_what_reads_them_from_gradio(served, web):
    """ZeroGPU (`spaces`) reads the visitor's token from Gradio's context, in the thread that computes."""
    web.post("/live", json=BODY, headers={"X-IP-Token": "secret"})
    request, page = served.engine.visitors[-1]
    assert request.headers.get("x-ip-token") == "secret"
    assert page is served.page
    assert hasattr(request.headers, "__dict__"), "what `spaces` asks of headers"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"form": ' + b"[" * 100 + b"]" * 100 + b"}"])
def test_unreadable_body_is_refused_in_words(web, body):
    answer = web.post("/live", content=body)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)


@pytest.mark.parametrize("body", [[], None, 5, {"form": 5}, {"form": {"questions": "\ud800", "answers": "b"}}])
def test_body_of_another_shape_is_answered_in_words(web, body):
    answer = web.post("/live", content=json.dumps(body))
    assert answer.status_code == 200
    assert answer.json()["state"] in ("empty", "error", "stale")


def test_another_site_cannot_ask_through_a_browser(web):
    assert web.post("/live", json=BODY, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert web.get("/live").status_code in (404, 405)


def test_requests_are_counted_by_their_route(web):
    web.post("/live", json=BODY)
    assert 'route="/live"' in web.get("/metrics").text


def test_layer_of_a_deeper_model_reaches_the_other_panels(served, web):
    """Gradio's server knows the first model's bounds only, and checks no layer against them."""
    config = web.get("/config").json()
    layer = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == "layer")
    assert served.page.blocks[layer].preprocess(300) == 300
