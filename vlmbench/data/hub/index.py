"""What a run needs to know about a split before it reads an image (labels, captions, ids), stored in the cache
directory.

One Parquet file for each unit of the split (a file, a tar), so that an interrupted run resumes where it stopped.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vlmbench.data.captions.columns import IDS
from vlmbench.data.hub.files import Source, datasets, reading
from vlmbench.data.hub.rows import Columns
from vlmbench.foundations.atomic import atomic_path
from vlmbench.foundations.errors import AbsentError
from vlmbench.foundations.notes import read_note, vouch, vouched, write_note
from vlmbench.foundations.progress import Reporter, Silent
from vlmbench.foundations.text import visible
from vlmbench.hub.client import cached_file, hub_errors, offline

AGAIN = "run the same command again: it resumes where it stopped"
PATH = "path of the image"
"""The column of an index that holds what a row calls its image."""


@dataclass(frozen=True)
class SplitIndex:
    """One split, as the repository or directory calls it, read by an index of its rows."""

    source: Source
    split: str
    reporter: Reporter = field(default_factory=Silent)

    @property
    def _names(self) -> tuple[str, ...]:
        return self.source.files(self.split)

    @property
    def _units(self) -> tuple[tuple[str, ...], ...]:
        """The files of each unit."""
        return tuple((name,) for name in self._names)

    @cached_property
    def _directory(self) -> Path:
        """Where the index is kept."""
        raise NotImplementedError

    def _own_features(self) -> Any:
        """The type of each column, from the first file: `datasets.Features`."""
        raise NotImplementedError

    def _make(self, units: list[int], columns: Columns) -> None:
        """Builds the missing parts of the index."""
        raise NotImplementedError

    def _places(self, unit: int, table: Any, start: int) -> list[Any]:
        """Where the images of a unit are, whose first row is `start` in the split."""
        raise NotImplementedError

    @cached_property
    def features(self) -> Mapping[str, Any]:
        """The type of each column (see `rows`): as the repository declares it, else as the first file has it. Raises
        `AbsentError` where it cannot be read, `InputError` where it is damaged or empty."""
        if self.source.declared:
            return self.source.declared
        note = self._directory / "features.json"
        found: dict[str, Any] | None = read_note(note)
        if found is None:
            found = self._own_features().to_dict()
            write_note(note, found)
        return found

    def begun(self) -> bool:
        """Whether parts of it are stored from an earlier run."""
        return self._directory.is_dir()

    def index(self, columns: Columns) -> tuple[Any, tuple[Any, ...]]:
        """The rows without their images, as lists by column, and where the images are.

        Its columns are those of `columns` but the image, the ids the source has, and `PATH`. Raises `AbsentError` where
        a file cannot be read, `InputError` where one is damaged, or a sample has no label.
        """
        import pyarrow.parquet as pq

        missing = [unit for unit in range(len(self._units)) if not vouched(self._part(unit, columns))]
        if missing:
            self._make(missing, columns)
        values: dict[str, list[Any]] = {name: [] for name in self._columns(columns)}
        places: list[Any] = []
        for unit in range(len(self._units)):
            table = pq.ParquetFile(self._part(unit, columns)).read()
            places += self._places(unit, table, len(values[PATH]))
            for name, column in values.items():
                column += table.column(name).to_pylist()
        return values, tuple(places)

    def _columns(self, columns: Columns) -> dict[str, Any]:
        """The types of an index's columns."""
        names = [name for name in (columns.label, *columns.captions, *IDS) if name and name in self.features]
        kinds = {name: self.features[name] for name in dict.fromkeys(names) if name != columns.image}
        return {**kinds, PATH: {"dtype": "string", "_type": "Value"}}

    def _kinds(self, columns: Columns) -> Any:
        """The same as `datasets.Features`."""
        return datasets().Features.from_dict(self._columns(columns))

    def _part(self, unit: int, columns: Columns) -> Path:
        return self._directory / columns.key / f"{unit:05d}.parquet"

    def _write(self, unit: int, columns: Columns, table: Any) -> None:
        import pyarrow.parquet as pq

        part = self._part(unit, columns)
        with atomic_path(part) as temporary:
            pq.write_table(table, temporary)
        vouch(part)


def address(source: Source, name: str) -> str:
    """Where a file is read: here if it was fetched before, else from the hub. Raises `AbsentError` where it is not
    here, and the hub is switched off."""
    local = cached_file(str(source.repository), str(source.commit), name)
    if local is not None:
        return str(local)
    if offline():
        raise AbsentError(
            f"{visible(source.id)} is streamed from the hub, which needs a network, and --offline (or "
            "HF_HUB_OFFLINE) forbids it",
            where=source.id,
            fix=f"run it without --offline, or download it: hf download {visible(str(source.repository))} "
            "--repo-type dataset",
        )
    return f"hf://datasets/{source.repository}@{source.commit}/{name}"


@contextmanager
def streaming(source: Source) -> Iterator[None]:
    """Turns stream failures into errors that a user can act on."""
    with hub_errors(str(source.repository), "dataset", AGAIN), reading(source.id, remote=True):
        yield


def size(count: int) -> str:
    """A number of bytes, formatted for people."""
    for unit, power in (("TB", 4), ("GB", 3), ("MB", 2), ("kB", 1)):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} bytes"
