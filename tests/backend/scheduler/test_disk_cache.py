"""Embeddings that outlive the process: the same numbers, no texts, a bound, and no harm from a bad file or disk."""

import contextlib
import sqlite3
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from demo.backend.local import LocalEngine
from demo.backend.scheduler.cache import Entry
from demo.backend.scheduler.disk_cache import DiskCache
from demo.domain.datamodels import Pooling, Prompt, PromptedText, Reading
from tests.conftest import TEXTS

PROMPTED = [PromptedText(text) for text in TEXTS]
FILE = "embeddings.sqlite"


def entry(*numbers, cut=False) -> Entry:
    return Entry(np.array(numbers, dtype=np.float32), cut)


@settings(deadline=None)
@given(st.dictionaries(st.text(), arrays(np.float32, st.integers(1, 5)), min_size=1, max_size=10))
def test_what_is_put_is_got(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("cache")
    DiskCache(folder, 2**20).put({key: Entry(numbers, cut=len(key) % 2 == 1) for key, numbers in made.items()})
    found = DiskCache(folder, 2**20).get([*made, "another " * 20])
    assert set(found) == set(made)
    for key, numbers in made.items():
        np.testing.assert_array_equal(found[key].vectors, numbers)
        assert found[key].cut == (len(key) % 2 == 1)


def test_an_entry_that_was_damaged_at_the_right_length_is_forgotten(tmp_path):
    cache = DiskCache(tmp_path, 2**20)
    cache.put({"whole": entry(1, 2, 3), "damaged": entry(*range(500))})
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db, db:
        for name, numbers in db.execute("SELECT name, numbers FROM entries").fetchall():
            if len(numbers) > 500:
                damaged = numbers[:1000] + bytes(len(numbers) - 1000)
                db.execute("UPDATE entries SET numbers = ? WHERE name = ?", [damaged, name])
    assert set(cache.get(["whole", "damaged"])) == {"whole"}
    cache.put({"damaged": entry(4)})
    assert cache.get(["damaged"])["damaged"].vectors.tolist() == [4.0]


def test_thousands_at_once(tmp_path):
    cache = DiskCache(tmp_path, 2**24)
    cache.put({i: entry(i) for i in range(3000)})
    assert {key: float(found.vectors[0]) for key, found in cache.get(range(3000)).items()} == {
        i: float(i) for i in range(3000)
    }


def test_it_stays_within_its_budget_and_forgets_what_is_unused_for_longest(tmp_path):
    cache = DiskCache(tmp_path, 400_000)
    cache.put({"first": entry(1), "second": entry(2)})
    for i in range(40):
        cache.put({(i, j): entry(*range(250)) for j in range(20)})
        assert cache.get(["first"]), "used at every turn"
    assert cache.get([(39, 19)])
    assert not cache.get(["second"])
    assert (tmp_path / FILE).stat().st_size < 700_000


def test_an_engine_that_starts_again_runs_nothing(settings, tiny):
    kept = settings.model_copy(update={"disk_cache_mb": 8})
    reading = Reading(str(tiny("llama")), Prompt.PLAIN, Pooling.LAST_TOKEN_LOGITS)
    first = LocalEngine(kept)
    expected = first.embed(PROMPTED, reading).vectors
    again = LocalEngine(kept)
    np.testing.assert_array_equal(again.embed(PROMPTED, reading).vectors, expected)
    assert first.counts().forward_passes > 0
    assert again.counts().forward_passes == 0
    other = Reading(str(tiny("llama")), Prompt.PLAIN, Pooling.MEAN)
    again.embed(PROMPTED, other)
    assert again.counts().forward_passes > 0, "another reading is another vector"


def test_no_text_is_written(settings, tiny):
    kept = settings.model_copy(update={"disk_cache_mb": 8})
    secret = "a secret that nobody may read"
    LocalEngine(kept).embed([PromptedText(secret)], Reading(str(tiny("llama")), Prompt.PLAIN, Pooling.MEAN))
    files = list(kept.cache_dir.glob(f"{FILE}*"))
    assert files
    assert not any(b"secret" in file.read_bytes() for file in files)


def test_by_default_nothing_is_kept(settings, tiny):
    LocalEngine(settings).embed(PROMPTED[:1], Reading(str(tiny("llama")), Prompt.PLAIN, Pooling.MEAN))
    assert not list(settings.cache_dir.glob(f"{FILE}*"))


@pytest.mark.parametrize(
    "content", [b"no database at all, but something else" * 100, b"", b"SQLite format 3\x00" + b"x" * 999]
)
def test_a_damaged_file_is_an_empty_cache(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    cache = DiskCache(tmp_path, 2**20)
    assert cache.get(["a"]) == {}
    cache.put({"a": entry(1)})
    assert cache.get(["a"])["a"].vectors.tolist() == [1]


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    cache = DiskCache(tmp_path / "file" / "cache", 2**20)
    cache.put({"a": entry(1)})
    assert cache.get(["a"]) == {}
    assert "not kept on disk" in caplog.text


def test_a_full_disk_costs_nothing(tmp_path):
    cache = DiskCache(tmp_path, 2**30)
    cache._db.execute("PRAGMA max_page_count = 8")
    cache.put({i: entry(*range(2000)) for i in range(100)})
    assert cache.get([1]) == {}
    cache.put({"small": entry(1)})
    assert cache.get(["small"])


def test_a_database_that_breaks_later_is_made_anew(tmp_path):
    """Its middle is overwritten: the first page still says that it is a database."""
    DiskCache(tmp_path, 2**24).put({i: entry(*range(500)) for i in range(300)})
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * (file.stat().st_size - 4096))
    for _ in range(2):  # the second is a process that starts later
        cache = DiskCache(tmp_path, 2**24)
        cache.put({"a": entry(1)})
        cache.put({"a": entry(1)})
        assert cache.get(["a"])["a"].vectors.tolist() == [1]


def test_a_database_that_another_process_holds_is_left_alone(tmp_path, caplog):
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as other:
        other.execute("CREATE TABLE mine (number)")
        other.commit()
        other.execute("BEGIN EXCLUSIVE")
        assert DiskCache(tmp_path, 2**20).get(["a"]) == {}
        assert "not kept on disk: database is locked" in caplog.text
        other.rollback()
    cache = DiskCache(tmp_path, 2**20)
    cache.put({"a": entry(1)})
    assert cache.get(["a"])
    assert cache._db.execute("SELECT * FROM mine").fetchall() == [], "the same file"


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_clock_that_jumps_throws_out_nothing_that_is_new(tmp_path, monkeypatch, jump):
    cache = DiskCache(tmp_path, 400_000)
    cache.put({(0, i): entry(*range(250)) for i in range(300)})
    monkeypatch.setattr("demo.backend.scheduler.disk_cache.time", SimpleNamespace(time=lambda: time.time() + jump))
    for i in range(200):
        cache.put({("new", i): entry(*range(250))})
    assert cache.get([("new", 199)])
    assert len(cache.get([("new", i) for i in range(100, 200)])) == 100
