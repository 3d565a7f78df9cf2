"""The Lesson tab as a person meets it: two steps by keyboard, the way into the lab, a small screen. Fake engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import expect_choice, expect_text, wait_text

pytestmark = pytest.mark.browser
FOCUSED = "() => document.activeElement.id"
ON_HEADING = "(heading) => document.activeElement === document.querySelector(heading)"


def tab_to(page, element_id: str) -> None:
    """By the Tab key alone; a few stops at most."""
    for _ in range(12):
        if page.evaluate(FOCUSED) == element_id:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{element_id} was not reached, but {page.evaluate(FOCUSED)}")


def test_two_steps_by_keyboard_then_into_the_lab(open_page):
    page = open_page("#tab=lesson", drawn=False, **{"width": 360, "height": 740, "color_scheme": "dark"})
    page.wait_for_selector("#lesson-choice input[value=guess]")
    page.wait_for_selector('#lesson .view[data-state="idle"]')
    expect_text(page, "#lesson .view-note", "once you have predicted it")
    page.focus("#lesson-choice input[value=guess]")
    tab_to(page, "lesson-commit")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lesson-note [role=alert]:has-text('Choose an answer first')")
    page.focus("#lesson-choice input[value=guess]")
    page.keyboard.press("Tab")  # Gradio makes each choice of a Radio a stop of its own
    page.keyboard.press("Space")
    tab_to(page, "lesson-commit")
    page.keyboard.press("Enter")
    page.wait_for_selector('#lesson figure[data-figure="lesson-gpt-article"] .js-plotly-plot')
    page.wait_for_function(ON_HEADING, arg="#lesson-judged h3")
    expect_text(page, "#lesson-judged", "My prediction\n2 or 3")
    expect(page.locator("#lesson-choice input[value=all]").first, "once and for all").to_be_disabled()
    expect(page.locator("#lesson-commit")).to_have_count(0)
    label = page.get_attribute("#lesson figure .view-plot", "aria-label")
    assert "Heatmap of 6 questions by 8 answers" in label
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")

    page.focus("#lesson-use")
    tab_to(page, "lesson-next")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lesson-text h2:has-text('strangers')")
    page.wait_for_function(ON_HEADING, arg="#lesson-text h2")
    expect(page.locator("#lesson-judged h3")).to_have_count(0)
    page.focus("#lesson-number input")
    page.keyboard.type("0.5")
    page.keyboard.press("Enter")
    page.wait_for_selector('#lesson figure[data-figure="lesson-pairs"] .js-plotly-plot')
    page.wait_for_function(ON_HEADING, arg="#lesson-judged h3")
    expect_text(page, "#lesson-judged", "My prediction\n.50")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")

    page.focus("#lesson-use")
    page.keyboard.press("Enter")
    page.wait_for_selector("#view-heatmap-button[aria-selected=true]")
    wait_text(page, "Q6 How do fish breathe under water?")
    expect_choice(page, "pooling", "last_token")
