"""A split that lies in WebDataset tars: in a directory, fetched, or read from the hub as it is needed.

One reader for all three, so that they give the same ids, labels and images: an index of where each image lies (tar,
offset, length) with what a run has to know before it sees one (labels, captions, ids), and ranges of the tars. The
index is kept under the cache directory, tar by tar; nothing is unpacked and no tables are made of the images.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from vlmbench.data.captions.columns import IDS
from vlmbench.data.hub.files import datasets
from vlmbench.data.hub.index import AGAIN, PATH, SplitIndex, address, size, streaming
from vlmbench.data.hub.ranges import Blocks, Ranges, kept_bytes
from vlmbench.data.hub.rows import Columns
from vlmbench.data.hub.tars import Sample, samples, value
from vlmbench.data.images import FIX, BadImage
from vlmbench.foundations.errors import AbsentError, InputError, VlmbenchError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible

_HEAD = 5
TARS = 4
"""Tars whose labels are read at the same time."""
_FORMAT = 1
_OFFSET, _LENGTH = "offset of the image", "length of the image"


class Place(NamedTuple):
    """Where an image lies: which tar, and its bytes there; a length of -1: the sample has none."""

    file: int
    offset: int
    length: int


@dataclass(frozen=True)
class Shards(SplitIndex):
    """One split of a repository or directory of tars; `streamed` ones are read from the hub, and not fetched."""

    streamed: bool = False

    @cached_property
    def ranges(self) -> Ranges:
        """The tars' bytes; `AbsentError` where one cannot be fetched."""
        if self.streamed:
            return Blocks(self._fetch, tuple(self.source.sizes[name] for name in self._names))
        root = self.source.fetch(self._names)
        return Local(tuple(root / name for name in self._names))

    def _own_features(self) -> Any:
        name = self._names[0]
        first = list(islice(samples(self.ranges, 0, name), _HEAD))
        if not first:
            raise InputError(f"{visible(name)} has no samples", where=self.source.id, fix="pack the tar again")
        library = datasets()
        kinds: dict[str, Any] = {}
        endings: list[str] = []
        for sample in first:
            images = sample.images()
            endings += [ending for ending in images if len(images) > 1 or not endings]
            for ending, member in sample.parts.items():
                if ending not in kinds and ending not in images:
                    try:
                        kinds[ending] = _kind(value(self.ranges, 0, name, member))
                    except InputError:
                        kinds[ending] = library.Value("binary")  # nothing that a label can be read from
        return library.Features({**kinds, **{ending: library.Image() for ending in endings}})

    def _places(self, unit: int, table: Any, start: int) -> list[Place]:
        spans = (table.column(name).to_pylist() for name in (_OFFSET, _LENGTH))
        return [Place(unit, offset, length) for offset, length in zip(*spans, strict=True)]

    @cached_property
    def _directory(self) -> Path:
        """Where the index is kept: by commit, or by the files' sizes and times."""
        facts: list[Any] = [self.source.commit]
        if self.source.repository is None and self.source.root is not None:
            found = [(self.source.root / name).stat() for name in self._names]
            facts = [str(self.source.root), [(one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found]]
        key = digest([_FORMAT, self.source.repository, facts, self.split, self._names])
        return self.source.cache_dir / "hub" / "shards" / key[:32]

    def _make(self, units: list[int], columns: Columns) -> None:
        ranges = self.ranges
        total = sum(ranges.size(file) for file in units)
        if self.streamed and total > kept_bytes():
            self.reporter.note(
                f"{self.source.id}: labels and images are stored together in its {size(total)}, so the first run reads "
                f"what does not fit into {size(kept_bytes())} of memory twice: once for the labels, which are stored, "
                "and once for the images"
            )
        with (
            self.reporter.task(f"labels of {self.split} from {self.source.id}", len(units)) as advance,
            ThreadPoolExecutor(TARS if self.streamed else 1, thread_name_prefix="index") as pool,
        ):
            try:
                for _ in pool.map(lambda file: self._index_file(ranges, file, columns), units):
                    advance()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _index_file(self, ranges: Ranges, file: int, columns: Columns) -> None:
        import pyarrow as pa

        kinds = self._kinds(columns)
        name = self._names[file]
        values: dict[str, list[Any]] = {kind: [] for kind in kinds}
        spans: list[tuple[int, int]] = []
        for sample in samples(ranges, file, name):
            path, offset, length = _image(sample, columns.image, name)
            spans.append((offset, length))
            for kind, cells in values.items():
                cells.append(path if kind == PATH else _cell(ranges, file, name, sample, kind))
        try:
            table = datasets().Dataset.from_dict(values, features=kinds).data.table
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"the labels in {visible(name)} are of different kinds: {visible(str(error).partition(chr(10))[0])}",
                where=f"{self.source.id}, {name}",
                fix="name another column, or pack the tar again",
            ) from error
        for place, kind in enumerate((_OFFSET, _LENGTH)):
            table = table.append_column(kind, pa.array([span[place] for span in spans], pa.int64()))
        self._write(file, columns, table)

    def _fetch(self, file: int, start: int, stop: int) -> bytes:
        """Bytes of a tar on the hub (or of the one that was fetched before)."""
        import fsspec

        name = self._names[file]
        with streaming(self.source):
            system, path = fsspec.url_to_fs(address(self.source, name))
            known = {"size": self.source.sizes[name], "cache_type": "none"} if "hf" in system.protocol else {}
            with system.open(path, "rb", **known) as handle:
                handle.seek(start)
                data = bytes(handle.read(stop - start))
        if len(data) != stop - start:
            raise AbsentError(
                f"the hub returned {len(data):,} bytes of {visible(name)} instead of {stop - start:,}",
                where=self.source.id,
                fix=AGAIN,
            )
        return data


class ShardImages:
    """The images of a split of tars, undecoded; safe to read from several threads."""

    def __init__(self, shards: Shards, places: tuple[Place, ...]) -> None:
        self._shards = shards
        self._places = places
        self._lock = threading.Lock()
        self._failed: VlmbenchError | None = None

    def __len__(self) -> int:
        return len(self._places)

    def stamp(self) -> str | None:
        """None: what is known of its content without reading it is the split's checksum."""
        return None

    def read(self, index: int) -> bytes:
        """The image's encoded bytes; `BadImage` where the sample has none, `AbsentError` for every image once a tar
        could not be read."""
        file, offset, length = self._places[index]
        if length < 0:
            raise BadImage(f"row {index} has no image", where=f"row {index}", fix=FIX)
        if self._failed is not None:
            raise self._failed
        try:
            with self._lock:
                ranges = self._shards.ranges
            data = ranges.read(file, offset, offset + length)
        except VlmbenchError as error:
            self._failed = error
            raise
        if len(data) != length:
            raise InputError(
                f"a tar of {visible(self._shards.source.id)} is shorter than when its index was built",
                where=self._shards.source.id,
                fix="run the same command again",
            )
        return data


def _kind(found: Any) -> Any:
    library = datasets()
    if isinstance(found, list):
        return library.Sequence(_kind(found[0]) if found else library.Value("int64"))
    return library.Value({int: "int64", bool: "int64", float: "float64"}.get(type(found), "string"))


def _image(sample: Sample, column: str, name: str) -> tuple[str | None, int, int]:
    """What a sample calls its image, and where it is: of the ending `column`, else its only one."""
    images = sample.images()
    if column not in sample.parts and len(images) > 1:
        raise InputError(
            f"the sample {visible(sample.key)} has several images: {', '.join(map(visible, images))}",
            where=f"{name}, {sample.key}",
            fix=f"name one: ?image={visible(images[0])}",
        )
    ending = column if column in sample.parts else next(iter(images), None)
    if ending is None:
        return None, 0, -1
    member = sample.parts[ending]
    return f"{sample.key}.{ending}", member.offset, member.size


def _cell(ranges: Ranges, file: int, name: str, sample: Sample, ending: str) -> Any:
    if ending in sample.parts:
        return value(ranges, file, name, sample.parts[ending])
    if ending in IDS:
        return None
    raise InputError(
        f"the sample {visible(sample.key)} has no .{visible(ending)}, which the others have",
        where=f"{name}, {sample.key}",
        fix="pack the tar again, or name another column",
    )


class Local:
    """Ranges of files on this machine."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths
        self._sizes = tuple(path.stat().st_size for path in paths)

    def size(self, file: int) -> int:
        """Bytes of a file."""
        return self._sizes[file]

    def read(self, file: int, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`, or those that are left; `InputError` where the file cannot be read."""
        try:
            with open(self._paths[file], "rb", buffering=0) as handle:
                handle.seek(start)
                return handle.read(stop - start)
        except OSError as error:
            raise InputError(
                f"cannot read {visible(str(self._paths[file]))}: {error.strerror or error}",
                where=str(self._paths[file]),
                fix="download the tar again",
            ) from error

    def passed(self, file: int, position: int) -> None:
        """Nothing: the operating system keeps what it can."""
