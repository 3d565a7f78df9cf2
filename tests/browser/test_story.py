"""The Story tab as a person meets it: steps by mouse and keyboard, the way into the lab, every model. Fake engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from demo.backend import fake
from tests.browser.page_actions import (
    HEATMAP,
    QUESTIONS,
    SEQ,
    choose,
    expect_choice,
    expect_model,
    expect_text,
    expect_value,
    idle,
    settle,
    wait_text,
)

pytestmark = pytest.mark.browser
STORY = "#view-story-button"
STATE = '#story .view[data-state="{}"]'
TITLE = "#story-text h2"
FIGURES = "() => [...document.querySelectorAll('#story figure')].map((figure) => figure.dataset.figure)"


def open_story(page) -> None:
    page.click(STORY)
    wait_figures(page, "story-positions")


def wait_figures(page, *names: str) -> None:
    """Until the step's figures stand there; scrolled to, since the tab computes only what is looked at."""
    page.evaluate("() => document.querySelector('#story').scrollIntoView()")
    page.wait_for_function(f"(names) => ({FIGURES})().join() === names", arg=",".join(names), timeout=20_000)
    page.wait_for_selector(STATE.format("ready"))


def go(page, step: str, *figures: str) -> None:
    page.check(f"#story-step input[value={step}]", force=True)
    wait_figures(page, *figures)


def test_the_steps_follow_each_other_and_nothing_is_computed_before_it_is_seen(serve, open_page):
    engine = fake.FakeEngine()
    page = open_page(serve(engine))
    before = engine.embedded_texts
    idle(page)
    assert engine.embedded_texts == before
    open_story(page)
    expect(page.locator(TITLE).first).to_have_text("Four texts become tokens", use_inner_text=True)
    expect(page.locator("#story-back")).to_be_disabled()
    expect(page.locator("#story-found .ex-pooled"), "one in each text, one in the legend").to_have_count(4 + 1)
    page.click("#story-next")
    wait_figures(page, "story-next-q1", "story-next-q2", "story-next-a1", "story-next-a2")
    page.click("#story-next")
    wait_figures(page, "story-here", "story-printed")
    texts = "() => document.querySelector('#story [data-figure=story-printed] .js-plotly-plot').data[0].text.flat()"
    assert page.evaluate(texts) == [".96", ".90", ".93", ".94"]
    page.click("#story-next")
    wait_figures(page, "story-last", "story-asked", "story-gap")
    page.click("#story-next")
    wait_figures(page, "story-before", "story-after")
    expect(page.locator("#story-text math mfrac")).to_have_count(1)
    page.click("#story-next")
    wait_figures(page, "story-models")
    expect(page.locator("#story-next")).to_be_disabled()
    page.click("#story-back")
    wait_figures(page, "story-before", "story-after")


def test_a_step_is_asked_for_once(open_page):
    """A question after its figures are there would be answered later, perhaps over those of the next step."""
    page = open_page()
    open_story(page)
    idle(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/queue/join?") else None)
    for figures in (
        ["story-next-q1", "story-next-q2", "story-next-a1", "story-next-a2"],
        ["story-here", "story-printed"],
    ):
        page.click("#story-next")
        wait_figures(page, *figures)
        idle(page)
    page.click("#story-next")
    wait_figures(page, "story-last", "story-asked", "story-gap")
    assert len(asked) == 3


def test_by_keyboard_and_for_those_who_do_not_see_the_figures(open_page):
    page = open_page()
    open_story(page)
    page.focus("#story-step input:checked")
    page.keyboard.press("Tab")  # Gradio makes each choice of a Radio a stop of its own
    page.keyboard.press("Space")
    wait_figures(page, "story-next-q1", "story-next-q2", "story-next-a1", "story-next-a2")
    assert page.evaluate("() => document.activeElement.value") == "logits"
    page.focus("#story-next")
    page.keyboard.press("Enter")
    wait_figures(page, "story-here", "story-printed")
    assert page.evaluate("() => document.activeElement.id") == "story-next"
    label = page.get_attribute("#story [data-figure=story-printed] .view-plot", "aria-label")
    assert "Mistral-7B-Instruct-v0.1, as printed in the article. Heatmap of 2 questions by 2 answers" in label
    page.click("#story [data-figure=story-printed] .view-table summary")
    page.wait_for_selector("#story [data-figure=story-printed] .view-table td:has-text('.96 (belong together)')")
    for axis in ("xtitle", "ytitle"):
        assert page.text_content(f"#story [data-figure=story-here] .{axis}") in ("Answers", "Questions")


def test_the_story_leaves_the_lab_as_it_is_until_one_asks(serve, open_page):
    engine = fake.FakeEngine()
    page = open_page(serve(engine))
    choose(page, "model", "all-MiniLM")
    page.fill(QUESTIONS, "My own?")
    wait_text(page, "Q1 My own?")
    expect_choice(page, "pooling", "mean")
    settle(page)
    before = page.evaluate(SEQ)
    open_story(page)
    go(page, "why", "story-last", "story-asked", "story-gap")
    assert page.evaluate(SEQ) == before
    expect_value(page, QUESTIONS, "My own?")
    expect_choice(page, "pooling", "mean")
    page.click("#story-use")
    page.wait_for_selector(f"{HEATMAP}[aria-selected=true]")
    wait_text(page, "Q2 What is GPU?")
    expect_choice(page, "prompt", "prompteol")
    settle(page)
    expect_choice(page, "pooling", "last_token")
    expect_model(page, "SmolLM2-135M-Instruct")
    expect(page.locator("#status .fact-model")).to_contain_text("SmolLM2")
    expect_value(page, "#layer input[type=number]", "30")


def test_the_train_tab_is_one_click_away(open_page):
    page = open_page()
    open_story(page)
    go(page, "loss", "story-before", "story-after")
    page.click("#story-train")
    page.wait_for_selector("#view-train-button[aria-selected=true]")
    page.wait_for_function("() => location.hash.includes('tab=train')")
    page.click(STORY)
    page.evaluate("() => document.querySelector('#view-train-button')?.remove()")
    expect(page.locator("#story-train")).to_be_hidden()


def test_every_model_is_measured_when_asked_and_stops_when_asked(serve, open_page):
    engine = fake.FakeEngine(load_seconds=1.0)
    page = open_page(serve(engine))
    open_story(page)
    go(page, "models", "story-models")
    rows = "#story-found .story-board tbody tr"
    waiting = page.locator(f"{rows}:has-text('Not measured yet')").count()
    assert waiting > 3
    expect_text(page, f"{rows}:has-text('e5-mistral') >> nth=0", "no LM head")
    page.click("#story-measure")
    page.wait_for_selector("#story .view-note:has-text('is being loaded')")
    page.wait_for_function(
        f"(before) => [...document.querySelectorAll('{rows}')]"
        ".filter((row) => row.textContent.includes('Not measured yet')).length < before",
        arg=waiting,
    )
    page.click("#story-stop")
    page.wait_for_selector("#story .view-note:has-text('Stopped.')")
    engine.load_seconds = 0.0
    page.click("#story-measure")
    page.wait_for_function(
        f"() => [...document.querySelectorAll('{rows}')].every((row) => !row.textContent.includes('Not measured yet'))",
        timeout=60_000,
    )
    page.wait_for_selector("#story-stop", state="hidden", timeout=30_000)
    expect_text(page, f"{rows}:has-text('GPT-2')", "could not be fetched")
