"""Files that are either whole or absent.

Everything is written to a temporary file in the destination's own directory, flushed to the disk, renamed over the
destination, and then the directory is flushed. A reader sees the old file or the new one, never half of either, after
a power cut too. It costs two fsyncs per file.

A killed run leaves at most ``.tmp-*`` files behind. Whoever writes one holds a lock on it, the operating system's, that
goes with the process; one that nobody holds is litter, and the next run that writes to its directory removes it.
"""

import contextlib
import errno
import json
import logging
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vlmbench.foundations.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, and nothing swept
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)
_NO_LOCKS = frozenset((errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP))
_NO_FLUSH = frozenset((errno.EINVAL, errno.EBADF, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP))
_TEMPORARY = ".tmp-"
_WINDOWS = os.name == "nt"
_WAITS = (0.01, 0.05, 0.2, 0.7)
"""Seconds between attempts to rename."""
_swept: set[Path] = set()
_unlocked: set[Path] = set()


@contextmanager
def atomic_path(destination: Path) -> Iterator[Path]:
    """Yields a temporary file beside `destination`; on success it is flushed and renamed over it.

    A device or a pipe (``/dev/stdout``, ``>(gzip)``) is written to at the end; a rename would put a file in its place.

    Raises:
        OutputError: the directory cannot be made or the file cannot be written.
    """
    if _special(destination):
        with _as_output_errors(destination), tempfile.TemporaryDirectory() as place:
            yield (temporary := Path(place, f"file{destination.suffix}"))
            with temporary.open("rb") as source, destination.open("wb") as target:
                shutil.copyfileobj(source, target)
        return
    with _as_output_errors(destination), _temporary(destination) as temporary:
        yield temporary
        _flush(temporary)
        _rename(temporary, destination)
        flush_directory(destination.parent)


@contextmanager
def atomic_directory(destination: Path) -> Iterator[Path]:
    """Yields a temporary directory beside `destination`; on success all that is in it is flushed and it is renamed.

    If another process finished `destination` first, its directory is kept and ours is dropped.
    """
    with _as_output_errors(destination), _temporary(destination, directory=True) as temporary:
        yield temporary
        for path in (*temporary.rglob("*"), temporary):
            flush_directory(path) if path.is_dir() else _flush(path)
        try:
            _rename(temporary, destination)
        except OSError:
            if not destination.is_dir():
                raise
        flush_directory(destination.parent)


@contextmanager
def temporary_directory(parent: Path) -> Iterator[Path]:
    """Yields a new directory below `parent`, removed at the end; after a kill, by the next run that writes there."""
    with contextlib.ExitStack() as stack:
        with _as_output_errors(parent):
            place = stack.enter_context(_temporary(parent / "any", directory=True))
        yield place


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
    """Makes `directory` and proves that a file can be written there, before hours of work depend on it, or raises
    `OutputError`."""
    with _as_output_errors(directory), _temporary(directory / "any"):
        pass


def make_directory(directory: Path) -> None:
    """Makes a directory and those above it that are lacking, each entered on the disk."""
    if not directory.is_dir():
        make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
        flush_directory(directory.parent)


def flush_directory(directory: Path) -> None:
    """Puts on the disk which files a directory has, where the system can."""
    if not _WINDOWS:
        try:
            _flush(directory)
        except OSError as error:
            if error.errno not in _NO_FLUSH:
                raise


@contextmanager
def exclusive(lock: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds the lock file `lock`, so that processes or threads that need the same thing compute it once.

    Gives whether it is held: without `wait` it is not where another has it.

    The lock is the operating system's, on Windows too (`filelock`): it goes with the process that holds it, however
    that one ends. The empty file stays, one per name; Windows removes it. Where the disk has no such locks (some
    network disks), a warning says so and work may be done twice; what is written under a lock is written atomically.
    """
    from filelock import FileLock, Timeout

    held, free = FileLock(lock, fallback_to_soft=False, thread_local=False), True
    try:
        make_directory(lock.parent)
        held.acquire(blocking=wait)
    except Timeout:
        free = False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise cannot_write(lock, error) from error
        if lock.parent not in _unlocked:
            _unlocked.add(lock.parent)
            _log.warning("%s is on a disk without file locks: concurrent runs may do the same work twice", lock.parent)
    try:
        yield free
    finally:
        held.release()


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for a path that cannot be written."""
    return OutputError(
        f"cannot write {path}: {error.strerror or error}",
        where=str(path),
        fix="choose another directory with --out DIR or --cache-dir DIR",
    )


@contextmanager
def _as_output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def _temporary(destination: Path, *, directory: bool = False) -> Iterator[Path]:
    """A temporary file or directory beside `destination`, locked; what is left of it is removed at the end."""
    _sweep(destination.parent)
    held: int | None = None
    while held is None:  # none: another process swept it before it was locked
        path = destination.parent / f"{_TEMPORARY}{secrets.token_hex(8)}{destination.suffix}"
        if directory:
            path.mkdir()
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        held = _hold(path)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if directory else path.unlink()
        if held >= 0:
            os.close(held)


def _hold(path: Path, *, left: bool = False) -> int | None:
    """The descriptor that holds the lock of a temporary file or directory; None where another process has it.

    Where there are no locks it is as if it were held, by whoever asks; with `left`, by somebody else.
    """
    if fcntl is None:
        return None if left else -1
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), path.lstat()):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        if not left:
            return handle
    os.close(handle)
    return None


def _sweep(directory: Path) -> None:
    """Makes a directory; removes what killed processes left there, looked for once by each process."""
    make_directory(directory)
    if (place := directory.absolute()) in _swept:
        return
    _swept.add(place)
    for path in directory.glob(_TEMPORARY + "*"):
        with contextlib.suppress(OSError):
            held = _hold(path, left=True)
            if held is not None:
                try:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                finally:
                    os.close(held)


def _special(path: Path) -> bool:
    """Whether there is a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _rename(temporary: Path, destination: Path) -> None:
    """Renames over what is there. Windows refuses while a reader or a virus scanner has either open: it is retried."""
    for wait in _WAITS if _WINDOWS else ():
        try:
            return os.replace(temporary, destination)
        except PermissionError:
            time.sleep(wait)
    return os.replace(temporary, destination)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes what it may write only
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
