"""Serving: what the server answers beside the page."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from demo.backend.fake import FakeEngine
from demo.lab import Lab
from demo.serving import create_middleware, create_routes
from demo.settings import Settings


@pytest.fixture
def lab() -> Lab:
    return Lab(Settings(engine="fake"), FakeEngine())


@pytest.fixture
def client(lab) -> TestClient:
    routes = create_routes(lab)
    return TestClient(Starlette(routes=routes, middleware=create_middleware(lab, routes=routes)))


def test_the_process_answers_before_its_model_is_there(client):
    assert client.get("/health").json() == {"status": "ok"}
    waiting = client.get("/ready")
    assert (waiting.status_code, waiting.json()) == (503, {"status": "loading"})


def test_ready_means_that_the_first_model_is_in_memory(client, lab):
    lab.open(wait=True)
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
