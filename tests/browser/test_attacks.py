"""Attacks in a real browser: nothing that is typed, linked or uploaded runs on any tab, and a crowd waits its turn.

That the page needs nothing that its policy forbids is part of every browser test: a violation is an error in the
console, and `open_page` lets none pass.
"""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from demo.backend import fake
from tests.browser.page_actions import ANSWERS, PLOT, QUESTIONS, expect_value, give_file, open_advanced

pytestmark = pytest.mark.browser
SMALL = "all-minilm-l6-v2"
BAD = (
    "<img src=x onerror=\"window.__pwned='img'\">",
    "<svg onload=\"window.__pwned='svg'\"><script>window.__pwned='script'</script></svg>",
    '"><iframe srcdoc="<script>parent.__pwned=\'frame\'</script>"></iframe>',
    "<a class=bad href=\"javascript:window.__pwned='link'\">click</a>",
    "<style class=bad>body{display:none}</style></textarea></script></title>",
    "${window.__pwned='template'} {{constructor.constructor('window.__pwned=1')()}} %{text} {questions}",
)
INSIDE = "img[src='x'], svg[onload], iframe, a.bad, style.bad, [onerror], [onclick], [href^='javascript']"
STATE = '#{} .view[data-state="{}"]'


@pytest.fixture(scope="module")
def public(serve, tmp_path_factory) -> str:
    """A page for strangers."""
    engine = fake.FakeEngine(seconds_per_step=0.001)
    engine.load(SMALL)
    return serve(engine, model=SMALL, public=True, cache_dir=tmp_path_factory.mktemp("cache"))


def watch(page) -> list[str]:
    """What tries to run from now on."""
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.evaluate("""() => {
        window.__refused = [];
        document.addEventListener("securitypolicyviolation", (event) => window.__refused.push(event.violatedDirective));
    }""")
    return dialogs


def wait_text(page, place: str, text: str) -> None:
    script = "([place, text]) => [...document.querySelectorAll(place)].some((node) => node.textContent.includes(text))"
    page.wait_for_function(script, arg=[place, text], timeout=60_000)


def table(*head: str) -> str:
    """A CSV whose cells are all attacks."""
    quoted = [head, *((bad, f"{bad} {i}") for i, bad in enumerate(BAD))]
    return "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in quoted)


def test_nothing_that_is_typed_linked_or_uploaded_runs(public, open_page):
    linked = {"questions": "\n".join(BAD), "answers": "\n".join(BAD), "matches": BAD[0], "model": BAD[0], "tab": BAD[1]}
    page = open_page(f"{public}#{urlencode(linked)}", drawn=False)
    dialogs = watch(page)
    wait_text(page, "#heatmap", "“<img src=x")  # a sentence that quotes what was typed
    wait_text(page, "body", "The link was made with <img src=x")
    page.click("#matches-fold > button")
    page.wait_for_function("() => document.querySelector('#matches input')?.value.includes('<img')")
    page.fill("#matches input", "")
    page.wait_for_selector('#heatmap .hm[data-state="ready"]')
    page.wait_for_selector(PLOT)
    wait_text(page, f"{PLOT} .ytick", "<img src=x")

    # Every place that shows a text: tip, table, explanation, script.
    page.evaluate("() => { document.querySelector('#heatmap .hm-table').open = true; }")
    wait_text(page, "#heatmap .hm-table td, #heatmap .hm-table th", BAD[4])
    page.focus(PLOT)
    page.keyboard.press("ArrowDown")
    wait_text(page, "#heatmap .hm-tip", "<img src=x")
    page.keyboard.press("Enter")
    wait_text(page, "#explain-head", "<img src=x")
    page.wait_for_selector("#explain-body section")
    open_advanced(page)
    page.fill("#model input", BAD[0])
    page.keyboard.press("Enter")
    wait_text(page, "#model-note", "<img src=x")

    # Every tab; those that work on demand are asked to.
    names = page.evaluate("() => [...document.querySelectorAll('#views [role=tab]')].map((tab) => tab.id)")
    for name in names:
        page.click(f"#{name}")
        page.wait_for_selector(f"#{name}[aria-selected=true]")
    page.click("#view-space-button")
    page.wait_for_selector(STATE.format("space", "ready"))
    page.click("#view-compare-button")
    page.wait_for_selector(STATE.format("compare", "ready"))

    page.click("#view-file-button")
    page.wait_for_selector("#file-note p")
    give_file(page, table(BAD[0], BAD[3]), f"{BAD[0].replace('/', '')}.csv")
    page.click("#page-file-fold > button")
    wait_text(page, "#page-file-preview", BAD[3])
    page.click("#file-run:enabled")
    page.wait_for_selector(STATE.format("file", "ready"), state="attached")
    page.wait_for_selector("#file-matrix .js-plotly-plot")

    page.click("#view-sweep-button")
    page.wait_for_selector("#sweep-estimate p")
    page.click("#sweep-run")
    page.wait_for_selector(STATE.format("sweep", "ready"), timeout=60_000)

    # Pairs to train on, and their file's name: test_train.py uploads such ones.
    page.click("#view-train-button")
    page.wait_for_selector(STATE.format("train", "idle"))

    for name in ("story", "lesson", "benchmark"):  # the last takes the page's file
        page.click(f"#view-{name}-button")
        page.wait_for_selector(f"#view-{name}", state="visible")
    page.wait_for_selector("#benchmark-run:enabled")
    page.click("#benchmark-run")
    page.wait_for_selector("#benchmark .js-plotly-plot", timeout=60_000)
    expect(page.locator(INSIDE)).to_have_count(0)
    assert page.evaluate("() => window.__pwned") is None
    assert dialogs == []
    assert page.evaluate("() => window.__refused") == [], "the policy had to help out: something was not escaped"


def test_who_asks_too_fast_waits_and_loses_nothing(serve, browser):
    engine = fake.FakeEngine()
    engine.load(SMALL)
    page = browser.new_page()  # the console tells of each 429
    page.goto(serve(engine, model=SMALL, public=True, person_rate=120))
    page.wait_for_selector('#heatmap .hm[data-state="ready"]')
    page.evaluate("""() => {
        const seen = new MutationObserver(() => {
            const line = document.querySelector("#wait-line");
            if (line && !line.hidden) window.__waited = line.textContent;
        });
        seen.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
    }""")
    for count in range(40):
        page.fill(ANSWERS, f"Answer {count}.")
        if page.evaluate("() => window.__waited"):
            break
    page.fill(QUESTIONS, "The last word?")
    page.wait_for_function("() => window.__waited", timeout=30_000)
    assert "What you typed stays" in page.evaluate("() => window.__waited")
    wait_text(page, f"{PLOT} .ytick", "The last word?")
    page.wait_for_selector("#wait-line", state="hidden", timeout=30_000)
    expect_value(page, QUESTIONS, "The last word?")
    page.close()
