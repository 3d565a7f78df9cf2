"""The heap: a pass finds the buffers of the one before, and a model that leaves takes them with it."""

import json
import platform
import subprocess
import sys

import pytest

from demo.backend.scheduler import malloc

# In a process of its own: what is set here is set for good.
PASSES = """
import json, resource
import psutil, torch
from demo.backend.scheduler.malloc import keep_freed_memory, release_freed_memory

def run():
    buffers = [torch.ones(2**20) for _ in range(16)]  # 4 MiB each
def faults():
    run(); run()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

usual = faults()
keep_freed_memory()
kept = faults()
held = psutil.Process().memory_info().rss
release_freed_memory()
print(json.dumps([usual, kept, held - psutil.Process().memory_info().rss]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc alone")
def test_buffers_stay_until_they_are_given_back():
    done = subprocess.run([sys.executable, "-c", PASSES], capture_output=True, text=True, check=True, timeout=120)
    usual, kept, given = json.loads(done.stdout)
    # The usual way, every pass maps its 64 MiB anew, page by page; a system with large pages has fewer of them.
    assert kept < usual / 10
    assert given > 48 * 2**20


@pytest.mark.parametrize("error", [OSError, AttributeError, TypeError])
def test_where_there_is_no_such_heap_nothing_happens(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(malloc.ctypes, "CDLL", fail)
    malloc.keep_freed_memory()
    malloc.release_freed_memory()
