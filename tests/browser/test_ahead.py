"""What is typed goes out before Gradio hears of it: asked for once, drawn first, never lost."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.page_actions import QUESTIONS, choose, idle, settle, wait_gone, wait_text, watch_activity

pytestmark = pytest.mark.browser
# The order in which a letter is drawn, and Gradio hears of it; how long each took.
WATCH = """() => {
    window.order = [];
    const since = {};
    document.addEventListener('keydown', () => { since.key = performance.now(); }, true);
    const note = (name) => () => window.order.push([name, performance.now() - since.key]);
    document.addEventListener('lab:ahead', note('drawn'));
    document.querySelector('#questions textarea').addEventListener('input', note('heard'));
}"""
ORDER = "() => window.order.map(([name]) => name)"


def begin(page, watched: bool = True) -> list[str]:
    """At the end of the questions; the list takes what is asked of the server's computing listener."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data) if "run/predict" in request.url else None)
    page.click(QUESTIONS)
    page.keyboard.press("Control+End")
    page.keyboard.type("!")  # the first question of all goes out by Gradio alone
    wait_text(page, "What is GPU?!")
    settle(page)
    if watched:
        page.evaluate(WATCH)
    return asked


def test_a_letter_is_drawn_first_and_asked_for_once(open_page):
    page = open_page()
    asked = begin(page)
    page.keyboard.type("x")
    wait_text(page, "What is GPU?!x")
    page.wait_for_function("() => window.order.length === 2")
    assert page.evaluate(ORDER) == ["drawn", "heard"]
    idle(page)
    assert sum("What is GPU?!x" in body for body in asked) == 1
    assert page.evaluate("() => window.saidNow().questions").endswith("?!x")


def test_a_slow_answer_holds_nothing_back(open_page, engine):
    page = open_page()
    begin(page)
    engine.seconds_per_text = 0.8
    page.keyboard.type("x")
    wait_text(page, "What is GPU?!x")
    (first, heard), (second, drawn) = page.evaluate("() => window.order")
    assert (first, second) == ("heard", "drawn")
    assert heard < 500 < drawn


@pytest.mark.parametrize("act", ["Tab", "y", "click"])
def test_whoever_goes_on_at_once_finds_the_letter_where_it_belongs(open_page, engine, act):
    page = open_page()
    begin(page)
    engine.seconds_per_text = 0.5
    page.keyboard.type("x")
    assert page.evaluate(ORDER) == []
    if act == "click":
        page.mouse.click(5, 5)
    else:
        page.keyboard.press(act)
    assert page.evaluate(ORDER)[0] == "heard"
    wait_text(page, "What is GPU?!x" + "y" * (act == "y"))


def test_a_new_line_has_its_number_at_once(open_page, engine):
    page = open_page()
    begin(page)
    engine.seconds_per_text = 0.5
    page.keyboard.press("Enter")
    assert page.evaluate(ORDER) == ["heard"]


def test_of_what_is_typed_fast_the_end_is_drawn(open_page, engine):
    page = open_page()
    asked = begin(page)
    before = len(asked)
    engine.seconds_per_text = 0.05
    page.keyboard.type(" abcdefghijklmnopqrstuvwxyz", delay=15)
    wait_text(page, "What is GPU?! abcdefghijklmnopqrstuvwxyz")
    settle(page)
    assert 1 <= len(asked) - before < 20
    assert page.evaluate("() => window.saidNow().questions").endswith("xyz")


def test_two_questions_of_a_page_are_never_under_way_together(open_page, engine):
    """The server might begin with the newer one, and take the older for the newest."""
    page = open_page()
    begin(page)
    engine.seconds_per_text = 0.4
    seen: list[str] = []
    texts = "What is GPU?!x"
    page.on("request", lambda request: seen.append("asked") if texts in (request.post_data or "") else None)
    page.on("response", lambda answer: seen.append("answered") if texts in (answer.request.post_data or "") else None)
    page.keyboard.type("x")
    page.context.new_cdp_session(page).send("Input.insertText", {"text": "y"})  # no key, as an input method does
    wait_text(page, "What is GPU?!xy")
    assert seen == ["asked", "answered"] * 2


def test_what_is_taken_back_before_gradio_hears_of_it_does_not_stay_drawn(open_page, engine):
    """For Gradio nothing has changed then, and it asks nothing."""
    page = open_page()
    asked = begin(page)
    engine.seconds_per_text = 0.3
    page.keyboard.type("x")
    page.evaluate(
        "(box) => { const area = document.querySelector(box); area.value = area.value.slice(0, -1); }", QUESTIONS
    )
    page.wait_for_function("() => window.order.length === 2")
    wait_text(page, "What is GPU?!x")
    wait_gone(page, "?!x")
    wait_text(page, "What is GPU?!")
    assert len(asked) >= 3


def test_a_choice_made_at_once_counts_with_the_letter(open_page, engine):
    """What went ahead is then not what Gradio asks."""
    page = open_page()
    begin(page)
    before = page.evaluate("() => document.querySelector('#heatmap .hm').dataset.seq")
    engine.seconds_per_text = 0.3
    page.keyboard.type("x")
    choose(page, "pooling", "weighted_mean")
    page.wait_for_function("() => document.querySelector('#pooling-note').textContent.includes('SGPT')")
    wait_text(page, "What is GPU?!x")
    engine.seconds_per_text = 0.0
    settle(page)
    assert int(page.evaluate("() => document.querySelector('#heatmap .hm').dataset.seq")) > int(before)


def test_a_question_that_is_lost_on_its_way_is_asked_by_gradio(browser, url):
    page = browser.new_page(locale="en-US")
    watch_activity(page)
    page.goto(url)
    page.wait_for_selector('#heatmap .hm[data-state="ready"]')
    asked = begin(page, watched=False)
    page.route("**/run/predict*", lambda route: route.abort(), times=1)
    page.keyboard.type("x")
    wait_text(page, "What is GPU?!x")
    assert sum("What is GPU?!x" in body for body in asked) == 2
    page.close()


def test_the_numbers_lie_on_their_cells_and_are_read_on_every_colour(open_page):
    page = open_page()
    look = """() => {
        const plot = document.querySelector('#heatmap .js-plotly-plot');
        const { xaxis, yaxis } = plot._fullLayout;
        const origin = plot.getBoundingClientRect();
        return [...document.querySelectorAll('.hm-numbers span')].map((node, at) => {
            const box = node.getBoundingClientRect();
            const [row, column] = [Math.floor(at / 2), at % 2];
            return {
                text: node.textContent, value: plot.data[0].z[row][column], light: node.className === 'on-dark',
                right: box.x + box.width / 2 - origin.x - xaxis._offset - xaxis.c2p(column),
                down: box.y + box.height / 2 - origin.y - yaxis._offset - yaxis.c2p(row),
            };
        });
    }"""
    cells = page.evaluate(look)
    assert len(cells) == 4
    for cell in cells:
        assert cell["text"] == f"{cell['value']:.2f}".replace("0.", ".").replace("-", "−")
        assert max(abs(cell["right"]), abs(cell["down"])) < 2
    ordered = sorted(cells, key=lambda cell: cell["value"])
    assert (ordered[0]["light"], ordered[-1]["light"]) == (True, False), "blue to yellow"
    box = page.query_selector("#heatmap .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 130, box["y"] + 130, steps=4)
    page.mouse.up()
    page.wait_for_selector(".hm-reset:visible")
    zoomed = page.evaluate(look)
    assert len(zoomed) == 4
    assert all(max(abs(cell["right"]), abs(cell["down"])) < 2 for cell in zoomed)
    page.fill(QUESTIONS, "\n".join(f"Question {n}?" for n in range(45)))
    wait_text(page, "Q45 Question 44?")
    expect(page.locator(".hm-numbers span"), "no room for them").to_have_count(0)
