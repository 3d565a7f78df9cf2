"""What does it cost the server that a page opens? A class comes in at once, and one machine answers all of it.

    python -m tests.benchmarks.opening [--visits 10] [--beside CHECKOUT] [--json]

Opens the page by visitors who have never been there, each with an empty browser: from this machine, and by the
machine's address in its network, where browsers take gzip alone since nothing is encrypted. Any other flag goes to
app.py; the fake engine answers unless one says otherwise, so that no model's time is counted.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from functools import partial
from pathlib import Path

import psutil
from playwright.sync_api import Browser, sync_playwright

from demo.serving.ops.lan_addresses import network_addresses
from tests.benchmarks.running_app import (
    BROWSER,
    READY,
    WINDOW,
    Figures,
    make_parser,
    measure_and_print,
    medians,
    open_when_up,
    running_app,
)

PLACES = {"this machine": "127.0.0.1", "its network": next(iter(network_addresses()), "")}
LINES = tuple(
    (f"from {place}: {what}", unit, digits, f"{place}: {name}")
    for place in PLACES
    for what, unit, digits, name in (
        ("server's processor time", "ms", 0, "server_ms"),
        ("until the first picture is there", "s", 2, "first_picture"),
        ("until the heatmap is there", "s", 1, "seconds"),
        ("sent", "KiB", 0, "sent_kib"),
        ("requests", "", 0, "requests"),
    )
)
FIRST_PICTURE = "#first-picture .cell, .hm-plot .heatmaplayer image"  # the page's own where there is no other


def visit(browser: Browser, url: str, server: psutil.Process) -> Figures:
    """One visitor with an empty browser."""
    context = browser.new_context(viewport=WINDOW)
    page = context.new_page()
    finished = []
    page.on("requestfinished", lambda request: finished.append(request))
    before, began = _processor_seconds(server), time.perf_counter()
    open_when_up(page, url)
    page.wait_for_selector(FIRST_PICTURE, timeout=120_000)
    first_picture = time.perf_counter() - began
    page.wait_for_function(READY, timeout=120_000)
    seconds = time.perf_counter() - began
    page.wait_for_timeout(500)  # what an answer makes the page ask
    spent = _processor_seconds(server) - before
    sent = sum(request.sizes()["responseBodySize"] for request in finished)
    context.close()
    return {
        "server_ms": spent * 1000,
        "first_picture": first_picture,
        "seconds": seconds,
        "sent_kib": sent / 1024,
        "requests": len(finished),
    }


def _processor_seconds(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return spent.user + spent.system


def measure(options: argparse.Namespace, arguments: list[str], checkout: Path) -> Figures:
    """Medians of all visits, by place."""
    figures = {}
    app = running_app(checkout, ["--host", "0.0.0.0", *arguments], stdout=subprocess.DEVNULL)
    with sync_playwright() as playwright, app as (url, server):
        browser = playwright.chromium.launch(**BROWSER)
        for place, host in PLACES.items():
            if not host:
                continue
            address, process = url.replace("127.0.0.1", host), psutil.Process(server.pid)
            visit(browser, address, process)  # the first of all
            seen = medians([visit(browser, address, process) for _ in range(options.visits)])
            figures |= {f"{place}: {name}": value for name, value in seen.items()}
        browser.close()
    return figures


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--visits", type=int, default=10)
    options, arguments = parser.parse_known_args()
    if "--engine" not in arguments:
        arguments += ["--engine", "fake"]
    measure_and_print(options, LINES, partial(measure, options, arguments))


if __name__ == "__main__":
    main()
