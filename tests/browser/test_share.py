"""A link and its QR code, and the present mode, in a real browser over the fake engine."""

from __future__ import annotations

import io

import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from demo.ui.live.link import read_link
from tests.browser.page_actions import (
    ANSWERS,
    PLOT,
    QUESTIONS,
    choose,
    expect_choice,
    expect_text,
    expect_value,
    settle,
    wait_text,
)

pytestmark = pytest.mark.browser
ODD = [
    "a\nb",
    "누가 썼나요?",
    "👩‍👩‍👧 & 100% = #1;+?",
    "%26&z=x",
    "half \ud83d",
    "<b>&lt;</b>",
    " \t ",
    "\u2028\x00",
    "",
]
PACK = """async (samples) => {
    const links = [];
    for (const said of samples) {
        lab.keepLink(said);
        links.push((await lab.createLink("http://host/lab?x#y", true)).split("#")[1]);
    }
    return links;
}"""


def decode(png: bytes) -> str:
    zxing = pytest.importorskip("zxingcpp")
    from PIL import Image

    return zxing.read_barcodes(Image.open(io.BytesIO(png)))[0].text


def test_a_link_brings_everything_to_another_host(serve, open_page):
    page = open_page(height=1000)
    questions = "\n".join(f"질문 {n}: 이 문장은 {n * 7919 % 1000}번 학생이 적었나요? 👩‍👩‍👧" for n in range(30))
    page.click("#matches-fold > button")
    page.fill(QUESTIONS, questions)
    page.fill(ANSWERS, questions.replace("질문", "답"))
    page.fill("#matches input, #matches textarea", "1-2, 2-1")
    wait_text(page, "Q30 질문 29")
    wait_text(page, "A30 답 29")
    settle(page)
    cosines = "(plot) => document.querySelector(plot).data[0].z.flat().join()"
    before = page.evaluate(cosines, PLOT)
    choose(page, "pooling", "max")
    page.wait_for_function(f"([plot, cosines]) => ({cosines})(plot) !== cosines", arg=[PLOT, before])
    page.click("#scale label:has-text('fixed')")
    page.wait_for_function("() => (({ scale, matches }) => scale === 'unit' && matches)(lab.form())")
    settle(page)
    before = page.evaluate(cosines, PLOT)
    page.click("#view-sweep-button")
    page.wait_for_function("() => location.hash.includes('z=') && location.hash.includes('tab=sweep')")
    page.click(".share-open")
    page.wait_for_function("() => document.querySelector('.share-link textarea').value.includes('#z=')")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click(".share-copy")
    page.wait_for_selector(".share-copying:has-text('Copied')")
    link = page.input_value(".share-link textarea")
    assert page.evaluate("() => navigator.clipboard.readText()") == link
    page.wait_for_function("() => document.querySelector('.share-code').childNodes.length")
    assert decode(page.locator(".share-code").screenshot()) == link
    page.fill(".share-address input", "http://10.1.2.3:7860/" + "far/" * 700)
    page.wait_for_selector(".share-code:has-text('a QR code holds at most 2,953')")
    page.check(".share-short input")
    page.fill(".share-address input", "http://10.1.2.3:7860/lab/")
    page.wait_for_selector(".share-code svg")
    short = page.input_value(".share-link textarea")
    assert decode(page.locator(".share-code").screenshot()) == short
    assert short.startswith("http://10.1.2.3:7860/lab/#")
    assert "questions" not in read_link(short.split("#")[1])
    page.keyboard.press("Escape")
    page.wait_for_selector(".share-dialog", state="hidden")

    samples = [{"questions": text, "answers": text * 9, "template": text, "pooling": "max"} for text in ODD]
    for said, packed in zip(samples, page.evaluate(PACK, samples), strict=True):
        whole = {
            name: text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for name, text in said.items()
        }
        assert read_link(packed) == whole

    other = FakeEngine()
    other.load("smollm2-135m-instruct")
    guest = open_page(serve(other).rstrip("/") + "/#" + link.split("#")[1], drawn=False)
    guest.wait_for_selector("#view-sweep-button[aria-selected=true]")
    expect_choice(guest, "pooling", "max")
    expect_value(guest, QUESTIONS, questions)
    guest.click("#matches-fold > button")
    expect_value(guest, "#matches input, #matches textarea", "1-2, 2-1")
    guest.click("#view-heatmap-button")
    wait_text(guest, "Q30 질문 29")
    guest.wait_for_function("() => document.querySelector('#scale label.selected')?.textContent.includes('fixed')")
    guest.wait_for_function(f"([plot, cosines]) => ({cosines})(plot) === cosines", arg=[PLOT, before])
    expect(guest.locator(".share-notice:visible")).to_have_count(0)


def test_a_model_that_is_not_here_is_named_and_the_texts_stay(open_page):
    page = open_page("?lang=ko#model=no/such<i>&questions=Why%3F&pooling=max&scale=unit")
    wait_text(page, "Q1 Why?")
    page.wait_for_selector(".share-notice:has-text('no/such<i>')")
    expect_choice(page, "pooling", "last_token_logits")
    page.click(".share-notice button")
    page.wait_for_selector(".share-notice", state="hidden")
    page.click(".share-open")
    page.wait_for_function("() => document.querySelector('.share-link textarea').value.includes('?lang=ko#')")


def test_presenting_by_keyboard(open_page):
    page = open_page(height=720)
    page.fill(QUESTIONS, "My own question?")
    wait_text(page, "Q1 My own question?")
    page.focus(QUESTIONS)
    page.keyboard.press("p")
    expect(page.locator(".present-bar:visible")).to_have_count(0)
    page.keyboard.press("Backspace")
    wait_text(page, "Q1 My own question?")
    page.focus(".present-open")
    page.keyboard.press("Alt+p")
    page.wait_for_selector(".present-bar:visible")
    expect(page.locator(".present-title").first).to_have_text("Your own texts", use_inner_text=True)
    expect(page.locator(".present-back").first).to_be_disabled()
    for hidden in ("#questions", "#model", "#metrics", "#status", "#views > .tab-wrapper"):
        assert not page.locator(hidden).first.is_visible(), hidden
    page.wait_for_selector("#verdict .verdict:visible")
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".present-at:has-text('2 / 10')")
    page.wait_for_selector(".present-texts li:has-text('Which birds cannot fly?')")
    page.wait_for_selector("#heatmap .hm[data-state=ready]")
    wait_text(page, "Q2 Which birds cannot fly?")
    expect_text(page, ".present-teaches", "2 by 2 blocks")
    page.wait_for_function("() => document.querySelector('.present-live').textContent.includes('AUC')")
    fits = "() => document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    page.wait_for_function("() => document.documentElement.scrollHeight <= innerHeight")
    large = "(plot) => document.querySelector(plot)._fullLayout.xaxis.tickfont.size"
    assert page.evaluate(large, PLOT) >= 20
    for _ in range(12):
        page.keyboard.press("PageDown")
    page.wait_for_selector(".present-at:has-text('10 / 10')")
    expect(page.locator(".present-next").first).to_be_disabled()
    page.keyboard.press("PageUp")
    page.wait_for_selector(".present-at:has-text('9 / 10')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".present-bar", state="hidden")
    page.wait_for_function("(box) => document.querySelector(box).value === 'My own question?'", arg=QUESTIONS)
    assert page.evaluate("() => document.activeElement.className").startswith("tool present-open")
    assert page.evaluate(large, PLOT) == 12
    page.set_viewport_size({"width": 360, "height": 740})
    page.click(".present-open")
    page.wait_for_selector(".present-bar:visible")
    assert page.evaluate(fits)
    page.click(".present-next")
    page.wait_for_selector(".present-at:has-text('1 / 10')")
    page.click(".present-leave")
    page.wait_for_function("(box) => document.querySelector(box).value === 'My own question?'", arg=QUESTIONS)
