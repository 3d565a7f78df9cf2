"""Fixtures of serving: a live page over the fake engine, an app behind the middleware, a computation that waits."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from demo.backend.fake import FakeEngine
from demo.jobs.request_context import current_request
from demo.lab import Lab
from demo.serving import create_middleware, create_routes
from demo.settings import Settings

SECRET = "MarkerThatSomebodyTyped"


def serve(lab: Lab, **options) -> TestClient:
    """A client of the routes for programs, behind the middleware, without a page."""
    routes = create_routes(lab)
    app = Starlette(routes=routes, middleware=create_middleware(lab, routes=routes))
    return TestClient(app, **{"base_url": "http://localhost", **options})


@contextmanager
def live_page(lab: Lab):
    """(address, server) of a page over a lab."""
    pytest.importorskip("gradio", reason="gradio is not installed: no page to call")
    from demo.ui.page import create_page, launch_options

    page = create_page(lab)
    _, url, _ = page.launch(**launch_options(lab), prevent_thread_lock=True)
    yield url.rstrip("/"), page.server
    page.close(verbose=False)


@pytest.fixture(scope="session")
def live_lab() -> Lab:
    engine = FakeEngine(unreachable=())
    engine.load("all-minilm-l6-v2")
    return Lab(Settings(engine="fake", port=0, public=False), engine)


@pytest.fixture(scope="session")
def url(live_lab):
    """Address of a live page over `live_lab`."""
    with live_page(live_lab) as (url, _):
        yield url


class Held:
    """Computations that wait until they are released or cancelled."""

    def __init__(self):
        self.started, self.released, self.cancelled = threading.Event(), threading.Event(), threading.Event()
        self.contexts = []  # of each computation

    def wait(self) -> None:
        context = current_request()
        self.contexts.append(context)
        self.started.set()
        while not self.released.wait(0.01):
            if context.is_cancelled():
                self.cancelled.set()
                return


@pytest.fixture
def held(monkeypatch):
    """Every embedding waits, as `Held` says; released when the test ends."""
    held, embed = Held(), FakeEngine.embed

    def held_embed(self, *arguments):
        held.wait()
        return embed(self, *arguments)

    monkeypatch.setattr(FakeEngine, "embed", held_embed)
    yield held
    held.released.set()


@pytest.fixture
def broken(monkeypatch):
    """Every embedding raises an exception of ours that quotes a person's text."""

    def raise_secret(self, *arguments):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(FakeEngine, "embed", raise_secret)
