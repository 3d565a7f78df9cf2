"""Page actions: what browser tests do on the page and wait for, so that each wait is for a condition.

Reads that may come too early use `expect` of Playwright, which asks again until its patience is over.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from playwright.sync_api import Page, TimeoutError, expect

from tests.waiting import eventually

PATIENCE_MS = 45_000  # a first visit takes 5 s where nothing else runs
PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
DESK = {"width": 1280, "height": 844}
QUESTIONS, ANSWERS = "#questions textarea", "#answers textarea"
PLOT = "#heatmap .js-plotly-plot"
STATE = '#heatmap .hm[data-state="{}"]'
SEQ = "() => Number(document.querySelector('#heatmap .hm').dataset.seq)"
NUMBERS = "() => [...document.querySelectorAll('#heatmap .hm-numbers span')].map((node) => node.textContent)"
SPACE, HEATMAP = "#view-space-button", "#view-heatmap-button"
READY = '#space .view[data-state="ready"]'
# Every text and value that is drawn now, from the table that stands beside the picture.
TABLE = """() => {
    const details = document.querySelector('#heatmap details');
    details.open = true;
    const rows = [...details.querySelectorAll('tr')].map((row) => [...row.cells].map((cell) => cell.textContent));
    return rows.length ? rows : null;
}"""
# Debounces and delays that have not run yet. A longer one is no part of an answer: a retry, a tab's clock.
COUNT_TIMERS = """(() => {
    const [set, clear, pending] = [window.setTimeout, window.clearTimeout, new Set()];
    window.setTimeout = (act, delay = 0, ...rest) => {
        const id = set(() => {
            pending.delete(id);
            if (typeof act === 'function') act(...rest);
        }, delay);
        if (delay <= 1000) pending.add(id);
        return id;
    };
    window.clearTimeout = (id) => {
        pending.delete(id);
        clear(id);
    };
    window.pendingTimers = () => pending.size;
})()"""
AFTER_A_FRAME = (
    "() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(() => go(pendingTimers()))))"
)
_under_way: WeakKeyDictionary[Page, set] = WeakKeyDictionary()
queues: list = []  # of the servers of this process


def watch_activity(page: Page) -> None:
    """Before the first visit: from now on `idle` knows the page's timers, and its requests until their bodies end."""
    _under_way[page] = under_way = set()
    page.add_init_script(COUNT_TIMERS)
    page.on("request", lambda request: None if "heartbeat" in request.url else under_way.add(request))
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: under_way.discard(request))


def brings_nothing(url: str) -> bool:
    """Whether it is a stream of events of which the server has none to tell. Gradio's client opens one, and leaves it
    open, where an answer overtakes the response to its question."""
    session = parse_qs(urlsplit(url).query).get("session_hash", [""])[0]
    pending = [queue.pending_event_ids_session.get(session) for queue in queues if "/queue/data" in url]
    known = [events for events in pending if events is not None]
    return bool(known) and not any(known)


def idle(page: Page) -> None:
    """Until nothing is under way: no request, no debounce, nothing unpainted. Then nothing more comes by itself."""

    def look() -> tuple:
        idle_streams = {request for request in _under_way[page] if brings_nothing(request.url)}
        timers = page.evaluate(AFTER_A_FRAME)  # what a stream has just brought is at work by now
        return (timers, *(request.url for request in _under_way[page] - idle_streams))

    def busy() -> str:
        looks = [look() for _ in range(2)]
        return "" if looks == [(0,)] * 2 else f"timers and requests: {looks}"

    eventually(busy, PATIENCE_MS / 1000, "the page is never idle", until=lambda seen: not seen)


def settle(page: Page) -> None:
    """Until the heatmap is drawn and the page is idle."""
    page.wait_for_selector(STATE.format("ready"), state="attached")
    idle(page)


def expect_text(page: Page, selector: str, text: str) -> None:
    """Until an element's visible text contains this."""
    expect(page.locator(selector).first).to_contain_text(text, use_inner_text=True)


def expect_value(page: Page, selector: str, value: str) -> None:
    """Until a box holds this value."""
    expect(page.locator(selector).first).to_have_value(value)


def expect_choice(page: Page, box: str, id: str) -> None:
    """Until a list of the reading stands at a choice, by its id: `Last token — last_token`."""
    expect(page.locator(f"#{box} input").first).to_have_value(_named(id))


def _named(id: str) -> re.Pattern:
    return re.compile(rf"(^|— ){re.escape(id)}$")


def expect_model(page: Page, name: str) -> None:
    """Until the lab's model is one whose name begins so."""
    expect(page.locator("#model input").first).to_have_value(re.compile("^" + re.escape(name)))


def table(page: Page) -> list[list[str]]:
    """The heatmap's table, row by row."""
    page.evaluate(TABLE)
    page.wait_for_function("() => document.querySelector('#heatmap details td.hm-match, #heatmap details td + td')")
    return page.evaluate(TABLE)


def wait_text(page: Page, text: str) -> None:
    """Until the drawn heatmap has this text."""
    page.evaluate("() => document.querySelector('#heatmap details').open = true")
    page.wait_for_function("(text) => document.querySelector('#heatmap details').textContent.includes(text)", arg=text)


def wait_gone(page: Page, text: str) -> None:
    """Until the drawn heatmap no longer has this text."""
    page.evaluate("() => document.querySelector('#heatmap details').open = true")
    page.wait_for_function("(text) => !document.querySelector('#heatmap details').textContent.includes(text)", arg=text)


def values(page: Page) -> list[str]:
    """The numbers on the cells."""
    return page.evaluate(NUMBERS)


def wait_values(page: Page, before: list[str]) -> None:
    """Until the numbers on the cells are others."""
    page.wait_for_function(f"(before) => ({NUMBERS})().join() !== before", arg=",".join(before))


def open_advanced(page: Page) -> None:
    """The choices of the reading, which are folded at first."""
    page.wait_for_selector("#reading .fold-head")
    if not page.locator("#reading.open").count():
        page.click("#reading .fold-head")


def choose(page: Page, box: str, option: str) -> None:
    """Picks an option of a dropdown, of a fold too. An answer that comes meanwhile may close its list: then it is
    opened again."""
    if page.locator(f"#reading #{box}").count():
        open_advanced(page)
    offered = page.get_by_role("option", name=option)
    of_this_id = page.get_by_role("option", name=_named(option))

    def pick() -> bool:
        if not offered.first.is_visible():
            page.click(f"#{box} input")
            offered.first.wait_for(timeout=3000)
        (of_this_id if of_this_id.count() else offered).first.click(timeout=3000)
        return True

    eventually(pick, PATIENCE_MS / 1000, f"{option} could not be chosen", catching=TimeoutError)


def give_file(page: Page, content: bytes | str, name: str = "set.csv") -> None:
    """A file comes in, as if dropped or chosen."""
    data = content.encode() if isinstance(content, str) else content
    file = {"name": name, "mimeType": "text/plain", "buffer": data}
    page.locator(":has(> #page-file-upload) > input[type=file]").set_input_files(file)


def open_space(page: Page) -> None:
    """The Space tab, once its points are drawn."""
    page.click(SPACE)
    page.wait_for_selector(READY)
