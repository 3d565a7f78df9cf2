"""The reading's choices: prompts, a template of one's own, EOS and post-processing, in a real browser."""

from __future__ import annotations

import pytest

from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Prompt
from demo.lab import Lab
from demo.settings import Settings
from tests.browser.test_page import QUESTIONS, STATE, choose, settle, values, wait_text, wait_values

pytestmark = pytest.mark.browser
TASK, TEMPLATE = "#task textarea", "#template textarea"
PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
ALL = "#prompt=e5_instruct&task=Find+it&eos=true&pooling=last_token&postprocess=zscore"


def options(page, box: str) -> list[str]:
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
    assert "Made for last_token" in page.inner_text("#prompt-note")
    assert page.input_value("#pooling input") == "last_token_logits"
    before = values(page)
    page.click("#pooling input")
    page.get_by_role("option", name="last_token", exact=True).click()
    wait_values(page, before)
    before = values(page)
    page.check("#eos input")
    wait_values(page, before)
    assert "2401.00368" in page.inner_text("#eos-note")
    settle(page)


def test_own_prompts_are_offered_only_where_a_model_has_some(open_page):
    page = open_page()
    offered = options(page, "prompt")
    assert len(offered) == len(Prompt) - 1
    assert "own" not in offered
    page = open_page("#prompt=own")
    assert page.input_value("#prompt input") == "chat"
    settle(page)


def test_the_boxes_of_a_prompt_come_and_go_with_it(open_page):
    page = open_page()
    assert page.locator(f"{TASK}:visible, {TEMPLATE}:visible").count() == 0
    choose(page, "prompt", "e5_instruct")
    page.wait_for_selector(f"{TASK}:visible")
    assert page.locator(f"{TEMPLATE}:visible").count() == 0
    settle(page)
    before = values(page)
    page.fill(TASK, "Find the same topic")
    wait_values(page, before)
    choose(page, "prompt", "custom")
    page.wait_for_selector(f"{TEMPLATE}:visible")
    assert page.locator(f"{TASK}:visible").count() == 0
    settle(page)
    before = values(page)
    page.fill(TEMPLATE, "{text} {text}")
    wait_values(page, before)
    choose(page, "prompt", "plain")
    page.wait_for_selector(TEMPLATE, state="hidden")
    choose(page, "prompt", "custom")
    page.wait_for_selector(f"{TEMPLATE}:visible")
    assert page.input_value(TEMPLATE) == "{text} {text}"
    settle(page)


def test_a_template_without_its_text_says_so_beside_its_box(open_page):
    page = open_page()
    page.fill(QUESTIONS, "My own question?")
    wait_text(page, "Q1 My own question?")
    choose(page, "prompt", "custom")
    page.fill(TEMPLATE, "In one word:")
    page.wait_for_selector("#template-note [role=alert]")
    assert "{text} 0 times" in page.inner_text("#template-note")
    assert page.query_selector(STATE.format("stale"))
    assert (page.input_value(QUESTIONS), page.input_value(TEMPLATE)) == ("My own question?", "In one word:")
    page.fill(TEMPLATE, "In one word, {text}:")
    page.wait_for_selector(STATE.format("ready"))
    assert page.locator("[role=alert]").count() == 0


def test_post_processing_changes_the_heatmap_and_its_fixed_colours(open_page):
    page = open_page()
    page.click("#scale label:has-text('fixed')")
    page.wait_for_function("() => document.querySelector('.hm-low').textContent === '.00'")
    before = values(page)
    choose(page, "postprocess", "center")
    wait_values(page, before)
    page.wait_for_function("() => document.querySelector('.hm-low').textContent === '−1.00'")
    assert "from −1 to 1" in page.inner_text("#scale-note")
    assert "center was fitted on 4 distinct texts" in page.inner_text("#notices")
    assert "2109.04404" in page.inner_text("#postprocess-note")
    settle(page)


def test_another_model_brings_its_own_reading(open_page):
    page = open_page(ALL)
    assert page.is_checked("#eos input")
    choose(page, "model", "all-MiniLM")
    page.wait_for_function("() => document.querySelector('#postprocess input').value === 'none'")
    page.wait_for_selector(TASK, state="hidden")
    assert not page.is_checked("#eos input")
    assert page.input_value("#prompt input") == "plain"
    settle(page)
    assert page.locator("[role=alert]").count() == 0


def test_a_link_brings_the_whole_reading(open_page):
    page = open_page(ALL)
    assert page.input_value(TASK) == "Find it"
    lab = Lab(Settings(engine="fake"), FakeEngine())
    chosen = {"prompt": "e5_instruct", "task": "Find it", "pooling": "last_token", "eos": True, "postprocess": "zscore"}
    texts = [page.input_value(f"#{box} textarea").split("\n") for box in ("questions", "answers")]
    expected = lab.compare(*texts, **chosen).similarity.ravel()
    drawn = [float(value.replace("−", "-")) for value in values(page)]
    assert drawn == pytest.approx(list(expected), abs=0.006)


def test_in_korean(open_page):
    page = open_page(ALL.replace("e5_instruct", "custom") + "&template=x", drawn=False, locale="ko-KR")
    page.wait_for_selector("#template-note [role=alert]")
    assert "{text} 자리가 0번" in page.inner_text("#template-note")
    for box, name in (("prompt", "프롬프트"), ("template", "틀"), ("eos", "EOS 토큰"), ("postprocess", "후처리")):
        assert name in page.text_content(f"#{box}")
    page.fill(TEMPLATE, "{text}!")
    page.wait_for_selector(STATE.format("ready"))
    assert "서로 다른 글 4개" in page.inner_text("#notices")
    settle(page)


def test_on_a_phone_the_sheet_holds_every_choice_and_its_head_says_them(open_page):
    page = open_page(ALL, **PHONE)
    head = page.inner_text("#reading .fold-head")
    assert "e5_instruct + EOS · last_token · zscore" in " ".join(head.split())
    page.click("#reading .fold-head")
    for box in ("task textarea", "eos input", "postprocess input"):
        page.locator(f"#{box}").scroll_into_view_if_needed()
        assert page.is_visible(f"#{box}")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
