"""Notes in the cache directory: small JSON values, each with a checksum, so that a damaged one is never used.

The checksum also covers the note's name and that of its directory: a note of something else, copied here, is damage.
"""

import json
import logging
from pathlib import Path
from typing import Any

from vlmbench.foundations.atomic import write_json
from vlmbench.foundations.hashing import digest, sha256_file

_log = logging.getLogger(__name__)


def write_note(path: Path, value: Any) -> None:
    """Stores a JSON value atomically."""
    write_json(path, {"value": value, "checksum": _checksum(path, value)})


def read_note(path: Path) -> Any:
    """The value of a note; None where there is none, or a damaged one, with a warning.

    A note without a checksum, as earlier versions kept them, counts as none.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    try:
        note = json.loads(data)
        if isinstance(note, dict) and not {"value", "checksum"} & set(note):
            return None
        if note["checksum"] == _checksum(path, note["value"]):
            return note["value"]
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    damaged(path)
    return None


def damaged(path: Path) -> None:
    """Warns that something in the cache has changed since it was written, and is not used."""
    _log.warning("damaged in the cache, recomputed: %s", path)


def _checksum(path: Path, value: Any) -> str:
    return digest([path.parent.name, path.name, value])


def vouch(path: Path) -> None:
    """Notes the SHA-256 of a file in the cache that was just written, beside it."""
    write_note(_beside(path), sha256_file(path))


def vouched(path: Path) -> bool:
    """Whether a file in the cache is there as it was at `vouch`; a damaged one gives a warning."""
    try:
        found = sha256_file(path)
    except OSError:
        return False
    noted = read_note(_beside(path))
    if noted is not None and noted != found:
        damaged(path)
    return bool(noted == found)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")
