"""The Sweep tab: one click, progress, a picture, and the best reading on the heatmap, in a real browser."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from demo.backend import fake
from tests.browser.page_actions import HEATMAP, QUESTIONS, expect_choice, expect_text, give_file, settle

pytestmark = pytest.mark.browser
SWEEP = "#view-sweep-button"
STATE = '#sweep .view[data-state="{}"]'
MAP = "#sweep [data-figure^=sweep-map] .js-plotly-plot"
NASTY = "<img src=x onerror='window.hacked=1'>"


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
    expect(page.locator("#sweep-found")).to_be_hidden()
    open_sweep(page, prompts=2)
    run(page)
    expect_text(page, "#sweep-estimate", "prompts 2 ×")
    expect_text(page, "#sweep-verdict", "Best of ")
    expect_text(page, "#sweep-scores", "Runner-up")
    expect(page.locator(f"{MAP} .ytitle").first).to_have_text("Layer")
    expect(page.locator(f"{MAP} .xtitle").first).to_have_text("Pooling, in a group for each prompt")
    expect(page.locator("#sweep [data-figure=sweep-map] .view-plot").first).to_have_attribute(
        "aria-label", re.compile("Best: ")
    )
    expect(page.locator("#sweep-stop")).to_be_hidden()
    page.click("#sweep-use-best")
    page.wait_for_function("() => document.querySelector('#sweep-use-best').textContent.trim() === 'In use'")
    best = page.inner_text("#sweep-verdict .verdict").split(": ")[1].split(" · ")
    expect_choice(page, "prompt", best[0])
    expect_choice(page, "pooling", best[1])
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
    expect_text(page, "#sweep .view-note", "texts have changed")


def test_it_tells_how_far_it_is_and_stops(serve, open_page):
    engine = fake.FakeEngine()
    page = open_page(serve(engine))
    open_sweep(page, prompts=9)
    engine.seconds_per_text = 0.002
    page.click("#sweep-run")
    page.wait_for_selector("#sweep .view-note:has-text('Sweeping: prompt')")
    page.wait_for_selector("#sweep [aria-valuenow]")
    expect(page.locator("#sweep-run")).to_be_disabled()
    page.click("#sweep-stop")
    page.wait_for_selector("#sweep .view-note:has-text('Stopped.')", timeout=30_000)
    expect(page.locator("#sweep-run")).to_be_enabled()
    expect(page.locator("#sweep-stop")).to_be_hidden()
    engine.seconds_per_text = 0.0


def test_what_it_has_reached_is_seen_while_it_goes_on(serve, open_page):
    engine = fake.FakeEngine()
    page = open_page(serve(engine))
    open_sweep(page, prompts=3)
    survey, count = engine.survey, []

    def slower(*asked):
        count.append(time.sleep(2.0 if count else 0.0))
        return survey(*asked)

    engine.survey = slower
    page.click("#sweep-run")
    page.wait_for_selector(STATE.format("running") + " .js-plotly-plot")
    expect(page.locator("#sweep-verdict .verdict")).to_contain_text("readings so far")
    expect(page.locator("#sweep-verdict")).to_be_visible()
    expect(page.locator("#sweep .view-figures")).to_have_css("opacity", "1")
    page.click("#sweep-stop")
    page.wait_for_selector(STATE.format("ready"))
    expect_text(page, "#sweep .view-note", "Stopped. These are the prompts that were done")
    expect(page.locator("#sweep-use-best")).to_be_visible()


def test_a_file_of_pairs_and_what_is_wrong_with_another(small, open_page):
    page = open_page(small)
    open_sweep(page)
    give_file(page, f"question,answer,label\na,b,{NASTY}", "bad.csv")
    page.wait_for_selector("#sweep-source-note [role=alert]:has-text('is not a number')")
    give_file(page, f"question,answer\n{NASTY},One.\nTwo?,Two {NASTY}.\n", f"{NASTY}.csv")
    page.wait_for_selector("#sweep-source-note .hint:has-text('pairs 4, of which right 2')")
    run(page)
    expect(page.locator("#view-sweep img")).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None
