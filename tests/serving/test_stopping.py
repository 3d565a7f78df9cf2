"""Stopping: SIGINT and SIGTERM end app.py and the command line within five seconds, cleanly, answers first."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from tests import ROOT
from tests.waiting import eventually

SECONDS = 10.0  # five, and what a busy machine adds; it was two minutes
SLOW = """
import functools, sys
import demo.backend.fake as fake
fake.FakeEngine = functools.partial(fake.FakeEngine, seconds_per_text={seconds}, unreachable=())
from demo import app
from demo.jobs.leave import leave
leave(app.main(["--engine", "fake", "--port", "0", "--no-live"]))  # live: the first picture's texts would come before
"""
TO_ANOTHER_THREAD = """
import signal, sys, threading
from demo import app
from demo.jobs.leave import leave

def signal_here():
    sys.stdin.readline()
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

threading.Thread(target=signal_here, daemon=True).start()
leave(app.main(["--engine", "fake", "--port", "0"]))
"""


@contextmanager
def running(*command: str, **environment: str):
    """(process, address) of a page."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env={**os.environ, **environment}, **pipes)
    try:
        url = process.stdout.readline().strip()
        assert re.match(r"http://127\.0\.0\.1:\d+", url), process.stderr.read()
        yield process, url.rstrip("/")
    finally:
        process.kill()
        process.communicate()


def stop(process: subprocess.Popen, number: int) -> str:
    """Signal it and wait for its end: what it said on stderr. It ends in time, with 0."""
    began = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < SECONDS
    assert process.returncode == 0, errors
    assert "terminate" not in errors
    assert "Traceback" not in errors
    return errors


def embed(url: str, texts: list[str], model: str) -> httpx.Response:
    body = {"model": f"{model}?pooling=mean&prompt=plain", "input": texts}
    return httpx.post(f"{url}/v1/embeddings", json=body, timeout=60)


def metric(url: str, name: str) -> float:
    return float(re.search(rf"^lab_{name} (\S+)", httpx.get(f"{url}/metrics").text, re.M)[1])


def wait_until_asked(url: str) -> None:
    """Until two requests are under way: an embedding, and the look for it."""
    eventually(lambda: metric(url, "http_requests_in_progress") > 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_answer_under_way_is_given_before_the_end(number):
    with running("-c", SLOW.format(seconds=1.0)) as (process, url), ThreadPoolExecutor() as pool:
        asked = pool.submit(embed, url, ["one", "two"], "all-minilm-l6-v2")
        wait_until_asked(url)
        stop(process, number)
        assert len(asked.result().json()["data"]) == 2


def test_an_answer_that_takes_too_long_is_refused_in_words():
    with running("-c", SLOW.format(seconds=0.5)) as (process, url), ThreadPoolExecutor() as pool:
        asked = pool.submit(embed, url, [f"text {i}" for i in range(120)], "all-minilm-l6-v2")
        wait_until_asked(url)
        stop(process, signal.SIGTERM)
        refused = asked.result()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_stopping")
    assert "Retry-After" in refused.headers


def test_a_start_that_is_interrupted_ends_cleanly(tmp_path):
    """While torch is imported, with somebody who waits for the engine."""
    command = ("app.py", "--port", "0", "--cache-dir", str(tmp_path))
    with running(*command) as (process, url), ThreadPoolExecutor() as pool:
        asked = pool.submit(embed, url, ["a"], "all-minilm-l6-v2")
        eventually(lambda: metric(url, "http_requests_in_progress") > 1)
        stop(process, signal.SIGINT)
        assert asked.exception() or asked.result().status_code >= 400


def test_an_open_page_does_not_hold_the_end():
    with running("app.py", "--engine", "fake", "--port", "0") as (process, url):
        with httpx.stream("GET", f"{url}/gradio_api/heartbeat/one", timeout=30) as stream:
            next(stream.iter_raw())
            began = time.monotonic()
            stop(process, signal.SIGINT)
        assert time.monotonic() - began < SECONDS / 2


def test_a_signal_that_reaches_another_thread_ends_the_process_too():
    """Python handles it in the main thread, which its sleep does not notice: as one that comes just before a sleep."""
    with running("-c", TO_ANOTHER_THREAD) as (process, _):
        assert "fake engine" in process.stdout.readline()  # the main thread sleeps from here on
        began = time.monotonic()
        process.communicate("now\n", timeout=30)
        assert time.monotonic() - began < SECONDS
        assert process.returncode == 0


@pytest.mark.weights
def test_a_real_model_under_way_ends_cleanly():
    """A thread that computes in C++ aborts the process where Python ends as usual."""
    with running("app.py", "--port", "0") as (process, url), ThreadPoolExecutor() as pool:
        eventually(lambda: embed(url, ["a"], "smollm2-135m-instruct").status_code == 200, 120)
        texts = [f"{i} " + "a long text of many words " * 300 for i in range(60)]
        asked = pool.submit(embed, url, texts, "smollm2-135m-instruct")
        eventually(lambda: metric(url, "engine_questions_waiting"), 60)
        stop(process, signal.SIGINT)
        assert asked.result().status_code == 503


@pytest.mark.weights
def test_a_command_interrupted_in_the_midst_of_a_pass_ends_with_130_and_no_word():
    code = (
        "from demo.backend.scheduler.model_runner import ModelRunner\n"
        "run_pass = ModelRunner.run\n"
        "def run(self, *given):\n"
        "    print('computing', flush=True)\n"
        "    return run_pass(self, *given)\n"
        "ModelRunner.run = run\n"
        "from demo.__main__ import run\n"
        "run()"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    texts = [word for i in range(20) for word in ("--text", f"{i} " + "a long text of many words " * 100)]
    with subprocess.Popen([sys.executable, "-c", code, "embed", *texts], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline().startswith("computing")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (130, "")
