"""The dialog with a reading as a script: from the heatmap and from anywhere else, in both languages. Fake engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import PHONE, QUESTIONS, idle, settle
from tests.browser.test_everyone import EVERYTHING, NARROW, find_faults

pytestmark = pytest.mark.browser
CODE = ".takehome-code"


@pytest.mark.parametrize(("language", "device"), [("en", {"color_scheme": "dark"}), ("ko", PHONE)])
def test_the_heatmaps_reading_with_what_stands_in_the_boxes(open_page, language, device):
    page = open_page(f"?lang={language}", **device)
    if device is PHONE:
        page.click("#texts .fold-head")
    page.fill(QUESTIONS, "Where do penguins live?\nWhat is GPU?")
    settle(page)
    page.click("#takehome-open")
    expect(page.locator(CODE)).to_contain_text('"Where do penguins live?",')
    expect(page.locator(CODE)).to_contain_text("expected = np.array(")
    assert find_faults(page, EVERYTHING, ".takehome-dialog") == []
    page.set_viewport_size({"width": NARROW, "height": 700})
    assert page.evaluate("() => document.querySelector('.takehome-dialog').scrollWidth <= innerWidth")
    with page.expect_download() as download:
        page.click(".takehome-save")
    compile(download.value.path().read_text(encoding="utf-8"), "reading.py", "exec")
    page.keyboard.press("Escape")
    expect(page.locator("#takehome-open")).to_be_focused()


def test_a_reading_of_another_place(open_page):
    """Its model is not in the lab's widgets, and what is missing is that model's default. A library that cannot say
    a reading gives its reason in the script's place."""
    page = open_page()
    page.click("#view-space-button")
    page.evaluate("() => window.lab.takeHome({ model: 'all-minilm-l6-v2' }, { questions: 'one', answers: 'two' })")
    expect(page.locator(CODE)).to_contain_text("sentence-transformers/all-MiniLM-L6-v2")
    expect(page.locator(CODE)).to_contain_text('"one",')
    page.click(".takehome-close")
    page.evaluate("""() => {
        const button = document.body.appendChild(document.createElement('button'));
        button.dataset.takehome = JSON.stringify({ model: 'smollm2-135m-instruct', prompt: 'plain', layer: 3 });
        button.id = 'far';
    }""")
    page.click("#far")
    expect(page.locator(".takehome-label")).to_contain_text("plain")
    expect(page.locator(CODE)).to_be_visible()
    page.click("text=sentence-transformers >> nth=0")
    expect(page.locator(".takehome-alert")).to_contain_text("the last layer only")
    expect(page.locator(CODE)).to_be_hidden()
    idle(page)
