"""A cell explained, as a person meets it: click, keyboard, close, edits under the open panel. Over the fake engine."""

from __future__ import annotations

import random
import re
import time

import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from tests.browser.page_actions import PHONE, PLOT, QUESTIONS, choose, expect_text, settle

pytestmark = pytest.mark.browser
PANEL, RING = "#explain", "#heatmap .hm-ring"


def pixel(page, row: int, column: int) -> dict:
    """Where the middle of a cell is within the plot."""
    script = """([plot, row, column]) => {
        const { xaxis, yaxis } = document.querySelector(plot)._fullLayout;
        return { x: xaxis._offset + xaxis.c2p(column), y: yaxis._offset + yaxis.c2p(row) };
    }"""
    return page.evaluate(script, [PLOT, row, column])


def explain(page, row: int, column: int) -> None:
    """Click a cell, and wait for its explanation."""
    page.click(PLOT, position=pixel(page, row, column))
    wait_explained(page, row, column)


def wait_explained(page, row: int, column: int, text: str = "") -> None:
    script = """([row, column, text]) => {
        const [head, body] = ["head", "body"].map((name) => document.querySelector(`#explain-${name}`));
        const numbers = head.querySelector("h2")?.textContent.match(/\\d+/g) || [];
        return numbers[0] == row && numbers[1] == column && body.querySelector("section")
            && head.textContent.includes(text);
    }"""
    page.wait_for_function(script, arg=[row + 1, column + 1, text])


def ring_is_on(page, row: int, column: int) -> bool:
    ring, plot, at = page.locator(RING).bounding_box(), page.locator(PLOT).bounding_box(), pixel(page, row, column)
    middle = ring["x"] + ring["width"] / 2 - plot["x"], ring["y"] + ring["height"] / 2 - plot["y"]
    return middle == pytest.approx((at["x"], at["y"]), abs=3)


def test_a_click_explains_the_cell_and_close_ends_it(open_page):
    page = open_page()
    expect(page.locator(PANEL).first).to_be_hidden()
    explain(page, 0, 1)
    head = page.inner_text("#explain-head")
    assert "Where is the headquarter of OpenAI?" in head
    assert "A graphics processing unit" in head
    expect(page.locator(f"{PANEL} section")).to_have_count(4)
    expect_text(page, ".ex-shares", "Leave-one-out")
    expect(page.locator(".ex-says li")).to_have_count(20)
    page.wait_for_selector("#explain-tokens .js-plotly-plot")
    assert ring_is_on(page, 0, 1)
    page.click(".ex-close")
    page.wait_for_selector(PANEL, state="hidden")
    expect(page.locator(RING).first).to_be_hidden()
    assert page.evaluate("() => document.activeElement.classList.contains('hm-plot')")
    explain(page, 1, 1)
    assert ring_is_on(page, 1, 1)
    zoom = "(plot) => Plotly.relayout(plot, {'xaxis.range': [-.5, .5], 'yaxis.range': [.5, -.5]})"
    page.evaluate(zoom, page.query_selector(PLOT))
    page.wait_for_selector(RING, state="hidden")
    page.click(".hm-reset")
    page.wait_for_selector(RING)
    assert ring_is_on(page, 1, 1)


def test_the_keyboard_explains_its_cell(open_page):
    page = open_page()
    expect(page.locator("#heatmap .hm-plot").first).to_have_attribute("aria-label", re.compile("Enter"))
    page.focus("#heatmap .hm-plot")
    for key in ("Enter", "Space", "ArrowDown", "ArrowRight", "Enter"):  # without a cell there is nothing to explain
        page.keyboard.press(key)
    for key, row in (("", 0), ("Space", 1)):
        if key:
            page.keyboard.press("ArrowDown")
            page.keyboard.press(key)
        wait_explained(page, row, 1)
        said = f"Q{row + 1} × A2. Explained below the figures."
        expect(page.locator("#heatmap .hm-live").first).to_have_text(said, use_inner_text=True)


def test_the_shares_add_up_on_the_page(open_page):
    page = open_page("#pooling=mean&prompt=plain")
    explain(page, 0, 0)
    expect_text(page, ".ex-shares", "Exact")
    said = page.locator(".ex-shares .ex-strip").first.locator("small").all_inner_texts()
    cosine = float(page.inner_text("#explain-head h2 b"))
    assert sum(float(number.replace("−", "-")) for number in said) == pytest.approx(cosine, abs=0.01)
    page.locator(".ex-shares summary").first.click()
    expect(page.locator(".ex-shares table").first.locator("tr")).to_have_count(len(said) + 1)


def test_the_panel_follows_the_texts_and_the_reading(open_page):
    page = open_page()
    explain(page, 1, 0)
    page.fill(QUESTIONS, "Where is OpenAI?\nIs this new?")
    wait_explained(page, 1, 0, "Is this new?")
    assert ring_is_on(page, 1, 0)
    choose(page, "pooling", "weighted_mean")
    page.wait_for_function("() => document.querySelector('.ex-shares')?.textContent.includes('under weighted_mean')")
    choose(page, "model", "all-MiniLM")
    page.wait_for_function("() => document.querySelector('.ex-says')?.textContent.includes('no LM head')")
    page.fill(QUESTIONS, "Only one question is left.")  # and the marked cell is gone
    page.wait_for_selector(PANEL, state="hidden")
    expect(page.locator(RING).first).to_be_hidden()


def test_the_panel_follows_however_slow_the_answers_are(serve, open_page):
    """Answers overtake each other: the panel must end with the last of what was chosen."""

    class Halting(FakeEngine):
        waits = random.Random(7)

        def embed(self, *args, **options):  # of an explanation as well
            time.sleep(self.waits.uniform(0, 0.6))
            return super().embed(*args, **options)

    page = open_page(serve(Halting()))
    explain(page, 1, 0)
    for text, pooling in (("Is this new?", "mean"), ("Is that newer?", "weighted_mean")):
        page.fill(QUESTIONS, f"Where is OpenAI?\n{text}")
        choose(page, "pooling", pooling)
        wait_explained(page, 1, 0, text)
        says = f"() => document.querySelector('.ex-shares')?.textContent.includes('under {pooling}')"
        page.wait_for_function(says)
    settle(page)


def test_a_failure_is_said_in_words(serve, open_page):
    class Forgetful(FakeEngine):
        def inspect(self, texts, reading):
            raise RuntimeError("nobody expected this of " + texts[0].text)

    page = open_page(serve(Forgetful()))
    page.click(PLOT, position=pixel(page, 0, 0))
    page.wait_for_selector('#explain-tokens .view[data-state="error"]')
    expect_text(page, PANEL, "went wrong on our side")
    assert "nobody expected" not in page.inner_text(PANEL)


def test_on_a_phone_a_tap_shows_the_tip_and_explains(open_page):
    page = open_page("#pooling=mean", **{**PHONE, "width": 360})
    at = pixel(page, 0, 1)
    box = page.locator(PLOT).bounding_box()
    page.touchscreen.tap(box["x"] + at["x"], box["y"] + at["y"])
    wait_explained(page, 0, 1)
    expect_text(page, ".hm-tip", "Explained below")
    page.wait_for_selector("#explain-tokens .js-plotly-plot")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
