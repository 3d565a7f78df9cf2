"""A browser, and the page over the fake engine: no weights, no network."""

from __future__ import annotations

import glob
import os
import shutil

import pytest

from demo.backend.fake import FakeEngine
from demo.datamodels import Device
from demo.lab import Lab
from demo.settings import Settings

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLOT = "#heatmap .js-plotly-plot"
# What Gradio's client writes when a page is left while an answer is on its way.
_LEFT = ("AbortError", "Connection errored out", "Failed to fetch", "net::ERR_")


def pytest_collection_modifyitems(items):
    """A browser on a busy machine gets a second try before a failure counts; the summary names who needed it."""
    for item in items:
        if "browser" in item.keywords:
            item.add_marker(pytest.mark.flaky(reruns=1))


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


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser tests")
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium found (CHROMIUM=…, chromium on the path, or `playwright install chromium`)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def serve():
    """Starts a page over an engine; returns its address. All are stopped at the end."""
    from demo.ui.page import create_page, launch_options

    pages = []

    def start(engine: FakeEngine, **options) -> str:
        lab = Lab(Settings(engine="fake", port=0, **options), engine)
        page = create_page(lab)
        _, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
        pages.append(page)
        return url

    yield start
    for page in pages:
        page.close(verbose=False)


@pytest.fixture(scope="session")
def shared_engine() -> FakeEngine:
    engine = WordyEngine()
    engine.load("smollm2-135m-instruct")
    return engine


@pytest.fixture(scope="session")
def url(serve, shared_engine) -> str:
    return serve(shared_engine, max_texts=50)


@pytest.fixture
def engine(shared_engine):
    """The engine behind `url`, quick again after each test."""
    yield shared_engine
    shared_engine.load_seconds = shared_engine.seconds_per_text = 0.0


@pytest.fixture
def open_page(browser, url):
    """Opens the page and waits for its heatmap. Afterwards: nothing in the console, no request to another host."""
    contexts, said, requests = [], [], []

    def start(address: str = "", drawn: bool = True, width: int = 1280, height: int = 900, **options):
        context = browser.new_context(**{"viewport": {"width": width, "height": height}, "locale": "en-US", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        visits = []
        said.append((visits, complaints := []))
        page.on("request", lambda request: visits.append(request.url) if request.is_navigation_request() else None)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address if address.startswith("http") else url + address)
        if drawn:
            page.wait_for_selector(PLOT, timeout=20_000)
            page.wait_for_selector('#heatmap .hm[data-state="ready"]')
        return page

    yield start
    for context in contexts:
        context.close()
    hosts = {request.split("/")[2].split(":")[0] for request in requests if "://" in request}
    assert hosts <= {"127.0.0.1"}, hosts
    # A page that was left may say so before its next visit is known of.
    complaints = [
        text for visits, texts in said for text in texts if len(visits) < 2 or not any(words in text for words in _LEFT)
    ]
    assert not complaints, "\n".join(complaints)
