"""How live is the page? Start to first heatmap, and one edited text to the redrawn heatmap, in a real browser.

    python -m tests.benchmarks.page [--edits 50] [--side 10] [--beside CHECKOUT] [--json]

Prints medians and 95th percentiles of edits in `side` questions and as many answers, and beside them the pass of
the edited text alone. Any other flag goes to app.py.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from playwright.sync_api import sync_playwright

from demo.files.bundled import load_reference
from tests.benchmarks import percentile
from tests.benchmarks.running_app import (
    BROWSER,
    LISTEN,
    READY,
    WINDOW,
    Figures,
    make_parser,
    measure_and_print,
    open_when_up,
    python_path,
    running_app,
)

LINES = (
    ("process start → page answers", "s", 1, "first_answer_s"),
    ("process start → first heatmap", "s", 1, "first_heatmap_s"),
    ("key press → redrawn: median, p95", "ms", 0, "edit_ms_median", "edit_ms_p95"),
    ("the edited text's embedding alone", "ms", 0, "forward_ms_median"),
)
WARM_UP = 3  # edits that do not count
PAUSE_MS = 150  # somebody's, between two keys
SHOWN = """([rows, columns]) => {
  const z = document.querySelector('#heatmap .js-plotly-plot')?.data[0].z;
  return z?.length === rows && z[0].length === columns;
}"""
# Milliseconds of embedding one new text, without page or cache: median of 20.
EMBED = """
import statistics, sys, time
from demo import Lab
from demo.settings import parse_settings
text, *arguments = sys.argv[1:]
lab, times = Lab(parse_settings(arguments)), []
lab.embed([text])
for turn in range(20):
    started = time.perf_counter()
    lab.embed([f"{text}{turn}"])
    times.append((time.perf_counter() - started) * 1000)
print(statistics.median(times))
"""


def measure(options: argparse.Namespace, arguments: list[str], checkout: Path) -> Figures:
    """One start of a checkout's app, its first heatmap, and the edits."""
    side, texts = options.side, load_reference()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**BROWSER)
        page = browser.new_page(viewport=WINDOW)
        started = time.perf_counter()
        with running_app(checkout, arguments) as (url, _):
            open_when_up(page, url)
            first_answer = time.perf_counter() - started
            page.wait_for_function(READY, timeout=300_000)
            first_heatmap = time.perf_counter() - started
            page.locator("#questions textarea").fill("\n".join(texts[:side]))
            box = page.locator("#answers textarea")
            box.fill("\n".join(texts[side : 2 * side]))
            page.wait_for_function(SHOWN, arg=[side, side], timeout=60_000)
            page.evaluate(LISTEN)
            box.click()
            page.keyboard.press("Control+End")
            waits = []
            for edit in range(options.edits + WARM_UP):
                page.keyboard.type("abcdefghij klmnop"[edit % 17])
                waits.append(page.evaluate("() => window.painted"))
                page.wait_for_timeout(PAUSE_MS)
            edited = box.input_value().split("\n")[-1]
            browser.close()
    embed = [sys.executable, "-c", EMBED, edited, *arguments]
    forward = subprocess.run(embed, cwd=checkout, env=python_path(checkout), check=True, capture_output=True, text=True)
    return {
        "first_answer_s": first_answer,
        "first_heatmap_s": first_heatmap,
        "edit_ms_median": statistics.median(waits[WARM_UP:]),
        "edit_ms_p95": percentile(waits[WARM_UP:], 0.95),
        "forward_ms_median": float(forward.stdout.split()[-1]),
    }


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--edits", type=int, default=50)
    parser.add_argument("--side", type=int, default=10, help="questions, and answers")
    options, arguments = parser.parse_known_args()
    measure_and_print(options, LINES, partial(measure, options, arguments))


if __name__ == "__main__":
    main()
