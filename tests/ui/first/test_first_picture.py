"""The first picture: what the page's first response holds, for whom, and that no text in it becomes markup."""

from __future__ import annotations

import dataclasses
import re
import threading

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.backend.fake import FakeEngine
from demo.domain.errors import OutOfMemory
from demo.figures.layout import is_dark
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.first.first_picture import FirstPicture, render_first_picture
from demo.ui.live.examples import load_examples
from demo.wording.numbers import two_digits
from tests.waiting import eventually

PAGE = '<html><body style="margin: 0"><gradio-app></gradio-app></body></html>'
VIEWS = ("heatmap", "story")


def respond(lab: Lab, path: str = "/", method: str = "GET", drawn: bool = True, **headers):
    """The response of a small page behind the middleware, once its picture is computed."""

    async def answer(request):
        return HTMLResponse(PAGE)

    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"]), Route("/other", answer)])
    picture = FirstPicture(app, lab, VIEWS)
    if drawn:
        eventually(lambda: picture._comparison is not None)
    return TestClient(picture).request(method, path, headers=headers)


@pytest.fixture
def lab():
    engine = FakeEngine()
    engine.load("smollm2-135m-instruct")
    return Lab(Settings(engine="fake"), engine)


def article(lab):
    first = next(iter(load_examples().values()))
    return lab.compare(first.questions, first.answers)


@pytest.mark.parametrize(
    ("path", "language", "title"),
    [("/", "en", "Are GPTs good"), ("/", "ko-KR,ko;q=0.9", "GPT는"), ("/?lang=ko", "en", "GPT는")],
)
def test_the_page_holds_the_first_sets_cosines_and_verdict(lab, path, language, title):
    response = respond(lab, path, **{"accept-language": language})
    assert int(response.headers["content-length"]) == len(response.content)
    before, _, after = response.text.partition('<div id="first-picture"')
    assert before == PAGE[: PAGE.index("<gradio-app>")]
    assert after.endswith(PAGE[PAGE.index("<gradio-app>") :])
    assert title in after
    cosines = [two_digits(float(value)) for value in article(lab).similarity.ravel()]
    assert re.findall(r'class="cell[^>]*>([^<]*)<', after) == cosines
    assert 'class="verdict' in after


@pytest.mark.parametrize(
    ("path", "method"), [("/?model=gpt2", "GET"), ("/?view=story", "GET"), ("/other", "GET"), ("/", "POST")]
)
def test_other_pages_are_left_as_they_are(lab, path, method):
    assert respond(lab, path, method).text == PAGE


@pytest.fixture
def pictures():
    """() → the threads of this test that wait for a model, or compute."""

    def running() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name == "first picture"}

    before = running()
    return lambda: running() - before


class Counting(FakeEngine):
    """Counts the calls, and refuses them."""

    calls = 0

    def embed(self, *args, **more):
        self.calls += 1
        raise OutOfMemory(model="a model", tokens=1)


@pytest.mark.parametrize("live", [True, False])
def test_nothing_is_computed_where_nothing_is_live_and_a_refusal_leaves_the_page_as_it_was(live, pictures):
    engine = Counting()
    engine.load("smollm2-135m-instruct")
    assert respond(Lab(Settings(engine="fake", live=live), engine), drawn=False).text == PAGE
    eventually(lambda: not pictures())
    assert engine.calls == live


def test_no_text_is_sent_to_a_server_before_somebody_has_opened_the_page(pictures):
    settings = Settings(engine="fake", remote=["far=http://127.0.0.1:9#model"], model="remote:far")
    assert respond(Lab(settings, FakeEngine()), drawn=False).text == PAGE
    assert not pictures()


@pytest.mark.parametrize(("paint", "dark"), [("rgb(0, 32, 76)", True), ("rgb(124, 123, 120)", False)])
def test_a_number_is_white_on_dark_colours_alone(paint, dark):
    assert is_dark(paint) is dark


def test_texts_are_escaped(lab):
    compared = article(lab)
    texts = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')
    hostile = dataclasses.replace(compared.pairing, questions=texts, answers=texts)
    html = render_first_picture("en", dataclasses.replace(compared, pairing=hostile), VIEWS)
    assert html.count("<script>") == 1  # its own
    assert "<img" not in html
