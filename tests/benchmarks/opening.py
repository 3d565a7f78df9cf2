"""What does it cost the server that a page opens? A class comes in at once, and one machine answers all of it.

    python -m tests.benchmarks.opening [--visits 10] [--json]

Opens the page by visitors who have never been there, each with an empty browser: from this machine, and by the
machine's address in its network, where browsers take gzip alone since nothing is encrypted. Any other flag goes to
app.py; the fake engine answers unless one says otherwise, so that no model's time is counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time

import psutil
from playwright.sync_api import Browser, sync_playwright

from demo.serving.ops.lan_addresses import network_addresses
from tests.benchmarks.page import FLAGS, READY, free_port, open_when_up

LINES = (  # what, unit, digits, name of the figure
    ("the server's processor time a visit, median", "ms", 0, "server_ms_median"),
    ("until the heatmap is there, median", "s", 1, "seconds_median"),
    ("sent a visit", "KiB", 0, "sent_kib"),
    ("requests a visit", "", 0, "requests"),
)


def visit(browser: Browser, url: str, server: psutil.Process) -> dict[str, float]:
    """One visitor with an empty browser."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    finished = []
    page.on("requestfinished", lambda request: finished.append(request))
    before, began = _processor_seconds(server), time.perf_counter()
    open_when_up(page, url)
    page.wait_for_function(READY, timeout=120_000)
    seconds = time.perf_counter() - began
    page.wait_for_timeout(500)  # what an answer makes the page ask
    spent = _processor_seconds(server) - before
    sent = sum(request.sizes()["responseBodySize"] for request in finished)
    context.close()
    return {"server_ms": spent * 1000, "seconds": seconds, "sent_kib": sent / 1024, "requests": len(finished)}


def _processor_seconds(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return spent.user + spent.system


def measure(visits: int, arguments: list[str]) -> dict[str, dict[str, float]]:
    port = free_port()
    command = [sys.executable, "app.py", "--host", "0.0.0.0", "--port", str(port), *arguments]
    hosts = {"this machine": "127.0.0.1", "its network": next(iter(network_addresses()), "")}
    figures = {}
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            for name, host in hosts.items():
                if not host:
                    continue
                url, process = f"http://{host}:{port}/", psutil.Process(server.pid)
                visit(browser, url, process)  # the first of all
                seen = [visit(browser, url, process) for _ in range(visits)]
                figures[name] = {
                    "server_ms_median": statistics.median(each["server_ms"] for each in seen),
                    "seconds_median": statistics.median(each["seconds"] for each in seen),
                    "sent_kib": statistics.median(each["sent_kib"] for each in seen),
                    "requests": statistics.median(each["requests"] for each in seen),
                }
        finally:
            server.terminate()
            server.wait(20)
            browser.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options, arguments = parser.parse_known_args()
    if "--engine" not in arguments:
        arguments += ["--engine", "fake"]
    figures = measure(options.visits, arguments)
    if options.json:
        print(json.dumps(figures))
        return
    for place, found in figures.items():
        print(f"from {place}")
        for what, unit, digits, name in LINES:
            print(f"  {what:46} {found[name]:8.{digits}f} {unit}")


if __name__ == "__main__":
    main()
