"""Cores: what a lane gets is its own thread's affair, and the vectors are the same whoever computes beside."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from demo.backend.local import LocalEngine
from demo.backend.scheduler.cpu_lanes import CpuLanes
from demo.domain.datamodels import LAST_LAYER, Pooling, Prompt, PromptedText, Reading

CPU = torch.device("cpu")
TEXTS = [PromptedText(" ".join(["what is a GPU"] * (1 + i % 5)) + f" {i}") for i in range(40)]


def in_a_thread(act):
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(act).result()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_lane_has_its_part_and_nobody_else_notices(two_threads):
    cores = CpuLanes(CPU)
    assert cores.count == 2

    def lane():
        seen = []
        for alone in (False, True, False):
            cores.use_cores(alone)
            seen.append(torch.get_num_threads())
        return seen

    assert in_a_thread(lane) == [1, 2, 1]
    assert torch.get_num_threads() == 2
    assert in_a_thread(torch.get_num_threads) == 2, "nor does a thread that begins later"


def test_one_thread_or_another_device_is_one_lane(two_threads):
    assert CpuLanes(torch.device("cuda")).count == 1
    torch.set_num_threads(1)
    cores = CpuLanes(CPU)
    assert cores.count == 1
    cores.use_cores(False)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])  # our own decoder, and models' own passes
def test_side_by_side_the_vectors_are_the_same(settings, tiny, two_threads, family):
    """Many ask at once for one text each, of every layer: what comes is what comes of asking alone."""
    folder = str(tiny(family))
    readings = [
        Reading(folder, Prompt.PLAIN, pooling, layer)
        for pooling in (Pooling.LAST_TOKEN, Pooling.MEAN)
        for layer in (2, LAST_LAYER)
    ]
    engine = LocalEngine(settings.model_copy(update={"cache_mb": 0}))

    def read(text):
        return [engine.embed([text], reading).vectors[0] for reading in readings]

    expected = {text: read(text) for text in TEXTS}
    assert engine._scheduler._lanes == 2
    most, under_way, counting = 0, 0, threading.Lock()
    run = engine._scheduler._run

    def counted(group, contents):
        nonlocal most, under_way
        with counting:
            under_way += 1
            most = max(most, under_way)
        try:
            return run(group, contents)
        finally:
            with counting:
                under_way -= 1

    engine._scheduler._run = counted
    with ThreadPoolExecutor(8) as people:
        for text, vectors in zip(TEXTS, people.map(read, TEXTS), strict=True):
            np.testing.assert_allclose(vectors, expected[text], atol=1e-5)
    assert most == 2
