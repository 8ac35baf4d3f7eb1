"""Zip and tar archives of datasets, unpacked once under the cache directory, and nowhere else.

Absolute paths, ``..``, links and devices are refused; so is an archive that would fill the disk.
"""

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

from vlmbench.data.fingerprint import kept_sha256
from vlmbench.data.images import is_image
from vlmbench.foundations.atomic import atomic_directory
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import unpacked_limit, utf8_name
from vlmbench.foundations.paths import windows_takes
from vlmbench.foundations.text import visible

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LARGEST = 512 * 1024**3
"""Bytes an archive may unpack to."""
SMALL = 256 * 1024**2
"""Bytes that any archive may unpack to; a larger one to so many times its own size as a packed text."""
FILES = 20_000_000
_COPY = 1024 * 1024
_FIRST = 10


def unpack(path: Path, cache_dir: Path) -> Path:
    """The directory an archive unpacks to, unpacked now if it was not before. Raises `InputError` where it is damaged,
    holds a path that leads outside, a link or a device, or unpacks to too much."""
    target = cache_dir / "archives" / kept_sha256(path, cache_dir)[:32]
    if not target.is_dir():
        with atomic_directory(target) as temporary:
            _unpack(path, temporary)
    inside = [item for item in target.iterdir() if not item.name.startswith((".", "__MACOSX"))]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def is_webdataset(path: Path) -> bool:
    """Whether a tar holds WebDataset samples: among its first files are ``0001.jpg`` and ``0001.cls`` (or npy, txt)."""
    try:
        with tarfile.open(path) as tar:
            first = [item.name for item in islice(tar, _FIRST)]
    except Exception:  # `unpack` says what is wrong with it
        return False
    images = {name.rpartition(".")[0] for name in first if is_image(name)}
    labels = {name.rpartition(".")[0] for name in first if name.endswith((".cls", ".npy", ".txt"))}
    return bool(images & labels)


def _unpack(path: Path, target: Path) -> None:
    limit = min(LARGEST, unpacked_limit(path.stat().st_size, small=SMALL))
    members = _members(path)
    written = files = 0
    while (member := _sound(path, next, members, None)) is not None:
        name, stream = member
        files += 1
        place = target / _safe(name, path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            output = open(place, "xb")  # noqa: SIM115 - closed below
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise _refused(path, name, "a file twice, or a file and a directory with the same name") from error
        with output:
            while block := _sound(path, stream.read, _COPY):
                written += len(block)
                if written > limit or files > FILES:
                    raise InputError(
                        f"{visible(path.name)} unpacks to more than {limit:,} bytes: refused as a decompression bomb",
                        where=str(path),
                        fix="unpack it yourself and give folder:PATH",
                    )
                output.write(block)


def _sound(path: Path, call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives; what the formats' libraries raise on damaged data, nearly everything, is one error here."""
    try:
        return call(*arguments)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"cannot unpack {visible(path.name)}: {visible(str(error)) or type(error).__name__}",
            where=str(path),
            fix="download the archive again",
        ) from error


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each regular file."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                if item.is_dir():
                    continue
                if (item.external_attr >> 16) & 0o170000 == 0o120000:
                    raise _refused(path, item.filename, "a link")
                with archive.open(item) as stream:
                    yield item.filename, stream
        return
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise _refused(path, member.name, "a link or a device")
            with content:
                yield member.name, content


def _safe(name: str, path: Path, *, windows: bool = os.name == "nt") -> PurePosixPath:
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or not place.parts or ":" in place.parts[0] or "\0" in name:
        raise _refused(path, name, "a path that points outside")
    if max(map(len, map(os.fsencode, place.parts))) > 255 or len(name) > 1000:
        raise _refused(path, name[:80], "a name that is too long")
    if windows and not all(map(windows_takes, place.parts)):
        raise _refused(path, name, "a name that Windows does not allow")
    return PurePosixPath(utf8_name(str(place), str(path)))


def _refused(path: Path, name: str, why: str) -> InputError:
    return InputError(
        f"{visible(path.name)} contains {why}: {visible(name)}", where=str(path), fix="pack it without it"
    )
