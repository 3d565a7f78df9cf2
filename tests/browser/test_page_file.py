"""One file for all tabs, in a browser: dropped once, there everywhere, after a reload too, until it is closed."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")
pytest.importorskip("playwright", reason="playwright is not installed: no tests in a browser")
from playwright.sync_api import expect

from demo.ui.page_file.registry import PAGE_FILES
from tests.browser.page_actions import expect_text, give_file, idle

pytestmark = pytest.mark.browser
ROWS = "question,answer\n" + "".join(f"Where is thing {i}?,Thing {i} is here.\n" for i in range(300))
TABS = {"sweep": "questions 141", "compare": "", "space": "", "train": "pairs 300"}
DROP = """([name, text]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], name));
    for (const kind of ["dragover", "drop"])
        document.querySelector("#questions textarea").dispatchEvent(
            new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
}"""


def chosen(page, tab: str):
    return page.locator(f"#{tab}-source label.selected")


def open_tab(page, tab: str) -> None:
    page.click(f"#view-{tab}-button")
    page.wait_for_selector(f"#{tab}-source")


def test_dropped_once_it_is_there_in_every_tab_until_it_is_closed(small, open_page):
    page = open_page(small)
    open_tab(page, "space")
    expect(chosen(page, "space")).to_have_text("in the boxes", use_inner_text=True)
    typed = page.input_value("#questions textarea")
    page.evaluate(DROP, ["faq.csv", ROWS])
    expect_text(page, "#page-file-said", "faq.csv · 300 rows")
    assert page.input_value("#questions textarea") == typed, "a file that is dropped on a box is no text for it"
    for tab, said in TABS.items():
        open_tab(page, tab)
        expect(chosen(page, tab)).to_have_text("faq.csv · 300 rows", use_inner_text=True)
        expect_text(page, f"#{tab}-source-note", said or "Of 300 questions 141 are taken, the first ones.")
    page.wait_for_selector('#train .view[data-state="idle"]')
    page.click("#page-file-take label:has-text('drawn')")
    open_tab(page, "compare")
    expect_text(page, "#compare-source-note", "drawn at random")
    page.wait_for_selector('#compare .view[data-state="ready"]')
    page.click("#compare-source label:has-text('in the boxes')")
    expect(page.locator("#compare-source-note")).to_be_hidden()
    page.click("#page-file-close")
    expect(page.locator("#page-file-said")).to_be_hidden()
    for tab in TABS:
        open_tab(page, tab)
        expect(page.locator(f"#{tab}-source label")).to_have_count(2 if tab == "train" else 1)
    expect(chosen(page, "train")).to_have_text("the lab's", use_inner_text=True)


def test_after_a_reload_it_is_there_or_has_to_be_dropped_again(small, open_page):
    page = open_page(small + "?lang=ko")
    give_file(page, ROWS, "faq.csv")
    expect_text(page, "#page-file-said", "faq.csv · 300줄")
    idle(page)
    page.reload()
    expect_text(page, "#page-file-said", "faq.csv · 300줄")
    open_tab(page, "sweep")
    expect(chosen(page, "sweep")).to_have_text("faq.csv · 300줄", use_inner_text=True)
    PAGE_FILES.close(page.evaluate("() => lab.page"))
    page.reload()
    expect_text(page, "#page-file-note", "“faq.csv” 파일은 이제 서버에 없어요")
    expect(page.locator("#page-file-said")).to_be_hidden()


def test_a_file_of_one_page_is_on_no_other(small, open_page, browser):
    page = open_page(small)
    give_file(page, ROWS, "mine.csv")
    expect_text(page, "#page-file-said", "mine.csv")
    other = open_page(small)
    open_tab(other, "sweep")
    expect(other.locator("#sweep-source label")).to_have_count(1)
    assert "mine.csv" not in other.content()
