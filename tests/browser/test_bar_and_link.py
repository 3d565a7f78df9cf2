"""The bar at the top, and what the address keeps, in a real browser over the fake engine."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import expect

from demo.domain.datamodels import Progress
from tests.browser.conftest import WordyEngine
from tests.browser.page_actions import (
    DESK,
    PHONE,
    PLOT,
    QUESTIONS,
    STATE,
    choose,
    expect_choice,
    expect_model,
    expect_text,
    expect_value,
    idle,
    settle,
    table,
    values,
    wait_text,
)

pytestmark = pytest.mark.browser
CUT = """() => [...document.querySelectorAll('#status dd, #status small')]
    .filter((node) => node.scrollWidth > node.clientWidth + 1).length"""

# What the address says while the answers are on their way.
HASHES = """() => {
    window.hashes = new Set();
    const keep = () => { window.hashes.add(location.hash); requestAnimationFrame(keep); };
    keep();
}"""


def test_a_reload_keeps_what_was_typed_and_chosen(open_page):
    page = open_page()
    assert "#" not in page.url
    page.fill(QUESTIONS, "누가 썼나요? & 100% = #1\n<b>second</b>")
    wait_text(page, "Q2 <b>second</b>")
    choose(page, "model", "all-MiniLM")
    expect_choice(page, "pooling", "mean")
    choose(page, "pooling", "max")
    page.wait_for_function("() => location.hash.includes('pooling=max')")
    settle(page)
    before = values(page)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    page.wait_for_selector(PLOT)
    wait_text(page, "Q1 누가 썼나요? & 100% = #1")
    settle(page)
    expect_value(page, QUESTIONS, "누가 썼나요? & 100% = #1\n<b>second</b>")
    expect_choice(page, "pooling", "max")
    expect_model(page, "all-MiniLM")
    assert values(page) == before
    assert not [url for url in requests if "second" in url.split("#")[0]]
    page.click("#status a")
    page.wait_for_function("() => document.querySelector('#questions')?.textContent.includes('질문')")
    wait_text(page, "Q2 <b>second</b>")
    settle(page)


def test_a_slow_answer_does_not_cost_the_link(open_page, engine):
    page = open_page()
    page.fill(QUESTIONS, "first\nsecond")
    page.wait_for_function("() => location.hash.includes('second')")
    page.add_init_script(f"({HASHES})()")
    engine.seconds_per_text = 0.5
    page.reload()
    page.wait_for_selector(PLOT)
    wait_text(page, "Q2 second")
    page.wait_for_function("() => document.querySelector('#questions textarea').value.includes('second')")
    idle(page)
    assert {"second" in link for link in page.evaluate("() => [...window.hashes]")} == {True}
    page.fill(QUESTIONS, "first\nsecond\nthird")
    page.click("#status a")  # at once, before the address can have it
    page.wait_for_function("() => document.querySelector('#questions')?.textContent.includes('질문')")
    wait_text(page, "Q3 third")


@pytest.mark.parametrize(
    "link", ["#model=no/such&pooling=max", "#layer=99&pooling=x", "#%E0%A4%A=&&", "#" + "a=1&" * 99]
)
def test_a_broken_link_opens_the_page_as_ever(open_page, link):
    page = open_page(link)
    assert len(table(page)) == 3
    expect_choice(page, "pooling", "last_token_logits")
    expect_value(page, "#layer input[type=number]", "30")
    expect(page.locator("[role=alert]:visible")).to_have_count(0)


@pytest.mark.parametrize("device", [{}, PHONE])
def test_what_computes_the_answers_stands_behind_the_i(open_page, device):
    page = open_page(**device)
    assert "the fake engine" not in page.inner_text("#status")
    page.click("#status summary")
    for said in ("SmolLM2-135M-Instruct", "the fake engine", "CPU, 2 threads", "because torch finds no GPU"):
        expect_text(page, "#status", said)
    assert page.evaluate(CUT) == 0
    page.evaluate("() => lab.choose('scale', 'unit')")  # another answer leaves it open
    page.wait_for_function("() => lab.answered.scale === 'unit'")
    idle(page)
    expect_text(page, "#status", "because torch finds no GPU")
    page.click("#verdict .verdict")
    expect(page.locator("#status dl")).to_be_hidden()


def test_the_bar_is_as_high_for_every_model(small, open_page):
    page = open_page(small)
    height = "() => document.querySelector('#status').offsetHeight"
    before = page.evaluate(height)
    choose(page, "model", "SmolLM2-135M-Instruct, contrastive")
    expect(page.locator("#status .fact-model")).to_contain_text("contrastive")
    settle(page)
    assert page.evaluate(height) == before


class HeldEngine(WordyEngine):
    """Its models load until they are let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def load(self, model, on_progress=None):
        if on_progress and model not in self.loads:
            on_progress(Progress("downloading", 0.5))
            assert self.go.wait(60)
        return super().load(model, on_progress)


@pytest.mark.parametrize("device", [PHONE, DESK], ids=["phone", "desk"])
def test_the_bar_keeps_its_height_when_the_first_answer_comes(serve, open_page, device):
    engine = HeldEngine()
    page = open_page(serve(engine), drawn=False, **device)
    page.wait_for_selector(STATE.format("loading"))
    height = "() => document.querySelector('#status').offsetHeight"
    before = page.evaluate(height)
    page.wait_for_selector(".hm-bar:visible")
    expect_text(page, ".hm-wait-text", "downloading")
    engine.go.set()
    page.wait_for_selector(STATE.format("ready"))
    assert page.evaluate(height) == before
