"""A shared cache: a copy of parts of the cache directory at any address that fsspec knows (``s3://bucket/prefix``).

Files lie there under the same names as below the cache directory; they are named after all that decides their content,
and never change once whole. A request has `SECONDS`; after `FAILURES` in a row the run goes on without.
"""

import logging
import re
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
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
FAILURES = 3
LARGEST = 2**29
"""Bytes of a file that is fetched or put."""
NAMES = 1_000_000
"""Names of a directory that are looked at."""
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
READ, WRITE = "read", "write to"

_OBJECTS = frozenset(["s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "hf", "memory"])
"""Stores where a file that is put is there whole or not at all; elsewhere it is put under another name and moved."""
_LOCAL = frozenset(["file", "local", "memory"])
_PASSWORD = re.compile(r"://[^@]*:[^@]*@|\?.*(key|token|secret|sig|password|auth)", re.IGNORECASE)

_log = logging.getLogger(__name__)
Found = TypeVar("Found")


class SharedCache:
    """The shared copy of a cache directory, in a directory that fsspec knows by its address.

    Raises `UsageError` where there is no such kind of address, or it has a password in it, which the message does not
    repeat; `AbsentError` where the package for it is not installed.
    """

    def __init__(self, address: str, cache_dir: Path) -> None:
        from fsspec.registry import get_filesystem_class, known_implementations

        protocol, colon, _ = address.partition("://")
        self.address, self.cache_dir, self.protocol = address, cache_dir.absolute(), protocol if colon else "file"
        self._system: Any = None
        self._answered, self._failed = False, {READ: 0, WRITE: 0}
        self._warned, self._refused = set[str](), set[Path]()
        if _PASSWORD.search(address):
            fix = "give it in the package's own settings (AWS_ACCESS_KEY_ID …) or in fsspec's (~/.config/fsspec/*.json)"
            raise UsageError("a password or key in an address would end up in logs", where=OPTION, fix=fix)
        try:
            get_filesystem_class("?" if ADDRESS.match(address) and not colon else self.protocol)
        except ValueError as error:
            fix = "an address such as s3://bucket/prefix, gs://bucket/prefix or file:///directory"
            raise UsageError(f"fsspec knows no such address: {visible(address)}", where=OPTION, fix=fix) from error
        except ImportError as error:
            package, said = known_implementations[protocol]["class"].partition(".")[0], visible(str(error))
            fix = f"pip install {package}" if package != "fsspec" else said
            raise AbsentError(f"a package for {protocol}:// is missing: {said}", where=OPTION, fix=fix) from error

    @property
    def local(self) -> bool:
        """Whether it needs no network."""
        return self.protocol in _LOCAL

    def take(self, path: Path, read: Callable[[], Found | None]) -> Found | None:
        """Fetches a file that the cache directory lacks, and gives what `read` gives; None where there is no such file,
        or it is damaged: then it is removed, with a warning. Raises `AbsentError` where the first request to the shared
        cache failed."""
        if path in self._refused:
            return None
        data, found = self._request(READ, "cat_file", path, start=0, end=LARGEST + 1), None
        if data is None:
            return None
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
        """The names of the files in a directory below the cache directory; None where they cannot be listed. Raises
        `AbsentError` where the first request to the shared cache failed."""
        found = self._request(READ, "ls", directory, detail=False)
        if found is None:
            return None if self._failed[READ] else set()
        return {str(name).rstrip("/").rpartition("/")[2] for name in found}

    def put(self, path: Path) -> bool:
        """Puts a whole file of the cache directory there; gives whether it is there now."""
        if path.stat().st_size > LARGEST or self._failed[WRITE] >= FAILURES:
            return False
        self._answered = True  # that it can be read was asked before; not to be written to is no error
        method = "pipe_file" if self.protocol in _OBJECTS else _put_and_move.__name__
        return self._request(WRITE, method, path, path.read_bytes()) is not None

    def writable(self) -> bool:
        """Whether files can be put there, which is tried."""
        probe = self.cache_dir / "launches" / "shared"
        write_bytes(probe, b"vlmbench\n")
        return self.put(probe)

    def _request(self, what: str, method: str, path: Path, *arguments: Any, **options: Any) -> Any:
        """What a method of the file system gives for a file, True for None; None where it fails or finds no file."""
        import fsspec

        if self._failed[what] >= FAILURES:
            return None
        try:
            self._system = self._system or _in_time(partial(fsspec.url_to_fs, self.address))
            system, root = self._system
            place = f"{root.rstrip('/')}/{path.absolute().relative_to(self.cache_dir).as_posix()}"
            found = _call(system, method, place, *arguments, **options)
            found = True if found is None else found
        except Exception as error:  # each package has its own
            if what == WRITE or not isinstance(error, FileNotFoundError):
                self._fail(what, error)
                return None
            found = None
        self._failed[what], self._answered = 0, True
        return found

    def _fail(self, what: str, error: Exception) -> None:
        late = isinstance(error, TimeoutError)
        said = visible(" ".join(f"{type(error).__name__}: {error}".split()))[:300]
        said = f"no answer within {SECONDS:.0f} seconds" if late else said
        if not self._answered:
            fix = f"check the address, the network and the credentials, or leave {OPTION} out"
            where = visible(self.address)
            raise AbsentError(f"the shared cache cannot be used: {said}", where=where, fix=fix) from error
        self._failed[what] = FAILURES if isinstance(error, PermissionError) else self._failed[what] + 1
        self._failed = dict.fromkeys(self._failed, FAILURES) if late else self._failed
        self._warn(what, said)

    def _warn(self, what: str, said: str) -> None:
        """Warns of the first trouble of a kind, and where it is given up."""
        rest = "; going on without it" if self._failed[what] >= FAILURES else ""
        if what + rest not in self._warned:
            self._warned.add(what + rest)
            _log.warning("cannot %s the shared cache %s: %s%s", what, visible(self.address), said, rest)


def _put_and_move(system: Any, place: str, data: bytes) -> None:
    parent = place.rpartition("/")[0]
    temporary = f"{parent}/.tmp-{secrets.token_hex(8)}"
    system.makedirs(parent, exist_ok=True)
    system.pipe_file(temporary, data)
    system.mv(temporary, place)


def _call(system: Any, method: str, *arguments: Any, **options: Any) -> Any:
    """What a method of a file system gives; in the system's own event loop, where it has one: there it is cancelled."""
    if method in ("ls", "cat_file"):
        system.invalidate_cache()  # others put files there
    if system.async_impl and hasattr(system, f"_{method}"):
        import asyncio

        routine = getattr(system, f"_{method}")(*arguments, **options)
        return _in_time(asyncio.run_coroutine_threadsafe(routine, system.loop))
    own = partial(_put_and_move, system) if method == _put_and_move.__name__ else getattr(system, method)
    call: Callable[[], Any] = partial(own, *arguments, **options)
    return _in_time((lambda: list(islice(call(), NAMES))) if method == "ls" else call)


def _in_time(work: Future[Any] | Callable[[], Any]) -> Any:
    """What it gives; a function is called in a thread that ends with the process, whatever it waits for. Raises
    `TimeoutError` after `SECONDS`."""
    future: Future[Any] = work if isinstance(work, Future) else Future()

    def run(call: Callable[[], Any]) -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

    if not isinstance(work, Future):
        Thread(target=run, args=(work,), daemon=True).start()
    try:
        return future.result(SECONDS)
    finally:
        future.cancel()
