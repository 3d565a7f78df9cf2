"""Recipes in a browser: one click reads the same texts otherwise."""

from __future__ import annotations

import pytest

from tests.browser.page_actions import QUESTIONS, STATE, expect_choice

pytestmark = pytest.mark.browser


def test_one_click_reads_the_same_texts_by_another_recipe(url, open_page):
    page = open_page(url)
    page.fill(QUESTIONS, "Typed here?")
    page.wait_for_selector(STATE.format("ready"))
    for name, prompt, pooling in (("prompteol", "prompteol", "last_token"), ("mean", "plain", "mean")):
        page.click(f".recipe-{name}")
        page.wait_for_selector(f'.recipe-{name}[aria-pressed="true"]')
        expect_choice(page, "prompt", prompt)
        expect_choice(page, "pooling", pooling)
    assert page.input_value(QUESTIONS) == "Typed here?"
