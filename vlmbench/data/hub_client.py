"""The hub, through huggingface_hub: what is fetched, and what each of its failures means to a user."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vlmbench.foundations.errors import AbsentError, VlmbenchError
from vlmbench.foundations.text import visible

_SMALL = ("*.json", "*.jinja", "*.txt", "*.model", "*.spm", "*.bpe")
_SAFE = "*.safetensors"
_TORCH = "pytorch_model*.bin"
_SECONDS = 20


def fetch_model(id: str, revision: str | None, folders: Sequence[str] = ()) -> tuple[Path, str]:
    """The snapshot of a model repository (configuration, tokenizer, weights) and its commit.

    Only safetensors are fetched where there are any; else PyTorch files, which are read with ``weights_only``. Of the
    directories in it only `folders` are.

    Raises:
        AbsentError: not here and not to be had: no network, no such repository, gated, too many requests.
    """
    with told(id, "model"):
        from huggingface_hub import HfApi, snapshot_download

        if offline():
            return _cached(id, revision, "model")
        try:
            info = HfApi().model_info(id, revision=revision, timeout=_SECONDS)
        except OSError as error:
            if answered(error):
                raise
            return _cached(id, revision, "model")
        names = [item.rfilename for item in info.siblings or ()]
        safe = any("/" not in name and name.endswith(".safetensors") for name in names)
        nested = [f"{folder}/*" for folder in sorted({n.split("/")[0] for n in names if "/" in n} - set(folders))]
        directory = snapshot_download(
            id, revision=info.sha, allow_patterns=[*_SMALL, _SAFE if safe else _TORCH], ignore_patterns=nested
        )
        return Path(directory), str(info.sha)


def dataset_commit(id: str, revision: str | None) -> str:
    """The commit of a dataset repository that `revision` (a branch, a tag, none: its main branch) stands for now.

    Without a network it is the one that was fetched last.

    Raises:
        AbsentError: it cannot be known, or there is no such repository.
    """
    if revision is not None and len(revision) == 40 and set(revision) <= set("0123456789abcdef"):
        return revision
    with told(id, "dataset"):
        from huggingface_hub import HfApi

        if offline():
            return _cached(id, revision, "dataset")[1]
        try:
            return str(HfApi().dataset_info(id, revision=revision, timeout=_SECONDS).sha)
        except OSError as error:
            if answered(error):
                raise
            return _cached(id, revision, "dataset")[1]


def fetch_dataset(id: str, commit: str, files: Sequence[str]) -> Path:
    """The snapshot directory of a dataset repository with at least `files` in it.

    Raises:
        AbsentError: a file is not here and not to be had.
    """
    with told(id, "dataset"):
        from huggingface_hub import hf_hub_download

        places = [
            Path(hf_hub_download(id, name, repo_type="dataset", revision=commit, local_files_only=offline()))
            for name in files
        ]
        return places[0].parents[len(Path(files[0]).parts) - 1]


def offline() -> bool:
    """Whether the hub is switched off by ``HF_HUB_OFFLINE`` (which ``--offline`` sets)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def answered(error: BaseException) -> bool:
    """Whether a server answered, as against a connection that failed."""
    from huggingface_hub.errors import HfHubHTTPError

    return isinstance(error, HfHubHTTPError)


def _cached(id: str, revision: str | None, kind: str) -> tuple[Path, str]:
    """The snapshot that is here, and its commit."""
    from huggingface_hub import snapshot_download

    directory = Path(snapshot_download(id, revision=revision, repo_type=kind, local_files_only=True))
    return directory, directory.name


@contextmanager
def told(id: str, kind: str) -> Iterator[None]:
    """Turns each failure of the hub's client into the error a user can act on."""
    from huggingface_hub import errors

    name = visible(id)
    command = f"hf download {name}" + (" --repo-type dataset" if kind == "dataset" else "")
    try:
        yield
    except VlmbenchError:
        raise
    except errors.GatedRepoError as error:
        raise AbsentError(
            f"the {kind} {name} is gated: its owner has to let you in",
            where=id,
            mend=f"ask on its page, then: hf auth login && {command}",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise AbsentError(
            f"the {kind} {name} has no such revision", where=id, mend="name a branch, a tag or a commit of it"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise AbsentError(
            f"no {kind} {name} on the hub, or it is private",
            where=id,
            mend=f"check the spelling; if it is private: hf auth login && {command}",
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        why = "and --offline (or HF_HUB_OFFLINE) forbids fetching it" if offline() else "and the hub cannot be reached"
        raise AbsentError(
            f"the {kind} {name} is not on this machine, {why}", where=id, mend=f"with a network: {command}"
        ) from error
    except errors.EntryNotFoundError as error:
        raise AbsentError(
            f"the {kind} {name} lacks a file: {visible(str(error))}", where=id, mend="name another revision"
        ) from error
    except errors.HfHubHTTPError as error:
        raise _answer(id, kind, getattr(error.response, "status_code", None), command) from error
    except errors.HFValidationError as error:
        raise AbsentError(f"not a name the hub can have: {name}", where=id, mend=f"vlmbench list {kind}s") from error
    except OSError as error:
        raise AbsentError(
            f"fetching the {kind} {name} failed: {visible(str(error))}", where=id, mend=f"try again: {command}"
        ) from error


def _answer(id: str, kind: str, status: int | None, command: str) -> AbsentError:
    name = visible(id)
    says = {
        401: f"the hub wants a login for the {kind} {name} (401)",
        403: f"the hub does not let this account read the {kind} {name} (403)",
        429: f"the hub answers for the {kind} {name} that there were too many requests (429)",
    }
    mends = {
        401: f"hf auth login && {command}",
        403: f"hf auth login && {command}",
        429: f"wait, log in with hf auth login, then again: {command}",
    }
    number = status or 0
    return AbsentError(
        says.get(number, f"the hub answered {status} for the {kind} {name}"),
        where=id,
        mend=mends.get(number, f"try again: {command}"),
    )
