"""Hugging Face Hub and its local cache: a repository at a revision becomes a folder.

A probe finds within seconds whether the Hub answers at all.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from huggingface_hub import HfApi, constants, get_session, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from demo.backend.private_apis import HUB_TRANSPORT_ERROR
from demo.backend.weights.checkpoint_files import (
    ALLOWED,
    LORA_FILE,
    PICKLED,
    find_defect,
    find_pickle,
    is_allowed,
    is_damaged,
    stored_precision,
)
from demo.backend.weights.download import (
    Consent,
    Report,
    SourceFailed,
    Weights,
    describe_os_error,
    download_reported,
    folder_size,
    require_space,
)
from demo.backend.weights.intact import cached_digests, find_damage
from demo.domain.errors import UnsafeWeights, UnsupportedModel

_DEADLINE = 3.0  # seconds
_TRUST_REACHABLE, _TRUST_UNREACHABLE = 600.0, 60.0  # seconds that the probe's result is cached
_MANY_SHARDS = 12  # of a download, at most, are reported one by one
_LOGIN_WANTED = "The Hub asks for a login and accepted terms."


class HubOutOfReach(SourceFailed):
    """The Hub cannot be asked."""


class NotCached(SourceFailed):
    """Nothing of it is in the local Hub cache."""


class LoginRequired(SourceFailed):
    """The Hub has it, for those who have logged in and accepted its terms."""


class NoSuchRepository(SourceFailed):
    """The Hub answers, and has no such model."""


class _HubProbe:
    """Whether the Hub answers at all; cached, and never waited for beyond a timeout."""

    def __init__(self):
        self._lock = threading.Lock()
        self._answer: bool | None = None
        self._until = 0.0
        self._endpoint = ""

    def ask(self, timeout: float) -> bool:
        """The cached answer, or a new one within `timeout` seconds."""
        with self._lock:
            if self._is_stale():
                self._answer = _endpoint_answers(timeout)
                self._endpoint = constants.ENDPOINT
                self._until = time.monotonic() + (_TRUST_REACHABLE if self._answer else _TRUST_UNREACHABLE)
            return bool(self._answer)

    def forget(self) -> None:
        """Drop the cached answer: the connection has just broken."""
        self._until = 0.0

    def last_answer(self) -> bool | None:
        """The last answer, at once; None before the first one. A stale answer is renewed in the background."""
        answer = self._answer if self._endpoint == constants.ENDPOINT else None  # read first: a refusal comes at once
        if self._is_stale() and not self._lock.locked():
            threading.Thread(target=self.ask, args=(_DEADLINE,), daemon=True).start()
        return answer

    def _is_stale(self) -> bool:
        return self._endpoint != constants.ENDPOINT or time.monotonic() > self._until


hub_probe = _HubProbe()


def hub_reachable(timeout: float = _DEADLINE) -> bool:
    """Whether the Hub answers. Cached for ten minutes when it does, for one minute when it does not."""
    return not constants.HF_HUB_OFFLINE and hub_probe.ask(timeout)


def _endpoint_answers(timeout: float) -> bool:
    """One short request, in a thread, because a DNS lookup can hang far beyond the request's timeout."""
    answers: list[bool] = []

    def request() -> None:
        try:
            answers.append(get_session().head(constants.ENDPOINT, timeout=timeout).status_code < 500)
        except (HUB_TRANSPORT_ERROR, OSError):
            answers.append(False)

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answers and answers[0])


class _NoBar(tqdm):
    """huggingface_hub's progress bars, off: the page and the log show the progress."""

    def __init__(self, *args, **kwargs):
        kwargs.pop("name", None)
        super().__init__(*args, **(kwargs | {"disable": True}))


def from_hub_cache(hub_id: str, revision: str, instead_of: str = "") -> Weights:
    """A complete snapshot in the Hub cache of this machine."""
    try:
        folder = Path(snapshot_download(hub_id, revision=revision, local_files_only=True, allow_patterns=ALLOWED))
    except LocalEntryNotFoundError as error:
        raise NotCached("It is not in the local Hub cache.") from error
    defect = find_defect(folder)
    if defect:
        raise SourceFailed(f"The local Hub cache holds only a part of it ({defect}).")
    notices = (_other_commit(hub_id, instead_of, folder.name),) if instead_of else ()
    return Weights(folder, folder.name, "the local Hub cache", stored_precision(folder), notices)


def require_intact(weights: Weights, cache_dir: Path) -> Weights:
    """The same weights. A damaged file is deleted, so that it is fetched again, and raises SourceFailed."""
    damaged = find_damage(weights.folder, cached_digests(weights.folder), cache_dir)
    if damaged:
        file = weights.folder / damaged
        file.resolve().unlink()  # the blob that the name points to
        file.unlink(missing_ok=True)
        raise SourceFailed(f"In the local Hub cache {damaged} was damaged; it was removed.")
    return weights


def _other_commit(hub_id: str, pinned: str, taken: str) -> str:
    return f"Not the pinned revision {pinned[:12]} of {hub_id} but {taken[:12]} of its main branch was to be had."


def from_hub(model: str, hub_id: str, revision: str, report: Report, consent: Consent | None = None) -> Weights:
    """The Hub, at the revision or, where that no longer exists, at main. Raises UnsafeWeights, UnsupportedModel.

    consent: called before anything is fetched; may raise BigDownload.
    """
    if constants.HF_HUB_OFFLINE:
        raise HubOutOfReach("The Hub is switched off here (HF_HUB_OFFLINE).")
    if not hub_reachable():
        raise HubOutOfReach("The Hub cannot be reached from here.")
    api = HfApi()
    pinned = revision
    try:
        try:
            info = api.model_info(hub_id, revision=revision, files_metadata=True, timeout=_DEADLINE)
        except RevisionNotFoundError:
            revision = constants.DEFAULT_REVISION
            info = api.model_info(hub_id, revision=revision, files_metadata=True, timeout=_DEADLINE)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        _refuse_unreadable(model, sizes)
        total = sum(size for name, size in sizes.items() if is_allowed(name))
        kept = Path(constants.HF_HUB_CACHE, f"models--{hub_id.replace('/', '--')}")
        blobs = kept / "blobs"
        _discard_damaged(kept / "snapshots" / str(info.sha), sizes)
        missing = total - folder_size(blobs)
        require_space(blobs, missing)
        if consent:
            consent(missing, kept.parent)
        shards = {file.lfs.sha256: file.lfs.size for file in info.siblings or () if file.lfs}
        shards = {sha: size for sha, size in shards.items() if size > total / _MANY_SHARDS}
        with download_reported(blobs, total, report, shards=shards):
            # The name of the branch, not its commit: then the cache remembers what main was.
            folder = snapshot_download(hub_id, revision=revision, allow_patterns=ALLOWED, tqdm_class=_NoBar)
    except GatedRepoError as error:
        raise LoginRequired(_LOGIN_WANTED) from error
    except RepositoryNotFoundError as error:
        # Without a login, the Hub answers 401 for what does not exist, too.
        hidden = error.response.status_code == 401
        raise NoSuchRepository(_LOGIN_WANTED if hidden else f"The Hub has no {hub_id}.") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise LoginRequired(_LOGIN_WANTED) from error
        raise SourceFailed(f"The Hub answered with an error (HTTP {status}).") from error
    except (HUB_TRANSPORT_ERROR, LocalEntryNotFoundError, RuntimeError) as error:  # RuntimeError: of Xet transfers
        hub_probe.forget()
        raise SourceFailed("The connection to the Hub broke off; what has arrived is kept.") from error
    except OSError as error:
        if error.errno is None:  # huggingface_hub's own: a file is shorter or longer than announced
            raise SourceFailed("A file from the Hub did not arrive whole.") from error
        raise SourceFailed(f"The Hub cache cannot be written: {describe_os_error(error)}.") from error
    except json.JSONDecodeError as error:  # a login page of the network, a proxy
        raise SourceFailed("What answers in the Hub's place is not the Hub.") from error
    folder = Path(folder)
    report("checking", None)
    defect = find_defect(folder)
    if defect:
        raise SourceFailed(f"The download from the Hub is not complete ({defect}).")
    notices = (_other_commit(hub_id, pinned, folder.name),) if revision != pinned else ()
    return Weights(folder, folder.name, "the Hugging Face Hub", stored_precision(folder), notices)


def _discard_damaged(snapshot: Path, sizes: dict[str, int]) -> None:
    """Delete cached files that differ from the Hub's: huggingface_hub would keep them for good."""
    for name, size in sizes.items():
        file = snapshot / name
        if is_allowed(name) and file.is_file() and (size not in (0, file.stat().st_size) or is_damaged(file)):
            file.resolve().unlink()  # the blob that the name points to
            file.unlink(missing_ok=True)


def _refuse_unreadable(model: str, sizes: dict[str, int]) -> None:
    """Refuse a repository without safetensors before its download. An empty listing (a plain mirror) passes."""
    whole = "model.safetensors" in sizes or "model.safetensors.index.json" in sizes
    if whole and find_pickle(sizes):
        raise UnsafeWeights(
            model=model, reason=f"{find_pickle(sizes)} holds pickled weights, and no safetensors are beside it"
        )
    if whole or not sizes:
        return
    if LORA_FILE in sizes:
        raise UnsupportedModel(
            model=model, reason="its Hub repository holds an adapter; download it and name the folder."
        )
    if any(name.endswith(".gguf") for name in sizes):
        reason = "its Hub repository holds GGUF files; download one of them and name the file."
        raise UnsupportedModel(model=model, reason=reason)
    if any(name.endswith(PICKLED) for name in sizes):
        raise UnsafeWeights(model=model, reason="its Hub repository holds pickled weights only")
    raise UnsupportedModel(model=model, reason="its Hub repository holds no model.safetensors.")
