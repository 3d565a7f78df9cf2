"""Training in a process of its own: the same run as in this one, its failures told here, and gone when nobody asks."""

import itertools
import os
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest

from demo.backend.apart import TrainingApart
from demo.backend.contrastive import ContrastiveTraining
from demo.datamodels import PromptedText
from demo.errors import BadInput, ReadingRefused, Stopped, TrainingLost
from demo.jobs import Desk
from demo.training import Method, PromptedPair
from demo.turns import asking
from tests.test_contrastive import PAIRS, SOURCES, recipe_for

TEXTS = [PromptedText("What is GPU?"), PromptedText("a")]


def guide(texts):
    """Other vectors of the same texts, without a model."""
    return np.stack([np.bincount(np.frombuffer(text.encode(), np.uint8) % 16, minlength=16) for text in texts]) + 0.5


def train_apart(engine, recipe, guide=None) -> TrainingApart:
    with asking(urgent=False):
        training = engine.train(recipe, PAIRS, SOURCES, guide)
    assert isinstance(training, TrainingApart)
    return training


def children() -> set[int]:
    """The processes that train."""
    found = set()
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # a zombie is one too
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def wait_for(true) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_the_run_that_it_would_be_here(engine, tiny, tmp_path):
    """Losses, vectors, adapter and state; with a guide, which is asked on this side."""
    recipe = recipe_for(tiny("llama"), steps=4)
    before = children()
    here, apart = engine.train(recipe, PAIRS, SOURCES, guide), train_apart(engine, recipe, guide)
    assert isinstance(here, ContrastiveTraining)
    assert apart.trainable == here.trainable
    np.testing.assert_allclose(apart.embed(TEXTS), here.embed(TEXTS), atol=1e-6)
    for ours, theirs in itertools.islice(zip(here.steps(), apart.steps(), strict=True), 2):
        assert theirs.step == apart.done == ours.step
        assert theirs.loss == pytest.approx(ours.loss, rel=1e-5)
        np.testing.assert_allclose(theirs.example, ours.example, atol=1e-5)
    apart.save_state(tmp_path / "state")
    here.load_state(tmp_path / "state")
    assert [step.loss for step in here.steps()] == pytest.approx([step.loss for step in apart.steps()], rel=1e-5)
    np.testing.assert_allclose(apart.embed(TEXTS), here.embed(TEXTS), atol=1e-5)
    apart.save(tmp_path / "adapter", {"base": str(tiny("llama"))})
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    apart.load_state(tmp_path / "state")
    assert apart.done == 2
    with pytest.raises(BadInput, match="no state"):
        apart.load_state(tmp_path)
    assert apart.done == 2
    del apart
    wait_for(lambda: children() == before)


def test_what_stands_in_the_way_there_is_raised_here(engine, tiny):
    before = children()
    with pytest.raises(ReadingRefused, match="last layer"):
        train_apart(engine, recipe_for(tiny("llama"), method=Method.PROJECTION, layer=1))
    wait_for(lambda: children() == before)


def test_a_guide_that_is_stopped_ends_the_run(engine, tiny):
    def stopped(texts):
        raise Stopped()

    before = children()
    training = train_apart(engine, recipe_for(tiny("llama")), stopped)
    with pytest.raises(Stopped):
        next(training.steps())
    wait_for(lambda: children() == before)
    with pytest.raises(TrainingLost):
        training.embed(TEXTS)


def test_a_process_that_dies_is_told_of(engine, tiny):
    before = children()
    training = train_apart(engine, recipe_for(tiny("llama")))
    [process] = children() - before
    next(steps := training.steps())
    psutil.Process(process).kill()
    with pytest.raises(TrainingLost, match="ended by itself"):
        next(steps)


def test_only_who_trains_beside_people_and_has_the_memory_for_it_is_apart(engine, tiny):
    recipe = recipe_for(tiny("llama"))
    engine.load(recipe.reading.model)
    engine.budget = engine._used()
    with asking(urgent=False):
        training = engine.train(recipe, [PromptedPair(*TEXTS)] * 2, [(2, 1.0)])
    assert isinstance(training, ContrastiveTraining)


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux gives threads a priority of their own")
def test_long_work_yields_and_so_does_what_it_starts():
    def look(report):
        child = psutil.Popen(["sleep", "0.5"])
        return os.sched_getscheduler(0), os.sched_getscheduler(child.pid)

    assert Desk().start(look).result() == (os.SCHED_IDLE, os.SCHED_IDLE)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
