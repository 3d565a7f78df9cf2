"""The file tab: a file comes in, its columns are chosen, all of it is compared and looked at, in a real browser."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import openpyxl
import pytest
from playwright.sync_api import expect

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.settings import Settings
from tests.browser.page_actions import PHONE, expect_text, expect_value, give_file
from tests.browser.page_actions import choose as choose_reading

pytestmark = pytest.mark.browser
STATE = '#file .view[data-state="{}"]'
SHAPE = '#file-matrix .mx[data-shape="{}"]'
PLOT = "#file-matrix .js-plotly-plot"
TIP = "#file-matrix .hm-tip"
NASTY = "<img src=x onerror='window.hacked=1'>"
WORDS = "river stone apple window garden paper winter silver music bread forest candle".split()


def rows(count: int) -> list[tuple[str, str]]:
    """Each question with an answer about the same two things."""
    pairs = [(a, b) for a in WORDS for b in WORDS if a != b]
    return [(f"Where is the {a} of {b} {i}?", f"The {a} and the {b} {i} are here.") for i, (a, b) in enumerate(pairs)][
        :count
    ]


def table(count: int, head: str = "question,answer") -> bytes:
    return "\n".join([head, *(",".join(row) for row in rows(count))]).encode()


def open_file(page) -> None:
    page.click("#view-file-button")
    page.wait_for_selector(STATE.format("idle"))
    page.wait_for_selector("#file-note p")


def choose(page, box: str, option: str) -> None:
    page.click(f"#page-file-{box} input")
    page.get_by_role("option", name=option, exact=True).click()


def run(page, shape: str) -> None:
    page.click("#file-run:enabled")
    page.wait_for_selector(SHAPE.format(shape), timeout=60_000)
    page.wait_for_selector(STATE.format("ready"), state="attached")
    page.wait_for_selector("#file-verdict .verdict")


def wait_plan(page, text: str) -> None:
    page.wait_for_function("(text) => document.querySelector('#file-plan').textContent.includes(text)", arg=text)


def seen_range(page) -> list[float]:
    return page.evaluate(f"() => document.querySelector('{PLOT}').layout.xaxis.range")


def values(page) -> list[str]:
    return page.evaluate(f"() => document.querySelector('{PLOT}').data[0].text")


def labels(page) -> list[str]:
    return page.evaluate(f"() => document.querySelector('{PLOT}').layout.yaxis.ticktext")


def place(page) -> dict[str, float]:
    """Where the picture is on the screen, with nothing over it."""
    page.locator(PLOT).evaluate("(node) => node.scrollIntoView({ block: 'center' })")
    return page.locator(f"{PLOT} image").bounding_box()


def hover(page, x: float, y: float) -> str:
    """What the tip says at a place of the picture, from 0 to 1."""
    box = place(page)
    page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
    page.wait_for_selector(TIP)
    return page.inner_text(TIP)


def test_from_a_file_to_a_picture_its_figures_and_what_was_missed(small, open_page):
    page = open_page(small)
    open_file(page)
    expect(page.locator("#file-run")).to_be_disabled()
    expect_text(page, "#file-note", "1,000 different questions")
    give_file(page, table(40))
    wait_plan(page, "40 questions × 40 answers = 1,600 cosines; right pairs: 40.")
    expect_text(page, "#file-plan", "all-MiniLM-L6-v2 · ")
    page.click("#page-file-fold > button")
    expect(page.locator("#page-file-preview tbody tr")).to_have_count(3)
    expect_value(page, "#page-file-question input", "question")
    run(page, "40x40")
    assert re.search(r"\d+ of 40", page.inner_text("#file-found dd >> nth=0"))
    expect_text(page, "#file-auc", "95 %: ")
    assert page.locator("#file-worst tbody tr").count() <= 10
    said = hover(page, 0.5 / 40, 0.5 / 40)
    assert re.search(r"cosine \.\d{4} · belong together", said)
    assert f"Q1 {rows(1)[0][0]}" in said
    assert f"A1 {rows(1)[0][1]}" in said
    other = hover(page, 3.5 / 40, 0.5 / 40)
    assert f"A4 {rows(4)[3][1]}" in other
    assert "belong together" not in other
    sides = zip(*rows(40), strict=True)
    expected = Lab(Settings(engine="fake", model="all-minilm-l6-v2"), FakeEngine()).compare(*sides)
    sign, cosine = re.search(r"cosine (−?)(\.\d{4})", other).groups()
    assert float(sign.replace("−", "-") + cosine) == pytest.approx(expected.similarity[0, 3], abs=6e-5)
    page.click("#file-best summary")
    page.wait_for_selector("#file-best tbody tr >> nth=39")
    expect(page.locator("#file-matrix .mx-plot").first).to_have_attribute("aria-label", re.compile("cosines from"))


def test_columns_are_chosen_by_hand(small, open_page):
    page = open_page(small)
    open_file(page)
    lines = ["nr,frage,antwort,passt"] + [f"{i},{q},{a},{i % 2}" for i, (q, a) in enumerate(rows(6))]
    give_file(page, "\n".join(lines).encode())
    wait_plan(page, "right pairs: 3.")  # a column of ones and zeros is the label, whatever its name
    page.click("#page-file-fold > button")
    expect_value(page, "#page-file-question input", "frage")
    choose(page, "label", "each row is a right pair")
    wait_plan(page, "right pairs: 6.")
    choose(page, "label", "by “passt” (1 or 0)")
    wait_plan(page, "right pairs: 3.")
    expect(page.locator("#page-file-preview th.chosen:last-child small").first).to_have_text(
        "label", use_inner_text=True
    )
    choose(page, "label", "not known")
    wait_plan(page, "right pairs: 0.")
    choose(page, "question", "antwort")
    page.wait_for_selector("#file-note [role=alert]:has-text('same column')")
    page.wait_for_selector("#file-run:disabled")
    choose(page, "answer", "frage")
    page.wait_for_selector("#file-run:enabled")
    page.click("#page-file-named input")
    wait_plan(page, "7 questions × 7 answers")
    expect_value(page, "#page-file-question input", "column 2")


def test_progress_a_part_of_the_picture_and_stop(serve, open_page):
    engine = FakeEngine(seconds_per_text=0.02)
    page = open_page(serve(engine))
    open_file(page)
    many = [(f"{q} {turn}", f"{a} {turn}") for turn in range(8) for q, a in rows(132)][:1000]
    give_file(page, json.dumps([{"q": q, "a": a} for q, a in many]).encode(), "set.json")
    page.click("#file-run:enabled")
    page.wait_for_selector("#file .view-note:has-text('of 2,000 texts')")
    page.wait_for_selector("#file [aria-valuenow]")
    page.wait_for_selector("#file-matrix .mx[data-shape]:has(.js-plotly-plot)")
    expect(page.locator("#file-run")).to_be_disabled()
    page.click("#file-stop")
    page.wait_for_selector("#file .view-note:has-text('Stopped. The picture shows the first')", timeout=30_000)
    page.wait_for_selector("#file-run:enabled")
    expect(page.locator("#file-stop")).to_be_hidden()
    expect(page.locator("#file-verdict")).to_be_hidden()
    engine.seconds_per_text = 0.0


def test_another_order_and_a_zoom_that_shows_the_values(small, open_page):
    page = open_page(small)
    open_file(page)
    give_file(page, table(120))
    run(page, "120x120")
    assert labels(page)[0] == "Q1"
    assert values(page) == [], "cells are too small for numbers"
    seq = page.get_attribute("#file-matrix .mx", "data-seq")
    page.click("#file-order label:has-text('clustered')")
    page.wait_for_selector(f'#file-matrix .mx:not([data-seq="{seq}"])')
    order = labels(page)
    assert order != sorted(order, key=lambda label: int(label[1:])), "not as given"
    for _ in range(4):
        before = seen_range(page)
        page.click("#file-matrix .mx-in")
        page.wait_for_function(
            f"(before) => document.querySelector('{PLOT}').layout.xaxis.range[0] !== before", arg=before[0]
        )
    numbers = values(page)
    assert len(numbers) > 20
    assert all(re.fullmatch(r"−?(\.\d\d|1\.00)", number) for number in numbers)
    shown = hover(page, 0.5, 0.5) if page.is_visible(f"{PLOT} .textpoint >> nth=0") else ""
    assert shown
    page.click("#file-matrix .mx-whole")
    page.wait_for_function(f"() => document.querySelector('{PLOT}').layout.xaxis.range[0] === -0.5")
    assert values(page) == []
    page.click("#file-matrix .mx-marks")
    page.wait_for_function(f"() => document.querySelector('{PLOT}').layout.shapes.length === 0")


def test_dragging_zooms_and_the_keyboard_reads_cell_by_cell(small, open_page):
    page = open_page(small)
    open_file(page)
    give_file(page, table(60))
    run(page, "60x60")
    box = place(page)
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, box["y"] + 200, steps=6)
    page.mouse.up()
    page.wait_for_function(f"() => document.querySelector('{PLOT}').layout.xaxis.range[0] > 1")
    page.wait_for_timeout(500)  # a person's pause: what comes sooner counts as the drag's second click
    page.locator("#file-matrix .mx-plot").dblclick(position={"x": 300, "y": 200})
    page.wait_for_function(f"() => document.querySelector('{PLOT}').layout.xaxis.range[0] === -0.5")
    page.mouse.move(5, 5)
    page.focus("#file-matrix .mx-plot")
    for key in ("Escape", "ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    page.wait_for_selector(f"{TIP}:has-text('Q2')")
    expect_text(page, TIP, "A2")
    expect(page.locator("#file-matrix .hm-live").first).to_contain_text("Q2: ")
    page.keyboard.press("+")
    page.wait_for_function(f"() => document.querySelector('{PLOT}').layout.xaxis.range[1] < 59")
    page.keyboard.press("Escape")
    page.wait_for_selector(TIP, state="hidden")


def test_a_bad_file_says_why_and_keeps_the_last_picture(small, open_page):
    page = open_page(small)
    open_file(page)
    give_file(page, f"question,answer\n{NASTY},One.\nTwo?,Two {NASTY}.\n".encode(), f"{NASTY}.csv")
    run(page, "2x2")
    assert NASTY in hover(page, 0.25, 0.25)
    for content, name, why in (
        (b"PK\x03\x04", "set.xlsx", "The file is a ZIP archive, not a table."),
        (b"q,a\ncaf\xe9,y", "set.csv", "not UTF-8"),
        (b"[" * 50_000, "set.json", "nested too deeply"),
        (b"x" * (4 * 2**20 + 1), "set.csv", "At most 4 MiB"),
    ):
        give_file(page, content, name)
        page.wait_for_selector(f"#page-file-note [role=alert]:has-text('{why}')")
    assert page.locator(SHAPE.format("2x2")).is_visible()
    expect_text(page, "#page-file-note", "The file before it stays.")
    expect(page.locator("#view-file img")).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None


def test_another_reading_is_told_and_the_files_can_be_taken_home(small, open_page):
    page = open_page(small)
    open_file(page)
    give_file(page, table(20))
    run(page, "20x20")
    with page.expect_download() as taken:
        page.click("#file-csv")
    assert taken.value.suggested_filename == "similarity.csv"
    with page.expect_download() as taken:
        page.click("#file-npz")
    with np.load(io.BytesIO(open(taken.value.path(), "rb").read())) as loaded:
        assert loaded["questions"].shape == (20, 96)
    choose_reading(page, "pooling", "max")
    page.locator("#file-plan").scroll_into_view_if_needed()  # a view asks once it is looked at
    page.wait_for_selector("#file .view-note:has-text('reading has changed')")
    wait_plan(page, "· max ·")
    page.click("#file-run:enabled")
    page.wait_for_selector("#file-verdict:has-text('· max ·')", timeout=30_000)
    page.wait_for_selector(STATE.format("ready"), state="attached")


def test_on_a_phone_in_korean_nothing_scrolls_sideways(small, open_page):
    page = open_page(small + "?lang=ko", **{**PHONE, "width": 360})
    open_file(page)
    expect(page.locator("#view-file-button")).to_have_text("내 파일", use_inner_text=True)
    expect(page.locator("#file-open")).to_have_text("파일 고르기", use_inner_text=True)
    give_file(page, table(120))
    wait_plan(page, "질문 120개 × 답 120개")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    run(page, "120x120")
    expect_text(page, "#file-facts", "120개 중")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    box = place(page)
    page.touchscreen.tap(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.wait_for_selector(f"{TIP}:has-text('코사인')")
    for _ in range(4):
        before = seen_range(page)
        page.tap("#file-matrix .mx-in")
        page.wait_for_function(
            f"(before) => document.querySelector('{PLOT}').layout.xaxis.range[0] !== before", arg=before[0]
        )
    page.wait_for_function(f"() => document.querySelector('{PLOT}').data[0].text.length > 10")
    low, high = seen_range(page)
    assert low < 60 < high, "nearer around the cell that was tapped"
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_a_large_workbook_is_read_in_part_and_a_picture_is_named(small, open_page):
    page = open_page(small)
    book = openpyxl.Workbook()
    book.active.append(["nr", "prompt", "completion", "similar"])
    for i in range(1_003):
        book.active.append([i, f"What is thing {i}?", f"Thing {i} is here.", i % 5 > 0])
    file = io.BytesIO()
    book.save(file)
    open_file(page)
    expect(page.locator("#page-file-take")).to_be_hidden()
    give_file(page, file.getvalue(), "faq.xlsx")
    expect_text(page, "#file-note", "Of 1,003 questions 1,000 are taken, the first ones.")
    wait_plan(page, "right pairs: 800.")
    page.locator("#page-file-take").get_by_text("questions drawn at random").click()
    expect_text(page, "#file-note", "drawn at random.")
    give_file(page, b"\x89PNG\r\n\x1a\n" + bytes(40), "faq.csv")
    expect_text(page, "#page-file-note", "The file is a PNG picture, not a table.")
