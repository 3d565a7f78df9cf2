"""A browser, and the page over the fake engine: no weights, no network."""

from __future__ import annotations

import glob
import os
import shutil
from functools import cache, partial

import pytest
from playwright.sync_api import expect, sync_playwright

from demo.backend.fake import FakeEngine
from demo.domain.datamodels import Device
from demo.domain.recipe import EFFORTS
from demo.lab import Lab
from demo.settings import Settings
from tests.browser.page_actions import PATIENCE_MS, PLOT, STATE, queues, watch_activity

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# What Gradio's client writes when a page is left while an answer is on its way.
_LEFT = ("AbortError", "Connection errored out", "Failed to fetch", "net::ERR_")

# What the page keeps goes, and is not written again when it closes.
FORGET = "() => { localStorage.clear(); Storage.prototype.setItem = () => {}; }"


class WordyEngine(FakeEngine):
    """A fake whose device has as much to say as a real one: the page must not grow wider for it."""

    def device(self) -> Device:
        reason = "CPU, because torch finds no GPU; bfloat16, because this processor computes it natively (AVX512-BF16)."
        return Device("CPU, 2 threads (x86_64)", "fake", "bfloat16", reason)


def find_browser() -> str | None:
    """A Chromium: named by CHROMIUM, on the path, or the one that playwright installed."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    own = sorted(glob.glob(os.path.expanduser("~/.cache/ms-playwright/chromium-*/chrome-linux*/chrome")))
    return found or (own[-1] if own else None)


@pytest.fixture(scope="package")
def playwright():
    """Its event loop runs until the tests leave this folder: those of other folders start their own."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium() -> dict:
    """How a Chromium is started."""
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium found (CHROMIUM=…, chromium on the path, or `playwright install chromium`)")
    return {"executable_path": path, "args": list(_ARGUMENTS)}


@pytest.fixture(scope="package")
def browser(playwright, chromium):
    """For people who are each another: every context of it begins with nothing."""
    browser = playwright.chromium.launch(**chromium)
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def regular(request, playwright, chromium, tmp_path_factory):
    """regular(**kind): the context of one person with a kind of device, kept from test to test: what a page is made of
    is fetched and compiled once, not once a test, which halves a visit. What a test leaves in it is cleared."""

    @cache
    def context_of(**kind):
        if kind != {"locale": "en-US"}:
            return request.getfixturevalue("browser").new_context(**kind)
        profile = tmp_path_factory.mktemp("profile")  # the one that most tests use keeps what it compiles, too
        return playwright.chromium.launch_persistent_context(profile, **chromium, **kind)

    yield context_of
    context_of(locale="en-US").close()


def launch(engine: FakeEngine, pages: list, **options) -> str:
    """Starts a page over an engine; returns its address."""
    from demo.ui.page import create_page, launch_options

    lab = Lab(Settings(engine="fake", port=0, **options), engine)
    page = create_page(lab)
    _, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
    pages.append(page)
    queues.append(page._queue)
    return url


@pytest.fixture(scope="module")
def serve():
    """`launch`, for the module: a server that nobody asks costs the others a twentieth of a core."""
    pages: list = []
    yield partial(launch, pages=pages)
    for page in pages:
        page.close(verbose=False)


@pytest.fixture(scope="session")
def shared_engine() -> FakeEngine:
    engine = WordyEngine()
    engine.load("smollm2-135m-instruct")
    return engine


@pytest.fixture(scope="session")
def url(shared_engine):
    pages: list = []
    yield launch(shared_engine, pages, max_texts=50)
    pages[0].close(verbose=False)


@pytest.fixture(scope="session")
def small():
    """The address of a page whose first model has seven layers only; the article's is loaded as well."""
    engine, pages = FakeEngine(), []
    for model in ("all-minilm-l6-v2", "smollm2-135m-instruct"):
        engine.load(model)
    yield launch(engine, pages, model="all-minilm-l6-v2")
    pages[0].close(verbose=False)


@pytest.fixture(scope="module")
def short_runs():
    """Training runs of 60 steps."""
    with pytest.MonkeyPatch.context() as patch:
        for effort in EFFORTS.values():
            patch.setitem(effort, "steps", 60)
            patch.setitem(effort, "batch_size", 8)
        yield


@pytest.fixture
def engine(shared_engine):
    """The engine behind `url`, quick again after each test."""
    yield shared_engine
    shared_engine.load_seconds = shared_engine.seconds_per_text = 0.0


@pytest.fixture
def open_page(request, regular, url):
    """Opens the page and waits for its heatmap. Afterwards: nothing in the console, no request to another host.

    The first visitor of each kind is a regular one; another of the same kind comes with a browser of their own.
    """
    visitors, kinds, said, requests = [], [], [], []

    def arrive(width: int, height: int, options: dict):
        looks = {name: options.pop(name) for name in ("color_scheme", "reduced_motion") if name in options}
        kind = {"locale": "en-US", **{name: value for name, value in options.items() if value}}
        context = request.getfixturevalue("browser").new_context(**kind) if kind in kinds else regular(**kind)
        kinds.append(kind)
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(**looks)
        return page

    def start(address: str = "", drawn: bool = True, width: int = 1280, height: int = 900, **options):
        page = arrive(width, height, options)
        visitors.append(page)
        page.set_default_timeout(PATIENCE_MS)
        watch_activity(page)
        visits = []
        said.append((visits, complaints := []))
        page.on("request", lambda request: visits.append(request.url) if request.is_navigation_request() else None)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address if address.startswith("http") else url + address)
        if drawn:
            page.wait_for_selector(PLOT)
            page.wait_for_selector(STATE.format("ready"))
        return page

    yield start
    for number, page in enumerate(visitors):
        if not page.is_closed():
            page.evaluate(FORGET)
            page.close()
        if kinds[number] in kinds[:number]:
            page.context.close()
        else:
            page.context.clear_cookies()
            page.context.clear_permissions()
    hosts = {request.split("/")[2].split(":")[0] for request in requests if "://" in request}
    assert hosts <= {"127.0.0.1"}, hosts
    # A page that was left may say so before its next visit is known of.
    complaints = [
        text for visits, texts in said for text in texts if len(visits) < 2 or not any(words in text for words in _LEFT)
    ]
    assert not complaints, "\n".join(complaints)
