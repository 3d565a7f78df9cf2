"""The first screen: few words, the article's result and the button that turns it; the reading's choices folded."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import PHONE, QUESTIONS, choose, open_advanced, settle

pytestmark = pytest.mark.browser
MOST_WORDS = 120
# The words in sight without scrolling: of each text node that is painted and lies in the viewport, once; a word has a
# letter or a digit. Not counted: people's texts, in the boxes and along the heatmap, and the numbers in its cells.
WORDS = """() => {
    const theirs = 'textarea, .line-numbers, .hm-plot, .hm-numbers, .hm-live, #aloud, script, style';
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const seen = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const text = node.textContent.trim();
        if (!text || node.parentElement.closest(theirs)) continue;
        if (!node.parentElement.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const { top, bottom, left, right } = range.getBoundingClientRect();
        if (bottom <= 0 || top >= innerHeight || right <= 0 || left >= innerWidth) continue;
        seen.push(...text.split(/\\s+/).filter((word) => /[\\p{L}\\p{N}]/u.test(word)));
    }
    return seen;
}"""
CHOSEN = '.recipe-{}[aria-pressed="true"]'
VERDICT = """() => {
    const { top, bottom } = document.querySelector('#verdict .verdict').getBoundingClientRect();
    return [top, bottom];
}"""


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_the_first_screen_has_few_words(open_page, locale):
    page = open_page(locale=locale)
    settle(page)
    words = page.evaluate(WORDS)
    assert 40 < len(words) <= MOST_WORDS, f"{len(words)}: {' '.join(words)}"


@pytest.mark.parametrize("device", [{}, PHONE])
def test_one_button_turns_the_articles_result_and_turns_it_back(open_page, device):
    page = open_page(**device)
    box = page.locator("#verdict .turn").bounding_box()
    assert box["y"] + box["height"] <= page.viewport_size["height"]
    page.focus("#verdict .turn")
    page.keyboard.press("Enter")
    page.wait_for_selector(CHOSEN.format("prompteol"))
    page.keyboard.press("Enter")  # the focus has stayed
    page.wait_for_selector(CHOSEN.format("article"))
    settle(page)
    if not device:
        page.fill(QUESTIONS, "My own question?")
        page.wait_for_selector("#verdict .turn", state="detached")


@pytest.mark.parametrize("device", [{}, PHONE])
def test_the_result_stays_in_sight_while_the_reading_is_changed(open_page, device):
    page = open_page(**device)
    page.evaluate("() => scrollTo(0, 10000)")
    open_advanced(page)
    page.locator("#postprocess input").scroll_into_view_if_needed()
    top, bottom = page.evaluate(VERDICT)
    assert 0 <= top < bottom < page.viewport_size["height"] / 3
    settle(page)


def test_the_heatmap_takes_the_width_there_is(open_page):
    page = open_page()
    for example in ("The article", "Meaning against shared words"):
        choose(page, "examples", example)
        settle(page)
        drawn, room = (
            page.locator(place).bounding_box()["width"] for place in (".hm-plot .main-svg >> nth=0", "#hero")
        )
        assert drawn == pytest.approx(room, abs=4), example
        page.focus(".hm-plot")
        page.keyboard.press("ArrowRight")  # a frame lies on its cell, whatever its shape
        frame, image = page.locator(".hm-cursor").bounding_box(), page.locator(".heatmaplayer image").bounding_box()
        rows, columns = (int(n) for n in page.evaluate("() => [lab.shown.questions.length, lab.shown.answers.length]"))
        assert frame["width"] == pytest.approx(image["width"] / columns, abs=3)
        assert frame["height"] == pytest.approx(image["height"] / rows, abs=3)
        page.keyboard.press("Escape")


def test_advanced_stays_as_it_was_left(open_page):
    page = open_page()
    expect(page.locator("#model")).to_be_hidden()
    page.focus("#reading .fold-head")
    page.keyboard.press("Enter")
    expect(page.locator("#model")).to_be_visible()
    page.reload()
    expect(page.locator("#model")).to_be_visible()
    settle(page)
    page.click("#reading .fold-head")
    page.reload()
    settle(page)
    expect(page.locator("#model")).to_be_hidden()


@pytest.mark.parametrize(
    ("link", "opens"),
    [("#layer=12", True), ("#prompt=prompteol&pooling=last_token", False), ("#questions=Why%3F", False)],
)
def test_a_link_opens_advanced_where_it_uses_it(open_page, link, opens):
    page = open_page(link)
    settle(page)
    expect(page.locator("#layer")).to_be_visible(visible=opens)


def test_a_refusal_in_the_fold_opens_it(open_page):
    page = open_page()
    page.evaluate("() => lab.bring({ model: { value: 'no/such' } })")
    expect(page.locator("#model-note [role=alert]")).to_be_visible()
    settle(page)


@pytest.mark.parametrize(("view", "shown"), [("story", 0), ("lesson", 0), ("benchmark", 0), ("sweep", 2), ("train", 2)])
def test_tabs_with_texts_of_their_own_have_the_width_to_themselves(open_page, view, shown):
    page = open_page()
    page.click(f"#view-{view}-button")
    page.wait_for_selector(f"#view-{view}:visible")
    expect(page.locator("#texts:visible, #recipes:visible")).to_have_count(shown)
    settle(page)
