"""The hub, through huggingface_hub: what is fetched, and what each of its failures means to a user."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmbench.foundations.errors import AbsentError, VlmbenchError
from vlmbench.foundations.text import visible

_SMALL = ("*.json", "*.txt", "*.model", "*.spm", "*.bpe")
_SAFE = "*.safetensors"
_TORCH = "pytorch_model*.bin"


def fetch_model(id: str, revision: str | None) -> tuple[Path, str]:
    """The snapshot of a model repository (configuration, tokenizer, weights) and its commit.

    Only safetensors are fetched where there are any; else PyTorch files, which are read with ``weights_only``.

    Raises:
        AbsentError: not here and not to be had: no network, no such repository, gated, too many requests.
    """
    with _told(id, "model"):
        from huggingface_hub import HfApi, snapshot_download

        if offline():
            directory = Path(snapshot_download(id, revision=revision, local_files_only=True))
            return directory, directory.name
        try:
            info = HfApi().model_info(id, revision=revision, timeout=20)
        except OSError as error:
            if not _no_network(error):
                raise
            directory = Path(snapshot_download(id, revision=revision, local_files_only=True))
            return directory, directory.name
        names = [item.rfilename for item in info.siblings or ()]
        top = [name for name in names if "/" not in name]
        safe = any(name.endswith(".safetensors") for name in top)
        wanted = [*_SMALL, _SAFE if safe else _TORCH]
        nested = [f"{folder}/*" for folder in sorted({name.split("/")[0] for name in names if "/" in name})]
        directory = Path(snapshot_download(id, revision=info.sha, allow_patterns=wanted, ignore_patterns=nested))
        return directory, str(info.sha)


def offline() -> bool:
    """Whether the hub is switched off by ``HF_HUB_OFFLINE`` (which ``--offline`` sets)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _no_network(error: BaseException) -> bool:
    """A connection that failed, as against a server that answered."""
    from huggingface_hub.errors import HfHubHTTPError

    return not isinstance(error, HfHubHTTPError)


@contextmanager
def _told(id: str, kind: str) -> Iterator[None]:
    """Turns each failure of the hub's client into the error a user can act on."""
    from huggingface_hub import errors

    option = " --repo-type dataset" if kind == "dataset" else ""
    command = f"hf download {visible(id)}{option}"
    try:
        yield
    except VlmbenchError:
        raise
    except errors.GatedRepoError as error:
        raise AbsentError(
            f"the {kind} {visible(id)} is gated: its owner has to let you in",
            where=id,
            mend=f"ask on its page, then: hf auth login && {command}",
        ) from error
    except errors.RevisionNotFoundError as error:
        raise AbsentError(
            f"the {kind} {visible(id)} has no such revision", where=id, mend="name a branch, a tag or a commit of it"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise AbsentError(
            f"no {kind} {visible(id)} on the hub, or it is private",
            where=id,
            mend=f"check the spelling; if it is private: hf auth login && {command}",
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        why = "and --offline forbids fetching it" if offline() else "and the hub cannot be reached"
        raise AbsentError(
            f"the {kind} {visible(id)} is not on this machine {why}", where=id, mend=f"with a network: {command}"
        ) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        raise _answered(id, kind, status, command) from error
    except errors.HFValidationError as error:
        raise AbsentError(
            f"not a name the hub can have: {visible(id)}", where=id, mend=f"vlmbench list {kind}s"
        ) from error
    except OSError as error:
        raise AbsentError(
            f"fetching the {kind} {visible(id)} failed: {visible(str(error))}", where=id, mend=f"try again: {command}"
        ) from error


def _answered(id: str, kind: str, status: int | None, command: str) -> AbsentError:
    if status == 401:
        return AbsentError(
            f"the hub wants a login for the {kind} {visible(id)}", where=id, mend=f"hf auth login && {command}"
        )
    if status == 403:
        return AbsentError(
            f"the hub does not let this account read the {kind} {visible(id)}",
            where=id,
            mend=f"hf auth login && {command}",
        )
    if status == 429:
        return AbsentError(
            f"the hub answers that there are too many requests (429) for {visible(id)}",
            where=id,
            mend="wait, log in with hf auth login, try again",
        )
    return AbsentError(
        f"the hub answered {status} for the {kind} {visible(id)}", where=id, mend=f"try again: {command}"
    )
