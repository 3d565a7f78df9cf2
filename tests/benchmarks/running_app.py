"""Benchmarks of the running app: start app.py of one or two checkouts in turn, open the page, print the figures.

--beside PATH measures another checkout too, in alternating runs, and prints both figures and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import ROOT
from tests.waiting import eventually

BROWSER = {
    "executable_path": shutil.which("chromium") or shutil.which("google-chrome"),
    "args": ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
}
WINDOW = {"width": 1280, "height": 900}
READY = """document.querySelector('#heatmap .hm')?.dataset.state === 'ready'
  && document.querySelector('#heatmap .main-svg') !== null"""
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
Figures = dict[str, float]
Lines = tuple[tuple[Any, ...], ...]  # what is printed: (what, unit, digits, *names of the figures)


def python_path(checkout: Path) -> dict[str, str]:
    """The environment in which `demo` is this checkout's."""
    return {**os.environ, "PYTHONPATH": str(checkout)}


@contextmanager
def running_app(checkout: Path, arguments: list[str], **options: Any) -> Iterator[tuple[str, subprocess.Popen]]:
    """app.py of a checkout on a free port: (its address, its process). It need not answer yet."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), *arguments]
    server = subprocess.Popen(command, cwd=checkout, env=python_path(checkout), **options)
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.terminate()
        server.wait(20)


def open_when_up(page, url: str) -> None:
    """Load the page as soon as the server answers. Once: a visit that is broken off costs the server work, too."""
    eventually(lambda: urllib.request.urlopen(f"{url}/health").status, 120, "no answer", every=0.05, catching=OSError)
    page.goto(url, wait_until="commit")


def make_parser(description: str) -> argparse.ArgumentParser:
    """The flags that all of them have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another checkout, measured in turn with this")
    parser.add_argument("--rounds", type=int, help="runs of each; the figures are medians (1, and 2 with --beside)")
    return parser


def measure_and_print(options: argparse.Namespace, lines: Lines, measure: Callable[[Path], Figures]) -> None:
    """Measure this checkout, and the other one in turn with it; print medians, and this one's share of the other's."""
    checkouts = {"this": ROOT} | ({"beside": options.beside.resolve()} if options.beside else {})
    runs: dict[str, list[Figures]] = {name: [] for name in checkouts}
    for turn in range(options.rounds or len(checkouts)):
        for name in list(checkouts)[:: -1 if turn % 2 else 1]:  # who goes first changes
            runs[name].append(measure(checkouts[name]))
    found = {name: medians(each) for name, each in runs.items()}
    if options.beside:
        both = [name for name, value in found["beside"].items() if value and name in found["this"]]
        found["ratio"] = {name: found["this"][name] / found["beside"][name] for name in both}
    if options.json:
        print(json.dumps(found if options.beside else found["this"]))
    else:
        print_figures(lines, found)


def medians(runs: list[Figures]) -> Figures:
    """Of every figure that each run has."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0] if all(name in run for run in runs)}


def print_figures(lines: Lines, found: dict[str, Figures]) -> None:
    """One line a row, one column a checkout, and one of ratios."""
    if len(found) > 1:
        print(" " * 54 + "".join(f"{name:>22}" for name in found))
    for what, unit, digits, *names in lines:
        cells = []
        for column, figures in found.items():
            places = 2 if column == "ratio" else digits
            cells.append(", ".join(f"{figures[name]:,.{places}f}" for name in names if name in figures))
        if any(cells):
            print((f"{what:54}" + "".join(f"{cell:>22}" for cell in cells) + f" {unit}").rstrip())
