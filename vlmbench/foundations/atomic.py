"""Files that are either whole or absent.

Everything is written to a temporary file in the destination's own directory, flushed to the disk, and renamed over the
destination. A reader sees the old file or the new one, never half of either; a killed run leaves at most a
``.tmp-*`` file behind. It costs one fsync per file.
"""

import errno
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlmbench.foundations.errors import OutputError

_log = logging.getLogger(__name__)
_NO_LOCKS = frozenset((errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP))


@contextmanager
def atomic_path(destination: Path) -> Iterator[Path]:
    """Yields a temporary path beside `destination`; on success it is fsynced and renamed over it.

    Raises:
        OutputError: the directory cannot be made or the file cannot be written.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=destination.suffix, dir=destination.parent)
        os.close(handle)
    except OSError as error:
        raise cannot_write(destination, error) from error
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        _fsync(temporary)
        os.replace(temporary, destination)
    except OSError as error:
        raise cannot_write(destination, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(destination: Path) -> Iterator[Path]:
    """Yields a temporary directory beside `destination`; on success every file in it is fsynced and it is renamed.

    If another process finished `destination` first, its directory is kept and ours is dropped.

    Raises:
        OutputError: the directory cannot be written.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=destination.parent))
    except OSError as error:
        raise cannot_write(destination, error) from error
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        for path in temporary.rglob("*"):
            if path.is_file():
                _fsync(path)
        try:
            temporary.rename(destination)
        except OSError:
            if not destination.is_dir():
                raise
    except OSError as error:
        raise cannot_write(destination, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(destination: Path, data: bytes) -> None:
    """Writes `data` to `destination` whole or not at all."""
    with atomic_path(destination) as temporary:
        temporary.write_bytes(data)


def write_text(destination: Path, text: str) -> None:
    """Writes `text` as UTF-8 with ``\\n`` line ends, whole or not at all."""
    write_bytes(destination, text.encode("utf-8"))


def write_json(destination: Path, value: Any) -> None:
    """Writes `value` as JSON with sorted keys and two spaces, so that the same value gives the same bytes."""
    write_text(destination, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def require_writable(directory: Path) -> None:
    """Makes `directory` and proves that a file can be written there, before hours of work depend on it.

    Raises:
        OutputError: it cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".tmp-", dir=directory)
        os.close(handle)
        os.unlink(name)
    except OSError as error:
        raise cannot_write(directory, error) from error


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Holds the lock file `lock`, so that two processes or threads that need the same thing make it once.

    The lock is the operating system's, on Windows too (`filelock`): it goes with the process that holds it, however
    that one ends. The empty file stays, one per name; Windows removes it. Where the disk has no such locks (some
    network disks), a warning says so and work may be done twice; what is written under a lock is written atomically.

    Raises:
        OutputError: the file cannot be made or opened.
    """
    from filelock import FileLock

    held = FileLock(lock, fallback_to_soft=False, thread_local=False)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise cannot_write(lock, error) from error
        _log.warning("%s lies on a disk without file locks: two runs at once may do the same work twice", lock.parent)
    try:
        yield
    finally:
        held.release()


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for a path that cannot be written."""
    return OutputError(
        f"cannot write {path}: {error.strerror or error}",
        where=str(path),
        fix="choose another place with --out DIR or --cache-dir DIR",
    )


def _fsync(path: Path) -> None:
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
