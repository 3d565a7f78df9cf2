"""The Benchmark tab: rows and a plot as they come, Stop, another order, Korean, a phone. Over the fake engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from demo.backend import fake
from tests.browser.page_actions import expect_text

pytestmark = pytest.mark.browser
STATE = '#benchmark .view[data-state="{}"]'
ROWS = "#benchmark-board tbody tr"
PLOT = "#benchmark .js-plotly-plot"


def open_benchmark(page, subject: str = "Astronomy, Korean") -> None:
    page.click("#view-benchmark-button")
    page.wait_for_selector(STATE.format("idle"))
    page.click("#benchmark-set input")
    page.click(f"[role=option]:has-text('{subject}')")


def run(page) -> None:
    page.click("#benchmark-run")
    page.wait_for_selector(STATE.format("ready"), timeout=60_000)
    page.wait_for_selector(PLOT)


def first_row(page) -> str:
    return page.inner_text(f"{ROWS}:not(.benchmark-floor) >> nth=0")


def test_rows_and_the_plot_appear_and_another_order_is_a_click(serve, open_page):
    page = open_page(serve(fake.FakeEngine()))
    expect(page.locator("#benchmark-sort")).to_be_hidden()
    open_benchmark(page)
    page.click("#benchmark-models-note summary:has-text('2 more cannot run here')")
    expect_text(page, "#benchmark-models-note", "e5-mistral-7b-instruct: needs 16.2 GiB")
    run(page)
    expect(page.locator(ROWS)).to_have_count(6)
    expect_text(page, ".benchmark-floor", "Word overlap, no model")
    assert page.evaluate("(plot) => document.querySelector(plot).data.length", PLOT) == 4
    page.click("#benchmark-sort label:has-text('Texts/s')")
    page.wait_for_selector("#benchmark-board th[aria-sort]:has-text('Texts/s')")
    speeds = [
        float(cell.split()[0].replace(",", "")) for cell in page.locator(".benchmark-speed").all_inner_texts()[:-1]
    ]
    assert speeds == sorted(speeds, reverse=True)
    assert page.locator(ROWS).last.get_attribute("class") == "benchmark-floor", "it has no speed"
    page.click(f"{ROWS} summary >> nth=0")
    assert "the fake engine" in first_row(page)
    with page.expect_download() as download:
        page.click("#benchmark-board a")
    assert download.value.suggested_filename == "benchmark-astronomy-ko.csv"
    page.uncheck("#benchmark-models label:has-text('all-MiniLM-L6-v2') input")
    page.wait_for_function("(rows) => document.querySelectorAll(rows).length === 5", arg=ROWS)


def test_stop_keeps_what_was_reached(serve, open_page):
    engine = fake.FakeEngine(seconds_per_text=0.002)
    page = open_page(serve(engine))
    open_benchmark(page)
    page.click("#benchmark-run")
    page.wait_for_selector(STATE.format("running"))
    expect(page.locator("#benchmark-run")).to_be_disabled()
    page.wait_for_selector(ROWS, timeout=30_000)
    page.click("#benchmark-stop")
    page.wait_for_selector(STATE.format("ready"), timeout=30_000)
    expect_text(page, "#benchmark .view-note", "Stopped.")
    assert 2 <= page.locator(ROWS).count() < 6
    page.wait_for_selector("#benchmark-stop", state="hidden")
