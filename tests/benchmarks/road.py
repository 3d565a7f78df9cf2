"""The whole road of somebody with a file of questions and answers, in a real browser with real weights.

    python -m tests.benchmarks.road FAQ.csv [--rows 60] [--budget 600] [--folder SHOTS]

Drops the file's first rows as a workbook, presses Recommend, uses what is recommended, compares it, takes it home, and
runs that script in a process of its own. Prints clicks and seconds, and whether the script found the lab's cosines.
Recommend tries every model that runs here from memory. --folder keeps a picture of each step.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import openpyxl
from playwright.sync_api import Page, sync_playwright

from demo.cli.options import PAIR_LIMITS
from demo.files.labelled import load_labelled
from tests import ROOT
from tests.benchmarks.running_app import BROWSER, READY, WINDOW, open_when_up, python_path, running_app
from tests.browser.page_actions import give_file

TAB = "#view-recommend-button"
PATIENCE_MS = 120_000


def workbook(path: str, rows: int) -> bytes:
    """The file's first right pairs, as a spreadsheet keeps them."""
    texts = load_labelled(path, PAIR_LIMITS)
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.append(("question", "answer"))
    right = [pair for pair, label in zip(texts.pairs, texts.labels, strict=True) if label == 1]
    for question, answer in dict(right).items():
        if book.active.max_row <= rows:
            book.active.append((texts.questions[question], texts.answers[answer]))
    book.save(file)
    return file.getvalue()


class Road:
    """One visitor on the road, with their clicks and the seconds of each step."""

    def __init__(self, page: Page, folder: Path | None):
        self.page, self.folder = page, folder
        self.clicks: list[str] = []
        self.seconds: dict[str, float] = {}
        self.began = time.perf_counter()

    def click(self, selector: str) -> None:
        self.clicks.append(selector)
        self.page.click(selector)

    def reached(self, step: str) -> None:
        """A step is done."""
        self.seconds[step] = round(time.perf_counter() - self.began, 1)
        if self.folder:
            self.page.screenshot(path=self.folder / f"{len(self.seconds)} {step}.png", full_page=True)

    def walk(self, file: bytes, budget: str) -> tuple[str, str]:
        """The verdict, and the script that was taken home."""
        page = self.page
        self.clicks.append("a file is dropped")
        give_file(page, file, "faq.xlsx")
        page.wait_for_selector("#page-file-said :text('faq.xlsx')")
        self.reached("dropped")
        self.click(TAB)
        page.wait_for_selector("#recommend-source-note :text('questions')")
        if not page.is_checked(f"#recommend-budget input[value='{budget}']"):
            self.click(f"#recommend-budget label:has(input[value='{budget}'])")
        self.click("#recommend-run")
        page.wait_for_selector("#recommend-verdict .recommend-use", timeout=1000 * (int(budget) + 180))
        self.reached("recommended")
        verdict = page.inner_text("#recommend-verdict .verdict")
        if page.is_enabled("#recommend-verdict .recommend-use"):
            self.click("#recommend-verdict .recommend-use")
            page.wait_for_selector("#recommend-verdict .recommend-use:disabled")
            self.reached("used")
        self.click("#recommend-verdict .recommend-compare")
        page.wait_for_selector('#compare .view[data-state="ready"]')
        page.wait_for_selector("#compare-verdict p")
        self.reached("compared")
        self.click(TAB)
        self.click("#recommend-verdict .recommend-take")
        page.wait_for_selector(".takehome-code:not(:empty)")
        self.reached("taken home")
        return verdict, page.inner_text(".takehome-code")


def run_script(script: str) -> tuple[str, float]:
    """What a script printed last in a process of its own, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reading.py"
        path.write_text(script, encoding="utf-8")
        began = time.perf_counter()
        command = [sys.executable, str(path)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=python_path(ROOT))
    return done.stdout.strip().splitlines()[-1], time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="pairs, as the command line takes them")
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--budget", default="600", help="seconds, one of the tab's choices")
    parser.add_argument("--folder", type=Path, help="for a picture of each step")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    with running_app(ROOT, ["--device", "cpu"]) as (url, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(**BROWSER)
        page = browser.new_page(viewport=WINDOW, locale="en-US")
        page.set_default_timeout(PATIENCE_MS)
        open_when_up(page, url)
        page.wait_for_function(READY)
        road = Road(page, options.folder)
        verdict, script = road.walk(workbook(options.file, options.rows), options.budget)
        browser.close()
    said, seconds = run_script(script)
    print(verdict)
    print(json.dumps(road.seconds))
    print(f"{len(road.clicks)} clicks; the script took {seconds:.1f} s in a process of its own and says: {said}")


if __name__ == "__main__":
    main()
