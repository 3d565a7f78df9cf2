"""The page while its engine is being made: there, saying so, and drawn by itself as soon as it can."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from demo.backend.starting import StartingEngine
from tests.browser.conftest import WordyEngine
from tests.browser.page_actions import DESK, PHONE, PLOT, QUESTIONS, STATE, expect_text, table, wait_text

pytestmark = pytest.mark.browser


class NarrowEngine(WordyEngine):
    """A fake that finds, once it is there, that GPT-2 cannot be had."""

    def models(self):
        reason = "not on this disk, and the Hub cannot be reached from here"
        gone = {"state": "unavailable", "reason": reason}
        return [replace(status, **gone) if status.model == "gpt2" else status for status in super().models()]


@pytest.fixture
def starting(serve):
    """A page whose engine is not there yet: (address, a function that makes it). It is made at the end in any case."""
    engine = StartingEngine(lambda: NarrowEngine())
    start = threading.Thread(target=engine.start)
    yield serve(engine), start.start
    if start.ident is None:
        start.start()
    start.join(20)


@pytest.mark.parametrize(
    ("language", "says", "device"),
    [("en", "is being loaded: starting", "starting"), ("ko", "불러오는 중: 시작하는 중", "시작하는 중")],
)
def test_the_page_is_there_says_that_it_starts_and_draws_by_itself(starting, open_page, language, says, device):
    url, start = starting
    page = open_page(f"{url}?lang={language}", drawn=False)
    page.wait_for_selector(STATE.format("loading"))
    page.wait_for_selector(".hm-bar:visible")
    expect_text(page, ".hm-wait-text", says)
    expect(page.locator("#status .fact-device")).to_contain_text(device)
    page.fill(QUESTIONS, "Typed while it starts?")
    start()
    wait_text(page, "Q1 Typed while it starts?")
    page.wait_for_selector(STATE.format("ready"))
    assert table(page)[1][0] == "Q1 Typed while it starts?"
    expect(page.locator("#status .fact-device")).to_contain_text("CPU")


def test_what_the_engine_finds_stands_under_the_list_of_models(starting, open_page):
    url, start = starting
    page = open_page(url, drawn=False)
    page.wait_for_selector(STATE.format("loading"))
    start()
    page.wait_for_selector(PLOT)
    page.wait_for_selector(STATE.format("ready"))
    page.locator("#model-note .unavailable", has_text="GPT-2: not on this disk").wait_for(state="attached")


@pytest.mark.parametrize("device", [PHONE, DESK], ids=["phone", "desk"])
def test_the_bar_keeps_its_height_when_the_engine_is_there(starting, open_page, device):
    url, start = starting
    page = open_page(url, drawn=False, **device)
    page.wait_for_selector(STATE.format("loading"))
    page.wait_for_selector("#status .fact-device", state="attached")
    height = "() => document.querySelector('#status').offsetHeight"
    before = page.evaluate(height)
    start()
    page.wait_for_selector(STATE.format("ready"))
    page.wait_for_function("() => document.querySelector('#status .fact-device').textContent.includes('CPU')")
    assert page.evaluate(height) == before
