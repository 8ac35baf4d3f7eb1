"""Splits that are read from the hub as they are needed, one file at a time, with no data file kept on the disk.

`datasets` streams the rows; what a run has to know before it sees an image (labels, captions, ids, the number of rows)
is read once for each file and kept under the cache directory: of Parquet only these columns come over the network, of
anything else the whole file has to pass.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmbench.data.captions.columns import IDS
from vlmbench.data.hub.files import Source, datasets, read
from vlmbench.data.hub.rows import Columns
from vlmbench.foundations.atomic import atomic_path
from vlmbench.foundations.errors import AbsentError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import read_note, vouch, vouched, write_note
from vlmbench.foundations.progress import Reporter, Silent
from vlmbench.foundations.text import visible
from vlmbench.hub.client import cached_file, hub_errors, offline

if TYPE_CHECKING:
    from vlmbench.data.hub.cursor import StreamedImages

AGAIN = "run the same command again: it goes on where it stopped"
PATH = "path of the image"
"""The column of an index that holds what a row calls its image."""
_ROWS = "rows"
_FOLDERS = ("imagefolder", "audiofolder", "videofolder", "meshfolder")
_TRIES = 3
_FORMAT = 1
_FACTS = b"vlmbench"


@dataclass(frozen=True)
class Piece:
    """Rows that can be reached without reading those before them: a Parquet row group, else a file.

    Attributes:
        unit: the file (or the whole folder of images) it is in.
        number: which of its row groups.
        before: rows of its unit that come before it.
        start: the first of its rows in the split.
        rows: how many.
    """

    unit: int
    number: int
    before: int
    start: int
    rows: int


@dataclass(frozen=True)
class Stream:
    """One split of a repository.

    Attributes:
        source: the repository.
        split: the split, as the repository calls it.
        reporter: where the pass over the files is told of.
    """

    source: Source
    split: str
    reporter: Reporter = field(default_factory=Silent)

    @property
    def repository(self) -> str:
        """``owner/name``."""
        return str(self.source.repository)

    @cached_property
    def _directory(self) -> Path:
        key = digest([_FORMAT, self.repository, self.source.commit, self.source.module, self.split, self._names])
        return self.source.cache_dir / "hub" / "streams" / key[:32]

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.source.files(self.split))

    @cached_property
    def _units(self) -> tuple[tuple[str, ...], ...]:
        """The files, each for itself; images in folders, whose class names come from all of them, together."""
        return (self._names,) if self.source.module in _FOLDERS else tuple((name,) for name in self._names)

    @property
    def _parquet(self) -> bool:
        return self.source.module == "parquet"

    @cached_property
    def features(self) -> Any:
        """The features of the split: those the repository declares, else those its first file has.

        Raises:
            AbsentError: it cannot be read.
        """
        if self.source.features is not None:
            return self.source.features
        kept = self._directory / "features.json"
        library = datasets()
        try:
            return library.Features.from_dict(read_note(kept))
        except (OSError, ValueError, TypeError, AttributeError):
            pass  # not asked yet, or the note is damaged
        with told_of(self.source):
            stream = self._load(self._units[0], features=None)
            found = stream.features or stream._resolve_features().features
        write_note(kept, found.to_dict())
        return found

    def begun(self) -> bool:
        """Whether something of it is kept from an earlier run."""
        return self._directory.is_dir()

    def indexed(self, columns: Columns) -> bool:
        """Whether all that has to be known before an image is read is kept here."""
        return all(vouched(self._part(unit, columns)) for unit in range(len(self._units)))

    def index(self, columns: Columns) -> tuple[Any, tuple[Piece, ...]]:
        """The rows without their images, as a `datasets.Dataset` in memory, and how they are parted.

        Its columns are those of `columns` but the image, the ids the repository gives, and `PATH`.

        Raises:
            AbsentError: a file cannot be read.
            InputError: a file is damaged.
        """
        if not self.indexed(columns):
            self._make_index(columns)
        import pyarrow.parquet as pq

        kinds = self._kinds(columns)
        values: dict[str, list[Any]] = {name: [] for name in kinds}
        pieces: list[Piece] = []
        start = 0
        for unit in range(len(self._units)):
            table = pq.read_table(self._part(unit, columns))
            for name, column in values.items():
                column += table.column(name).to_pylist()
            first = start
            for number, rows in enumerate(json.loads(table.schema.metadata[_FACTS])):
                pieces.append(Piece(unit, number, start - first, start, rows))
                start += rows
        return datasets().Dataset.from_dict(values, features=kinds), tuple(pieces)

    def images(self, pieces: tuple[Piece, ...], column: str) -> "StreamedImages":
        """The images of an index, undecoded."""
        from vlmbench.data.hub.cursor import StreamedImages

        return StreamedImages(self, pieces, column)

    def rows(self, piece: Piece, column: str) -> Iterator[Any]:
        """The undecoded images from the first of a piece to the end of its unit: bytes, or bytes and path.

        Raises:
            AbsentError: the connection fails, for longer than the clients try.
            InputError: the file is damaged.
        """
        with told_of(self.source):
            chosen = {column: self.features[column]} if self._parquet else None
            stream = self._load(self._units[piece.unit], features=self.features, columns=chosen)
            if piece.number and not hasattr(stream, "reshard"):  # an older `datasets`: what comes before is read too
                stream = stream.skip(piece.before)
            elif piece.number:
                parts = stream.reshard()
                count = parts.num_shards
                stream = datasets().concatenate_datasets([parts.shard(count, at) for at in range(piece.number, count)])
            for row in stream.decode(False):
                yield row[column]

    def read_file(self, path: str) -> bytes:
        """A file that a row names instead of holding its bytes.

        Raises:
            AbsentError: it cannot be read.
        """
        import fsspec

        with told_of(self.source), fsspec.open(path, "rb") as handle:
            return bytes(handle.read())

    def _kinds(self, columns: Columns) -> Any:
        """The features of an index."""
        library = datasets()
        names = [name for name in (columns.label, *columns.captions, *IDS) if name and name in self.features]
        kinds = {name: self.features[name] for name in dict.fromkeys(names) if name != columns.image}
        return library.Features({**kinds, PATH: library.Value("string")})

    def _part(self, unit: int, columns: Columns) -> Path:
        asked = digest([columns.image, columns.label, list(columns.captions)])[:16]
        return self._directory / asked / f"{unit:05d}.parquet"

    def _make_index(self, columns: Columns) -> None:
        total = sum(self.source.sizes.get(name, 0) for name in self._names)
        if not self._parquet and self.source.module not in _FOLDERS:
            self.reporter.note(
                f"{self.source.id}: labels and images lie together in its files, so that the first run reads all "
                f"{size(total)} of them twice: once for the labels, which are kept, and once for the images"
            )
        label = f"labels of {self.split} from {self.source.id}"
        with self.reporter.task(label, len(self._units)) as advance:
            for unit in range(len(self._units)):
                part = self._part(unit, columns)
                if not vouched(part):
                    self._index_unit(unit, columns, part)
                advance()

    def _index_unit(self, unit: int, columns: Columns, part: Path) -> None:
        import pyarrow.parquet as pq

        kinds = self._kinds(columns)
        with told_of(self.source):
            values, groups = (self._index_parquet if self._parquet else self._index_rows)(unit, kinds, columns.image)
            table = datasets().Dataset.from_dict(values, features=kinds).data.table
        found = {**(table.schema.metadata or {}), _FACTS: json.dumps(groups).encode()}
        with atomic_path(part) as temporary:
            pq.write_table(table.replace_schema_metadata(found), temporary)
        vouch(part)

    def _index_parquet(self, unit: int, kinds: Any, image: str) -> tuple[dict[str, list[Any]], list[int]]:
        """The columns of a Parquet file, and the rows of its row groups; no more than that is fetched."""
        import fsspec
        import pyarrow as pa
        import pyarrow.parquet as pq

        place = address(self.source, self._units[unit][0])
        system, path = fsspec.url_to_fs(place)
        exact = {"cache_type": "none"} if place.startswith("hf:") else {}  # else megabytes around a column come too
        with system.open(path, "rb", **exact) as handle, pq.ParquetFile(handle, pre_buffer=True) as file:
            facts = file.metadata
            leaf = f"{image}.path"
            known = {facts.schema.column(place).path for place in range(facts.num_columns)}
            table = file.read([*(name for name in kinds if name != PATH), *([leaf] if leaf in known else [])])
            groups = [facts.row_group(place).num_rows for place in range(facts.num_row_groups)]
        values = {name: table.column(name).to_pylist() for name in kinds if name != PATH}
        paths = pa.nulls(len(table)).to_pylist()
        if leaf in known:
            paths = [cell and cell.get("path") for cell in table.column(image).to_pylist()]
        return {**values, PATH: paths}, groups

    def _index_rows(self, unit: int, kinds: Any, image: str) -> tuple[dict[str, list[Any]], list[int]]:
        """The columns of any other file, all of which is read."""
        values: dict[str, list[Any]] = {name: [] for name in kinds}
        for row in self._load(self._units[unit], features=self.features).decode(False):
            for name in kinds:
                cell = row[image] if name == PATH else row[name]
                values[name].append((cell.get("path") if isinstance(cell, dict) else None) if name == PATH else cell)
        return values, [len(values[PATH])]

    def _load(self, names: Sequence[str], features: Any, columns: Any = None) -> Any:
        library = datasets()
        # their own 20 tries take half an hour where a server refuses
        library.config.STREAMING_READ_MAX_RETRIES = library.config.STREAMING_OPEN_MAX_RETRIES = _TRIES
        more = {"columns": list(columns), "features": library.Features(columns)} if columns else {"features": features}
        files = {_ROWS: [address(self.source, name) for name in names]}
        return library.load_dataset(self.source.module, data_files=files, split=_ROWS, streaming=True, **more)


def address(source: Source, name: str) -> str:
    """Where a file is read: here if it was fetched before, else from the hub.

    Raises:
        AbsentError: it is not here, and the hub is switched off.
    """
    here = cached_file(str(source.repository), str(source.commit), name)
    if here is not None:
        return str(here)
    if offline():
        raise AbsentError(
            f"{visible(source.id)} is streamed from the hub, which needs a network, and --offline (or "
            "HF_HUB_OFFLINE) forbids it",
            where=source.id,
            fix=f"run it without --offline, or fetch it: hf download {visible(str(source.repository))} "
            "--repo-type dataset",
        )
    return f"hf://datasets/{source.repository}@{source.commit}/{name}"


@contextmanager
def told_of(source: Source) -> Iterator[None]:
    """Turns what goes wrong in a stream into the error a user can act on."""
    with hub_errors(str(source.repository), "dataset", AGAIN), read(source.id, remote=True):
        yield


def size(count: int) -> str:
    """A number of bytes for people."""
    for unit, power in (("TB", 4), ("GB", 3), ("MB", 2), ("kB", 1)):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} bytes"
