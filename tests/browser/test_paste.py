"""Tables pasted into the boxes, in the very forms in which Excel and Google Sheets put them on the clipboard."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio", reason="gradio is not installed: no tests of the page")
pytest.importorskip("playwright", reason="playwright is not installed: no tests in a browser")
from playwright.sync_api import expect

from tests.browser.page_actions import ANSWERS, QUESTIONS, expect_text, expect_value, idle

pytestmark = pytest.mark.browser
NASTY = "<img src=x onerror=window.hacked=1>"
EXCEL = (
    '"What is\na GPU?"\tA "graphics" processor.\r\n"Who?"\tA poet.\r\n',
    """<html xmlns:v="urn:schemas-microsoft-com:vml" xmlns="http://www.w3.org/TR/REC-html40"><head>
<meta name=ProgId content=Excel.Sheet><style><!--table {mso-displayed-decimal-separator:"\\.";} td {white-space:nowrap;}
--></style></head><body link="#0563C1" vlink="#954F72">
<table border=0 cellpadding=0 cellspacing=0 width=300 style='border-collapse:collapse;width:225pt'><!--StartFragment-->
 <col width=150 span=2 style='width:113pt'>
 <tr height=38 style='height:28.8pt'>
  <td height=38 class=xl65 width=150 style='height:28.8pt;width:113pt'>What is<br>
    a GPU?</td>
  <td width=150 style='width:113pt'>A &quot;graphics&quot;
  processor.</td>
 </tr>
 <tr height=19 style='height:14.4pt'>
  <td height=19 style='height:14.4pt'>&quot;Who?&quot;</td>
  <td>A<span style='mso-spacerun:yes'>&nbsp; </span>poet.</td>
 </tr>
<!--EndFragment--></table></body></html>""",
)
SHEETS = (
    '"What is\na ""GPU""?"\tA processor.\tTRUE\nWho?\tA poet.\tTRUE\nWho?\tA processor.\tFALSE',
    "<meta charset='utf-8'><google-sheets-html-origin><style type=\"text/css\"><!--td {border: 1px solid #cccccc;}"
    'br {mso-data-placement:same-cell;}--></style><table xmlns="http://www.w3.org/1999/xhtml" cellspacing="0" '
    'data-sheets-root="1"><colgroup><col width="100"/><col width="100"/><col width="100"/></colgroup><tbody>'
    '<tr style="height:21px;"><td style="overflow:hidden">What is<br/>a &quot;GPU&quot;?</td><td>A processor.</td>'
    '<td data-sheets-value="{&quot;1&quot;:4,&quot;4&quot;:1}">TRUE</td></tr><tr><td>Who?</td><td>A poet.</td>'
    "<td>TRUE</td></tr><tr><td>Who?</td><td>A processor.</td><td>FALSE</td></tr></tbody></table>"
    "</google-sheets-html-origin>",
)
PASTE = """([place, text, html]) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    if (html) clipboardData.setData("text/html", html);
    const box = document.querySelector(place);
    box.focus();
    return box.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


def paste(page, text: str, html: str = "", place: str = QUESTIONS) -> bool:
    """Whether the table was taken from the browser."""
    return not page.evaluate(PASTE, [place, text, html])


@pytest.mark.parametrize("form", ["text and html", "text alone"])
def test_two_columns_of_excel_fill_both_boxes_and_can_be_undone(small, open_page, form):
    page = open_page(small)
    before = page.input_value(QUESTIONS), page.input_value(ANSWERS)
    assert paste(page, EXCEL[0], EXCEL[1] if form == "text and html" else "", ANSWERS)
    exact = form == "text and html"  # in the text alone quotation marks may be the cell's or Excel's
    expect_value(page, QUESTIONS, 'What is a GPU?\n"Who?"' if exact else "What is a GPU?\nWho?")
    expect_value(page, ANSWERS, 'A "graphics" processor.\nA poet.')
    expect_text(page, "#texts-tools", "Pasted from a table: 2 questions, 2 answers.")
    expect_text(page, "#texts-tools", "Line breaks in cells became spaces.")
    idle(page)
    page.focus(QUESTIONS)
    page.keyboard.press("Control+z")
    expect_value(page, QUESTIONS, before[0])
    expect_value(page, ANSWERS, before[1])
    page.click("#texts-tools [data-act=redo]")
    expect_value(page, ANSWERS, 'A "graphics" processor.\nA poet.')


def test_three_columns_of_google_sheets_bring_their_matches_in_korean(small, open_page):
    page = open_page(small + "?lang=ko")
    for html in (SHEETS[1], ""):
        assert paste(page, SHEETS[0], html)
        expect_value(page, QUESTIONS, 'What is a "GPU"?\nWho?')
        expect_value(page, ANSWERS, "A processor.\nA poet.")
        expect_text(page, "#texts-tools", "표를 붙여 넣었어요: 질문 2개, 답 2개.")
        paste(page, "a?\tb.\na?\tc.\n")
        expect_value(page, ANSWERS, "b.\nc.")
        assert page.evaluate("() => lab.form().matches") == "1-1, 1-2"


def test_what_is_no_table_stays_as_it_is(small, open_page):
    page = open_page(small)
    for text, html in (
        ("one\ntwo\n", "<table><tr><td>one</td></tr><tr><td>two</td></tr></table>"),  # a column alone
        ("one\ttwo\nthree\n", ""),  # a text with a tab in it
        ("just a line", "<p>just a line</p>"),
    ):
        assert not paste(page, text, html)
    page.fill(QUESTIONS, "")
    assert paste(page, "1\t\n2\t\n")
    expect_value(page, QUESTIONS, "1\t\n2\t\n")
    expect(page.locator("#texts-tools [role=status]")).to_have_text("")


def test_markup_in_a_cell_is_a_text(small, open_page):
    page = open_page(small)
    cell = NASTY.replace("<", "&lt;").replace(">", "&gt;")
    table = f"<table><tr><td>{cell}</td><td>b<script>window.hacked=3</script></td></tr>"
    assert paste(page, "x\ty", f"{table}<tr><td>c</td><td>d</td></tr></table>")
    expect_value(page, QUESTIONS, f"{NASTY}\nc")
    expect_value(page, ANSWERS, "b\nd")
    idle(page)
    assert page.evaluate("() => window.hacked") is None


def test_a_table_too_large_for_the_boxes_is_the_pages_file(open_page):
    page = open_page()
    before = page.input_value(QUESTIONS)
    assert paste(page, "question\tanswer\n" + "".join(f"q{i}?\ta{i}.\n" for i in range(60)))
    expect_text(page, "#texts-tools", "60 rows are now this page's file")
    expect_text(page, "#page-file-said", "Pasted table")
    expect_value(page, QUESTIONS, before)
    page.click("#view-sweep-button")
    expect_text(page, "#sweep-source", "Pasted table · 60 rows")
    page.click("#page-file-close")
    expect(page.locator("#page-file-said")).to_be_hidden()
