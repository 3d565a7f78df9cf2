"""The Compare tab: readings side by side that follow the texts, in a real browser over the fake engine."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from tests.browser.page_actions import ANSWERS, PHONE, QUESTIONS, choose, expect_text, expect_value, settle

pytestmark = pytest.mark.browser
COMPARE = "#view-compare-button"
READY = '#compare .view[data-state="ready"]'
PLOT = "#compare [data-figure=compare-{}] .js-plotly-plot"
SHAPES = """(count) => [...document.querySelectorAll('#compare .js-plotly-plot')].every(
    (plot) => plot.data[0].z.length === count || plot.data[0].y.length === count)"""
SIDEWAYS = "() => document.documentElement.scrollWidth <= innerWidth"


def open_compare(page) -> None:
    page.click(COMPARE)
    page.wait_for_selector(READY)
    page.wait_for_selector(PLOT.format("b"))


def wait_note(page, letter: str, text: str) -> None:
    script = "([name, text]) => document.querySelector(name).textContent.includes(text)"
    page.wait_for_function(script, arg=[f"#compare-note-{letter}", text])


def wait_table(page, text: str) -> None:
    """Until A's table has this text."""
    page.evaluate("() => document.querySelector('#compare .view-table').open = true")
    page.wait_for_function(
        "(text) => document.querySelector('#compare .view-table').textContent.includes(text)", arg=text
    )


def test_two_readings_their_difference_and_a_verdict_and_all_follow_the_texts(open_page):
    page = open_page()
    open_compare(page)
    page.wait_for_selector(PLOT.format("a"))
    caption = page.inner_text("#compare [data-figure=compare-a] figcaption")
    assert caption == "A SmolLM2-135M-Instruct · chat · last_token_logits · last layer"
    expect_text(page, "#compare-note-b", "SmolLM2-135M-Instruct, contrastive")
    expect_value(page, "#compare-reading-b input", "the model's own")
    verdict = page.inner_text("#compare-verdict")
    assert "AUC" in verdict
    assert "surely" not in verdict, "of two questions nobody can be sure"
    expect_text(page, "#compare-figures", "ROC AUC")
    ends = f"() => ['a', 'b'].map((name) => document.querySelector(`{PLOT.format('${name}')}`).data[0].zmax)"
    shared = page.evaluate(ends)
    assert shared[0] == shared[1]
    page.click("#compare-scale label:has-text('each its own')")
    page.wait_for_function(f"() => {{ const [a, b] = ({ends})(); return a !== b; }}")
    expect_text(page, "#compare-scale-note", "standard deviations")
    node = page.query_selector(PLOT.format("b"))
    page.fill(QUESTIONS, "One?\nTwo?\n<img src=x onerror='window.hacked=1'>")
    page.wait_for_function(SHAPES, arg=3)
    assert page.evaluate("([node, name]) => node === document.querySelector(name)", [node, PLOT.format("b")])
    size = "(name) => document.querySelector(name)._fullLayout.yaxis._length"
    before = page.evaluate(size, PLOT.format("b"))
    page.fill(ANSWERS, "A.\nB.\nC.")
    wait_table(page, "C.")
    assert before > 150
    assert page.evaluate(size, PLOT.format("b")) == pytest.approx(before, abs=2)
    expect_text(page, "#compare .view-table >> nth=0", "<img src=x")
    expect(page.locator("#compare img")).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None


def test_a_third_reading_is_chosen_kept_and_removed(open_page):
    page = open_page()
    open_compare(page)
    expect(page.locator("#compare-remove-b")).to_be_hidden()
    page.click("#compare-add")
    page.wait_for_selector(PLOT.format("c"))
    wait_note(page, "c", "prompteol · last_token")
    choose(page, "compare-reading-c", "plain mean")
    wait_note(page, "c", "plain · mean")
    page.click("#compare-scale label:has-text('each its own')")
    choose(page, "compare-pair", "C − B")
    page.wait_for_selector("#compare [data-figure=compare-difference] figcaption:has-text('C − B')")
    page.click("#compare-keep")
    page.wait_for_selector(PLOT.format("d"))
    page.wait_for_function("() => document.querySelector('#compare-verdict').textContent.includes('D is the same')")
    expect(page.locator("#compare-add")).to_be_hidden()
    choose(page, "pooling", "weighted_mean")
    wait_note(page, "a", "weighted_mean")
    expect_text(page, "#compare-note-d", "last_token_logits")
    page.click("#compare-remove-b")
    page.wait_for_selector(PLOT.format("b"), state="detached")
    expect(page.locator("#compare .js-plotly-plot")).to_have_count(4)
    heads = page.locator("#compare-figures thead th").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["A", "C", "D"]


def test_one_reading_that_cannot_be_had_leaves_the_others(serve, open_page):
    engine = FakeEngine()
    page = open_page(serve(engine))
    open_compare(page)
    choose(page, "compare-model-b", "Mistral-7B")
    page.wait_for_selector("#compare-note-b [role=alert]")
    expect_text(page, "#compare-note-b", "16.2 GiB")
    page.wait_for_selector(PLOT.format("b"), state="detached")
    expect(page.locator("#compare .js-plotly-plot")).to_have_count(1)
    assert page.query_selector(READY)
    engine.load_seconds = 1.0
    choose(page, "compare-model-b", "Gemma 3 270M")
    page.wait_for_selector('#compare .view[data-state="running"]')
    expect_text(page, "#compare .view-note", "Gemma 3 270M is being loaded")
    expect(page.locator(PLOT.format("a"))).to_have_count(1)
    page.wait_for_selector(PLOT.format("b"))
    page.wait_for_selector(READY)
    page.fill(ANSWERS, "")
    page.wait_for_selector('#compare .view[data-state="idle"]')
    page.fill(ANSWERS, "A chip.")
    page.wait_for_selector(READY)


def test_on_a_phone_the_pictures_stand_under_each_other_and_nothing_scrolls_sideways(open_page):
    page = open_page(**{**PHONE, "width": 360})
    open_compare(page)
    page.tap("#compare-add")
    page.wait_for_selector(PLOT.format("c"))
    boxes = [page.query_selector(PLOT.format(name)).bounding_box() for name in "abc"]
    assert boxes[0]["y"] + boxes[0]["height"] <= boxes[1]["y"]
    assert all(300 <= box["width"] <= 360 for box in boxes)
    assert page.evaluate(SIDEWAYS)


def test_four_readings_that_another_tab_brings_stand_side_by_side(open_page):
    """Before Compare was ever opened, and again when it is open already."""
    page = open_page()
    settle(page)
    reading = {"model": "smollm2-135m-instruct", "prompt": "plain", "pooling": "mean", "layer": 12, "eos": False}
    others = [
        {**reading, "layer": -1},
        {**reading, "prompt": "echo", "postprocess": "zscore"},
        {"model": "all-minilm-l6-v2", "prompt": "plain", "pooling": "mean", "layer": -1},
    ]
    page.evaluate("(readings) => window.lab.compareThese(readings)", [reading, *others])
    page.wait_for_selector(PLOT.format("d"))
    wait_note(page, "a", "SmolLM2-135M-Instruct · plain · mean · layer 12")
    wait_note(page, "b", "plain · mean · last layer")
    wait_note(page, "c", "echo · mean · layer 12 · zscore")
    wait_note(page, "d", "all-MiniLM-L6-v2 · plain · mean · last layer")
    button = "<button data-compare='{}' style='position: fixed; top: 0; z-index: 99'>Compare these</button>"
    said = json.dumps([{**reading, "model": "all-minilm-l6-v2", "layer": 4}, {**reading, "prompt": "prompteol"}])
    page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", button.format(said))
    page.click("[data-compare]")
    page.wait_for_selector(PLOT.format("d"), state="detached")
    wait_note(page, "a", "all-MiniLM-L6-v2 · plain · mean · layer 4")
    wait_note(page, "b", "prompteol · mean · layer 12")
    page.reload()
    page.wait_for_selector("#compare-note-b")
    wait_note(page, "b", "prompteol · mean · layer 12")
