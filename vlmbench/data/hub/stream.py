"""Splits that are read from the hub as they are needed, one file at a time, with no data file kept on the disk.

`datasets` streams the rows; what a run has to know before it sees an image is read once for each file: of Parquet only
these columns come over the network, of anything else the whole file has to pass.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vlmbench.data.hub.files import datasets
from vlmbench.data.hub.index import PATH, SplitIndex, address, size, streaming
from vlmbench.data.hub.rows import Columns
from vlmbench.foundations.hashing import digest

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
class Stream(SplitIndex):
    """One split of a repository that is no tars."""

    @cached_property
    def _directory(self) -> Path:
        source = self.source
        key = digest([_FORMAT, str(source.repository), source.commit, source.module, self.split, self._names])
        return source.cache_dir / "hub" / "streams" / key[:32]

    @cached_property
    def _units(self) -> tuple[tuple[str, ...], ...]:
        """The files, each for itself; images in folders, whose class names come from all of them, together."""
        return (self._names,) if self.source.module in _FOLDERS else super()._units

    @property
    def _parquet(self) -> bool:
        return self.source.module == "parquet"

    def _own_features(self) -> Any:
        with streaming(self.source):
            stream = self._load(self._units[0])
            return stream.features or stream._resolve_features().features

    def _places(self, unit: int, table: Any, start: int) -> list[Piece]:
        pieces: list[Piece] = []
        before = 0
        for number, rows in enumerate(json.loads(table.schema.metadata[_FACTS])):
            pieces.append(Piece(unit, number, before, start + before, rows))
            before += rows
        return pieces

    def rows(self, piece: Piece, column: str) -> Iterator[Any]:
        """The undecoded images from the first of a piece to the end of its unit: bytes, or bytes and path. Raises
        `AbsentError` where the connection fails for longer than the clients try, `InputError` where the file is
        damaged."""
        with streaming(self.source):
            chosen = {column: self.features[column]} if self._parquet else self.features
            stream = self._load(self._units[piece.unit], chosen)
            if piece.number and not hasattr(stream, "reshard"):  # an older `datasets`: what comes before is read too
                stream = stream.skip(piece.before)
            elif piece.number:
                parts = stream.reshard()
                count = parts.num_shards
                stream = datasets().concatenate_datasets([parts.shard(count, at) for at in range(piece.number, count)])
            for row in stream.decode(False):
                yield row[column]

    def read_file(self, path: str) -> bytes:
        """A file that a row names instead of holding its bytes."""
        import fsspec

        with streaming(self.source), fsspec.open(path, "rb") as handle:
            return bytes(handle.read())

    def _make(self, units: list[int], columns: Columns) -> None:
        total = sum(self.source.sizes.get(name, 0) for name in self._names)
        if not self._parquet and self.source.module not in _FOLDERS:
            self.reporter.note(
                f"{self.source.id}: labels and images are stored together in its files, so the first run reads all "
                f"{size(total)} of them twice: once for the labels, which are stored, and once for the images"
            )
        with self.reporter.task(f"labels of {self.split} from {self.source.id}", len(units)) as advance:
            for unit in units:
                self._index_unit(unit, columns)
                advance()

    def _index_unit(self, unit: int, columns: Columns) -> None:
        kinds = self._kinds(columns)
        with streaming(self.source):
            values, groups = (self._index_parquet if self._parquet else self._index_rows)(unit, kinds, columns.image)
            table = datasets().Dataset.from_dict(values, features=kinds).data.table
        found = {**(table.schema.metadata or {}), _FACTS: json.dumps(groups).encode()}
        self._write(unit, columns, table.replace_schema_metadata(found))

    def _index_parquet(self, unit: int, kinds: Any, image: str) -> tuple[dict[str, list[Any]], list[int]]:
        """The columns of a Parquet file, and the rows of its row groups; no more than that is fetched."""
        import fsspec
        import pyarrow as pa
        import pyarrow.parquet as pq

        system, path = fsspec.url_to_fs(address(self.source, self._units[unit][0]))
        exact = {"cache_type": "none"} if "hf" in system.protocol else {}  # else megabytes around a column come too
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
        for row in self._load(self._units[unit], self.features).decode(False):
            for name in kinds:
                cell = row[image] if name == PATH else row[name]
                values[name].append((cell.get("path") if isinstance(cell, dict) else None) if name == PATH else cell)
        return values, [len(values[PATH])]

    def _load(self, names: Sequence[str], features: Mapping[str, Any] | None = None) -> Any:
        library = datasets()
        # their default 20 attempts take half an hour if a server refuses
        library.config.STREAMING_READ_MAX_RETRIES = library.config.STREAMING_OPEN_MAX_RETRIES = _TRIES
        more: dict[str, Any] = {"features": library.Features.from_dict(dict(features)) if features else None}
        if features and self._parquet:
            more["columns"] = list(features)
        files = {_ROWS: [address(self.source, name) for name in names]}
        return library.load_dataset(self.source.module, data_files=files, split=_ROWS, streaming=True, **more)
