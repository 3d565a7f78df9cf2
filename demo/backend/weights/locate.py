"""Locate weights: local folder → Hub cache → Hub → package index; the result is a verified checkpoint on disk.

transformers can load the folder offline. Only safetensors and GGUF are accepted, and no fetched file is ever executed.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from cachetools import TTLCache, cached
from huggingface_hub import constants, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from demo.backend.protocol import OnProgress
from demo.backend.weights.adapters import adapter_revision, base_of, base_revision_of, is_adapter, require_mergeable
from demo.backend.weights.checkpoint_files import (
    PICKLED,
    file_sha256,
    find_defect,
    find_pickle,
    is_allowed,
    module_folders,
    stored_precision,
)
from demo.backend.weights.download import (
    Consent,
    Report,
    SourceFailed,
    Weights,
    describe_os_error,
    reporter,
    require_space,
)
from demo.backend.weights.gguf import GGUF_FORMAT, convert_gguf, inspect_gguf
from demo.backend.weights.gguf_metadata import unread_notice
from demo.backend.weights.hub import (
    HubOutOfReach,
    LoginRequired,
    NoSuchRepository,
    NotCached,
    from_hub,
    from_hub_cache,
    hub_probe,
    require_intact,
)
from demo.backend.weights.intact import find_damage, written_digests
from demo.backend.weights.packages import build_once, copy_folder, from_package, has_pip, read_copy
from demo.domain.catalog import CATALOG, CatalogEntry
from demo.domain.errors import (
    ModelGated,
    ModelNotFound,
    ModelNotHere,
    UnsafeWeights,
    UnsupportedModel,
    WeightsUnavailable,
)
from demo.domain.recipe import TRAINED

_NETWORK_SHARES = ("\\\\", "//")  # of Windows
_TRAINED_NAME = re.compile("[0-9a-f]{16}")
_CATALOG_FOLDER = Path(__file__).resolve().parents[2]
Answer = TypeVar("Answer")
_RECHECK_SECONDS = 2.0  # between two looks at the disk


def locate_weights(
    model: str,
    cache_dir: Path,
    on_progress: OnProgress | None = None,
    folders: bool = True,
    consent: Consent | None = None,
) -> Weights:
    """A checkpoint for a catalogue id, a Hub id or a local folder; fetched if it must be.

    The order: a given folder → the local Hub cache at the pinned revision → the Hub → another commit in the local Hub
    cache → the package index. Hub weights come first because they are the original; packages hold 4 bits a weight. A
    converted package is used only while the Hub cannot be reached, which costs no more than the probe (nothing with
    HF_HUB_OFFLINE); once the original has arrived, the local Hub cache serves it for good. So a machine's weights
    change at most once, towards the original, and the page names their source.

    An adapter (of the catalogue, `trained:NAME` of this cache folder, or any other folder) comes with the weights of
    its base model, at the revision that it names.

    on_progress may be called from another thread. folders=False: whoever asks may name no folder, nor learn from the
    answer whether one exists. consent: called with the bytes that would be fetched from the Hub, and where to.
    Raises ModelNotFound, WeightsUnavailable, WeightsDamaged, UnsafeWeights, UnsupportedModel.
    """
    listed = model in CATALOG or model.startswith(TRAINED)
    adapter = find_adapter(model, cache_dir) if folders or listed else None
    if adapter is None:
        return _locate(model, cache_dir, on_progress, folders=folders, consent=consent)
    damaged = find_damage(adapter, written_digests(adapter), cache_dir)
    if damaged:
        raise UnsupportedModel(model=model, reason=f"in its folder, {damaged} is damaged: not what was written there.")
    require_mergeable(adapter, model)
    base = base_of(adapter)
    if not base:
        raise UnsupportedModel(model=model, reason="its adapter does not name the model that it was trained on.")
    try:
        if find_adapter(base, cache_dir):
            raise UnsupportedModel(model=model, reason=f"its adapter was trained on another adapter, {base}.")
        weights = _locate(base, cache_dir, on_progress, base_revision_of(adapter), consent=consent)
    except ModelNotFound as error:
        reason = f"its adapter was trained on {base}, which is neither on the Hub nor on this disk."
        raise UnsupportedModel(model=model, reason=reason) from error
    return replace(
        weights,
        adapter=adapter,
        revision=f"{weights.revision} + {adapter_revision(adapter)}",
        source=f"{weights.source}, with {'an adapter of this lab' if listed else f'the adapter {adapter.name}'}",
    )


def find_adapter(model: str, cache_dir: Path) -> Path | None:
    """The folder of an adapter, or None where the model is no adapter. Raises ModelNotFound if it is missing."""
    if model.startswith(_NETWORK_SHARES):  # even a look for the file would contact another machine
        raise ModelNotFound(model=model)
    entry = CATALOG.get(model)
    if entry is not None:
        return _CATALOG_FOLDER / entry.adapter if entry.adapter else None
    if model.startswith(TRAINED):
        folder = cache_dir / "trained" / model.removeprefix(TRAINED)
        if not _TRAINED_NAME.fullmatch(model.removeprefix(TRAINED)) or not is_adapter(folder):
            raise ModelNotFound(model=model)
        return folder
    folder = Path(os.path.expanduser(model))
    return folder.resolve() if is_adapter(folder) else None


def _locate(
    model: str,
    cache_dir: Path,
    on_progress: OnProgress | None,
    revision: str = "",
    folders: bool = True,
    consent: Consent | None = None,
) -> Weights:
    """revision: of a Hub repository, where an adapter names it; "" for the pinned or the newest one."""
    report = reporter(model, on_progress)
    entry = CATALOG.get(model)
    if entry is None:
        path = os.path.expanduser(model)
        if folders and (os.path.isdir(path) or (path.endswith(".gguf") and os.path.isfile(path))):
            return _from_disk(model, Path(path).resolve(), cache_dir, report)
        try:
            validate_repo_id(model)
        except HFValidationError as error:
            raise ModelNotFound(model=model) from error
        entry = next((each for each in CATALOG.values() if each.hub_id == model), None)
    if entry and revision not in ("", constants.DEFAULT_REVISION, entry.revision):
        model, entry = entry.hub_id, None  # another state of it than the one that is listed
    hub_id, pinned = (entry.hub_id, entry.revision) if entry else (model, revision or constants.DEFAULT_REVISION)

    attempts = [
        lambda: require_intact(from_hub_cache(hub_id, pinned), cache_dir),
        lambda: require_intact(from_hub(model, hub_id, pinned, report, consent), cache_dir),
    ]
    if entry:
        attempts += [
            lambda: require_intact(from_hub_cache(hub_id, constants.DEFAULT_REVISION, instead_of=pinned), cache_dir),
            lambda: from_package(entry, cache_dir, report),
        ]
    reasons = []
    for attempt in attempts:
        try:
            return attempt()
        except SourceFailed as failed:
            if entry is None and isinstance(failed, NoSuchRepository):
                raise ModelNotFound(model=model) from failed
            reasons.append(failed)
    sentences = " ".join(dict.fromkeys(map(str, reasons)))
    if entry is None and [type(reason) for reason in reasons] == [NotCached, HubOutOfReach]:
        raise ModelNotHere(model=model, reasons=str(reasons[-1])) from reasons[-1]
    gated = any(isinstance(reason, LoginRequired) for reason in reasons)
    raise (ModelGated if gated else WeightsUnavailable)(model=model, reasons=sentences) from reasons[-1]


def unavailable_reason(entry: CatalogEntry, cache_dir: Path) -> str:
    """Why no source can serve this model; "" when one can. Never waits for the network.

    While the Hub has not answered its first probe, the model counts as available.
    """
    if fetched(entry):
        return ""
    entry = CATALOG[entry.base] if entry.base else entry
    if entry.package and (read_copy(copy_folder(entry, cache_dir)) or has_pip()):
        return ""
    if constants.HF_HUB_OFFLINE:
        return "not on this disk, and the Hub is switched off here (HF_HUB_OFFLINE)"
    reachable = hub_probe.last_answer()
    if reachable is False:
        return "not on this disk, and the Hub cannot be reached from here"
    if entry.gated and not get_token():
        return "not on this disk, and the Hub asks for a login and accepted terms"
    return ""


def fetched(entry: CatalogEntry) -> Weights | None:
    """A listed model's weights, or those of its base, where the local Hub cache has them."""
    entry = CATALOG[entry.base] if entry.base else entry
    for revision in (entry.revision, constants.DEFAULT_REVISION):
        try:
            return from_hub_cache(entry.hub_id, revision)
        except SourceFailed:
            continue
    return None


def cached_by_entry(look: Callable[[CatalogEntry], Answer]) -> Callable[[CatalogEntry], Answer]:
    """A look at the disk, memoized for a few seconds: the page takes it at every key press."""
    return cached(TTLCache(len(CATALOG), _RECHECK_SECONDS), attrgetter("id"), threading.Lock())(look)


def _from_disk(model: str, path: Path, cache_dir: Path, report: Report) -> Weights:
    """A folder or a GGUF file of this disk, named by a person."""
    try:
        if path.is_dir():
            return _from_folder(model, path, cache_dir, report)
        return _from_gguf(model, path, cache_dir, report)
    except SourceFailed as failed:
        raise WeightsUnavailable(model=model, reasons=str(failed)) from failed
    except OSError as error:
        raise WeightsUnavailable(model=model, reasons=f"They cannot be read: {describe_os_error(error)}.") from error


def _from_folder(model: str, folder: Path, cache_dir: Path, report: Report) -> Weights:
    """A checkpoint used in place, or converted when the folder holds just one GGUF file."""
    modules = module_folders(folder)
    # Old sentence-transformers folders keep their transformer one level down.
    home = modules[0] if modules and modules[0].is_dir() else folder
    names = [path.name for path in home.iterdir() if path.is_file()]
    if not any(name.endswith(".safetensors") for name in names):
        ggufs = [name for name in names if name.endswith(".gguf")]
        if ggufs and modules:
            reason = "the folder holds modules.json beside a GGUF file, which is read without it; name the file."
            raise UnsupportedModel(model=model, reason=reason)
        if len(ggufs) == 1:
            return _from_gguf(model, home / ggufs[0], cache_dir, report)
        if ggufs:
            raise UnsupportedModel(model=model, reason=f"the folder holds {len(ggufs)} GGUF files; name one of them.")
        if any(name.endswith(PICKLED) for name in names):
            raise UnsafeWeights(model=model, reason="the folder holds pickled weights only")
    report("checking", None)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    pickle = find_pickle(files)
    if pickle:
        raise UnsafeWeights(model=model, reason=f"{pickle} holds pickled weights, and no safetensors are beside it")
    defect = find_defect(home)
    if defect:
        raise UnsupportedModel(model=model, reason=f"in this folder, {defect}.")
    digest = hashlib.sha256()
    for name, path in files.items():
        if is_allowed(name) or (path.parent in modules and is_allowed(path.name)):
            digest.update(f"{name} {file_sha256(path)}\n".encode())
    revision = f"sha256:{digest.hexdigest()[:16]}"
    return Weights(home, revision, f"the folder {folder.name}", stored_precision(home), checkpoint=folder)


def _from_gguf(model: str, file: Path, cache_dir: Path, report: Report) -> Weights:
    """One GGUF file, converted once and cached under its hash."""
    report("checking", None)
    revision = file_sha256(file)[:16]
    copy = cache_dir / f"gguf-{revision}-v{GGUF_FORMAT}"

    def build(_: Path, target: Path) -> str:
        precision, parameters = inspect_gguf(file, model)
        require_space(target, 4 * parameters)
        convert_gguf(file, target, model, partial(report, "converting"))
        return precision

    source = build_once(copy, {"file": file.name}, build, report)
    precision, notices = source["precision"], unread_notice(copy)
    return Weights(copy, f"sha256:{revision}", f"the folder {file.parent.name}", precision, notices)
