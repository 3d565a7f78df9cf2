"""Device and precision: what is chosen, why, and that nothing is left on the CPU when the device is another."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from demo.backend.model import device as room
from demo.backend.model.device import choose_device, memory_budget
from demo.domain.errors import UnknownChoice

ON_THE_FAKE_GPU = """
import sys
from tests import fakegpu
fakegpu.install()
import numpy as np
import torch
from demo.backend.model.device import Placement
from demo.backend.local import LocalEngine
from demo.domain.datamodels import Device, Pooling, Prompt, PromptedText, Reading
from demo.settings import Settings
from tests.conftest import TEXTS

settings = Settings(device="cpu", dtype="float32", memory_gb=2, public=False)
cpu, gpu = LocalEngine(settings), LocalEngine(settings)
info = Device("fake", fakegpu.NAME, "float32", "a test")
gpu._store.placement = Placement(torch.device(fakegpu.NAME, 0), torch.float32, info)
texts = [PromptedText(text) for text in TEXTS]
for folder in sys.argv[1:]:
    for pooling in Pooling:
        for layer in (-1, 2):
            if pooling not in gpu.load(folder).poolings:
                continue
            reading = Reading(folder, Prompt.PLAIN, pooling, layer)
            expected, found = (engine.embed(texts, reading).vectors for engine in (cpu, gpu))
            np.testing.assert_allclose(found, expected, atol=1e-5)
    print("the same on both", next(gpu._store.find(folder).anatomy.backbone.parameters()).device)
"""


def test_everything_moves_to_the_device(tiny):
    folders = [str(tiny(family)) for family in ("llama", "qwen3", "gemma3_text", "gpt2", "bert")]
    command = [sys.executable, "-c", ON_THE_FAKE_GPU, *folders]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.count("the same on both fakegpu:0") == len(folders), done.stderr[-2000:]


@pytest.mark.parametrize(
    ("amx", "avx512", "precision"), [(True, False, "bfloat16"), (False, True, "bfloat16"), (False, False, "float32")]
)
def test_cpu_takes_bfloat16_only_where_it_is_native(monkeypatch, amx, avx512, precision):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    chosen = choose_device("cpu")
    assert chosen.info.precision == precision
    assert chosen.dtype is getattr(torch, precision)
    assert precision in chosen.info.reason


@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16"), (False, "float16")])
def test_gpus_take_bfloat16_where_native_else_float16(monkeypatch, native, precision):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: "a test GPU")
    chosen = choose_device()
    assert (chosen.device.type, chosen.info.precision, chosen.info.name) == ("cuda", precision, "a test GPU")


def test_what_is_asked_for_is_taken_and_said():
    chosen = choose_device("cpu", "float16")
    assert chosen.dtype is torch.float16
    assert chosen.info.reason.startswith("cpu was asked for; float16 was asked for. A cosine may differ")
    assert choose_device("cpu", "float32").info.reason == "cpu was asked for; float32 was asked for."


@pytest.mark.parametrize(("device", "dtype"), [("tpu", "auto"), ("cuda:7", "auto"), ("cpu", "int8")])
def test_what_is_not_there_is_refused_with_what_is(device, dtype):
    with pytest.raises(UnknownChoice) as refused:
        choose_device(device, dtype)
    assert "Accepted: " in str(refused.value)


def test_memory_budget(monkeypatch):
    assert memory_budget(torch.device("cpu"), 2) == 2 * 2**30
    monkeypatch.setattr(room, "_container_limits", lambda: [10 * 2**20])
    assert memory_budget(torch.device("cpu")) == 7 * 2**20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator on this machine")
@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_the_real_gpu_agrees_with_the_cpu(tiny, dtype, tmp_path):
    from demo.backend.local import LocalEngine
    from demo.domain.datamodels import Pooling, Prompt, PromptedText, Reading
    from demo.settings import Settings
    from tests.conftest import TEXTS

    settings = {"cache_dir": tmp_path, "public": False}
    cpu = LocalEngine(Settings(device="cpu", dtype="float32", **settings))
    gpu = LocalEngine(Settings(device="auto", dtype=dtype, **settings))
    texts = [PromptedText(text) for text in TEXTS]
    for family in ("llama", "gpt2", "gemma3_text", "bert"):
        for layer in (-1, 2):
            reading = Reading(str(tiny(family)), Prompt.PLAIN, Pooling.MEAN, layer)
            expected, found = (engine.embed(texts, reading).vectors for engine in (cpu, gpu))
            cosines = (expected * found).sum(1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
            assert cosines.min() > (0.99999 if dtype == "float32" else 0.995)
