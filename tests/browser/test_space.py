"""The Space tab: points that follow the texts, and cost nothing while nobody looks."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from tests.browser.page_actions import (
    ANSWERS,
    HEATMAP,
    QUESTIONS,
    READY,
    SPACE,
    STATE,
    choose,
    expect_text,
    idle,
    open_space,
    settle,
    wait_text,
)

pytestmark = pytest.mark.browser
CLOUD = "#space [data-figure^=space-2d] .js-plotly-plot"
POINTS = "(plot) => document.querySelector(plot).data.filter((t) => t.mode !== 'lines').map((t) => [...t.text])"
TICKS = "() => Number(document.querySelector('#space .view')?.dataset.seq ?? 0)"


def wait_points(page, questions: int, answers: int) -> None:
    script = f"([plot, counts]) => ({POINTS})(plot).map((labels) => labels.length).join() === counts"
    page.wait_for_function(script, arg=[CLOUD, f"{questions},{answers}"])


def test_every_text_is_a_point_and_the_points_follow_an_edit(open_page):
    page = open_page()
    open_space(page)
    assert page.evaluate(POINTS, CLOUD) == [["Q1", "Q2"], ["A1", "A2"]]
    node = page.query_selector(CLOUD)
    page.fill(QUESTIONS, "<b>Where</b> & when?\nTwo?\n<img src=x onerror='window.hacked=1'>")
    wait_points(page, 3, 2)
    page.hover(f"{CLOUD} .scatterlayer .trace:nth-child(2) .point >> nth=0", force=True)
    page.wait_for_selector("#space .hoverlayer .hovertext")
    expect(page.locator("#space .hoverlayer").first).to_contain_text("<b>Where</b> & when?")
    assert page.evaluate("([node, name]) => node === document.querySelector(name)", [node, CLOUD])
    expect_text(page, "#space-facts", "Mean cosine of 8 pairs")
    expect_text(page, "#space-facts", "1909.00512")
    expect(page.locator(f"{CLOUD} .xtitle").first).to_contain_text("of the variance")
    page.click("#space .view-table summary >> nth=0")
    page.wait_for_selector("#space .view-table tr")
    expect(page.locator("#space .view-table >> nth=0").locator("tr")).to_have_count(6)
    expect_text(page, "#space .view-table >> nth=0", "<img src=x")
    assert page.evaluate("() => window.hacked") is None
    expect(page.locator("#space img")).to_have_count(0)


def test_what_nobody_looks_at_costs_nothing(serve, open_page):
    engine = FakeEngine()
    page = open_page(serve(engine))
    asked = []
    page.on("request", lambda request: asked.append(request.post_data or "") if "join" in request.url else None)
    open_space(page)
    idle(page)
    count, before = len(asked), page.evaluate(TICKS)
    page.mouse.wheel(0, 300)  # looked at, and nothing new: it does not ask either
    page.mouse.wheel(0, -300)
    idle(page)
    assert len(asked) == count
    page.click(HEATMAP)
    page.fill(QUESTIONS, "Hidden edit?")
    wait_text(page, "Q1 Hidden edit?")
    idle(page)
    assert page.evaluate(TICKS) == before
    page.click(SPACE)
    page.wait_for_function(f"(before) => ({TICKS})() > before", arg=before)
    wait_points(page, 1, 2)


def test_three_dimensions_and_the_theme(open_page):
    page = open_page(color_scheme="dark")
    open_space(page)
    page.click("#space-dimensions label:has-text('3-D')")
    page.wait_for_selector("#space [data-figure=space-3d]")
    page.wait_for_function("() => document.querySelectorAll('#space figure').length === 2")
    label = page.get_attribute("#space [data-figure=space-3d] .view-plot", "aria-label")
    assert label.startswith("2 questions and 2 answers as points on the first 3 principal axes")
    ink = "() => document.querySelector('#space [data-figure=space-variance] .xtick text').style.fill"
    dark = page.evaluate(ink)
    page.emulate_media(color_scheme="light")
    page.evaluate("() => document.body.classList.remove('dark')")
    page.wait_for_function(f"(dark) => ({ink})() !== dark", arg=dark)


def test_what_cannot_be_shown_says_why_and_leaves_the_last_picture(open_page):
    page = open_page()
    open_space(page)
    page.fill(ANSWERS, "")
    page.wait_for_selector('#space .view[data-state="idle"]')
    expect_text(page, "#space .view-note", "at least one question")
    page.wait_for_function("() => getComputedStyle(document.querySelector('#space .view-figures')).opacity < 0.5")
    expect(page.locator(CLOUD)).to_have_count(1)
    page.fill(ANSWERS, "A chip.")
    wait_points(page, 2, 1)
    page.click("#matches-fold > button")
    page.fill("#matches input, #matches textarea", "9-9")
    page.wait_for_selector('#space .view[data-state="error"]')
    expect_text(page, "#space .view-note", "“9-9”")
    page.fill("#matches input, #matches textarea", "")
    page.wait_for_selector(READY)


def test_it_waits_with_the_heatmap_while_a_model_loads(serve, open_page):
    engine = FakeEngine()
    page = open_page(serve(engine))
    open_space(page)
    engine.load_seconds = 1.5
    choose(page, "model", "all-MiniLM")
    page.wait_for_selector('#space .view[data-state="loading"]')
    expect_text(page, "#space .view-note", "is being loaded")
    page.wait_for_selector(READY)
    page.wait_for_selector(STATE.format("ready"), state="attached")
    engine.load_seconds = 0.5
    choose(page, "model", "GPT-2")
    page.wait_for_selector("#model-note [role=alert]")
    page.wait_for_selector(READY)
    expect(page.locator("#space .view-note").first).to_have_text("", use_inner_text=True)
    page.click(HEATMAP)
    settle(page)
