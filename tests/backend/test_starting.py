"""The stand-in for an engine that is still being made: what it knows, who waits, and what everyone gets at last."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from demo.backend.fake import FakeEngine
from demo.backend.starting import StartingEngine
from demo.domain.catalog import CATALOG, DEFAULT_MODEL
from demo.domain.datamodels import Pooling, Prompt, Reading
from demo.domain.errors import ModelLoading, ModelNotAllowed, UnknownChoice
from demo.lab import Lab
from demo.settings import Settings
from demo.ui.kit.i18n import translate_phrase
from tests import ROOT

TEXTS = (["What is GPU?", "Where?"], ["A chip.", "There."])
READING = Reading(DEFAULT_MODEL, Prompt.PLAIN, Pooling.MEAN)


def test_before_the_start_it_says_what_is_known_without_an_engine():
    engine = StartingEngine(FakeEngine)
    assert engine.device().name == "starting"
    assert engine.loaded(DEFAULT_MODEL) is None
    assert {status.model: status.state for status in engine.models()} == dict.fromkeys(CATALOG, "available")


def test_what_it_says_then_is_said_in_korean_too():
    device = StartingEngine(FakeEngine).device()
    for said in (device.name, device.reason):
        assert translate_phrase("ko", said) != said


def test_afterwards_it_answers_as_the_engine_does():
    engine, fake = StartingEngine(FakeEngine), FakeEngine()
    engine.start()
    assert engine.device() == fake.device()
    assert engine.models() == fake.models()
    assert engine.load(DEFAULT_MODEL) == fake.load(DEFAULT_MODEL) == engine.loaded(DEFAULT_MODEL)
    lab, other = (Lab(Settings(engine="fake"), each) for each in (engine, fake))
    assert (lab.compare(*TEXTS).similarity == other.compare(*TEXTS).similarity).all()
    assert engine.counts().texts == fake.counts().texts == 4


def test_the_page_never_waits_and_everything_else_does():
    engine = StartingEngine(FakeEngine)
    lab = Lab(Settings(engine="fake"), engine)
    for _ in range(2):
        with pytest.raises(ModelLoading) as told:
            lab.compare(*TEXTS, wait=False)
        assert told.value.values["stage"] == "starting"
    answers = []
    asks = (lambda: lab.compare(*TEXTS), lambda: engine.count_cached([], READING))
    waiting = [threading.Thread(target=lambda ask=ask: answers.append(ask())) for ask in asks]
    for thread in waiting:
        thread.start()
    waiting[0].join(0.2)
    assert answers == []
    engine.start()
    for thread in waiting:
        thread.join(20)
    assert len(answers) == 2
    assert lab.compare(*TEXTS, wait=False).similarity.shape == (2, 2)


def test_a_model_that_the_host_does_not_offer_is_refused_before_the_start():
    lab = Lab(Settings(engine="fake", public=True), StartingEngine(FakeEngine))
    with pytest.raises(ModelNotAllowed):
        lab.open("no/such", wait=False)


def test_what_stands_in_the_way_is_told_to_everyone():
    def refuse():
        raise UnknownChoice(field="device", value="gpu9", kind="device of this machine", accepted="auto, cpu")

    engine = StartingEngine(refuse)
    lab = Lab(Settings(engine="fake"), engine)
    with pytest.raises(ModelLoading):
        lab.open(wait=False)
    with pytest.raises(UnknownChoice, match="gpu9"):
        engine.start()
    lab.loader._loads[DEFAULT_MODEL].outcome.exception(20)
    reading = CATALOG[DEFAULT_MODEL].default_reading
    for ask in (lambda: lab.open(wait=False), lab.open, lab.device, lambda: engine.embed([], reading)):
        with pytest.raises(UnknownChoice, match="gpu9"):
            ask()


def test_the_page_is_served_before_torch_can_tell_that_a_device_is_unknown():
    command = [sys.executable, "app.py", "--device", "gpu9", "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("http://")
    assert "app.py: “gpu9” is not a device of this machine. Accepted: auto, cpu" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
