"""The reading's choices: prompts, a template of one's own, EOS and post-processing, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Prompt
from demo.lab import Lab
from demo.settings import Settings
from tests.browser.page_actions import (
    PHONE,
    QUESTIONS,
    STATE,
    choose,
    expect_choice,
    expect_text,
    expect_value,
    open_advanced,
    settle,
    values,
    wait_text,
    wait_values,
)

pytestmark = pytest.mark.browser
TASK, TEMPLATE = "#task textarea", "#template textarea"
ALL = "#prompt=e5_instruct&task=Find+it&eos=true&pooling=last_token&postprocess=zscore"


def options(page, box: str) -> list[str]:
    open_advanced(page)
    page.click(f"#{box} input")
    page.wait_for_selector("[role=option]")
    found = page.locator("[role=option]").evaluate_all("(nodes) => nodes.map((node) => node.dataset.value)")
    page.keyboard.press("Escape")
    return found


def test_prompteol_and_the_last_token_change_the_heatmap(open_page):
    page = open_page()
    choose(page, "examples", "Meaning against shared words")  # cells enough for two digits to tell readings apart
    wait_text(page, "A12 ")
    settle(page)
    before = values(page)
    choose(page, "prompt", "prompteol")
    wait_values(page, before)
    expect_text(page, "#prompt-note", "Made for last_token")
    expect_choice(page, "pooling", "last_token_logits")
    before = values(page)
    choose(page, "pooling", "last_token")
    wait_values(page, before)
    before = values(page)
    page.check("#eos input")
    wait_values(page, before)
    expect_text(page, "#eos-note", "2401.00368")
    settle(page)


def test_own_prompts_are_offered_only_where_a_model_has_some(open_page):
    page = open_page()
    offered = options(page, "prompt")
    assert len(offered) == len(Prompt) - 1
    assert "own" not in offered
    page = open_page("#prompt=own")
    expect_choice(page, "prompt", "chat")
    settle(page)


def test_the_boxes_of_a_prompt_come_and_go_with_it(open_page):
    page = open_page()
    open_advanced(page)
    expect(page.locator(f"{TASK}:visible, {TEMPLATE}:visible")).to_have_count(0)
    choose(page, "prompt", "e5_instruct")
    page.wait_for_selector(f"{TASK}:visible")
    expect(page.locator(f"{TEMPLATE}:visible")).to_have_count(0)
    settle(page)
    before = values(page)
    page.fill(TASK, "Find the same topic")
    wait_values(page, before)
    choose(page, "prompt", "custom")
    page.wait_for_selector(f"{TEMPLATE}:visible")
    expect(page.locator(f"{TASK}:visible")).to_have_count(0)
    settle(page)
    before = values(page)
    page.fill(TEMPLATE, "{text} {text}")
    wait_values(page, before)
    choose(page, "prompt", "plain")
    page.wait_for_selector(TEMPLATE, state="hidden")
    choose(page, "prompt", "custom")
    page.wait_for_selector(f"{TEMPLATE}:visible")
    expect_value(page, TEMPLATE, "{text} {text}")
    settle(page)


def test_a_template_without_its_text_says_so_beside_its_box(open_page):
    page = open_page()
    page.fill(QUESTIONS, "My own question?")
    wait_text(page, "Q1 My own question?")
    choose(page, "prompt", "custom")
    page.fill(TEMPLATE, "In one word:")
    page.wait_for_selector("#template-note [role=alert]")
    expect_text(page, "#template-note", "{text} 0 times")
    assert page.query_selector(STATE.format("stale"))
    assert (page.input_value(QUESTIONS), page.input_value(TEMPLATE)) == ("My own question?", "In one word:")
    page.fill(TEMPLATE, "In one word, {text}:")
    page.wait_for_selector(STATE.format("ready"))
    expect(page.locator("[role=alert]:visible")).to_have_count(0)


def test_post_processing_changes_the_heatmap_and_its_fixed_colours(open_page):
    page = open_page()
    page.click("#scale label:has-text('fixed')")
    page.wait_for_function("() => document.querySelector('.hm-low').textContent === '.00'")
    before = values(page)
    choose(page, "postprocess", "center")
    wait_values(page, before)
    page.wait_for_function("() => document.querySelector('.hm-low').textContent === '−1.00'")
    expect_text(page, "#scale-note", "from −1 to 1")
    expect_text(page, "#notices", "center was fitted on 4 distinct texts")
    expect_text(page, "#postprocess-note", "2109.04404")
    settle(page)


def test_another_model_brings_its_own_reading(open_page):
    page = open_page(ALL)
    expect(page.locator("#eos input").first).to_be_checked()
    choose(page, "model", "all-MiniLM")
    expect_choice(page, "postprocess", "none")
    page.wait_for_selector(TASK, state="hidden")
    expect(page.locator("#eos input").first).not_to_be_checked()
    expect_choice(page, "prompt", "plain")
    settle(page)
    expect(page.locator("[role=alert]:visible")).to_have_count(0)


def test_a_link_brings_the_whole_reading(open_page):
    page = open_page(ALL)
    expect_value(page, TASK, "Find it")
    lab = Lab(Settings(engine="fake"), FakeEngine())
    chosen = {"prompt": "e5_instruct", "task": "Find it", "pooling": "last_token", "eos": True, "postprocess": "zscore"}
    texts = [page.input_value(f"#{box} textarea").split("\n") for box in ("questions", "answers")]
    expected = lab.compare(*texts, **chosen).similarity.ravel()
    drawn = [float(value.replace("−", "-")) for value in values(page)]
    assert drawn == pytest.approx(list(expected), abs=0.006)


def test_in_korean(open_page):
    page = open_page(ALL.replace("e5_instruct", "custom") + "&template=x", drawn=False, locale="ko-KR")
    page.wait_for_selector("#template-note [role=alert]")
    expect_text(page, "#template-note", "{text} 자리가 0번")
    for box, name in (("prompt", "프롬프트"), ("template", "틀"), ("eos", "EOS 토큰"), ("postprocess", "후처리")):
        expect(page.locator(f"#{box}")).to_contain_text(name)
    page.fill(TEMPLATE, "{text}!")
    page.wait_for_selector(STATE.format("ready"))
    expect_text(page, "#notices", "서로 다른 글 4개")
    settle(page)


def test_on_a_phone_the_sheet_holds_every_choice_and_its_head_says_them(open_page):
    page = open_page(ALL, **PHONE)
    head = page.inner_text("#reading .fold-head")
    assert "e5_instruct + EOS · last_token · zscore" in " ".join(head.split())
    page.click("#reading .fold-head")
    for box in ("task textarea", "eos input", "postprocess input"):
        page.locator(f"#{box}").scroll_into_view_if_needed()
        expect(page.locator(f"#{box}")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_the_name_of_a_model_ends_before_its_lists_arrow(open_page):
    page = open_page()
    open_advanced(page)
    ends = page.evaluate(
        "() => ['#model', '#prompt'].map((name) => [`${name} input`, `${name} .icon-wrap`]"
        ".map((part) => document.querySelector(part).getBoundingClientRect()))"
        ".map(([input, arrow]) => [input.right, arrow.left])"
    )
    assert all(name <= arrow for name, arrow in ends), ends


def test_a_model_on_its_way_can_be_cancelled_and_the_reading_in_use_comes_back(serve, open_page):
    engine = FakeEngine()
    page = open_page(serve(engine))
    choose(page, "pooling", "weighted_mean")
    settle(page)
    before, engine.load_seconds = values(page), 60
    page.evaluate(
        "() => window.lab.bringReading({ model: 'gemma-3-270m', prompt: 'plain', pooling: 'mean', layer: 3 })"
    )
    page.wait_for_selector(STATE.format("loading"))
    expect_text(page, "#heatmap .hm-cancel", "Cancel")
    page.click("#heatmap .hm-cancel")
    page.wait_for_selector(STATE.format("ready"))
    expect(page.locator("#heatmap .hm-cancel")).to_be_hidden()
    page.wait_for_function("() => document.querySelector('#pooling input').value.includes('weighted_mean')")
    page.wait_for_function("() => document.querySelector('#model input').value.startsWith('SmolLM2')")
    settle(page)
    assert values(page) == before
    assert "gemma-3-270m" not in engine.loads


def test_a_big_download_begins_with_a_yes_alone(serve, open_page):
    engine = FakeEngine()
    engine.load("smollm2-135m-instruct")
    engine.unfetched.add("all-minilm-l6-v2")
    page = open_page(serve(engine))
    question, name = page.locator("#model-note .alert"), page.locator("#model input")
    for answer, model in (("No", "SmolLM2-135M-Instruct"), ("Yes, fetch", "all-MiniLM-L6-v2")):
        choose(page, "model", "all-MiniLM-L6-v2")
        expect(question).to_contain_text(
            "14.5 GB of all-MiniLM-L6-v2 will be fetched to /home/me/hub; 31.0 GB are free"
        )
        expect(name).to_have_value(re.compile("^SmolLM2-135M-Instruct"))
        question.get_by_role("button", name=answer).click()
        expect(question).to_have_count(0)
        expect(name).to_have_value(re.compile("^" + model))
    settle(page)
    assert engine.loads == ["smollm2-135m-instruct", "all-minilm-l6-v2"]
