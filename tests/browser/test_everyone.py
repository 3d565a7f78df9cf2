"""Everyone: what axe finds on any tab, how narrow a screen may be, and the main job without a mouse. Fake engine."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser import test_benchmark, test_file, test_story, test_sweep
from tests.browser.page_actions import PHONE, give_file, idle, settle, wait_text

pytest.importorskip("axe_playwright_python", reason="axe is not installed")
from axe_playwright_python.sync_playwright import Axe

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("short_runs")]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
EVERYTHING = {
    "runOnly": {"type": "tag", "values": TAGS},
    "resultTypes": ["violations"],
    "rules": {"target-size": {"enabled": True}},  # axe leaves it out unless asked
}
# Whatever is written on the open tab by a label, a button, a heading or an axis.
WORDS = """() => [...document.querySelectorAll('#views :is(button, label, h2, h3, figcaption, .xtitle, .ytitle)')]
    .filter((node) => node.checkVisibility()).map((node) => node.textContent.trim())"""
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
NARROW = 320  # CSS pixels: WCAG 1.4.10; a window of 1280 at 400 %
FOCUS = "() => document.activeElement.id || document.activeElement.className"
# What is drawn in the open tab and lacks a title, the name of an axis, or words and a table in its place.
UNTOLD = """() => [...document.querySelectorAll('#hero .js-plotly-plot')].filter((plot) => plot.checkVisibility())
    .flatMap((plot) => {
        const figure = plot.closest('figure'), live = plot.closest('.hm, .mx');
        const name = figure ? figure.dataset.figure : live.className;
        const axes = Object.entries(plot._fullLayout).filter(([key]) => /^[xy]axis$/.test(key)).map(([, axis]) => axis);
        return [
            [plot.getAttribute('aria-label'), 'no words'],
            [live || figure.querySelector('figcaption').textContent, 'no title'],
            [live || figure.querySelector('details:not([hidden]) summary'), 'no table'],
            [live || !plot._fullLayout._has('cartesian') || axes.every((axis) => axis.title.text), 'a nameless axis'],
        ].filter(([told]) => !told).map(([, lacks]) => `${name}: ${lacks}`);
    })"""


def explain(page) -> None:
    """The heatmap with its table and a cell's explanation."""
    page.click("#heatmap .hm-table summary")
    page.focus("#heatmap .hm-plot")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#explain-body h3")


def story(page) -> None:
    test_story.wait_figures(page, "story-positions")
    test_story.go(page, "models", "story-models")


def recommend(page) -> None:
    """What it has reached before it is stopped."""
    page.click("#recommend-run")
    page.wait_for_selector("#recommend-board tbody tr", timeout=60_000)
    page.click("#recommend-stop")
    page.wait_for_selector('#recommend .view[data-state="ready"]', timeout=60_000)


def sweep(page) -> None:
    test_sweep.open_sweep(page)
    test_sweep.run(page)


def compare_file(page) -> None:
    page.wait_for_selector("#file-note p")
    give_file(page, test_file.table(6))
    test_file.run(page, "6x6")


def train(page) -> None:
    page.click("#train-run")
    page.wait_for_selector('#train .view[data-state="ready"]', timeout=60_000)
    page.wait_for_selector("#train-formula dl")


def benchmark(page) -> None:
    page.click('#benchmark-source label:has(input[value="bundled"])')  # a file is open
    page.click("#benchmark-set input")
    page.get_by_role("option").nth(2).click()
    test_benchmark.run(page)


DRAW = {"heatmap": explain, "file": compare_file} | {
    act.__name__: act for act in (story, recommend, sweep, train, benchmark)
}


def draw(page, view: str) -> None:
    """Opens a tab and brings its results; a tab that is not named above shows some by itself."""
    page.click(f"#view-{view}-button")
    if view in DRAW:
        DRAW[view](page)
    else:
        page.wait_for_selector(f"#{view} .view:is([data-state=ready], [data-state=idle])")


def find_faults(page, options: dict, place: str | None = None) -> list[str]:
    """What is serious or critical in a place, else on the whole page, as axe says it."""
    return [
        f"{fault['id']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
        for fault in Axe().run(page, context=place, options=options).response["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize(("language", "device"), [("en", {"locale": "en-US"}), ("ko", {"locale": "ko-KR", **PHONE})])
def test_every_tab_with_its_results(small, open_page, language, device):
    """Read by axe in light; in dark, where only colours differ, its colours. Then on the narrowest screen.

    In English at a desk, in Korean on a phone, where nothing that is written is left in English.
    """
    from demo.ui.kit.i18n import LOCALES, translate
    from demo.ui.page import VIEWS

    english = {said for key, said in LOCALES["en"].items() if LOCALES[language].get(key) != said}
    page = open_page(small, reduced_motion="reduce", **device)
    size = page.viewport_size
    page.wait_for_function("(language) => document.documentElement.lang === language", arg=language)
    assert page.title() == translate(language, "page.title")
    faults = []
    for view in ["heatmap", *VIEWS]:
        draw(page, view)
        place = None if view == "heatmap" else "#views"  # what stands around it is the same
        told = find_faults(page, EVERYTHING, place)
        if language == "en":
            page.emulate_media(color_scheme="dark")
            page.wait_for_function("() => document.body.classList.contains('dark')")
            told += [f"dark, {fault}" for fault in find_faults(page, COLOURS, place)]
            page.emulate_media(color_scheme="light")
        told += page.evaluate(UNTOLD)
        told += [f"in English: {word}" for word in set(page.evaluate(WORDS)) & english]
        page.set_viewport_size({"width": NARROW, "height": 800})
        idle(page)  # the pictures take their new size
        width = page.evaluate("() => document.documentElement.scrollWidth")
        told += [f"{width} wide on a screen of {NARROW}"] if width > NARROW else []
        page.set_viewport_size(size)
        faults += [f"{view}: {fault}" for fault in told]
    assert not faults, "\n".join(faults)
    display = "(rows) => getComputedStyle(document.querySelector(rows)).display"
    for rows in ("#benchmark-board tbody tr", "#story-found tbody tr"):
        assert (page.evaluate(display, rows) == "grid") == (language == "ko"), "on a phone a row is a card"


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page, target: str, back: bool = False, most: int = 60) -> int:
    """Tab until the focus is in a place; returns how often. On the way it is always somewhere, and always moves on."""
    before = None
    for count in range(1, most):
        press(page, "Shift+Tab" if back else "Tab")
        now = page.evaluate_handle("() => document.activeElement")
        lost, stuck, there = page.evaluate(
            "([now, before, target]) => [now === document.body, now === before, Boolean(now.closest(target))]",
            [now, before, target],
        )
        assert not lost, f"the focus is lost on the way to {target}"
        assert not stuck, f"Tab is trapped at {page.evaluate(FOCUS)}"
        if there:
            return count
        before = now
    raise AssertionError(f"{target} is not reached within {most} Tabs; now at {page.evaluate(FOCUS)}")


def choose(page, box: str) -> None:
    """The next option of a dropdown, by its arrow keys. Then the focus is still there."""
    tab_to(page, f"#{box}")
    before = page.input_value(f"#{box} input")
    page.wait_for_selector(f"#{box} [role=listbox], [role=option]:visible")
    press(page, "ArrowDown", "Enter")
    page.wait_for_function("([box, was]) => document.querySelector(`#${box} input`).value !== was", arg=[box, before])
    settle(page)
    page.wait_for_function(
        "(box) => document.activeElement.closest(box)", arg=f"#{box}"
    )  # after what the answer brings


def type_in(page, box: str, text: str) -> None:
    tab_to(page, f"#{box}")
    press(page, "Control+a")
    page.keyboard.type(text, delay=15)


def test_the_main_job_without_a_mouse(small, open_page):
    """Texts, reading, a cell and why, the table, the script to take home; in another tab a file, and one comes back."""
    page = open_page(small, reduced_motion="reduce")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    press(page, "Tab")
    assert page.evaluate(FOCUS) == "skip"
    assert page.evaluate("() => getComputedStyle(document.querySelector('#skip')).opacity") == "1"
    press(page, "Enter")
    page.wait_for_function("() => document.activeElement.matches('.hm-plot')")

    verdict = (
        "() => document.querySelector('#verdict .verdict').textContent === document.querySelector('#aloud').textContent"
    )
    page.wait_for_function(verdict)
    page.evaluate("""() => { window.heard = 0; new MutationObserver(() => window.heard++).observe(
        document.querySelector('#aloud'), { childList: true }); }""")
    tab_to(page, "#questions", back=True)
    press(page, "Control+a")
    page.keyboard.type("Who wrote the tragedy of Hamlet?\nWhere do penguins live in winter?", delay=15)
    type_in(page, "answers", "The tragedy of Hamlet was by Shakespeare.\nIn winter penguins live on the ice.")
    wait_text(page, "A2 In winter penguins live on the ice.")
    page.wait_for_function(verdict)
    assert page.evaluate("() => window.heard") <= 3, "said when the texts stand still, not at every key"

    for box in ("model", "prompt", "pooling"):  # unfolded: this host has no recipes
        choose(page, box)
    tab_to(page, ".hm-plot")
    press(page, "ArrowRight", "ArrowRight", "ArrowDown")
    expect(page.locator("#heatmap .hm-live").first).to_contain_text("Question 2: Where do penguins")
    press(page, "Enter")
    page.wait_for_selector("#explain-body h3")
    tab_to(page, ".ex-close")
    press(page, "Enter")
    page.wait_for_function("() => document.activeElement.matches('.hm-plot')")
    page.evaluate("() => document.querySelector('#heatmap .hm-table').open = false")
    tab_to(page, ".hm-table summary")
    press(page, "Enter")
    page.wait_for_selector("#heatmap .hm-table td.hm-match")
    tab_to(page, "#takehome-open")
    press(page, "Enter")
    page.wait_for_selector(".takehome-code:not([hidden])")
    tab_to(page, ".takehome-copy")
    press(page, "Enter")
    page.wait_for_function("() => navigator.clipboard.readText().then((text) => text.includes('penguins'))")
    press(page, "Escape")
    expect(page.locator("#takehome-open")).to_be_focused()

    tab_to(page, "#view-file-button", back=True)
    press(page, "Enter")
    page.wait_for_selector("#file-note p")
    tab_to(page, "#file-open")
    file = {"name": "pairs.csv", "mimeType": "text/csv", "buffer": test_file.table(6)}
    idle(page)
    with page.expect_file_chooser() as chooser:
        press(page, "Space")
    chooser.value.set_files(file)
    page.wait_for_selector("#file-run:enabled")
    tab_to(page, "#file-run")
    press(page, "Enter")
    page.wait_for_selector(test_file.SHAPE.format("6x6"), timeout=60_000)
    page.wait_for_selector("#file-verdict .verdict")
    tab_to(page, "#file-csv")
    with page.expect_download() as download:
        press(page, "Enter")
    assert download.value.path().read_text(encoding="utf-8-sig").count("\n") == 7
