"""Live edits: every key is sent at once by the page's own script, one request at a time, and never lost."""

from __future__ import annotations

import json

import pytest

from tests.browser.page_actions import QUESTIONS, choose, wait_gone, wait_text

pytestmark = pytest.mark.browser


def begin(page) -> list[dict]:
    """Puts the cursor at the end of the questions; the list takes the forms of live requests as they are sent."""
    sent: list[dict] = []
    page.on("request", lambda request: sent.append(json.loads(request.post_data)["form"]) if is_live(request) else None)
    page.click(QUESTIONS)
    page.keyboard.press("Control+End")
    return sent


@pytest.fixture
def troubled(browser, url):
    """(page, fates, sent): the page's live requests meet the fates, each once, and then the server.

    They are intercepted from the first on: where that begins later, Chromium lets the next ones pass unseen.
    """
    page = browser.new_page(locale="en-US")
    fates, sent = [], []

    def meet(route) -> None:
        sent.append(route.request.post_data_json["form"])
        fate = fates.pop(0) if fates else lambda route: route.continue_()
        fate(route)

    page.route("**/live*", meet)
    page.goto(url)
    page.wait_for_selector('#heatmap .hm[data-state="ready"]')
    page.wait_for_function("() => lab.atRest()")
    page.click(QUESTIONS)
    page.keyboard.press("Control+End")
    sent.clear()
    yield page, fates, sent
    page.close()


def is_live(request) -> bool:
    return request.method == "POST" and request.url.split("?")[0].endswith("/live")


def test_key_is_sent_once_and_not_by_gradio(open_page):
    page = open_page()
    posted = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    begin(page)
    with page.expect_request(is_live) as request:
        page.keyboard.type("x")
    wait_text(page, "What is GPU?x")
    page.wait_for_function("() => lab.atRest()")
    assert request.value.headers["x-page-id"] == page.evaluate("() => lab.page")
    assert [url.split("/")[-1] for url in posted] == ["live"]
    assert page.evaluate("() => lab.form().questions").endswith("?x")
    page.wait_for_function("() => location.hash.includes('GPU%3Fx')")


def test_last_of_fast_keys_is_drawn_and_requests_never_overlap(open_page, engine):
    page = open_page()
    sent = begin(page)
    open_requests: list[int] = [0]
    most: list[int] = [0]

    def count(by: int) -> None:
        open_requests[0] += by
        most[0] = max(most[0], open_requests[0])

    page.on("request", lambda request: count(1) if is_live(request) else None)
    page.on("requestfinished", lambda request: count(-1) if is_live(request) else None)
    engine.seconds_per_text = 0.05
    page.keyboard.type(" abcdefghijklmnopqrstuvwxyz", delay=15)
    wait_text(page, "What is GPU? abcdefghijklmnopqrstuvwxyz")
    page.wait_for_function("() => lab.atRest()")
    assert 1 <= len(sent) < 20
    assert most == [1]
    assert sent[-1]["questions"].endswith("xyz")


def test_text_that_is_taken_back_while_it_is_computed_does_not_stay_drawn(open_page, engine):
    page = open_page()
    begin(page)
    engine.seconds_per_text = 0.3
    page.keyboard.type("x")
    page.keyboard.press("Backspace")
    wait_text(page, "What is GPU?x")
    wait_gone(page, "?x")
    assert page.evaluate("() => lab.form().questions").endswith("GPU?")


def test_choice_made_while_a_text_is_computed_counts_with_it(open_page, engine):
    page = open_page()
    sent = begin(page)
    engine.seconds_per_text = 0.3
    page.keyboard.type("x")
    choose(page, "pooling", "weighted_mean")
    page.wait_for_function("() => document.querySelector('#pooling-note').textContent.includes('SGPT')")
    wait_text(page, "What is GPU?x")
    assert sent[-1]["pooling"] == "weighted_mean"
    assert sent[-1]["questions"].endswith("?x")


def test_example_set_is_one_request(open_page):
    page = open_page()
    sent = begin(page)
    choose(page, "examples", "Meaning against shared words")
    wait_text(page, "A12 ")
    page.wait_for_function("() => lab.atRest()")
    assert len(sent[-1]["answers"].split("\n")) == 12
    assert len(sent) <= 2


def test_request_that_is_lost_on_its_way_is_sent_again(troubled):
    page, fates, sent = troubled
    fates.append(lambda route: route.abort())
    page.keyboard.type("x")
    wait_text(page, "What is GPU?x")
    assert len(sent) == 2


def test_busy_server_is_asked_again_with_what_was_typed_meanwhile(troubled):
    page, fates, sent = troubled
    refusal = {"status": 429, "headers": {"Retry-After": "2"}, "json": {"error": "Too many requests."}}
    fates.append(lambda route: route.fulfill(**refusal))
    page.keyboard.type("x")
    page.wait_for_selector("#wait-line:visible")
    page.keyboard.type("y")
    wait_text(page, "What is GPU?xy")
    assert [form["questions"][-2:] for form in sent] == ["?x", "xy"]
    page.wait_for_selector("#wait-line", state="hidden")


def test_refusal_stands_beside_the_picture(troubled):
    page, fates, _ = troubled
    fates.append(lambda route: route.fulfill(status=413, json={"error": "Too large, at most 1 MiB."}))
    page.keyboard.type("x")
    page.wait_for_selector('#heatmap .hm[data-state="stale"]')
    assert page.inner_text(".hm-wait-text") == "Too large, at most 1 MiB."
    page.keyboard.type("y")
    page.wait_for_selector('#heatmap .hm[data-state="ready"]')


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
    page.wait_for_function("() => !document.querySelector('.hm-numbers span')")  # no room for them


def test_a_list_that_is_touched_replaces_nothing_and_a_picked_set_is_undone(open_page):
    page = open_page()
    page.fill(QUESTIONS, "Mine?")
    page.wait_for_function("() => document.querySelector('#examples input').value === 'Your own texts'")
    page.focus("#examples input")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    page.click("#examples input")
    page.mouse.click(1275, 70)  # nothing is there
    page.wait_for_function("() => lab.atRest()")
    assert page.input_value(QUESTIONS) == "Mine?"
    choose(page, "examples", "Meaning against shared words")
    wait_text(page, "A12 ")
    page.reload()
    page.click("#texts-tools [data-act=undo]")
    wait_text(page, "Q1 Mine?")
    assert page.input_value(QUESTIONS) == "Mine?"
