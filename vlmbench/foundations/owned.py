"""Files that no other user of the machine could have written: what is run as machine code has to be one."""

import logging
import os
import stat
from pathlib import Path

_log = logging.getLogger(__name__)


def read_own(path: Path) -> bytes | None:
    """The content of a file that only this user (or the system's administrator) can have written; else none.

    The file and every directory above it have to belong to this user or to root, and must not be open to others for
    writing, but for directories such as ``/tmp``, where nobody can replace what is another's. A link is not followed.
    A file that is refused gives a warning. Where the system has no owners (Windows) none are checked.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(handle)
        why = "it is no regular file" if not stat.S_ISREG(state.st_mode) else _open_to_others(state, sticky=False)
        for directory in () if why else path.resolve().parents:
            why = why or ((found := _open_to_others(directory.stat(), sticky=True)) and f"{directory}: {found}")
        if why:
            _log.warning("ignored, since another user could have written it: %s (%s; fix: chmod go-w)", path, why)
            return None
        return file.read()


def _open_to_others(state: os.stat_result, *, sticky: bool) -> str:
    """Why somebody else could change a file or directory; empty where nobody could."""
    if not hasattr(os, "getuid"):
        return ""
    if state.st_uid not in (os.getuid(), 0):
        return "it belongs to another user"
    if sticky and state.st_mode & stat.S_ISVTX:
        return ""
    alone = state.st_gid == state.st_uid == os.getuid()  # a group of the user's own, as many systems make them
    if state.st_mode & stat.S_IWOTH or (state.st_mode & stat.S_IWGRP and not alone):
        return "others may write to it"
    return ""
