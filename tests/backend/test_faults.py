"""Faults of the machine that no room has to itself: a process that is killed, a disk that fills up, clocks that jump.

What else can fail is tested beside its room: CONTRIBUTING.md has the list.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from demo.backend.scheduler.cache import Entry
from demo.backend.scheduler.disk_cache import DiskCache
from demo.domain.errors import UnsupportedModel
from demo.serving.limits.body_limits import BodyLimits
from demo.serving.limits.rates import RateLimit
from tests import ROOT
from tests.waiting import eventually

# The one looks up when something was used last, the other reckons as its library does; both are tested here.
BY_THE_CLOCK = {"demo/backend/scheduler/disk_cache.py", "demo/serving/limits/rates.py"}


@contextlib.contextmanager
def served(model: Path, cache: Path):
    """`python app.py` in a process of its own, once it answers: (process, client)."""
    command = [sys.executable, "app.py", "--port", "0", "--device", "cpu", "--model", str(model)]
    command += ["--cache-dir", str(cache), "--disk-cache-mb", "8", "--no-live"]  # live: the first picture's texts run
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        with httpx.Client(base_url=url, timeout=100) as client:
            eventually(lambda: client.get("/ready").status_code == 200, 100, every=0.2)
            yield process, client
    finally:
        process.kill()
        process.wait(20)


def embed(client: httpx.Client, model: Path, texts: list[str]) -> list[list[float]]:
    answer = client.post("/v1/embeddings", json={"model": str(model), "input": texts})
    assert answer.status_code == 200, answer.text
    return [row["embedding"] for row in answer.json()["data"]]


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no kill -9")
def test_a_process_that_is_killed_in_the_middle_starts_again_and_has_what_it_kept(tiny, tmp_path):
    model, cache = tiny("llama"), tmp_path / "cache"
    with served(model, cache) as (process, client):
        before = embed(client, model, ["What is GPU?"])
        long = [f"text {i} " * 100 for i in range(1000)]
        lost = []

        def ask() -> None:
            try:
                embed(client, model, long)
            except httpx.HTTPError as error:
                lost.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        while "lab_engine_questions_waiting 1.0" not in client.get("/metrics").text:
            assert asking.is_alive()
        process.kill()
        asking.join(20)
        assert len(lost) == 1, "it was in the middle of an answer"
    with served(model, cache) as (_, client):
        assert embed(client, model, ["What is GPU?"]) == before
        assert "\nlab_engine_texts_total 0.0\n" in client.get("/metrics").text, "kept on disk, nothing ran"
        assert len(embed(client, model, long[:2])) == 2


def test_weights_that_contradict_their_header_are_a_sentence(engine, tiny, tmp_path):
    """As long as announced, so that it shows only when they are loaded."""
    folder = Path(shutil.copytree(tiny("llama"), tmp_path / "mine"))
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"F32"', b'"F64"', 1))
    with pytest.raises(UnsupportedModel, match="its weights cannot be loaded"):
        engine.load(str(folder))
    file.write_bytes(content)
    assert engine.load(str(folder)).n_layers == 4


def test_a_disk_that_fills_up_costs_the_cache_nothing_that_it_has(small_disk):
    disk, change = small_disk
    cache = DiskCache(disk, 2**30)
    cache.put({"first": Entry(np.ones(4, np.float32), False)})
    cache.put({i: Entry(np.ones(2000, np.float32), False) for i in range(100)})
    assert cache.get([1]) == {}
    change("size=8m")
    assert cache.get(["first"])
    cache.put({"large": Entry(np.ones(100_000, np.float32), False)})
    assert DiskCache(disk, 2**30).get(["first", "large"]).keys() == {"first", "large"}


@pytest.mark.parametrize("jump", [-3600, 3600, -86400 * 365])
def test_a_clock_that_jumps_shuts_nobody_out(monkeypatch, jump):
    now = SimpleNamespace(at=1_800_000_000.0)
    for module in ("limits.storage.memory", "limits.strategies", "demo.serving.limits.rates"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(time=lambda: now.at))
    statuses, waits = [], []

    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(app) -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://lab") as client:
            told = await client.post("/gradio_api/queue/join", json={"session_hash": "one", "data": []})
        statuses.append(told.status_code)
        waits.append(int(told.headers.get("retry-after", 0)))

    app = BodyLimits(RateLimit(answer, person=60, address=600))
    for _ in range(12):
        asyncio.run(ask(app))
    assert statuses == [200] * 10 + [429] * 2
    now.at += jump
    for _ in range(12):
        asyncio.run(ask(app))
    assert max(waits) <= 10, "never longer than the window"
    now.at += 20
    asyncio.run(ask(app))
    assert statuses[-1] == 200


def test_seconds_are_counted_by_a_clock_that_nobody_sets():
    """`time.time()` jumps when a clock is set; what measures or waits asks `monotonic` or `perf_counter`."""
    found = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "demo").rglob("*.py") if "time.time()" in path.read_text()
    }
    assert found == BY_THE_CLOCK
