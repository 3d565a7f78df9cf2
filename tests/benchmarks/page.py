"""How live is the page? Start to first heatmap, and one edited text to the redrawn heatmap, in a real browser.

    python -m tests.benchmarks.page [--edits 50] [--side 10] [--json]

Prints medians and 95th percentiles of edits in `side` questions and as many answers, and beside them the pass of
the edited text alone. Any other flag goes to app.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import time

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from demo.files.bundled import load_reference

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
READY = """document.querySelector('#heatmap .hm')?.dataset.state === 'ready'
  && document.querySelector('#heatmap .main-svg') !== null"""
SHOWN = """([rows, columns]) => {
  const z = document.querySelector('#heatmap .js-plotly-plot')?.data[0].z;
  return z?.length === rows && z[0].length === columns;
}"""
# From the key press to the first frame after the answer to it was drawn. Told, not asked for: who asks at every frame
# makes the browser draw every frame.
LISTEN = """() => {
  let pressed = 0;
  document.addEventListener('keydown', () => {
    pressed = performance.now();
    window.painted = new Promise((tell) => { window.tell = tell; });
  }, true);
  const root = document.querySelector('#heatmap .hm');
  new MutationObserver(() => {
    if (root.dataset.state !== 'ready') return;
    requestAnimationFrame(() => setTimeout(() => window.tell?.(performance.now() - pressed), 0));
  }).observe(root, { attributes: true, attributeFilter: ['data-seq'] });
}"""


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def open_when_up(page, url: str, seconds: float = 120) -> None:
    """Load the page as soon as the server answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            page.goto(url, wait_until="commit")
            return
        except PlaywrightError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def measure(edits: int, side: int, arguments: list[str]) -> dict:
    port = free_port()
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        started = time.perf_counter()
        server = subprocess.Popen([sys.executable, "app.py", "--port", str(port), *arguments])
        try:
            open_when_up(page, f"http://127.0.0.1:{port}")
            first_answer = time.perf_counter() - started
            page.wait_for_function(READY, timeout=300_000)
            first_heatmap = time.perf_counter() - started
            texts = load_reference()
            page.locator("#questions textarea").fill("\n".join(texts[:side]))
            box = page.locator("#answers textarea")
            box.fill("\n".join(texts[side : 2 * side]))
            page.wait_for_function(SHOWN, arg=[side, side], timeout=60_000)
            page.evaluate(LISTEN)
            box.click()
            page.keyboard.press("Control+End")
            waits = []
            for edit in range(edits + 3):
                page.keyboard.type("abcdefghij klmnop"[edit % 17])
                waits.append(page.evaluate("() => window.painted"))
                page.wait_for_timeout(150)
            edited = box.input_value().split("\n")[-1]
        finally:
            server.terminate()
            server.wait(20)
            browser.close()
    waits = waits[3:]
    return {
        "first_answer_s": first_answer,
        "first_heatmap_s": first_heatmap,
        "edit_ms_median": statistics.median(waits),
        "edit_ms_p95": percentile(waits, 0.95),
        "forward_ms_median": forward_time(edited, arguments),
    }


def forward_time(text: str, arguments: list[str]) -> float:
    """Milliseconds of embedding one new text, without page or cache: median of 20."""
    from demo import Lab
    from demo.settings import parse_settings

    lab = Lab(parse_settings(arguments))
    lab.embed([text])
    times = []
    for turn in range(20):
        started = time.perf_counter()
        lab.embed([f"{text}{turn}"])
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=50)
    parser.add_argument("--side", type=int, default=10, help="questions, and answers")
    parser.add_argument("--json", action="store_true")
    options, arguments = parser.parse_known_args()
    figures = measure(options.edits, options.side, arguments)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"process start → page answers      {figures['first_answer_s']:6.1f} s")
    print(f"process start → first heatmap     {figures['first_heatmap_s']:6.1f} s")
    print(f"key press → redrawn, median       {figures['edit_ms_median']:6.0f} ms of {options.edits} edits")
    print(f"key press → redrawn, p95          {figures['edit_ms_p95']:6.0f} ms")
    print(f"the edited text's embedding alone {figures['forward_ms_median']:6.0f} ms")


if __name__ == "__main__":
    main()
