"""The page as a person meets it: typing, choosing, failing, in a real browser over the fake engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from tests.browser.page_actions import (
    ANSWERS,
    DESK,
    PHONE,
    PLOT,
    QUESTIONS,
    STATE,
    choose,
    expect_choice,
    expect_model,
    expect_text,
    expect_value,
    idle,
    open_advanced,
    settle,
    table,
    values,
    wait_gone,
    wait_text,
    wait_values,
)

pytestmark = pytest.mark.browser


def test_the_article_stands_there_before_anything_is_touched(open_page):
    page = open_page()
    assert page.input_value(QUESTIONS).split("\n") == ["Where is the headquarter of OpenAI?", "What is GPU?"]
    rows = table(page)
    assert rows[1][0] == "Q1 Where is the headquarter of OpenAI?"
    assert rows[0][1] == "A1 OpenAI is based at San Francisco."
    assert len(values(page)) == 4
    expect_text(page, "#verdict", "AUC")
    expect_text(page, "#metrics", "of 2")
    expect(page.locator(".line-numbers [data-number=A2]")).to_have_count(1)


def test_keys_backspace_paste_and_an_input_method_all_count(open_page):
    page = open_page()
    page.click(QUESTIONS)
    page.keyboard.press("Control+End")
    page.keyboard.type("\nWho wrote it?")
    wait_text(page, "Q3 Who wrote it?")
    for _ in range(len(" wrote it?")):
        page.keyboard.press("Backspace")
    wait_text(page, "Q3 Who")
    wait_gone(page, "wrote it")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("() => navigator.clipboard.writeText(' pasted this')")
    method = page.context.new_cdp_session(page)
    key = {"type": "rawKeyDown", "key": "v", "code": "KeyV", "windowsVirtualKeyCode": 86, "modifiers": 2}
    method.send("Input.dispatchKeyEvent", {**key, "commands": ["paste"]})
    wait_text(page, "Q3 Who pasted this")
    page.keyboard.press("Enter")
    for text in ("ㅎ", "하", "한"):
        method.send("Input.imeSetComposition", {"text": text, "selectionStart": 1, "selectionEnd": 1})
    wait_text(page, "Q4 한")
    method.send("Input.insertText", {"text": "한국의 수도는?"})
    wait_text(page, "Q4 한국의 수도는?")


def test_every_choice_of_the_reading_changes_the_numbers(open_page):
    page = open_page()
    before = values(page)
    choose(page, "prompt", "plain")
    wait_values(page, before)
    expect_text(page, "#prompt-note", "special tokens")
    before = values(page)
    choose(page, "pooling", "weighted_mean")
    wait_values(page, before)
    expect_text(page, "#pooling-note", "SGPT")
    before = values(page)
    page.fill("#layer input[type=number]", "12")
    page.keyboard.press("Enter")
    wait_values(page, before)
    page.wait_for_function("() => document.querySelector('#layer-note').textContent.includes('Layer 12 of 30')")
    before = values(page)
    choose(page, "model", "all-MiniLM")
    wait_values(page, before)
    settle(page)
    expect_choice(page, "pooling", "mean")
    expect_value(page, "#layer input[type=number]", "6")
    expect_text(page, "#model-note", "Encoder")
    expect_choice(page, "prompt", "plain")


def test_the_scale_changes_colours_and_no_number(open_page, engine):
    page = open_page()
    shown, computed = values(page), engine.embedded_texts
    for label, low, high in (("fixed", ".00", "1.00"), ("per question", "row's lowest", "row's highest")):
        page.click(f"#scale label:has-text('{label}')")
        page.wait_for_function("(low) => document.querySelector('.hm-low').textContent === low", arg=low)
        expect(page.locator(".hm-high").first).to_have_text(high, use_inner_text=True)
        assert values(page) == shown
    assert engine.embedded_texts >= computed


def test_zoom_and_the_plot_node_outlive_an_edit(open_page):
    page = open_page()
    plot = page.query_selector(PLOT)
    box = page.query_selector(f"{PLOT} .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 130, box["y"] + 130, steps=4)
    page.mouse.up()
    page.wait_for_selector(".hm-reset:visible")
    zoomed = page.evaluate("(plot) => plot.layout.xaxis.range.slice()", plot)
    assert zoomed[1] - zoomed[0] < 1.9
    page.fill(QUESTIONS, "Where is OpenAI now?\nWhat is GPU?")
    wait_text(page, "Q1 Where is OpenAI now?")
    assert page.evaluate("(plot) => plot === document.querySelector('#heatmap .js-plotly-plot')", plot)
    assert page.evaluate("(plot) => plot.layout.xaxis.range.slice()", plot) == zoomed
    page.click(".hm-reset")
    page.wait_for_function("(plot) => plot.layout.xaxis.range[1] > 1.4", arg=plot)
    page.fill(QUESTIONS, "one?\ntwo?\nthree?")
    wait_text(page, "Q3 three?")
    assert page.evaluate("(plot) => plot.layout.yaxis.range[0]", plot) == pytest.approx(2.5)


def test_an_unavailable_model_says_why_and_changes_nothing(open_page):
    page = open_page()
    page.fill(QUESTIONS, "My own question?")
    wait_text(page, "Q1 My own question?")
    before = values(page)
    open_advanced(page)
    page.click("#model-note summary")
    expect_text(page, "#model-note .unavailable", "Mistral-7B-Instruct-v0.1: needs 16.2 GiB")
    page.fill("#model input", "mistral-7b-instruct-v0.1")
    page.keyboard.press("Enter")
    page.wait_for_selector("#model-note [role=alert]")
    expect_text(page, "#model-note", "16.2 GiB")
    expect_model(page, "SmolLM2")
    expect_choice(page, "pooling", "last_token_logits")
    assert (values(page), page.input_value(QUESTIONS)) == (before, "My own question?")
    assert page.query_selector(STATE.format("ready"))


def test_a_typed_model_that_does_not_exist_says_so(open_page):
    page = open_page()
    open_advanced(page)
    page.click("#model input")
    page.fill("#model input", "qwen/<b>qwen9</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector("#model-note [role=alert]")
    expect_text(page, "#model-note", "“qwen/<b>qwen9</b>” was not found")
    expect_model(page, "SmolLM2")
    settle(page)


def test_loading_dims_the_old_heatmap_and_another_choice_works_at_once(open_page, engine):
    page = open_page()
    before = values(page)
    engine.load_seconds = 5  # longer than this test looks for the old model
    choose(page, "model", "Gemma 3 270M")
    page.wait_for_selector(STATE.format("loading"))
    page.wait_for_selector(".hm-bar:visible")
    expect_text(page, ".hm-wait-text", "Gemma 3 270M is being loaded")
    page.wait_for_function("() => getComputedStyle(document.querySelector('.hm-stage')).opacity < 0.5")
    assert values(page) == before
    choose(page, "model", "SmolLM2")
    page.wait_for_selector(STATE.format("ready"), timeout=3000)
    assert values(page) == before
    expect(page.locator(".hm-bar:visible")).to_have_count(0)
    engine.load_seconds = 0


def test_a_model_that_cannot_be_fetched_gives_the_old_one_back(serve, open_page):
    engine = FakeEngine(load_seconds=0.6)
    page = open_page(serve(engine))
    before = values(page)
    choose(page, "model", "GPT-2")
    page.wait_for_selector(STATE.format("loading"))
    page.wait_for_selector("#model-note [role=alert]")
    expect_text(page, "#model-note", "The Hub cannot be reached")
    settle(page)
    expect_model(page, "SmolLM2")
    assert values(page) == before


def test_a_refused_reading_offers_another(open_page):
    page = open_page()
    choose(page, "model", "all-MiniLM")
    expect_choice(page, "pooling", "mean")
    settle(page)
    choose(page, "pooling", "last_token_logits")
    page.wait_for_selector(STATE.format("stale"))
    expect_text(page, "#pooling-note [role=alert]", "no LM head")
    page.click("#pooling-note button")
    page.wait_for_selector(STATE.format("ready"))
    expect_choice(page, "pooling", "last_token")
    expect(page.locator("#pooling-note [role=alert]")).to_have_count(0)


def test_the_last_edit_wins(serve, open_page):
    engine = FakeEngine(seconds_per_text=0.08)
    page = open_page(serve(engine))
    page.click(QUESTIONS)
    page.keyboard.press("Control+A")
    page.keyboard.type("How many letters does this question have when somebody types it?", delay=12)
    wait_text(page, "Q1 How many letters does this question have when somebody types it?")
    idle(page)
    rows = table(page)
    assert rows[1][0] == "Q1 How many letters does this question have when somebody types it?"
    assert len(rows) == 2
    expect(page.locator("#heatmap .hm").first).to_have_attribute("data-state", "ready")


def test_html_is_text(open_page):
    page = open_page()
    nasty = "<img src=x onerror='window.hacked=1'><script>window.hacked=1</script>${window.hacked=1}{{value}} <b>x</b>"
    page.fill(QUESTIONS, nasty)
    wait_text(page, nasty)
    settle(page)  # a picture that is drawn anew under a mouse that rests does not notice it
    page.hover(f"{PLOT} .nsewdrag", position={"x": 30, "y": 30})
    expect_text(page, ".hm-tip", nasty)
    page.click("#matches-fold > button")
    page.fill("#matches input, #matches textarea", "<img src=x onerror='window.hacked=1'>")
    page.wait_for_selector("#matches-note [role=alert]")
    assert page.evaluate("() => window.hacked") is None
    expect(page.locator("#bench img")).to_have_count(0)


def test_an_empty_box_and_too_many_lines_say_so_beside_the_box(open_page):
    page = open_page()
    page.fill(ANSWERS, "")
    page.wait_for_selector("#answers-note [role=alert]")
    expect(page.locator("#heatmap .hm").first).to_have_attribute("data-state", "empty")
    assert page.input_value(QUESTIONS).startswith("Where is")
    lines = "\n".join(f"line {i}" for i in range(51))
    page.fill(ANSWERS, lines)
    page.wait_for_function("() => document.querySelector('#answers-note').textContent.includes('51 answers')")
    expect_value(page, ANSWERS, lines)
    page.fill(ANSWERS, "A chip.")
    page.wait_for_selector(STATE.format("ready"))
    expect(page.locator("#answers-note [role=alert]")).to_have_count(0)


def test_an_example_set_fills_the_boxes(open_page):
    page = open_page()
    choose(page, "examples", "Meaning against shared words")
    wait_text(page, "Q6 ")
    wait_text(page, "A12 ")
    expect_text(page, "#examples-note", "share almost no words")


def test_the_keyboard_reads_the_cells(open_page):
    page = open_page()
    page.focus("#heatmap .hm-plot")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    said = page.inner_text("#heatmap .hm-live")
    assert said.startswith("Question 2: What is GPU?. Answer 2: A graphics")
    assert "belong together" in said
    expect(page.locator(".hm-cursor:visible")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".hm-tip:visible")).to_have_count(0)


@pytest.mark.parametrize("how", [{"locale": "ko-KR"}, {"address": "?lang=ko"}])
def test_korean(open_page, how):
    page = open_page(**how)
    page.wait_for_function("() => document.querySelector('#questions').textContent.includes('질문')")
    expect_text(page, "#verdict", "맞는 쌍")
    open_advanced(page)
    expect_text(page, "#pooling-note", "다음에 할 말")
    page.fill(ANSWERS, "")
    page.wait_for_selector("#answers-note [role=alert]")
    expect_text(page, "#answers-note", "적어 주세요")


def test_dark_mode_follows_the_system(open_page):
    page = open_page()
    paint = "() => getComputedStyle(document.body).backgroundColor"
    ink = "() => document.querySelector('#heatmap .ytick text').style.fill"
    light = page.evaluate(paint), page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    page.reload()
    page.wait_for_selector(STATE.format("ready"))
    assert all(before != now for before, now in zip(light, (page.evaluate(paint), page.evaluate(ink)), strict=True))


@pytest.mark.parametrize("device", [PHONE, DESK], ids=["phone", "desk"])
def test_no_width_scrolls_sideways(open_page, device):
    page, phone = open_page(**device), device is PHONE
    fits = "() => document.documentElement.scrollWidth <= innerWidth"
    for width in (390, 360) if phone else (1280,):
        page.set_viewport_size({"width": width, "height": 844})
        idle(page)
        assert page.evaluate(fits)
        heatmap, verdict = page.query_selector(PLOT).bounding_box(), page.query_selector(".verdict").bounding_box()
        assert verdict["y"] + verdict["height"] <= heatmap["y"] + 1 < 844
        assert page.is_visible(QUESTIONS) is not phone
        assert heatmap["width"] > width * 0.8 or not phone
    if phone:
        page.click("#reading .fold-head")
        page.wait_for_selector("#pooling input:visible")
        page.click("#texts .fold-head", force=True)
        page.wait_for_selector(f"{QUESTIONS}:visible")
        assert page.evaluate(fits)


def test_a_button_computes_where_typing_does_not(serve, open_page):
    page = open_page(serve(FakeEngine(), live=False))
    page.fill(QUESTIONS, "Only when asked?")
    page.wait_for_selector("#hero[data-behind]")
    assert "Only when asked?" not in str(table(page))
    page.click("#compute")
    wait_text(page, "Q1 Only when asked?")
    expect(page.locator("#hero")).to_have_attribute("data-state", "ready")
