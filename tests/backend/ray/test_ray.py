"""Past one machine: a real Ray on this one, two replicas of the fake engine, and the same answers as without them."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from demo.backend import create_engine
from demo.backend.fake import FakeEngine
from demo.backend.ray.start import create_ray_engine
from demo.domain.catalog import CATALOG
from demo.domain.datamodels import Pooling, Prompt, PromptedText, Reading
from demo.domain.errors import ClusterBusy, ClusterFailed, DemoError, ReadingRefused, Stopped
from demo.domain.recipe import Recipe
from demo.jobs.request_context import request_context
from demo.lab import Lab
from demo.settings import Settings
from tests import ROOT
from tests.waiting import eventually

# Ray reads it when it is imported, whichever test does that.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
MODEL, ENCODER = "smollm2-135m-instruct", "all-minilm-l6-v2"
READING = CATALOG[MODEL].default_reading
TEXTS = [
    PromptedText(text) for text in ("What is a GPU?", "Where is it?", "대한민국의 수도는 어디인가요?", "where is it")
]
PEOPLE, QUESTIONS, QUEUE = 30, 6, 100
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


def ray_settings(**changed) -> Settings:
    two = {"ray_min_replicas": 2, "ray_max_replicas": 2, "ray_ongoing": 4, "ray_queue": QUEUE, "ray_object_mb": 100}
    return Settings(engine="ray", ray_engine="fake", public=False, **(two | changed))


@pytest.fixture(scope="module")
def cluster():
    """Two replicas whose texts take 10 ms each. None of its processes outlives it."""
    settings = ray_settings()
    engine = create_ray_engine(settings, lambda settings: FakeEngine(load_seconds=0.5, seconds_per_text=0.01))
    started = psutil.Process().children(recursive=True)
    yield engine
    engine.close()
    assert not psutil.wait_procs(started, timeout=10)[1]


def replicas(page: psutil.Process | None = None) -> list[psutil.Process]:
    children = (page or psutil.Process()).children(recursive=True)
    return [one for one in children if one.name().startswith("ray::ServeRepli")]


def outcome(act):
    """What it comes to; an error as what a person sees of it."""
    try:
        return act()
    except DemoError as error:
        return type(error), str(error), error.field, error.values


@needs_ray
def test_a_cluster_answers_what_the_local_engine_answers(cluster):
    local = FakeEngine()
    told = []
    assert cluster.loaded(ENCODER) is None
    assert cluster.load(ENCODER, told.append) == local.load(ENCODER) == cluster.loaded(ENCODER)
    assert told, "a load of half a second tells how far it is"
    assert {one.model: one.state for one in cluster.models()}[ENCODER] == "loaded"
    local.load(MODEL)
    for pooling in (Pooling.LAST_TOKEN_LOGITS, Pooling.MEAN):
        reading = replace(READING, pooling=pooling)
        for _ in range(2):  # from a replica, then from the page's cache
            np.testing.assert_array_equal(
                cluster.embed([*TEXTS, TEXTS[0]], reading).vectors, local.embed([*TEXTS, TEXTS[0]], reading).vectors
            )
    many = [PromptedText(f"text {i}") for i in range(150)]  # more than go to one replica together
    np.testing.assert_array_equal(cluster.embed(many, reading).vectors, local.embed(many, reading).vectors)
    poolings = (Pooling.MEAN, Pooling.LAST_TOKEN)
    np.testing.assert_array_equal(cluster.survey(TEXTS, READING, poolings), local.survey(TEXTS, READING, poolings))
    [ours], [theirs] = cluster.inspect(TEXTS[:1], reading), local.inspect(TEXTS[:1], reading)
    assert (ours.tokens, ours.pooled, ours.inside) == (theirs.tokens, theirs.pooled, theirs.inside)
    np.testing.assert_array_equal(ours.states, theirs.states)
    for ask in (
        lambda engine: engine.leave_one_out(TEXTS[0], reading)[0],
        lambda engine: engine.logits_of(MODEL, ours.states, 3),
    ):
        np.testing.assert_array_equal(ask(cluster), ask(local))
    assert cluster.count_tokens(TEXTS, MODEL) == local.count_tokens(TEXTS, MODEL)
    assert cluster.read_tokens(MODEL, ours.states, Pooling.MEAN, 3, 5) == local.read_tokens(
        MODEL, ours.states, Pooling.MEAN, 3, 5
    )


@needs_ray
def test_what_goes_wrong_in_a_replica_is_told_as_it_is_here(cluster):
    local = FakeEngine()
    for act in (
        lambda engine: engine.load("no/such-model"),
        lambda engine: engine.load("gpt2"),  # its weights cannot be fetched
        lambda engine: engine.embed(TEXTS, Reading("mistral-7b-instruct-v0.1")),  # it does not fit
        lambda engine: engine.embed(TEXTS, Reading(ENCODER)),  # it has no logits
        lambda engine: Lab(ray_settings(), engine).compare(["a\x00"], ["b"]),
    ):
        failed = outcome(lambda act=act: act(cluster))
        assert failed[0] is not ClusterFailed
        assert failed == outcome(lambda act=act: act(local))
    with pytest.raises(ReadingRefused, match="replicas do not train"):
        cluster.train(Recipe(READING), [], [])
    with pytest.raises(ReadingRefused, match="on the cluster"):
        cluster.export(READING, {}, Path("nowhere"))


@needs_ray
def test_several_readings_are_answered_at_once(cluster):
    local = FakeEngine()
    readings = [replace(READING, layer=layer, prompt=Prompt.PLAIN) for layer in range(6)]
    texts = [[PromptedText(f"reading {i}, text {j}") for j in range(5)] for i in range(len(readings))]
    with ThreadPoolExecutor(len(readings)) as at_once:
        answers = list(at_once.map(cluster.embed, texts, readings))
    for reading, part, answer in zip(readings, texts, answers, strict=True):
        np.testing.assert_array_equal(answer.vectors, local.embed(part, reading).vectors)


@needs_ray
def test_a_replica_that_dies_under_load_costs_nobody_an_answer(cluster):
    local = FakeEngine()
    texts = {
        (person, turn): [PromptedText(f"{person} asks {turn}"), PromptedText(f"{person} adds {turn}")]
        for person in range(PEOPLE)
        for turn in range(QUESTIONS)
    }
    right = {key: local.embed(some, READING).vectors for key, some in texts.items()}
    answered = threading.Semaphore(0)
    victim = replicas()[0]

    def ask(person: int) -> int:
        good = 0
        for turn in range(QUESTIONS):
            good += np.array_equal(cluster.embed(texts[person, turn], READING).vectors, right[person, turn])
            answered.release()
        return good

    with ThreadPoolExecutor(PEOPLE) as people:
        counts = [people.submit(ask, person) for person in range(PEOPLE)]
        for _ in range(PEOPLE):
            assert answered.acquire(timeout=60)
        victim.kill()
        assert [count.result(timeout=120) for count in counts] == [QUESTIONS] * PEOPLE
    eventually(lambda: len(replicas()) == 2)
    assert victim.pid not in [one.pid for one in replicas()]


@needs_ray
def test_a_ray_of_ones_own_answers_nobody_else(cluster):
    """Its ports are this machine's alone; the one that Serve opens to all for each replica wants the token."""
    import grpc

    ours = {one.pid: one.name() for one in psutil.Process().children(recursive=True)}
    listening = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.pid in ours]
    assert listening
    open_to_all = [one for one in listening if not one.laddr.ip.removeprefix("::ffff:").startswith("127.")]
    assert all(ours[one.pid].startswith("ray::ServeRepli") for one in open_to_all)
    for one in open_to_all:
        with grpc.insecure_channel(f"127.0.0.1:{one.laddr.port}") as channel:
            for method in ("/ray.serve.ASGIService/HandleRequest", "/ray.serve.ASGIService/HandleRequestStreaming"):
                with pytest.raises(grpc.RpcError) as refused:
                    channel.unary_unary(method)(b"", timeout=10)
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def was_turned_away(response) -> bool:
    from ray.serve.exceptions import BackPressureError

    try:
        response.result(timeout_s=0)
    except BackPressureError:
        return True
    except TimeoutError:
        return False
    return False


@needs_ray
def test_a_cluster_in_use_says_so_and_a_question_that_nobody_wants_is_dropped(cluster):
    """Long work waits while all is busy; a person is told. The last one with this cluster: its threads stay busy."""
    from demo.backend.ray.engine import cancel

    cluster.load(MODEL)
    slow = [PromptedText(f"slow {i}") for i in range(1000)]  # ten seconds
    asked = cluster._replicas.options(multiplexed_model_id=MODEL)
    sent = []  # held until the end: a response that is let go is cancelled

    def full() -> bool:
        """Serve turns some away before it hands out the first: full is where all that come later are turned away."""
        some = [asked.ask.remote(True, "embed", slow, READING, True) for _ in range(QUEUE // 4)]
        sent.extend(some)
        time.sleep(0.5)
        return all(map(was_turned_away, some))

    eventually(full)
    with pytest.raises(ClusterBusy, match=str(QUEUE)):
        cluster.embed([PromptedText("urgent")], READING)
    assert cluster.models(), "the page opens all the same"
    asks = threading.Event()

    def is_cancelled() -> bool:
        asks.set()
        return True

    with request_context(interactive=False, is_cancelled=is_cancelled), pytest.raises(Stopped):
        cluster.embed([PromptedText("patient")], READING)
    assert asks.is_set()
    for response in sent:  # a question that is on its way when Ray ends would end this process with it
        cancel(response)
    assert cluster._forward("", "device").kind == "fake", "what is dropped makes room"


@needs_ray
def test_the_page_over_ray_imports_no_torch_and_leaves_no_process_behind():
    command = [sys.executable, "app.py", *"--engine ray --ray-engine fake --port 0 --ray-object-mb=100".split()]
    page = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = ""
        while "replicas on Ray" not in said:  # the device line: the cluster is there
            line = page.stdout.readline()
            assert line, f"app.py ended: {said}"
            said += line
        assert re.search(r"http://127\.0\.0\.1:\d+", said)
        process = psutil.Process(page.pid)
        assert not [one.path for one in process.memory_maps() if "torch" in one.path]
        assert replicas(process)
        started = process.children(recursive=True)
        page.send_signal(signal.SIGTERM)
        page.wait(30)
        assert not psutil.wait_procs(started, timeout=10)[1]
    finally:
        page.kill()
        page.stdout.close()


@needs_ray
def test_a_cluster_that_is_not_there_is_told_of_at_once():
    with pytest.raises(ClusterFailed, match="Ray on 127.0.0.1:1 does not answer"):
        create_ray_engine(ray_settings(ray_address="127.0.0.1:1"), create_engine)


def test_without_ray_a_sentence_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("demo.backend.ray.engine")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "demo.backend.ray.deployment", None)  # as an import that fails
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(ClusterFailed, match=r"is not installed; pip install .ray\[serve\]."):
        create_ray_engine(ray_settings(), create_engine)


def test_the_fake_engine_lets_go_of_a_model():
    engine = FakeEngine()
    engine.load(MODEL)
    engine.release(MODEL)
    engine.release("one that is not there")
    assert engine.loaded(MODEL) is None
