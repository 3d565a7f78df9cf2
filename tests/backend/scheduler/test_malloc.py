"""The heap: a pass finds the buffers of the one before, and a model that leaves takes them with it."""

import json
import platform
import subprocess
import sys

import pytest

from demo.backend.scheduler import malloc

# Each in a process of its own: what is set here is set for good.
PASSES = """
import json, resource, sys
import psutil, torch
from demo.backend.scheduler.malloc import keep_freed_memory, release_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()
def run():
    buffers = [torch.ones(2**20) for _ in range(16)]  # 4 MiB each
run(); run()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    run()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
held = psutil.Process().memory_info().rss
release_freed_memory()
print(json.dumps({"faults": faults, "given": held - psutil.Process().memory_info().rss}))
"""


def passes(*flags) -> dict:
    command = [sys.executable, "-c", PASSES, *flags]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone")
def test_buffers_stay_until_they_are_given_back():
    usual, kept = passes(), passes("keep")
    # The usual way, every pass maps its 64 MiB anew, page by page; a system with large pages has fewer of them.
    assert kept["faults"] < usual["faults"] / 10
    assert kept["given"] > 48 * 2**20


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_where_there_is_no_such_heap_nothing_happens(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(malloc.ctypes, "CDLL", fail)
    malloc.keep_freed_memory()
    malloc.release_freed_memory()
