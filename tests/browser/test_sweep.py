"""The Sweep tab: one click, progress, a picture, and the best reading on the heatmap, in a real browser."""

from __future__ import annotations

import pytest

from demo.backend import fake
from tests.browser.test_page import ANSWERS, QUESTIONS, settle
from tests.browser.test_tabs import HEATMAP, PHONE

pytestmark = pytest.mark.browser
SWEEP = "#view-sweep-button"
STATE = '#sweep .view[data-state="{}"]'
MAP = "#sweep [data-figure^=sweep-map] .js-plotly-plot"
NASTY = "<img src=x onerror='window.hacked=1'>"


@pytest.fixture(scope="module")
def small(serve) -> str:
    """A page whose model has seven layers only."""
    engine = fake.FakeEngine()
    engine.load("all-minilm-l6-v2")
    return serve(engine, model="all-minilm-l6-v2")


def open_sweep(page, prompts: int = 1) -> None:
    """The tab, with so many prompts ticked."""
    page.click(SWEEP)
    page.wait_for_selector(STATE.format("idle"))
    page.wait_for_selector("#sweep-estimate p")
    page.click("#sweep-fold > button")
    ticks = page.locator("#sweep-prompts input:checked")
    ticks.first.wait_for()  # the fold's content comes a moment after it opens, and no tick is none too many
    while ticks.count() > prompts:
        ticks.last.click()
    page.click("#sweep-fold > button")


def run(page) -> None:
    page.click("#sweep-run")
    page.wait_for_selector(STATE.format("ready"), timeout=60_000)
    page.wait_for_selector(MAP)


def test_one_click_sweeps_and_one_more_applies_the_best(small, open_page):
    page = open_page(small)
    assert not page.is_visible("#sweep-found")
    open_sweep(page, prompts=2)
    run(page)
    assert "prompts 2 ×" in page.inner_text("#sweep-estimate")
    assert "Best of " in page.inner_text("#sweep-verdict")
    assert "Runner-up" in page.inner_text("#sweep-scores")
    assert page.text_content(f"{MAP} .ytitle") == "Layer"
    assert page.text_content(f"{MAP} .xtitle") == "Pooling, in a group for each prompt"
    assert "Best: " in page.get_attribute("#sweep [data-figure=sweep-map] .view-plot", "aria-label")
    assert not page.is_visible("#sweep-stop")
    page.click("#sweep-use-best")
    page.wait_for_function("() => document.querySelector('#sweep-use-best').textContent.trim() === 'In use'")
    best = page.inner_text("#sweep-verdict .verdict").split(": ")[1].split(" · ")
    assert page.input_value("#prompt input") == best[0]
    assert page.input_value("#pooling input") == best[1]
    page.click(HEATMAP)
    settle(page)


def test_a_clicked_cell_is_offered_and_the_colour_may_be_the_margin(small, open_page):
    page = open_page(small)
    open_sweep(page)
    run(page)
    box = page.locator(f"{MAP} .heatmaplayer image").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.wait_for_selector("#sweep-picked b")
    said = page.inner_text("#sweep-picked b").split(" · ")
    page.click("#sweep-use-picked")
    page.wait_for_function("() => document.querySelector('#sweep-use-picked').textContent.trim() === 'In use'")
    assert f"layer {page.input_value('#layer input[type=number]')}" == said[2]
    page.click("#sweep-figure label:has-text('Margin')")
    page.wait_for_selector("#sweep figcaption:has-text('Margin by layer')")
    page.fill(QUESTIONS, "Something else?")
    page.wait_for_selector(STATE.format("stale"))
    assert "texts have changed" in page.inner_text("#sweep .view-note")


def test_it_tells_how_far_it_is_and_stops(serve, open_page):
    engine = fake.FakeEngine()
    page = open_page(serve(engine))
    open_sweep(page, prompts=9)
    engine.seconds_per_text = 0.002
    page.click("#sweep-run")
    page.wait_for_selector("#sweep .view-note:has-text('Sweeping: prompt')")
    page.wait_for_selector("#sweep [aria-valuenow]")
    assert page.is_disabled("#sweep-run")
    page.click("#sweep-stop")
    page.wait_for_selector("#sweep .view-note:has-text('Stopped.')", timeout=30_000)
    assert page.is_enabled("#sweep-run")
    assert not page.is_visible("#sweep-stop")
    engine.seconds_per_text = 0.0


def test_a_file_of_pairs_and_what_is_wrong_with_another(small, open_page):
    page = open_page(small)
    open_sweep(page)
    assert not page.is_visible("#sweep-upload-note")
    page.click("#sweep-source label:has-text('A file of pairs')")
    assert "a row a pair" in page.inner_text("#sweep-upload-note")
    page.click("#sweep-run")
    page.wait_for_selector("#sweep-upload-note [role=alert]:has-text('No file')")
    files = page.locator("input[type=file]").first
    bad = {"name": "bad.csv", "mimeType": "text/csv", "buffer": f"question,answer,label\na,b,{NASTY}".encode()}
    files.set_input_files(bad)
    page.wait_for_selector("#sweep-upload-note [role=alert]:has-text('is not a number')")
    rows = f"question,answer\n{NASTY},One.\nTwo?,Two {NASTY}.\n"
    files.set_input_files({"name": f"{NASTY}.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    page.wait_for_selector("#sweep-upload-note .hint:has-text('pairs 4, of which right 2')")
    run(page)
    assert page.locator("#view-sweep img").count() == 0
    assert page.evaluate("() => window.hacked") is None


def test_what_cannot_be_swept_says_why(small, open_page):
    page = open_page(small)
    open_sweep(page)
    page.fill(QUESTIONS, "One?")
    page.fill(ANSWERS, "One.")
    page.click("#sweep-run")
    page.wait_for_selector(STATE.format("error"))
    assert "no wrong pair" in page.inner_text("#sweep .view-note")


def test_on_a_phone_in_korean_nothing_scrolls_sideways(small, open_page):
    page = open_page(small + "?lang=ko", **{**PHONE, "width": 360})
    open_sweep(page, prompts=6)
    assert page.inner_text("#sweep-run") == "훑기"
    assert "상자에 적은 글" in page.inner_text("#sweep-source")
    run(page)
    assert "가장 좋은 것" in page.inner_text("#sweep-verdict")
    assert page.inner_text("#sweep figcaption >> nth=0") == "층, 프롬프트, 풀링에 따른 AUC"
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.click("#sweep-fold > button")
    page.click("#sweep-source label:has-text('파일')")
    page.wait_for_selector("#sweep-upload-note p")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
