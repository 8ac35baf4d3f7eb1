"""WebDataset tars without unpacking them: where each member lies, and which members are one sample.

A sample is members that follow each other and share their name up to its first dot: ``s0000001.webp`` and
``s0000001.cls`` (https://github.com/webdataset/webdataset). Only headers and small members are read; an image is known
by its place and length.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlmbench.data.hub.ranges import Ranges
from vlmbench.data.images import is_image
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible

LARGEST = 16 * 1024**2
"""Bytes of the largest member that is taken for a label or for captions."""
_HEADER = 1024**2
_READ = 8192
_NUMBERS = frozenset({"cls", "cls2", "index", "inx", "id"})
_TEXTS = frozenset({"txt", "text", "transcript"})


@dataclass(frozen=True)
class Member:
    """A file in a tar: its name, where its bytes begin, and how many they are."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class Sample:
    """Members that belong together, by ending (``webp``, ``cls``)."""

    key: str
    parts: dict[str, Member]

    def images(self) -> list[str]:
        """The endings that are images'."""
        return [ending for ending in self.parts if is_image(f".{ending}")]


class _Reader:
    """A tar as `tarfile` reads it: headers, between which it seeks."""

    def __init__(self, ranges: Ranges, file: int, name: str) -> None:
        self._ranges, self._file, self._name = ranges, file, name
        self._at = self._from = 0
        self._held = b""

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int) -> None:
        self._at = offset

    def read(self, count: int) -> bytes:
        if not 0 <= count <= _HEADER:
            raise _damaged(self._name, f"a header of {count:,} bytes")
        if not self._from <= self._at <= self._at + count <= self._from + len(self._held):
            self._ranges.passed(self._file, self._at)
            stop = min(self._at + max(count, _READ), self._ranges.size(self._file))
            self._from, self._held = self._at, self._ranges.read(self._file, self._at, stop)
        data = self._held[self._at - self._from :][:count]
        self._at += len(data)
        return data


def members(ranges: Ranges, file: int, name: str) -> Iterator[Member]:
    """The regular files of a tar, the file number `file` of `ranges`, in order; `name` is what an error calls it.

    Raises `InputError` where it is no tar, is damaged or cut off, or a member is longer than the tar.
    """
    whole = ranges.size(file)
    reader = _Reader(ranges, file, name)
    try:
        with tarfile.TarFile(fileobj=reader) as tar:  # type: ignore[arg-type]
            while (item := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else each of millions of headers is kept
                if item.size < 0 or item.offset_data + item.size > whole:
                    raise _damaged(
                        name, f"{visible(item.name)} would be {item.size:,} bytes long, beyond the end of the file"
                    )
                if item.issparse():
                    raise _damaged(name, f"{visible(item.name)} is a sparse file")
                if item.isreg():
                    yield Member(item.name, item.offset_data, item.size)
            end = tar.offset
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError) as error:
        raise _damaged(name, visible(str(error))) from error
    mark = ranges.read(file, end, min(end + tarfile.BLOCKSIZE, whole)) if end < whole else b""
    if len(mark) < tarfile.BLOCKSIZE:
        raise _damaged(name, f"it is truncated after {whole:,} bytes, without the end-of-archive marker")
    if mark.strip(b"\0"):
        raise _damaged(name, f"there is no member header at byte {end:,}")
    ranges.passed(file, whole)


def samples(ranges: Ranges, file: int, name: str) -> Iterator[Sample]:
    """The samples of a WebDataset tar, in order; files without an ending, and hidden ones, belong to none. Raises
    `InputError` as `members`, or where a sample holds an ending twice."""
    key, parts = "", dict[str, Member]()
    for member in members(ranges, file, name):
        folder, slash, last = member.name.rpartition("/")
        stem, _, ending = last.partition(".")
        if not stem or not ending or stem.startswith("__"):
            continue
        found, ending = folder + slash + stem, ending.lower()
        if parts and found != key:
            yield Sample(key, parts)
            parts = {}
        if ending in parts:
            raise _damaged(name, f"the sample {visible(found)} has two members that end in .{visible(ending)}")
        key, parts[ending] = found, member
    if parts:
        yield Sample(key, parts)


def value(ranges: Ranges, file: int, name: str, member: Member) -> Any:
    """A label or captions: an int of ``.cls``, text of ``.txt``, a number or a list of them of ``.npy``. Raises
    `InputError` where it is not what its ending says, is of another kind, or is absurdly large."""
    last = member.name.rpartition(".")[2].lower()
    where = f"{name}, {member.name}"
    if member.size > LARGEST:
        raise InputError(
            f"{visible(member.name)} has {member.size:,} bytes: too many for a label or captions",
            where=where,
            fix="name another column",
        )
    data = ranges.read(file, member.offset, member.offset + member.size)
    try:
        if last in _NUMBERS:
            return int(data)
        if last in _TEXTS:
            return data.decode("utf-8")
        if last == "npy":
            return _numbers(np.load(io.BytesIO(data), allow_pickle=False))
    except (ValueError, EOFError, SyntaxError, MemoryError, OverflowError) as error:
        reason = visible(str(error).partition("\n")[0])
        raise InputError(
            f"{visible(member.name)} is not what its ending says: {reason}", where=where, fix="pack the tar again"
        ) from error
    raise InputError(
        f"labels cannot be read from .{visible(last)} members",
        where=where,
        fix="name a column that ends in cls, npy or txt",
    )


def _numbers(array: np.ndarray) -> Any:
    if array.dtype.kind not in "biuf" or array.ndim > 1:
        raise ValueError(f"an array of {array.ndim} dimensions of {array.dtype} is not a label")
    if array.dtype.kind == "f" and np.array_equal(array, np.rint(array)):
        array = array.astype(np.int64)  # CLIP_benchmark writes zeros and ones as float32
    return array.tolist()


def _damaged(name: str, why: str) -> InputError:
    return InputError(
        f"{visible(name)} is not a valid WebDataset tar: {why}",
        where=name,
        fix="download or pack the tar again; decompress a compressed one",
    )
