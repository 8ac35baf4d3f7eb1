"""A shared cache: a copy of parts of the cache directory at any address that fsspec knows (``s3://bucket/prefix``).

Files lie there under the same names as below the cache directory. They are named after all that decides their content
and never change once whole, so machines without a common disk can share them: a file that is lacking here is looked up
there, and one that was made here is put there. One that comes damaged is not used. Every request has `SECONDS`; after
`FAILURES` of them that fail the cache is left alone, and the run goes on without it.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from vlmbench.foundations.atomic import write_bytes
from vlmbench.foundations.errors import AbsentError, UsageError
from vlmbench.foundations.text import visible

OPTION = "--shared-cache"
SECONDS = 120.0
"""How long a request may take."""
FAILURES = 3
"""Requests that may fail, of those that read and of those that write."""
LARGEST = 2**29
"""Bytes of a file that is fetched or put."""
NAMES = 1_000_000
"""Names of a directory that are looked at."""
READ, WRITE = "read", "write to"

_OBJECTS = frozenset(["s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "hf", "memory"])
"""Stores where a file that is put is there whole or not at all; elsewhere it is put under another name and moved."""
_LOCAL = frozenset(("file", "local", "memory"))
_PASSWORD = re.compile(r"://[^@]*:[^@]*@|\?.*(key|token|secret|sig|password|auth)", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)

_log = logging.getLogger(__name__)
Found = TypeVar("Found")


def require_directory(cache_dir: Path) -> None:
    """Refuses an address as the cache directory: a part of it has to be on a disk.

    Raises:
        UsageError: it is one.
    """
    if _ADDRESS.match(cache_dir.as_posix()):
        raise UsageError(
            "the cache directory is on a disk; an address can be shared beside it",
            where="--cache-dir",
            fix=f"{OPTION} ADDRESS",
        )


@dataclass(eq=False)
class SharedCache:
    """The shared copy of a cache directory.

    Args:
        address: a directory, as fsspec writes it.
        cache_dir: the cache directory.

    Raises:
        UsageError: there is no such kind of address, or it has a password in it, which the message does not repeat.
        AbsentError: the package for this kind of address is not installed.
    """

    address: str
    cache_dir: Path
    _answered: bool = False
    _failed: dict[str, int] = field(default_factory=lambda: {READ: 0, WRITE: 0})
    _warned: set[str] = field(default_factory=set)
    _refused: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        from fsspec.core import split_protocol
        from fsspec.registry import get_filesystem_class, known_implementations

        self.cache_dir = self.cache_dir.absolute()
        if _PASSWORD.search(self.address):
            raise UsageError(
                "a password or key in an address would end up in logs",
                where=OPTION,
                fix="leave it out of the address: the package's own settings and fsspec's have a place for it "
                "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.config/fsspec/*.json)",
            )
        protocol = split_protocol(self.address)[0]
        try:
            if protocol is None and _ADDRESS.match(self.address):
                raise ValueError("it lacks //")
            get_filesystem_class(protocol)
        except ValueError as error:
            raise UsageError(
                f"not an address that fsspec knows: {visible(self.address)}",
                where=OPTION,
                fix="an address such as s3://bucket/prefix, gs://bucket/prefix or file:///directory",
            ) from error
        except ImportError as error:
            package = known_implementations[protocol]["class"].partition(".")[0]
            said = visible(str(error))
            raise AbsentError(
                f"a package that {protocol}:// needs is not installed: {said}",
                where=OPTION,
                fix=f"pip install {package}" if package != "fsspec" else said,
            ) from error

    @property
    def local(self) -> bool:
        """Whether it needs no network."""
        return bool(_LOCAL & {*self._system[2]})

    def take(self, path: Path, read: Callable[[], Found | None]) -> Found | None:
        """What is read of a file of the cache directory once it is fetched.

        Args:
            path: the file, which is lacking or damaged.
            read: reads it; gives None if it is damaged, and it is then removed again, with a warning.

        Returns:
            None where the shared cache has no such file, or a damaged one.

        Raises:
            AbsentError: the first request to the shared cache failed.
            OutputError: the file cannot be written.
        """
        if path in self._refused:
            return None
        data = self._request(READ, "cat_file", self._place(path), start=0, end=LARGEST + 1)
        if data is None:
            return None
        found = None
        if isinstance(data, bytes) and len(data) <= LARGEST:
            write_bytes(path, data)
            found = read()
        if found is None:
            self._refused.add(path)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            if len(self._refused) >= FAILURES:
                self._failed[READ] = FAILURES
            self._warn(READ, f"{path.name} is damaged there, and not used")
        return found

    def names(self, directory: Path) -> set[str] | None:
        """The names of the files in a directory below the cache directory; None where they cannot be listed.

        Raises:
            AbsentError: the first request to the shared cache failed.
        """
        found = self._request(READ, "ls", self._place(directory), detail=False)
        if found is None:
            return None if self._failed[READ] else set()
        return {str(name).rstrip("/").rpartition("/")[2] for name in found}

    def put(self, path: Path) -> bool:
        """Puts a whole file of the cache directory there; gives whether it is there now."""
        if path.stat().st_size > LARGEST or self._failed[WRITE] >= FAILURES:
            return False
        self._answered = True  # a shared cache that can be read, but not written to, is one
        data, place = path.read_bytes(), self._place(path)
        if _OBJECTS & {*self._system[2]}:
            return self._request(WRITE, "pipe_file", place, data) is not None
        return self._request(WRITE, _put_and_move, self._system[0], place, data) is not None

    def writable(self) -> bool:
        """Whether files can be put there, which is tried."""
        probe = self.cache_dir / "launches" / "shared"
        write_bytes(probe, b"vlmbench\n")
        return self.put(probe)

    @cached_property
    def _system(self) -> tuple[Any, str, tuple[str, ...]]:
        """The file system, the directory in it, and the names of its kind."""
        import fsspec

        system, place = fsspec.url_to_fs(self.address)
        kinds = (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)
        return system, place.rstrip("/"), kinds

    def _place(self, path: Path) -> str:
        """Where a file of the cache directory lies there."""
        return f"{self._system[1]}/{path.absolute().relative_to(self.cache_dir).as_posix()}"

    def _request(self, what: str, method: str | Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a method of the file system, or a function, gives, True for None; None where it fails or finds no file.

        Raises:
            AbsentError: the first request failed.
        """
        if self._failed[what] >= FAILURES:
            return None
        try:
            found = _bounded(self._system[0], method, arguments, options)
            found = True if found is None else found
        except Exception as error:  # each package has its own
            if what == WRITE or not isinstance(error, FileNotFoundError):
                self._fail(what, error)
                return None
            found = None
        self._failed[what], self._answered = 0, True
        return found

    def _fail(self, what: str, error: Exception) -> None:
        said = visible(" ".join(f"{type(error).__name__}: {error}".split()))[:300]
        if isinstance(error, TimeoutError):
            said = f"no answer within {SECONDS:.0f} seconds"
        if not self._answered:
            raise AbsentError(
                f"the shared cache cannot be used: {said}",
                where=visible(self.address),
                fix=f"check the address, the network and the credentials, or leave {OPTION} out",
            ) from error
        hopeless = isinstance(error, TimeoutError | PermissionError)
        self._failed[what] = FAILURES if hopeless else self._failed[what] + 1
        self._warn(what, said)

    def _warn(self, what: str, said: str) -> None:
        """Warns of the first trouble of a kind, and where it is given up."""
        rest = "; going on without it" if self._failed[what] >= FAILURES else ""
        if (kind := what + rest) not in self._warned:
            self._warned.add(kind)
            _log.warning("cannot %s the shared cache %s: %s%s", what, visible(self.address), said, rest)


def _put_and_move(system: Any, place: str, data: bytes) -> None:
    """Puts a file on a file system, where one that is only half written would be seen."""
    parent = place.rpartition("/")[0]
    temporary = f"{parent}/.tmp-{secrets.token_hex(8)}"
    system.makedirs(parent, exist_ok=True)
    system.pipe_file(temporary, data)
    system.mv(temporary, place)


def _bounded(system: Any, method: str | Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Calls a method of a file system, or a function, for `SECONDS` at most.

    Raises:
        TimeoutError: it took longer. A coroutine is cancelled, a thread left to itself: it ends with the process.
    """
    if method in ("ls", "cat_file"):
        system.invalidate_cache()  # others put files there
    if system.async_impl and isinstance(method, str) and hasattr(system, f"_{method}"):
        future = asyncio.run_coroutine_threadsafe(getattr(system, f"_{method}")(*arguments, **options), system.loop)
    else:
        future = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                call = getattr(system, method) if isinstance(method, str) else method
                found = call(*arguments, **options)
                future.set_result(list(islice(found, NAMES)) if method == "ls" else found)
            except BaseException as error:
                future.set_exception(error)

        Thread(target=work, daemon=True).start()
    try:
        return future.result(SECONDS)
    finally:
        future.cancel()
