"""The views behind their tabs: what is open, what follows, what a link says, in a real browser over the fake engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import (
    HEATMAP,
    PHONE,
    PLOT,
    QUESTIONS,
    READY,
    SEQ,
    SPACE,
    expect_value,
    idle,
    open_space,
    settle,
    wait_text,
)

pytestmark = pytest.mark.browser


def test_the_heatmap_is_open_first_and_stays_live_behind_another_view(open_page):
    page = open_page()
    expect(page.locator(HEATMAP).first).to_have_attribute("aria-selected", "true")
    open_space(page)
    expect(page.locator("#heatmap")).to_be_hidden()
    before = page.evaluate(SEQ)
    page.fill(QUESTIONS, "Does it follow?")
    page.wait_for_function(f"(before) => ({SEQ})() > before", arg=before)
    page.click(HEATMAP)
    wait_text(page, "Q1 Does it follow?")
    page.wait_for_function("(plot) => document.querySelector(plot).data[0].z.length === 1", arg=PLOT)
    assert page.query_selector(PLOT).bounding_box()["width"] > 300


def test_a_link_opens_its_view_and_keeps_what_was_typed(open_page):
    page = open_page("#tab=space&questions=Only+one%3F", drawn=False)
    page.wait_for_selector(READY)
    expect(page.locator(SPACE).first).to_have_attribute("aria-selected", "true")
    page.wait_for_function("() => location.hash.includes('tab=space') && location.hash.includes('Only+one')")
    page.reload()
    page.wait_for_selector(READY)
    expect_value(page, QUESTIONS, "Only one?")
    page.click(HEATMAP)
    page.wait_for_function("() => !location.hash.includes('tab=') && location.hash.includes('Only+one')")
    settle(page)


def test_a_link_to_no_view_opens_the_heatmap(open_page):
    page = open_page("#tab=%3Cb%3E")
    expect(page.locator(HEATMAP).first).to_have_attribute("aria-selected", "true")
    page.wait_for_function("() => !location.hash")


def test_the_keyboard_opens_a_view(open_page):
    page = open_page()
    page.focus(HEATMAP)
    for name in ("story", "lesson", "recommend", "sweep", "compare", "file", "space"):
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.id") == f"view-{name}-button"
    page.keyboard.press("Enter")
    page.wait_for_selector(READY)


def test_on_a_phone_the_tabs_stand_over_the_view_and_nothing_scrolls_sideways(open_page):
    page = open_page(**{**PHONE, "width": 360})
    strip, heatmap = (page.query_selector(name).bounding_box() for name in ("#views [role=tablist]", PLOT))
    assert strip["y"] + strip["height"] <= heatmap["y"]
    open_space(page)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert page.query_selector("#space .js-plotly-plot").bounding_box()["width"] <= 332


def test_a_tab_that_is_opened_again_stands_as_it_was_left_and_asks_nothing(open_page):
    """What its boxes offer is asked for once, when Gradio builds it."""
    page = open_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    page.click("#view-lesson-button")
    page.click("#lesson-next")
    page.wait_for_selector("#lesson-text h2:has-text('What cosine do two strangers get?')")
    page.click("#view-heatmap-button")
    settle(page)
    before = len(asked)
    page.click("#view-lesson-button")
    page.wait_for_selector("#lesson-text h2:has-text('What cosine do two strangers get?')")
    idle(page)
    assert asked[before:] == []
