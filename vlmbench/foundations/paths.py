"""Paths: the cache directory, and files that a user names on the command line or in a plan."""

import os
import re
import unicodedata
from collections.abc import Sequence
from os import PathLike
from pathlib import Path, PurePath

from platformdirs import user_cache_path

from vlmbench.foundations.errors import AbsentError, InputError
from vlmbench.foundations.text import visible

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE | re.DOTALL)
"""What Windows takes for a device, whatever follows the first dot."""


def default_cache_dir() -> Path:
    """``$VLMBENCH_CACHE_DIR``, else the platform's cache directory for vlmbench."""
    named = os.environ.get("VLMBENCH_CACHE_DIR")
    return Path(named) if named else user_cache_path("vlmbench", appauthor=False)


def is_file(path: str | PathLike[str]) -> bool:
    """Whether there is such a file: not where the name is too long for one, as a text given in a path's place is."""
    return os.path.isfile(path)  # noqa: PTH113 - `Path.is_file` raises there


def is_there(path: str | PathLike[str], *, directory: bool = False) -> bool:
    """The same for a file or a directory."""
    return os.path.isdir(path) if directory else os.path.exists(path)  # noqa: PTH110, PTH112


def user_path(text: str | PathLike[str]) -> Path:
    """A path as a user writes it: ``~`` is the home directory; ``~nobody`` is what it says, where there is none."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def windows_takes(name: str) -> bool:
    """Whether Windows makes a file or directory of this name: no device, no mark of its own, no dot or space last."""
    odd = any(letter in '<>:"/\\|?*' or letter < " " for letter in name)
    return bool(name) and not odd and not name.endswith((".", " ")) and not _DEVICES.fullmatch(name)


def slug(text: str, *, longest: int = 60) -> str:
    """`text` as part of a file name: letters, digits, dot, dash and underscore; never empty, hidden or a device."""
    cleaned = _UNSAFE.sub("-", text).strip("-._")[:longest].rstrip("-._") or "unnamed"
    return f"{cleaned.replace('.', '_')}_" if _DEVICES.fullmatch(cleaned) else cleaned


def distinct_slugs(texts: Sequence[str], *, longest: int = 60) -> list[str]:
    """A `slug` for each text; those that would be the same file, on a disk without case too, are numbered."""
    found: list[str] = []
    for text in texts:
        name = base = slug(text, longest=longest)
        number = 1
        while name.lower() in map(str.lower, found):
            number += 1
            name = f"{base}-{number}"
        found.append(name)
    return found


def on_disk(root: Path, name: str) -> Path:
    """``root / name``; where there is none, the same with its accents encoded otherwise (NFC, or NFD as on macOS)."""
    if not name.isascii() and not os.path.lexists(root / name):
        others = (root / unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
        return next(filter(os.path.lexists, others), root / name)
    return root / name


def leads_outside(name: str, system: type[PurePath] = Path) -> bool:
    """Whether a name in a file is not below the folder it is for: ``..``, from the root, on another drive."""
    path = system(name)
    return bool(path.anchor) or ".." in path.parts


def named_file(path: Path, *, what: str = "file", where: str | None = None, fix: str = "check the path") -> Path:
    """A file that a user names, which has to be there. A pipe (``<(zcat …)``) is as good. Raises `AbsentError` where
    there is nothing, `InputError` where it is a directory, or cannot be looked at. `what` is what messages call it,
    `where` the option or name it stands in (None: the path itself)."""
    if named_path(path, what=what, where=where, fix=fix).is_dir():
        raise InputError(f"a directory, not a {what}", where=where or str(path), fix="name the file in it")
    return path


def named_directory(
    path: Path, *, what: str = "directory", where: str | None = None, fix: str = "check the path"
) -> Path:
    """The same for a directory."""
    if not named_path(path, what=what, where=where, fix=fix).is_dir():
        raise InputError(f"{visible(str(path))} is a file, not a {what}", where=where or str(path), fix=fix)
    return path


def named_path(
    path: Path, *, what: str = "file or directory", where: str | None = None, fix: str = "check the path"
) -> Path:
    """The same for either."""
    where = where or str(path)
    try:
        there = path.exists()
    except OSError as error:
        raise InputError(f"cannot open {visible(str(path))}: {error.strerror}", where=where, fix=fix) from error
    if not there:
        raise AbsentError(f"no such {what}: {visible(str(path))}", where=where, fix=fix)
    return path
