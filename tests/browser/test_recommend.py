"""Recommend in a real browser: the whole road from a workbook to the script, over a planted reading."""

from __future__ import annotations

import io
import re
import threading

import openpyxl
import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from tests.browser.page_actions import ANSWERS, QUESTIONS, expect_model, expect_text, give_file, settle
from tests.planted import MODELS, PLANTED, Planted, pairs, try_two_prompts

pytestmark = pytest.mark.browser
STATE = '#recommend .view[data-state="{}"]'
TAB = "#view-recommend-button"
MOST_CLICKS = 9


class TwoModels(Planted):
    """A planted reading among those of two models. gate: while it is closed, no text is read."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def models(self):
        return [status for status in FakeEngine.models(self) if status.model in MODELS]

    def survey(self, texts, reading, poolings):
        if self.surveys:  # the first one goes through: there is something to be shown
            self.gate.wait(60)
        return super().survey(texts, reading, poolings)


@pytest.fixture(scope="module")
def engine():
    engine = TwoModels()
    for model in MODELS:
        engine.load(model)
    return engine


@pytest.fixture(scope="module")
def address(engine, serve):
    with pytest.MonkeyPatch.context() as patch:
        try_two_prompts(patch)
        yield serve(engine, model=MODELS[1])


def workbook(count: int) -> bytes:
    """A row a pair, as a spreadsheet keeps them."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.append(("question", "answer"))
    texts = pairs(count)
    for row in zip(texts.questions, texts.answers, strict=True):
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def type_pairs(page, count: int) -> None:
    texts = pairs(count)
    page.fill(QUESTIONS, "\n".join(texts.questions))
    page.fill(ANSWERS, "\n".join(texts.answers))
    settle(page)


def test_from_a_workbook_to_the_script_in_nine_clicks(address, open_page):
    page = open_page(address)
    typed = page.input_value(QUESTIONS)
    clicks = []

    def click(selector: str) -> None:
        clicks.append(selector)
        page.click(selector)

    clicks.append("a file is dropped")
    give_file(page, workbook(60), "faq.xlsx")
    expect_text(page, "#page-file-said", "faq.xlsx · 60 rows")
    click(TAB)
    expect_text(page, "#recommend-source-note", "questions 60")
    click("#recommend-run")
    page.wait_for_selector(STATE.format("ready"), timeout=90_000)
    expect_text(page, "#recommend-verdict .verdict", "SmolLM2-135M-Instruct · prompteol · mean")
    expect_text(page, "#recommend-verdict .verdict", "finds 30 of 30")
    expect_text(page, "#recommend-verdict .verdict", "the first is better on 30 questions that chose nothing")
    page.wait_for_selector("#recommend [data-figure=recommend-cost] .js-plotly-plot")

    click("#recommend-verdict .recommend-use")
    expect(page.locator("#recommend-verdict .recommend-use")).to_have_text("In use")
    expect_model(page, "SmolLM2-135M-Instruct")
    expect(page.locator("#pooling input")).to_have_value(re.compile(PLANTED[2].value))
    expect(page.locator("#recommend-board .recommend-use:disabled")).to_have_count(1)
    assert page.input_value(QUESTIONS) == typed, "the texts stay"

    click("#recommend-verdict .recommend-compare")
    page.wait_for_selector('#compare .view[data-state="ready"]')
    expect_text(page, "#compare-note-a", "prompteol · mean")
    expect_text(page, "#compare-note-b", "all-MiniLM-L6-v2")
    expect_text(page, "#compare-note-c", "SmolLM2-135M-Instruct")

    click(TAB)
    click("#recommend-verdict .recommend-take")
    page.wait_for_selector(".takehome-code:not(:empty)")
    script = page.inner_text(".takehome-code")
    compile(script, "reading.py", "exec")
    assert pairs(60).questions[49] in script, "its own texts, fifty of them"
    expect_text(page, ".takehome-note", "the first 50 questions and answers")
    assert len(clicks) <= MOST_CLICKS, clicks


def test_from_your_file_one_click_starts_it_on_the_file(address, open_page):
    page = open_page(address)
    give_file(page, workbook(20), "faq.xlsx")
    page.click("#view-file-button")
    page.click("#file-recommend")
    page.wait_for_selector(STATE.format("ready"), timeout=90_000)
    expect(page.locator("#recommend-source input[value=file]")).to_be_checked()
    expect_text(page, "#recommend-verdict .verdict", "finds 10 of 10")


def test_over_the_heatmap_one_click_starts_it_and_a_reload_finds_it(address, engine, open_page):
    page = open_page(address)
    type_pairs(page, 20)
    engine.surveys.clear()
    engine.gate.clear()
    page.click("#recipes [data-recommend]")
    page.wait_for_selector("#recommend-board tbody tr")
    expect_text(page, "#recommend .view-note", "Trying ")
    expect(page.locator("#recommend-run")).to_be_disabled()
    assert "tab=recommend" in page.url
    page.reload()
    page.wait_for_selector(STATE.format("running"))
    expect_text(page, "#recommend-board caption", "untested")
    expect(page.locator("#recommend-stop")).to_be_visible()
    engine.gate.set()
    page.wait_for_selector(STATE.format("ready"), timeout=90_000)
    expect_text(page, "#recommend-verdict .verdict", "finds 10 of 10")
    page.fill(QUESTIONS, "Something else?")
    page.wait_for_selector(STATE.format("stale"))
    expect_text(page, "#recommend .view-note", "texts have changed")


def test_stop_keeps_what_it_has_reached_and_one_alone_is_not_compared(address, engine, open_page):
    page = open_page(f"{address}?lang=ko")
    type_pairs(page, 20)
    engine.surveys.clear()
    engine.gate.clear()
    page.click("#recipes [data-recommend]")
    page.wait_for_selector("#recommend-board tbody tr")
    page.click("#recommend-stop")
    expect_text(page, "#recommend .view-note", "이 단계까지만")
    engine.gate.set()
    expect_text(page, "#recommend .view-note", "아직 확인하지 않았어요")
    expect(page.locator("#recommend-verdict")).to_have_text("")
    page.click("#recommend-run")
    page.wait_for_selector(STATE.format("ready") + " .view-figure", timeout=90_000)
    ticks = page.locator("#recommend-board input")
    expect(ticks).to_have_count(3)
    for tick in ticks.all()[1:]:
        tick.uncheck()
    expect(page.locator("#recommend-board .recommend-compare")).to_be_disabled()
