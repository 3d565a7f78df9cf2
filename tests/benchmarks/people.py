"""A classroom on one machine: everybody edits texts of their own at the same time. How long does each of them wait?

    python -m tests.benchmarks.people [--people 30] [--browsers 2] [--seconds 60] [--every 2] [--busy] [--beside PATH]

Starts app.py, opens a page for each person with 10 questions and 10 answers of their own, and lets each edit one of the
texts every two seconds for a minute. Some sit at real browsers, measured from the key press to the repainted heatmap;
the others are simulated (simulated.py), measured from the edit to its answer. --busy: a sweep and a training run, each
started in one more browser, go on all the while; `--busy lora_quick` names another effort than the projection. Any
other flag goes to app.py, `--engine fake` say. All of it shares the processor: the browsers' time is told as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.async_api import Browser, Page, async_playwright
from playwright.async_api import TimeoutError as PlaywrightTimeout

from demo.domain.recipe import EFFORTS
from demo.files.bundled import load_training
from tests import ROOT
from tests.benchmarks import percentile, processor_name
from tests.benchmarks.large import Memory
from tests.benchmarks.running_app import (
    BROWSER,
    READY,
    WINDOW,
    Figures,
    make_parser,
    measure_and_print,
    python_path,
    running_app,
)
from tests.benchmarks.simulated import LETTERS, Person, read_form

SIDE = 10  # questions, and answers, of each person
PATIENCE = 120  # seconds that anything may take: an answer, or the last ones after the minute
LAST = 19  # the niceness of what must not take the others' time
LOOK_SECONDS = 0.5  # between two looks at whether the sweep and the training go on
AGAIN_SECONDS = 10  # until a run that is not seen to begin is asked for again

# From each key press to the first frame that has the text that it made, read from the picture's own labels.
WATCH = """() => {
  const root = document.querySelector('#heatmap .hm');
  const box = document.querySelector('#questions textarea');
  const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
  window.isPainted = ({ row, text }) => {
    const ticks = document.querySelector('#heatmap .js-plotly-plot')?.layout?.yaxis.ticktext || [];
    const [label, number] = (ticks[row] || '').split('  <b>');
    if (!number) return false;
    return label.endsWith('…') ? escaped(text).startsWith(label.slice(0, -1)) : label === escaped(text);
  };
  window.waits = [];
  window.pending = [];
  let pressed = 0;
  document.addEventListener('keydown', (event) => { pressed = event.timeStamp; }, true);
  window.watchEdits = () => window.addEventListener('input', (event) => {
    if (event.target !== box || !event.isTrusted) return; // before the page's own listeners, which may hold it back
    const row = box.value.slice(0, box.selectionStart).split('\\n').length - 1;
    window.pending.push({ pressed, row, text: box.value.split('\\n')[row] });
  }, true);
  new MutationObserver(() => {
    if (root.dataset.state !== 'ready') return;
    const painted = window.pending.splice(0, window.pending.findLastIndex(window.isPainted) + 1);
    requestAnimationFrame(() => setTimeout(() => {
      for (const { pressed } of painted) window.waits.push(performance.now() - pressed);
    }, 0));
  }).observe(root, { attributes: true, attributeFilter: ['data-seq'] });
}"""
CARET = """(row) => {
  const box = document.querySelector('#questions textarea');
  const at = box.value.split('\\n').slice(0, row).join('\\n').length + (row > 0);
  box.focus();
  box.setSelectionRange(at, at);
}"""
ALL_PAINTED = "(texts) => texts.every((text, row) => window.isPainted({ row, text }))"

# How often a view has turned to "running": a run may begin and end between two looks.
COUNT_RUNS = """(name) => {
  const view = document.querySelector(`#${name} .view`);
  window.runs = 0;
  window.isRunning = () => view.dataset.state === 'running';
  new MutationObserver((changes) => {
    window.runs += window.isRunning() && changes[0].oldValue !== 'running';
  }).observe(view, { attributes: true, attributeFilter: ['data-state'], attributeOldValue: true });
}"""

LINES = (  # what is printed: what, unit, digits, names of the figures
    ("all pages opened, all texts in, all heatmaps there", "s", 1, "opened_s"),
    ("edit → answer: median, p95, most", "ms", 0, "answer_ms_median", "answer_ms_p95", "answer_ms_most"),
    ("key press → painted: median, p95, most", "ms", 0, "painted_ms_median", "painted_ms_p95", "painted_ms_most"),
    ("edits, of them replaced before they were asked", "", 0, "edits", "replaced"),
    ("key presses", "", 0, "keys"),
    ("errors, people whose last edit was lost", "", 0, "errors", "lost"),
    ("an edit made later than planned: at most", "ms", 0, "late_ms_most"),
    ("processor: the server, the browsers, this program", "s", 1, "server_cpu_s", "browsers_cpu_s", "program_cpu_s"),
    ("the server's memory: before, at most", "MiB", 0, "memory_before_mib", "memory_peak_mib"),
    ("the sweep: share of the time, runs", "", 2, "sweep_share", "sweep_runs"),
    ("the training: share of the time, runs", "", 2, "train_share", "train_runs"),
)


def deal_texts(people: int, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Questions and answers for each person: pairs that come with the lab, no text twice. Raises SystemExit."""
    every = [(pair.question, pair.answer) for one in load_training().values() for pair in one.pairs]
    random.Random(seed).shuffle(every)
    seen: set[str] = set()
    pairs = []
    for question, answer in every:
        if "\n" not in question + answer and question != answer and not seen & {question, answer}:
            seen |= {question, answer}
            pairs.append((question, answer))
    if people * SIDE > len(pairs):
        raise SystemExit(f"There are texts for {len(pairs) // SIDE:,} people; {people:,} were asked for.")
    hands = (pairs[start : start + SIDE] for start in range(0, people * SIDE, SIDE))
    return [([question for question, _ in hand], [answer for _, answer in hand]) for hand in hands]


def spread(name: str, seconds: Iterable[float]) -> dict[str, float]:
    """Median, 95th percentile and the most of some waits, in milliseconds; nothing of none."""
    waits = [wait * 1000 for wait in seconds]
    shares = {"median": 0.5, "p95": 0.95, "most": 1.0}
    return {f"{name}_ms_{what}": percentile(waits, share) for what, share in shares.items()} if waits else {}


def read_device(log: str) -> tuple[str, str]:
    """(device, with torch's threads in its name; precision), from what app.py prints once its engine is there."""
    found = re.search(r" on (.+), (\w+): ", log)
    return (found[1], found[2]) if found else ("unknown", "unknown")


class Typist:
    """Somebody at a browser, who edits a question of their own by one key."""

    def __init__(self, page: Page, texts: tuple[list[str], list[str]]):
        self.page = page
        self.questions, self.answers = texts
        self.keys = 0
        self.errors: Counter[str] = Counter()

    async def open(self, url: str) -> None:
        """Open the page and put the texts into its boxes. Returns when their heatmap is painted."""
        self.page.on("pageerror", lambda error: self.errors.update([str(error)]))
        self.page.on("console", lambda told: self.errors.update([told.text] if told.type == "error" else []))
        await self.page.goto(url)
        await self.page.wait_for_function(READY)
        await self.page.evaluate(WATCH)
        await self.page.fill("#questions textarea", "\n".join(self.questions))
        await self.page.fill("#answers textarea", "\n".join(self.answers))
        await self.page.wait_for_function(ALL_PAINTED, arg=self.questions)
        await self.page.evaluate("() => window.watchEdits()")

    async def edit(self, turn: int) -> None:
        """Press a key: one more letter before one of the questions."""
        row = turn % SIDE
        await self.page.evaluate(CARET, row)
        await self.page.keyboard.type(LETTERS[turn // SIDE % len(LETTERS)])
        self.keys += 1

    async def rest(self) -> None:
        """Until all is painted."""
        await self.page.wait_for_function("() => window.pending.length === 0")

    async def waits(self) -> list[float]:
        """Seconds from each key press to the painted heatmap."""
        return [wait / 1000 for wait in await self.page.evaluate("window.waits")]

    async def lost(self) -> bool:
        """Whether what is painted is not of the questions as they stand in the box."""
        texts = (await self.page.input_value("#questions textarea")).split("\n")
        return not await self.page.evaluate(ALL_PAINTED, texts)


class LongWork:
    """A sweep or a training run, started in a page of its own and begun anew when it ends."""

    def __init__(self, name: str, page: Page):
        self.name, self.page = name, page
        self.runs = 0  # that were seen to begin
        self._looks = self._running = 0
        self._asked: tuple[int, float] = (0, 0.0)  # (runs, when): before the last click

    async def open(self, url: str, texts: tuple[list[str], list[str]], choose: str = "") -> None:
        """Open the tab, choose something, and run. Returns when it has begun."""
        await self.page.goto(url)
        await self.page.wait_for_function(READY)
        for box, lines in zip(("questions", "answers"), texts, strict=True):
            await self.page.fill(f"#{box} textarea", "\n".join(lines))
        await self.page.click(f"#view-{self.name}-button")
        await self.page.wait_for_selector(f"#{self.name} .view[data-state='idle']")
        if choose:
            await self.page.click(choose)
        await self.page.evaluate(COUNT_RUNS, self.name)
        await self._run()
        await self.page.wait_for_function("() => window.runs > 0")

    async def go_on(self) -> None:
        """Until cancelled: look whether it runs, and run it again where it has ended."""
        while True:
            self.runs, running = await self.page.evaluate("[window.runs, window.isRunning()]")
            self._looks += 1
            self._running += running
            runs_before, asked_at = self._asked
            if not running and (self.runs > runs_before or time.perf_counter() - asked_at > AGAIN_SECONDS):
                await self._run()
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def figures(self) -> dict[str, float]:
        """The share of the looks at which it ran, and how often it was begun, the first time included."""
        return {f"{self.name}_share": self._running / max(self._looks, 1), f"{self.name}_runs": self.runs}

    async def _run(self) -> None:
        self._asked = (self.runs, time.perf_counter())
        # By the page itself: a button that is disabled meanwhile does nothing, and nobody waits for it.
        await self.page.evaluate("(id) => document.querySelector(id).click()", f"#{self.name}-run")


class Processor:
    """The processor time of some processes from now on, in seconds."""

    def __init__(self, processes: Iterable[psutil.Process]):
        self._began = {process: self._spent(process) for process in processes}

    def spent(self) -> float:
        return sum(self._spent(process) - began for process, began in self._began.items())

    def _spent(self, process: psutil.Process) -> float:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            return times.user + times.system
        return math.nan


async def wait_for_page(client: httpx.AsyncClient, server: subprocess.Popen) -> dict[str, Any]:
    """The form of the page as it opens, once the server answers. Raises SystemExit where it has ended instead."""
    while server.poll() is None:
        with suppress(httpx.TransportError):
            reply = await client.get("/config")
            return read_form(reply.raise_for_status().json())
        await asyncio.sleep(0.1)
    raise SystemExit(f"app.py ended with code {server.returncode}.")


async def keep_editing(edit: Callable[[int], Awaitable[None]], first: float, every: float, end: float) -> float:
    """One edit every so many seconds; returns by how many seconds the latest one was late."""
    late, turn = 0.0, 0
    while (planned := first + turn * every) < end:
        await asyncio.sleep(max(0.0, planned - time.perf_counter()))
        late = max(late, time.perf_counter() - planned)
        await edit(turn)
        turn += 1
    return late


async def new_page(browser: Browser) -> Page:
    """A page in a context of its own, as another person's browser has it."""
    page = await (await browser.new_context(viewport=WINDOW)).new_page()
    page.set_default_timeout(PATIENCE * 1000)
    return page


async def start_long_work(
    launch, url: str, server: psutil.Process, effort: str, texts: tuple[list[str], list[str]]
) -> tuple[LongWork, LongWork]:
    """A sweep over some texts and a training run, both under way."""
    before = children(server)
    browser = await launch()
    put_last(children(server) - before)
    sweep, train = LongWork("sweep", await new_page(browser)), LongWork("train", await new_page(browser))
    await sweep.open(url, texts)
    await train.open(url, texts, f"#train-effort label:nth-of-type({list(EFFORTS).index(effort) + 1})")
    put_last(children(server) - before)  # again: Chromium gives each page's process a priority of its own
    return sweep, train


def put_last(processes: set[psutil.Process]) -> None:
    """Whoever watches a sweep draws it on a machine of their own, not on everybody's."""
    for process in processes:
        with suppress(psutil.NoSuchProcess, OSError):
            for thread in process.threads():
                os.setpriority(os.PRIO_PROCESS, thread.id, LAST)
            # A browser is a session of its own, and Linux shares the processor among sessions first.
            Path(f"/proc/{process.pid}/autogroup").write_text(str(LAST))


def children(server: psutil.Process) -> set[psutil.Process]:
    """The browsers' processes."""
    return {*psutil.Process().children(recursive=True)} - {server, *server.children(recursive=True)}


async def let_edit(typists: list[Typist], people: list[Person], seconds: float, every: float) -> float:
    """Everybody edits, each a little after the other; returns by how many seconds the latest edit was late."""
    # The browsers sit evenly among the others.
    rows = [[((i + 0.5) / len(row), one.edit) for i, one in enumerate(row)] for row in (typists, people)]
    seats = [edit for _, edit in sorted(rows[0] + rows[1], key=lambda seat: seat[0])]
    start = time.perf_counter()
    return max(
        await asyncio.gather(
            *(
                keep_editing(edit, start + every * place / len(seats), every, start + seconds)
                for place, edit in enumerate(seats)
            )
        )
    )


async def settle(one: Typist | Person) -> None:
    """Until all is answered; what never comes is counted as lost."""
    with suppress(asyncio.TimeoutError, PlaywrightTimeout):
        await asyncio.wait_for(one.rest(), PATIENCE)


async def figures_of(typists: list[Typist], people: list[Person]) -> dict[str, float]:
    """What each of them saw, taken together."""
    return {
        **spread("answer", (wait for person in people for wait in person.waits)),
        **spread("painted", [wait for typist in typists for wait in await typist.waits()]),
        "edits": sum(person.edits for person in people),
        "replaced": sum(person.replaced for person in people),
        "keys": sum(typist.keys for typist in typists),
        "errors": sum(one.errors.total() for one in (*typists, *people)),
        "lost": sum(person.lost for person in people) + sum([await typist.lost() for typist in typists]),
    }


async def measure_minute(
    options: argparse.Namespace,
    url: str,
    server: psutil.Process,
    client: httpx.AsyncClient,
    form: dict[str, Any],
    launch,
) -> tuple[Figures, Counter[str]]:
    """Everybody opens the page and edits. launch: starts a browser."""
    browser = await launch()
    *hands, spare = deal_texts(options.people + 1, options.seed)
    typists = [Typist(await new_page(browser), texts) for texts in hands[: options.browsers]]
    people = [Person(client, form, *texts) for texts in hands[options.browsers :]]
    memory = Memory(server.pid)
    started = time.perf_counter()
    await asyncio.gather(*(typist.open(url) for typist in typists), *(person.open() for person in people))
    opened = time.perf_counter() - started
    work = await start_long_work(launch, url, server, options.busy, spare) if options.busy else ()
    who = {"server": [server], "browsers": children(server), "program": [psutil.Process()]}
    processors = {name: Processor(processes) for name, processes in who.items()}
    going_on = [asyncio.create_task(one.go_on()) for one in work]
    late = await let_edit(typists, people, options.seconds, options.every)
    for task in going_on:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task  # raises what it came to
    await asyncio.gather(*(settle(one) for one in (*typists, *people)))
    spent = {f"{name}_cpu_s": processor.spent() for name, processor in processors.items()}
    memory.end()
    figures = {
        "opened_s": opened,
        **await figures_of(typists, people),
        "late_ms_most": late * 1000,
        **spent,
        "memory_before_mib": memory.before,
        "memory_peak_mib": memory.peak,
    }
    for one in work:
        figures |= one.figures
    return figures, sum((one.errors for one in (*typists, *people)), Counter())


async def measure(options: argparse.Namespace, arguments: list[str]) -> Figures:
    """Start the app and measure; what the app logs, and what went wrong, goes to stderr."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        with running_app(ROOT, arguments, stdout=log, stderr=subprocess.STDOUT) as (url, server):
            limits = httpx.Limits(max_connections=None)
            async with (
                httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=limits, trust_env=False) as client,
                async_playwright() as playwright,
            ):
                form = await wait_for_page(client, server)
                launch = partial(playwright.chromium.launch, **BROWSER)
                figures, errors = await measure_minute(options, url, psutil.Process(server.pid), client, form, launch)
        log.seek(0)
        logged = log.read()
    notes = [logged.rstrip(), *read_device(logged), *(f"{count} × {error}" for error, count in errors.items())]
    print(*notes, sep="\n", file=sys.stderr)
    return figures


def measure_elsewhere(options: argparse.Namespace, arguments: list[str], checkout: Path) -> Figures:
    """The same by another checkout's own program: its simulated people know how its pages ask."""
    shared = ("people", "browsers", "seconds", "every", "seed", "busy")
    flags = [f"--{name}={vars(options)[name]}" for name in shared if vars(options)[name] is not None]
    command = [sys.executable, "-m", "tests.benchmarks.people", "--json", *flags, *arguments]
    done = subprocess.run(
        command, cwd=checkout, env=python_path(checkout), check=True, stdout=subprocess.PIPE, text=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return found.get("figures", found)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--people", type=int, default=30, help="all of them, those at browsers too")
    parser.add_argument("--browsers", type=int, default=2, help="people at real browsers")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=float, default=2, help="seconds from one edit to the same person's next")
    parser.add_argument("--busy", nargs="?", const="projection", choices=list(EFFORTS), metavar="EFFORT")
    parser.add_argument("--seed", type=int, default=0, help="of who gets which texts")
    options, arguments = parser.parse_known_args()
    if not 0 <= options.browsers <= options.people:
        parser.error("There are more browsers than people.")
    busy = f", a sweep and a training run ({options.busy}) beside them" if options.busy else ""
    about = f"{options.people} people, {options.browsers} of them at browsers, {options.seconds:g} s{busy}"
    versions = {"Python": platform.python_version(), **{name: version(name) for name in ("torch", "gradio")}}
    about += f"\n{processor_name()}, {os.cpu_count()} cores; " + ", ".join(f"{n} {v}" for n, v in versions.items())
    print(about, file=sys.stderr)

    def measure_one(checkout: Path) -> Figures:
        here = checkout == ROOT
        return asyncio.run(measure(options, arguments)) if here else measure_elsewhere(options, arguments, checkout)

    measure_and_print(options, LINES, measure_one)


if __name__ == "__main__":
    main()
