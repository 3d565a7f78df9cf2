"""The fold that saves: one page, each kind once, and what was saved is opened from disk in a real browser."""

from __future__ import annotations

import csv
import json
from xml.etree import ElementTree

import numpy as np
import pytest
from playwright.sync_api import expect
from safetensors import safe_open

from demo.export.report import FIGURE_JS
from tests.browser.page_actions import PLOT

pytestmark = pytest.mark.browser
QUESTIONS = ["What is GPU?", "<img src=x onerror=window.hacked=1>", "</script><script>window.hacked=1</script>", "=1+1"]
ANSWERS = ["A graphics processor.", "<!--<script>", "<a href='javascript:window.hacked=1'>x</a>"]
SVG = "{http://www.w3.org/2000/svg}"
KINDS = ("png", "svg", "report", "html", "csv", "npz", "safetensors")


@pytest.fixture
def fill(open_page):
    """Opens a page with texts that would be markup in its boxes, once they are drawn; the fold is open."""
    page = open_page()
    page.fill("#questions textarea", "\n".join(QUESTIONS))
    page.fill("#answers textarea", "\n".join(ANSWERS))
    page.wait_for_function(f"() => document.querySelector('{PLOT}').data[0].z.length === {len(QUESTIONS)}")
    page.wait_for_function(f"() => document.querySelector('{PLOT}').data[0].z[0].length === {len(ANSWERS)}")
    page.wait_for_selector('#heatmap .hm[data-state="ready"]')
    page.click("#save > button")
    page.wait_for_selector("#save-note .hint:has-text('heatmap shows now')")
    return page


def test_each_kind_is_saved_once_and_says_the_same(fill, browser, tmp_path):
    page = fill
    files = {}
    for kind in KINDS:
        with page.expect_download() as taken:
            page.click(f"#save-{kind}")
        files[kind] = tmp_path / taken.value.suggested_filename
        taken.value.save_as(files[kind])
    expect(page.locator("#save-note .alert:visible")).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None
    shown = np.array(page.evaluate(f"() => document.querySelector('{PLOT}').data[0].z"))

    with files["csv"].open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[1:4] == ANSWERS
    assert [row[0] for row in rows] == [*QUESTIONS[:3], "'=1+1"]
    np.testing.assert_allclose([[float(cell) for cell in row[1:4]] for row in rows], shown, atol=1e-6)
    with np.load(files["npz"]) as arrays, safe_open(files["safetensors"], "np") as tensors:
        assert json.loads(tensors.metadata()["metadata"])["questions"] == QUESTIONS
        np.testing.assert_array_equal(tensors.get_tensor("answers"), arrays["answers"])

    assert files["png"].read_bytes().startswith(b"\x89PNG")
    width, height = (int.from_bytes(files["png"].read_bytes()[at : at + 4], "big") for at in (16, 20))
    assert (width, height) > (1280, 600), "sharp"
    picture = ElementTree.parse(files["svg"]).getroot()
    written = " ".join("".join(node.itertext()) for node in picture.iter(f"{SVG}text"))
    for words in ("Cosine similarity of questions and answers", "SmolLM2-135M-Instruct", "<img src=x onerror="):
        assert words in written
    tags = {node.tag for node in picture.iter()}
    assert all(tag.startswith(SVG) for tag in tags)
    assert not {f"{SVG}script", f"{SVG}foreignObject", f"{SVG}a"} & tags
    assert not any(name.lower().startswith("on") for node in picture.iter() for name in node.attrib)

    read_saved_page(browser, files["html"], shown)
    read_saved_page(browser, files["report"], shown)
    look_at(browser, files["svg"])


def read_saved_page(browser, file, shown) -> None:
    """It draws, reads a cell, prints its still picture, asks nothing and runs nobody's text."""
    requests, complaints = [], []
    context = browser.new_context(viewport={"width": 1100, "height": 900}, offline=True)
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-drawn]", timeout=20_000)
    page.hover("#figure .draglayer .nsewdrag", position={"x": 10, "y": 150})  # the second question's first answer
    page.wait_for_selector("#cell:has-text('Q2')")
    said = page.inner_text("#cell")
    assert QUESTIONS[1] in said
    assert ANSWERS[0] in said
    assert f"{shown[1][0]:.4f}".replace("-", "−").replace("0.", ".") in said
    expect(page.locator("h1")).to_have_count(1)
    expect(page.locator("#figure .draglayer a, #figure img, #figure script")).to_have_count(0)
    page.emulate_media(media="print")
    expect(page.locator("#still")).to_be_visible()
    expect(page.locator("#figure")).to_be_hidden()
    assert page.evaluate("() => document.querySelector('#still').naturalWidth") > 300
    assert page.evaluate("() => window.hacked") is None
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    context.close()


def look_at(browser, file) -> None:
    """An SVG of its own is a document, and could run what stands in it."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.evaluate("() => document.documentElement.nodeName") == "svg"
    assert page.evaluate("() => window.hacked") is None
    context.close()


# How many names of questions and answers a saved picture of n × n texts has, and whether one leaves it.
LABELS = """async ([script, counts]) => {
    const labelledFigure = new Function(script + "; return labelledFigure;")();
    const words = { questions: "Questions", answers: "Answers", bar: "cosine" };
    const node = document.body.appendChild(document.createElement("div"));
    const seen = [];
    for (const n of counts) {
        const texts = Array.from({ length: n }, (_, i) => `Text number ${i + 1} 그리고 몇 마디 더`);
        const values = texts.map(() => texts.map(() => 0.5));
        const figure = { data: [{ type: "heatmap", colorbar: {} }], layout: { shapes: [] } };
        const said = { figure, values, questions: texts, answers: texts, title: "", subtitle: "", words };
        await Plotly.react(node, labelledFigure(said));
        const page = node.querySelector(".main-svg").getBoundingClientRect();
        const boxes = [".xtick text", ".ytick text"].map((kind) => [...node.querySelectorAll(kind)]);
        const outside = boxes.flat().some((label) => {
            const box = label.getBoundingClientRect();
            return box.left < page.left || box.right > page.right || box.top < page.top || box.bottom > page.bottom;
        });
        seen.push([...boxes.map((labels) => labels.length), outside]);
    }
    node.remove();
    return seen;
}"""


def test_a_saved_picture_names_every_text(open_page):
    counts = [*range(1, 11), 14, 20, 30, 37, 49, 50]
    assert open_page().evaluate(LABELS, [FIGURE_JS, counts]) == [[n, n, False] for n in counts]
