"""The history: readings tried on these texts come back, go into Compare and into a link; other texts begin another."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")
pytest.importorskip("playwright", reason="playwright is not installed: no tests in a browser")
from playwright.sync_api import expect

from tests.browser.page_actions import QUESTIONS, idle, settle

pytestmark = pytest.mark.browser
HEAD = "Tried on these texts: {} readings"


def read(page, **fields) -> None:
    """Another reading, as a recipe's button brings it."""
    page.evaluate("(fields) => lab.bringReading(fields)", {"layer": 12, **fields})
    settle(page)


def rows(page) -> list[str]:
    return page.locator(".tried tbody tr").evaluate_all("(rows) => rows.map((row) => row.textContent)")


def test_readings_come_back_and_go_into_compare(open_page):
    page = open_page()
    idle(page)
    expect(page.locator(".tried")).to_be_hidden()
    for pooling in ("mean", "max", "first_token"):
        read(page, prompt="plain", pooling=pooling)
    expect(page.locator(".tried summary")).to_have_text(HEAD.format(4), use_inner_text=True)
    assert page.locator(".tried").bounding_box()["height"] < 40, "one line while it is folded"
    page.click(".tried summary")
    assert "first_token" in rows(page)[0], "the newest first"
    assert "max" in rows(page)[1]
    auc = page.inner_text("#metric-auc dd >> nth=0")
    assert auc in rows(page)[0]
    page.click(".tried tbody tr:nth-child(3) .tried-use")
    settle(page)
    assert page.evaluate("() => lab.form().pooling") == "mean"
    expect(page.locator(".tried tbody tr")).to_have_count(4)
    expect(page.locator(".tried-use[aria-pressed=true]")).to_contain_text("mean")
    expect(page.locator(".tried-compare")).to_be_disabled()
    for row in (1, 2):
        page.check(f".tried tbody tr:nth-child({row}) input")
    page.click(".tried-compare")
    page.wait_for_selector('#compare .view[data-state="ready"]')
    assert page.evaluate("() => lab.form().pooling") == "max", "the first of the pinned is the reading in use"
    expect(page.locator("#compare-note-b")).to_contain_text("first")


def test_other_texts_begin_another_history_and_undo_brings_it_back(open_page):
    page = open_page()
    for pooling in ("mean", "max"):
        read(page, prompt="plain", pooling=pooling)
    expect(page.locator(".tried summary")).to_have_text(HEAD.format(3), use_inner_text=True)
    page.evaluate("() => lab.stepToSet(lab.preparedSets()[1])")
    settle(page)
    expect(page.locator(".tried")).to_be_hidden()
    read(page, prompt="plain", pooling="mean")
    expect(page.locator(".tried summary")).to_have_text(HEAD.format(2), use_inner_text=True)
    page.evaluate("() => lab.stepToSet(lab.preparedSets()[0])")
    settle(page)
    expect(page.locator(".tried summary")).to_have_text(HEAD.format(3), use_inner_text=True)
    page.locator(QUESTIONS).press_sequentially(" more", delay=20)
    settle(page)
    expect(page.locator(".tried")).to_be_hidden()
    page.reload()
    settle(page)
    page.evaluate("() => lab.stepToSet(lab.preparedSets()[0])")
    settle(page)
    expect(page.locator(".tried")).to_be_visible()


def test_a_link_brings_the_history_along(open_page):
    page = open_page()
    for pooling in ("mean", "max"):
        read(page, prompt="plain", pooling=pooling)
    seen = rows(page)
    link = page.evaluate("(address) => lab.createLink(address, true)", page.url)
    assert "tried=" in link
    assert "tried=" not in page.evaluate("(address) => lab.createLink(address, false)", page.url)
    other = open_page(link)
    settle(other)
    expect(other.locator(".tried summary")).to_have_text(HEAD.format(3), use_inner_text=True)
    assert sorted(row.split(": ")[-1] for row in rows(other)) == sorted(row.split(": ")[-1] for row in seen)
    for bad in ("nonsense", '[["<img src=x onerror=alert(1)>"]]', "3", '[null, {"a": 1}]'):
        other.evaluate("(bad) => lab.loadTried(bad)", bad)
    other.click(".tried summary")
    other.click(".tried tbody tr:nth-child(2) .tried-use")
    settle(other)
    assert other.evaluate("() => lab.form().pooling") == "mean"
