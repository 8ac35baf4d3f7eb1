"""Where the checkpoint is that a user names: shipped with the package, a directory of their own, or on the hub."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vlmbench.encoders.names import CheckpointRef
from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.paths import is_file, is_there, user_path
from vlmbench.foundations.plugins import unknown
from vlmbench.foundations.text import visible


class Listed(Protocol):
    """What is known of a checkpoint with a short name."""

    @property
    def hub_id(self) -> str:
        """Where it is; empty for one that ships with the package."""
        ...

    @property
    def revision(self) -> str | None:
        """Pinned commit, if one is."""
        ...


@dataclass(frozen=True)
class Located:
    """A checkpoint on this machine.

    Attributes:
        id: as the user named it.
        system: the name a table shows.
        source: its hub id, or what the user named.
        revision: commit on the hub, if it came from there.
        directory: where its files are.
    """

    id: str
    system: str
    source: str
    revision: str | None
    directory: Path


def locate(
    ref: CheckpointRef,
    kind: str,
    listed: Mapping[str, Listed],
    *,
    folders: Sequence[str] = (),
    code: bool = False,
    fix: str | None = None,
) -> Located:
    """The checkpoint of a name, fetched from the hub where it is not here yet.

    Args:
        ref: an alias of `listed`, a directory, or a hub id with or without a revision.
        kind: what it should be (``model``, ``captioner``), for messages.
        listed: the checkpoints with a short name.
        folders: directories of a hub repository that are needed too.
        code: whether its Python files are.
        fix: how to fix a name that is none of these; none: the nearest short names.

    Raises:
        AbsentError: there is no such checkpoint, or it is not here and cannot be fetched.
        InputError: a file stands where a directory should.
    """
    name, entry = ref.name, listed.get(ref.name)
    if entry is not None and not entry.hub_id:
        return Located(name, name, name, None, bundled_directory(name))
    if entry is None and (path := _directory(name, kind)) is not None:
        return Located(name, path.resolve().name, name, None, path)
    hub = (entry.hub_id, entry.revision) if entry is not None else ref.hub
    if hub is None:
        raise unknown("model", visible(name), list(listed), fix=fix)
    from vlmbench.hub.client import fetch_model

    directory, commit = fetch_model(*hub, folders, code=code)
    return Located(name, name, hub[0], commit, directory)


def bundled_directory(alias: str) -> Path:
    """Where a model that ships with the package lies.

    Raises:
        AbsentError: the installation lacks it.
    """
    directory = Path(__file__).parents[1] / "bundled" / "models" / alias
    if not directory.is_dir():
        raise AbsentError(
            f"{alias} is missing from this installation",
            where=str(directory),
            fix="pip install --force-reinstall vlmbench-eval",
        )
    return directory


def _directory(name: str, kind: str) -> Path | None:
    """The directory of a name; none where nothing of that name is here, and it may be on the hub."""
    path = user_path(name)
    if not name.strip():
        raise AbsentError(f"an empty name of a {kind}", fix="vlmbench list models")
    if is_file(path):
        raise InputError(
            f"{visible(name)} is a file; a {kind} is a directory",
            where=name,
            fix="name the directory that holds config.json",
        )
    if name.startswith((".", "/", "~")) and not is_there(path, directory=True):
        raise AbsentError(f"no such model directory: {visible(name)}", where=name, fix="vlmbench list models")
    return path if is_there(path, directory=True) else None
