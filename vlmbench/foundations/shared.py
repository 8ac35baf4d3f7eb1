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
from functools import partial
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
_MOVED = "put and move"

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
    _system: tuple[Any, str] | None = None

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
        return self._protocol in _LOCAL

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
        data = self._request(READ, "cat_file", path, start=0, end=LARGEST + 1)
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
        found = self._request(READ, "ls", directory, detail=False)
        if found is None:
            return None if self._failed[READ] else set()
        return {str(name).rstrip("/").rpartition("/")[2] for name in found}

    def put(self, path: Path) -> bool:
        """Puts a whole file of the cache directory there; gives whether it is there now."""
        if path.stat().st_size > LARGEST or self._failed[WRITE] >= FAILURES:
            return False
        self._answered = True  # a shared cache that can be read, but not written to, is one
        method = "pipe_file" if self._protocol in _OBJECTS else _MOVED
        return self._request(WRITE, method, path, path.read_bytes()) is not None

    def writable(self) -> bool:
        """Whether files can be put there, which is tried."""
        probe = self.cache_dir / "launches" / "shared"
        write_bytes(probe, b"vlmbench\n")
        return self.put(probe)

    @property
    def _protocol(self) -> str:
        protocol, colon, _ = self.address.partition("://")
        return protocol if colon else "file"

    def _request(self, what: str, method: str, path: Path, *arguments: Any, **options: Any) -> Any:
        """What a method of the file system gives for a file, True for None; None where it fails or finds no file.

        Raises:
            AbsentError: the first request failed.
        """
        import fsspec

        if self._failed[what] >= FAILURES:
            return None
        try:
            if self._system is None:
                self._system = _in_time(_in_thread(partial(fsspec.url_to_fs, self.address)))
            system, root = self._system
            place = f"{root.rstrip('/')}/{path.absolute().relative_to(self.cache_dir).as_posix()}"
            found = _in_time(_begin(system, method, place, *arguments, **options))
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
        self._failed[what] = FAILURES if isinstance(error, PermissionError) else self._failed[what] + 1
        if isinstance(error, TimeoutError):
            self._failed = dict.fromkeys(self._failed, FAILURES)
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


def _begin(system: Any, method: str, *arguments: Any, **options: Any) -> Future[Any]:
    """Calls a method of a file system, in its own event loop where it has one, which can cancel it."""
    if method in ("ls", "cat_file"):
        system.invalidate_cache()  # others put files there
    if system.async_impl and hasattr(system, f"_{method}"):
        return asyncio.run_coroutine_threadsafe(getattr(system, f"_{method}")(*arguments, **options), system.loop)
    call = partial(_put_and_move, system) if method == _MOVED else getattr(system, method)
    if method == "ls":
        return _in_thread(lambda: list(islice(call(*arguments, **options), NAMES)))
    return _in_thread(partial(call, *arguments, **options))


def _in_thread(call: Callable[[], Any]) -> Future[Any]:
    """Calls a function in a thread that ends with the process, whatever it waits for."""
    future: Future[Any] = Future()

    def work() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future


def _in_time(future: Future[Any]) -> Any:
    """What it gives.

    Raises:
        TimeoutError: it took longer than `SECONDS`.
    """
    try:
        return future.result(SECONDS)
    finally:
        future.cancel()
