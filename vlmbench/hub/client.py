"""The hub, through huggingface_hub: downloads, and errors that a user can act on."""

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vlmbench.foundations.errors import AbsentError, VlmbenchError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import read_note, write_note
from vlmbench.foundations.text import visible

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_SMALL = ("*.json", "*.jinja", "*.txt", "*.model", "*.spm", "*.bpe")
_SAFE = "*.safetensors"
_TORCH = "pytorch_model*.bin"
_SECONDS = 20
_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_off: ContextVar[bool] = ContextVar("off", default=False)


def fetch_model(id: str, revision: str | None, folders: Sequence[str] = (), *, code: bool = False) -> tuple[Path, str]:
    """The snapshot of a model repository (configuration, tokenizer, weights) and its commit.

    Only safetensors are downloaded if there are any; else PyTorch files, which are read with ``weights_only``. Of its
    directories only `folders` are downloaded, and its Python files only with `code`. Raises `AbsentError` where it is
    not on this machine, and the download failed.
    """
    with hub_errors(id, "model"):
        from huggingface_hub import HfApi, snapshot_download

        if offline():
            return _cached(id, revision, "model")
        try:
            info = HfApi().model_info(id, revision=revision, timeout=_SECONDS)
        except Exception as error:
            if not unreachable(error):
                raise
            return _cached(id, revision, "model")
        names = [item.rfilename for item in info.siblings or ()]
        safe = any("/" not in name and name.endswith(".safetensors") for name in names)
        nested = [f"{folder}/*" for folder in sorted({n.split("/")[0] for n in names if "/" in n} - set(folders))]
        directory = snapshot_download(
            id,
            revision=revision,
            allow_patterns=[*_SMALL, _SAFE if safe else _TORCH, *(["*.py"] if code else [])],
            ignore_patterns=nested,
        )
        return Path(directory), Path(directory).name


def dataset_commit(
    id: str, revision: str | None, cache_dir: Path, *, pinned: bool = False, again: str | None = None
) -> str:
    """The current commit of a dataset repository's `revision` (a branch or tag; None: its main branch).

    Without a network it is the commit last downloaded. Raises `AbsentError` where it cannot be determined. `pinned`: it
    is the commit found the first time, not a later one. `again` is the command to run after fixing the cause of a
    failure; None: the one that downloads the repository.
    """
    if revision is not None and _COMMIT.match(revision):
        return revision
    noted, first = (cache_dir / "hub" / kind / f"{digest([id, revision])}.json" for kind in ("commits", "pinned"))
    if pinned and (commit := _noted(first)) is not None:
        return commit
    with hub_errors(id, "dataset", again):
        from huggingface_hub import HfApi

        try:
            if offline():
                return _noted(noted) or _cached(id, revision, "dataset")[1]
            commit = str(HfApi().dataset_info(id, revision=revision, timeout=_SECONDS).sha)
        except Exception as error:
            if offline() or not unreachable(error):
                raise
            return _noted(noted) or _cached(id, revision, "dataset")[1]
        write_note(first if pinned else noted, commit)
        return commit


def dataset_snapshot(id: str, revision: str | None) -> Path:
    """The directory of a dataset repository's files on this machine; `AbsentError` where there are none."""
    with hub_errors(id, "dataset"):
        return _cached(id, revision, "dataset")[0]


def fetch_dataset(id: str, commit: str, files: Sequence[str]) -> Path:
    """The snapshot directory of a dataset repository with at least `files` in it. Raises `AbsentError` where a file
    cannot be downloaded, or is damaged."""
    with hub_errors(id, "dataset"):
        from huggingface_hub import hf_hub_download

        fetch = partial(hf_hub_download, id, repo_type="dataset", revision=commit, local_files_only=offline())
        places = [Path(fetch(name)) for name in files]
        return places[0].parents[len(Path(files[0]).parts) - 1]


def fetch_text(id: str, commit: str, name: str, again: str) -> Path | None:
    """A small file of a dataset repository; None if the repository has no such file.

    Raises `AbsentError`, with the command `again` that downloads it, where it is not on this machine and cannot be.
    """
    with hub_errors(id, "dataset", again):
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            found = hf_hub_download(id, name, repo_type="dataset", revision=commit, local_files_only=offline())
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            return None
        return Path(found)


def dataset_files(id: str, commit: str) -> dict[str, tuple[int, str]]:
    """Size in bytes and checksum (SHA-256, or git's id of a small file) of every file of a dataset repository."""
    with hub_errors(id, "dataset"):
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        found = HfApi().list_repo_tree(id, repo_type="dataset", revision=commit, recursive=True)
        return {
            item.path: (item.size, item.lfs.sha256 if item.lfs else item.blob_id)
            for item in found
            if isinstance(item, RepoFile)
        }


def checksum_of(path: Path) -> str | None:
    """The checksum in the hub cache's name of a local file, if any."""
    name = path.resolve().name
    return name if path.is_symlink() and (_SHA256.match(name) or _COMMIT.match(name)) else None


def cached_file(id: str, commit: str, name: str) -> Path | None:
    """The path of a dataset repository's file on this machine, if it is there."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(id, name, revision=commit, repo_type="dataset")
    return Path(found) if isinstance(found, str) else None


def require_sound(path: Path, sha256: str, id: str) -> None:
    """Compares a file's SHA-256 with the checksum in its name in the hub's cache; removes a damaged file. Raises
    `AbsentError` where they differ."""
    blob = path.resolve()
    if path.is_symlink() and _SHA256.match(blob.name) and blob.name != sha256:
        blob.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise AbsentError(
            f"{path.name} of {visible(id)} is damaged: its SHA-256 is not the hub's; it was removed",
            where=str(path),
            fix="run the same command again: it will be downloaded again",
        )


def _noted(path: Path) -> str | None:
    commit = read_note(path)
    return commit if isinstance(commit, str) and _COMMIT.match(commit) else None


def offline() -> bool:
    """Whether the hub is switched off: by ``HF_HUB_OFFLINE`` (which ``--offline`` sets), or within `switched_off`."""
    return _off.get() or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


@contextmanager
def switched_off() -> Iterator[None]:
    """A context manager in which this thread makes no hub requests; other threads are not affected."""
    before = _off.set(True)
    try:
        yield
    finally:
        _off.reset(before)


def unreachable(error: BaseException) -> bool:
    """Whether the connection failed (httpx, or requests in older clients), rather than the server responding."""
    from huggingface_hub.errors import HfHubHTTPError

    return not isinstance(error, HfHubHTTPError) and (
        isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore"))
    )


def disk_full(error: BaseException | None) -> bool:
    """Whether an error, or its cause, means that a disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def no_room(id: str, kind: str) -> AbsentError:
    """The error for a model or dataset that does not fit on the disk."""
    stream = f"; or stream it: {visible(id)}?stream=yes" if kind == "dataset" else ""
    return AbsentError(
        f"no space left on the disk for the {kind} {visible(id)}",
        where=id,
        fix=f"free some space, or set HF_HOME to a directory on another disk{stream}",
    )


def _cached(id: str, revision: str | None, kind: str) -> tuple[Path, str]:
    """The local snapshot, and its commit."""
    from huggingface_hub import snapshot_download

    directory = Path(snapshot_download(id, revision=revision, repo_type=kind, local_files_only=True))
    return directory, directory.name


@contextmanager
def hub_errors(id: str, kind: str, again: str | None = None) -> Iterator[None]:
    """Turns failures of the hub's client into errors that a user can act on. `again` is the command to run after fixing
    the cause; None: the one that downloads the repository."""
    from huggingface_hub import errors, utils

    if not sys.stderr.isatty():
        utils.disable_progress_bars()  # type: ignore[attr-defined]
    name = visible(id)
    command = f"hf download {name}" + (" --repo-type dataset" if kind == "dataset" else "")
    retry = again or f"try again: {command}"
    login = f"hf auth login, then {again}" if again else f"hf auth login && {command}"
    said = f"the {kind} {name}"
    try:
        yield
    except VlmbenchError:
        raise
    except errors.GatedRepoError as error:
        what, fix = f"{said} is gated: its owner must grant you access", f"request access on its page, then: {login}"
        raise AbsentError(what, where=id, fix=fix) from error
    except errors.RevisionNotFoundError as error:
        fix = "use one of its branches, tags or commits"
        raise AbsentError(f"{said} has no such revision", where=id, fix=fix) from error
    except errors.RepositoryNotFoundError as error:
        fix = f"check the spelling; if it is private: {login}"
        raise AbsentError(f"no {kind} {name} on the hub, or it is private", where=id, fix=fix) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        why = "--offline (or HF_HUB_OFFLINE) forbids downloading it" if offline() else "the hub cannot be reached"
        fix = f"with a network: {again or command}"
        raise AbsentError(f"{said} is not on this machine, and {why}", where=id, fix=fix) from error
    except (errors.EntryNotFoundError, FileNotFoundError) as error:
        what = f"{said} lacks a file: {visible(str(error))}"
        raise AbsentError(what, where=id, fix="name another revision") from error
    except errors.HfHubHTTPError as error:
        raise _answer(id, kind, error, login, retry) from error
    except errors.HFValidationError as error:
        raise AbsentError(f"not a valid name on the hub: {name}", where=id, fix=f"vlmbench list {kind}s") from error
    except Exception as error:
        if isinstance(error.__cause__, errors.HfHubHTTPError):  # `datasets` gave up
            raise _answer(id, kind, error.__cause__, login, retry) from error
        if disk_full(error):
            raise no_room(id, kind) from error
        if not unreachable(error):
            raise
        raise AbsentError(f"downloading {said} failed: {visible(str(error))}", where=id, fix=retry) from error


def _answer(id: str, kind: str, error: "HfHubHTTPError", login: str, retry: str) -> AbsentError:
    name = f"the {kind} {visible(id)}"
    status = getattr(error.response, "status_code", None)
    what, fix = {
        401: (f"the hub requires a login for {name} (401)", login),
        403: (f"the hub does not let this account read {name} (403)", login),
        429: (
            f"the hub reports too many requests for {name} (429)",
            f"wait, or log in with hf auth login; then {retry}",
        ),
    }.get(status or 0, (f"the hub returned {status} for {name}", retry))
    return AbsentError(what, where=id, fix=fix)
