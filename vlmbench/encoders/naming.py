"""What a user's name for a checkpoint means: a directory that ships with the package, one of their own, or a hub id."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.text import visible
from vlmbench.records.registry import unknown

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?$")


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


def local_directory(model: str, kind: str, names: Mapping[str, Any], fix: str | None = None) -> Path | None:
    """The directory that `model` names; none where it has the form of a hub id.

    Args:
        model: as the user wrote it.
        kind: what it should be (``model``, ``captioner``), for the message.
        names: the short names there are, to suggest the nearest.
        fix: how to fix a name that is neither; none: the nearest names.

    Raises:
        AbsentError: no such directory, or no form that a name can have.
        InputError: it is a file.
    """
    if not model.strip():
        raise AbsentError(f"an empty name of a {kind}", fix="vlmbench list models")
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise InputError(
            f"{visible(model)} is a file; a {kind} is a directory",
            where=model,
            fix="name the directory that holds config.json",
        )
    if model.startswith((".", "/", "~")):
        raise AbsentError(f"no such model directory: {visible(model)}", where=model, fix="vlmbench list models")
    if not _HUB_ID.match(model):
        raise unknown("model", visible(model), list(names), fix=fix)
    return None
