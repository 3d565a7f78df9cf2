"""The Train tab: a run before one's eyes, and what can be done with it, in a real browser over a slowed fake engine."""

from __future__ import annotations

import json
import re
import zipfile

import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from tests.browser.page_actions import (
    ANSWERS,
    HEATMAP,
    QUESTIONS,
    choose,
    expect_choice,
    expect_text,
    give_file,
    settle,
    values,
    wait_text,
    wait_values,
)

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("short_runs")]
TRAIN = "#view-train-button"
STATE = '#train .view[data-state="{}"]'
CELLS = "#train [data-figure=train-heatmap] .js-plotly-plot"
ASKED = ("What is a graphics processing unit?", "Who wrote the tragedy of Hamlet?", "Where do penguins live in winter?")
ANSWERED = (
    "A graphics processing unit draws pictures.",
    "The tragedy of Hamlet was by Shakespeare.",
    "In winter penguins live on the ice.",
)
NASTY = "<img src=x onerror='window.hacked=1'>"
PAIRS = "".join(
    json.dumps({"question": f"what is number {i}{NASTY}", "answer": f"number {i} it is", "negative": f"no {i}"}) + "\n"
    for i in range(40)
)


@pytest.fixture(scope="module")
def slow() -> FakeEngine:
    engine = FakeEngine(seconds_per_step=0.05)
    engine.load("smollm2-135m-instruct")
    return engine


@pytest.fixture(scope="module")
def address(serve, slow, tmp_path_factory) -> str:
    return serve(slow, cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def lasting(slow):
    """Runs that go on until they are stopped."""
    slow.seconds_per_step = 0.4
    yield
    slow.seconds_per_step = 0.05


def open_train(page, texts: bool = True) -> None:
    """The tab, with pairs in the boxes that the fake engine can tell apart, which are learned from."""
    if texts:
        before = values(page)
        page.fill(QUESTIONS, "\n".join(ASKED))
        page.fill(ANSWERS, "\n".join(ANSWERED))
        wait_text(page, ANSWERED[2])
        wait_values(page, before)
        settle(page)
    page.click(TRAIN)
    page.wait_for_selector(STATE.format("idle"))
    page.locator("#train-source label").last.click()  # the boxes
    page.wait_for_selector("#train-source-note .caution")


def number(page, selector: str) -> float:
    """A figure as the page writes it."""
    return float(page.inner_text(selector).replace("−", "-"))


def cells(page) -> list[str]:
    return page.evaluate("(plot) => document.querySelector(plot).data[0].text.flat()", CELLS)


def finish(page) -> None:
    page.wait_for_selector(STATE.format("ready"), timeout=60_000)


def test_the_margin_grows_and_the_heatmap_separates_while_it_trains(address, open_page):
    page = open_page(address)
    open_train(page)
    expect(page.locator("#train-keep")).to_be_hidden()
    page.click("#train-run")
    page.wait_for_selector(f"{CELLS} .heatmaplayer")
    first = cells(page)
    expect(page.locator("#train-pause")).to_be_visible()
    expect(page.locator("#train-source")).to_be_hidden()  # a run under way cannot be changed
    page.wait_for_function(
        "([plot, first]) => document.querySelector(plot).data[0].text.flat().join() !== first",
        arg=[CELLS, ",".join(first)],
    )
    page.wait_for_selector("#train-formula dl")  # the loss, with its numbers
    expect_text(page, "#train-formula", "In words, at step")
    page.wait_for_selector("#train-margin .hint:has-text('began at')")
    finish(page)
    began = float(page.inner_text("#train-margin .hint").split()[-1])
    assert number(page, "#train-margin dd:not(.hint)") > began + 0.3
    expect_text(page, "#train .view-note", "Done after 60 steps.")
    expect(page.locator("#train-step dd >> nth=0")).to_have_text("60 of 60", use_inner_text=True)
    data = page.evaluate(
        "(plot) => { const d = document.querySelector(plot).data[0]; return [d.zmin, d.zmax]; }", CELLS
    )
    assert data == [0, 1]  # the colours stand still
    titles = [page.locator("#train figcaption").nth(i).inner_text() for i in range(2)]
    assert titles == ["Your texts at step 60", "Loss by step"]
    expect(page.locator("#train-formula math")).to_have_count(3)
    expect(page.locator("#train [data-figure=train-loss] .view-plot").first).to_have_attribute(
        "aria-label", re.compile("It began at")
    )


def test_it_pauses_goes_on_and_stops(address, lasting, open_page):
    page = open_page(address)
    open_train(page)
    page.click("#train-run")
    page.wait_for_selector("#train-pause")
    page.focus("#train-pause")
    page.keyboard.press("Enter")
    page.wait_for_selector("#train .view-note:has-text('Paused after step')")
    expect(page.locator("#train-pause")).to_have_text("Go on", use_inner_text=True)
    step = page.inner_text("#train-step dd >> nth=0")
    for _ in range(2):  # it goes on looking
        looked = page.get_attribute("#train .view", "data-seq")
        page.wait_for_selector(f'#train .view:not([data-seq="{looked}"])')
    expect(page.locator("#train-step dd >> nth=0")).to_have_text(step, use_inner_text=True)
    page.click("#train-pause")
    page.wait_for_function(f"() => document.querySelector('#train-step dd').textContent !== '{step}'")
    page.click("#train-stop")
    page.wait_for_selector("#train .view-note:has-text('what was reached can be kept')")
    expect(page.locator("#train-pause")).to_be_hidden()
    expect(page.locator("#train-stop")).to_be_hidden()
    expect(page.locator("#train-run")).to_be_enabled()
    expect(page.locator("#train-keep")).to_be_enabled()
    expect(page.locator("#train-source")).to_be_visible()


def test_the_slider_goes_back_to_the_untrained_model_and_to_the_newest_look(address, open_page):
    page = open_page(address)
    open_train(page)
    page.click("#train-run")
    finish(page)
    page.wait_for_selector("#train figcaption:has-text('at step 60')")
    last = cells(page)
    slider = page.locator("#train-look input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_selector("#train figcaption:has-text('Your texts at step 0')")
    assert cells(page) != last
    page.keyboard.press("End")
    page.wait_for_selector("#train figcaption:has-text('Your texts at step 60')")
    assert cells(page) == last


def test_what_was_learned_is_kept_and_used_and_fetched(address, open_page, tmp_path):
    page = open_page(address)
    open_train(page)
    before = values(page)
    page.click("#train-run")
    finish(page)
    page.click("#train-keep")
    page.wait_for_selector("#train-keep-note:has-text('in use in the lab')")
    expect(page.locator("#model input")).to_have_value(re.compile("SmolLM2-135M-Instruct, trained 60 steps"))
    page.wait_for_selector("#status .fact-model dd:has-text('trained 60 steps')", state="attached")
    expect_choice(page, "prompt", "prompteol")
    expect_choice(page, "pooling", "last_token")
    with page.expect_download() as fetched:
        page.click("#train-download")
    assert fetched.value.suggested_filename == "smollm2-135m-instruct-trained-60-steps.zip"
    fetched.value.save_as(tmp_path / "adapter.zip")
    assert "training.json" in zipfile.ZipFile(tmp_path / "adapter.zip").namelist()
    page.click(HEATMAP)
    settle(page)
    assert values(page) != before
    choose(page, "model", "SmolLM2-135M-Instruct — GPT")  # the list still has the others
    page.wait_for_function("() => !document.querySelector('#status .fact-model dd').textContent.includes('trained')")
    choose(page, "model", "trained 60 steps")
    page.wait_for_selector("#status .fact-model dd:has-text('trained 60 steps')", state="attached")
    page.wait_for_function("() => location.hash.includes('trained%3A')")
    settle(page)
    page.reload()  # the link carries it
    page.wait_for_selector("#status .fact-model dd:has-text('trained 60 steps')", state="attached")
    expect(page.locator("#model input")).to_have_value(re.compile("SmolLM2-135M-Instruct, trained 60 steps"))
    settle(page)


def test_others_edit_meanwhile_and_wait_for_their_turn(address, lasting, slow, open_page):
    first, second = open_page(address), open_page(address)
    open_train(first)
    first.click("#train-run")
    first.wait_for_selector("#train-pause")
    before = values(second)
    second.fill(QUESTIONS, "Is it still live?\nWhat is GPU?")
    wait_text(second, "Q1 Is it still live?")
    wait_values(second, before)
    second.wait_for_selector('#heatmap .hm[data-state="ready"]')
    open_train(second)
    second.click("#train-run")
    second.wait_for_selector("#train .view-note:has-text('1 run is before yours')")
    expect(second.locator("#train-pause").first).to_be_hidden()
    first.wait_for_selector("#train .view-note:has-text('Training')")
    slow.seconds_per_step = 0.02
    first.close()  # its place becomes free
    second.wait_for_selector("#train .view-note:has-text('Done after 60 steps.')", timeout=60_000)


def test_a_file_that_cannot_be_used_and_one_that_can(address, open_page):
    page = open_page(address)
    open_train(page, texts=False)
    give_file(page, "question,answer\nOne?,\n", "bad.csv")
    page.wait_for_selector("#train-source-note [role=alert]:has-text('has no question or no answer')")
    give_file(page, PAIRS, f"{NASTY}.jsonl")
    page.wait_for_selector("#train-source-note .hint:has-text('pairs 40, with a negative 40')")
    page.click("#train-run")
    finish(page)
    page.wait_for_selector("#train-held [data-figure=train-points] .js-plotly-plot")
    assert re.search(r"Held-out AUC from .+ to ", page.inner_text("#train .view-note"))
    points = "#train-held [data-figure=train-points] .js-plotly-plot"
    shapes = "(plot) => document.querySelector(plot).data.map((trace) => trace.marker?.symbol)"
    assert page.evaluate(shapes, points)[1:] == ["circle", "diamond"]
    expect(page.locator("#view-train img")).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None
