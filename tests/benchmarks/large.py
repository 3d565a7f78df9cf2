"""How large may a set be? A file of 1,000 questions and 1,000 answers, from the click to the painted heatmap.

    python -m tests.benchmarks.large [--side 1000] [--texts TEXTS.txt] [--reading "pooling=mean&prompt=plain"]

In a real browser over a server of its own, on an otherwise idle machine. TEXTS.txt holds one text a line: the first
`side` are the questions, the next ones the answers; without it, pairs that come with the lab. Any other flag goes to
app.py: `--model`, or `--engine fake`, which leaves the model out. --typing: somebody else types into the lab
meanwhile. --beside CHECKOUT: another one in turn with this.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import threading
from functools import partial
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright

from demo.files.bundled import load_training
from tests.benchmarks.running_app import (
    BROWSER,
    LISTEN,
    READY,
    WINDOW,
    Figures,
    make_parser,
    measure_and_print,
    open_when_up,
    running_app,
)

# When what was seen first, in milliseconds after the click; and how long the page was held up by a single task.
WATCH = """() => {
  const seen = (window.seen = { clicked: 0, longest: 0 });
  const root = document.querySelector('#file .view');
  const matrix = document.querySelector('#file-matrix .mx');
  const after = () => performance.now() - seen.clicked;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) seen.longest = Math.max(seen.longest, duration);
  }).observe({ type: 'longtask' });
  new MutationObserver(() => {
    if (root.querySelector('[aria-valuenow]')) seen.progress ??= after();
  }).observe(root, { attributes: true, childList: true, subtree: true });
  new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => {
    seen.part ??= after();
    if (matrix.dataset.shape === seen.wanted) seen.whole ??= after();
    seen.painted = matrix.dataset.seq;
  }, 0))).observe(matrix, { attributes: true, attributeFilter: ['data-seq'] });
  document.querySelector('#file-run').addEventListener('click', () => (seen.clicked = performance.now()), true);
  performance.setResourceTimingBufferSize(5000);
  performance.clearResourceTimings();
}"""
SIZES = {"received_mb": "decodedBodySize", "packed_mb": "encodedBodySize"}
# Of what the server sent; not of the pictures that the page makes by itself.
RECEIVED = """(size) => performance.getEntriesByType('resource')
  .filter(({ name }) => name.startsWith('http')).reduce((sum, entry) => sum + entry[size], 0)"""


LINES = (  # what is printed: what, unit, digits, names of the figures
    ("click → first progress", "s", 2, "progress"),
    ("click → first part of the picture", "s", 2, "part"),
    ("click → painted heatmap", "s", 2, "whole"),
    ("longest task of the page until then", "ms", 0, "longest_task_ms"),
    ("another order, painted: best match, clustered", "ms", 0, "best_ms", "clustered_ms"),
    ("longest task at an order, at a zoom", "ms", 0, "order_longest_task_ms", "zoom_longest_task_ms"),
    ("received from the click to the picture, as packed", "MB", 2, "received_mb", "packed_mb"),
    ("the server's memory before, at most", "MiB", 0, "memory_before_mib", "memory_peak_mib"),
    ("somebody else's key → heatmap: median, at most", "ms", 0, "typing_ms_median", "typing_ms_most"),
)


def make_file(side: int, texts: Path | None) -> bytes:
    """CSV of `side` distinct questions and answers."""
    if texts:
        lines = list(dict.fromkeys(line.strip() for line in texts.read_text(encoding="utf-8").splitlines()))
        lines = [line for line in lines if line][: 2 * side]
        pairs = list(zip(lines[:side], lines[side:], strict=False))
    else:
        every = [(pair.question, pair.answer) for one in load_training().values() for pair in one.pairs]
        pairs = list({answer: (question, answer) for question, answer in dict(every).items()}.values())[:side]
    if len(pairs) < side:
        raise SystemExit(f"There are {len(pairs):,} pairs of distinct texts; {side:,} were asked for.")
    file = io.StringIO()
    csv.writer(file).writerows([("question", "answer"), *pairs])
    return file.getvalue().encode()


class Memory:
    """The server's resident memory while it works, in MiB: before, and the most that was seen."""

    def __init__(self, pid: int):
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self.before = self.peak = self._now()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _now(self) -> float:
        return self._process.memory_info().rss / 2**20

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, self._now())


def measure(options: argparse.Namespace, arguments: list[str], checkout: Path) -> Figures:
    """One comparison of the file, another order, and a zoom."""
    side = options.side
    content = make_file(side, options.texts)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**BROWSER)
        limit = ["--max-file-texts", str(max(side, 1000))]
        with running_app(checkout, [*limit, *arguments]) as (url, server):
            address = f"{url}/#{options.reading}"
            page = browser.new_page(viewport=WINDOW)
            open_when_up(page, address)
            page.wait_for_function(READY, timeout=600_000)
            other = Typist(browser, address) if options.typing else None
            page.click("#view-file-button")
            page.wait_for_selector("#file .view[data-state='idle']")
            file = {"name": "set.csv", "mimeType": "text/csv", "buffer": content}
            page.locator("#file-upload input[type=file]").set_input_files(file)
            page.wait_for_selector("#file-run:enabled")
            page.evaluate(WATCH)
            page.evaluate("(shape) => { window.seen.wanted = shape; }", f"{side}x{side}")
            memory = Memory(server.pid)
            page.click("#file-run")
            while not page.evaluate("window.seen.whole"):
                if other:
                    other.type()
                page.wait_for_timeout(50)
            page.wait_for_timeout(1000)  # a long task is told of after it has ended
            memory.end()
            figures = {name: page.evaluate(f"window.seen.{name} / 1000") for name in ("progress", "part", "whole")}
            figures["longest_task_ms"] = page.evaluate("window.seen.longest")
            figures |= {name: page.evaluate(RECEIVED, size) / 1e6 for name, size in SIZES.items()}
            figures["memory_before_mib"], figures["memory_peak_mib"] = memory.before, memory.peak
            figures |= {f"{name}_ms": value for name, value in after_that(page).items()}
            if other and other.waits:
                figures["typing_ms_median"] = statistics.median(other.waits)
                figures["typing_ms_most"] = max(other.waits)
            browser.close()
    return figures


def after_that(page) -> dict[str, float]:
    """Another order, and a zoom: until it is painted, and the longest task meanwhile, in milliseconds."""
    figures = {}
    for name, button in (("best", "2"), ("clustered", "3")):
        page.evaluate("() => { window.seen.longest = 0; }")
        before, started = page.evaluate("window.seen.painted"), page.evaluate("performance.now()")
        page.click(f"#file-order label:nth-of-type({button})")
        page.wait_for_function("(before) => window.seen.painted !== before", arg=before)
        figures[name] = page.evaluate("performance.now()") - started
    page.wait_for_timeout(500)
    figures["order_longest_task"] = page.evaluate("window.seen.longest")
    page.evaluate("() => { window.seen.longest = 0; }")
    for _ in range(5):
        page.click("#file-matrix .mx-in")
        page.wait_for_timeout(200)
    page.wait_for_timeout(500)
    figures["zoom_longest_task"] = page.evaluate("window.seen.longest")
    return figures


class Typist:
    """Somebody else, in a page of their own, who edits a text of the lab: key press to redrawn heatmap."""

    def __init__(self, browser, address: str):
        self.waits: list[float] = []
        self._page = browser.new_page(viewport=WINDOW)
        self._page.goto(address)
        self._page.wait_for_function(READY, timeout=600_000)
        self._page.evaluate(LISTEN)
        self._page.locator("#answers textarea").click()
        self._page.keyboard.press("Control+End")

    def type(self) -> None:
        """One key, until the heatmap is redrawn."""
        self._page.keyboard.type("abcdefghij klmnop"[len(self.waits) % 17])
        self.waits.append(self._page.evaluate("() => window.painted"))


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--side", type=int, default=1000, help="questions, and answers")
    parser.add_argument("--reading", default="", help="as in the page's address, behind the #")
    parser.add_argument("--typing", action="store_true", help="somebody else edits a text meanwhile")
    options, arguments = parser.parse_known_args()
    measure_and_print(options, LINES, partial(measure, options, arguments))


if __name__ == "__main__":
    main()
