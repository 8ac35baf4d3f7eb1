"""Feature shards on disk: written once, whole or not at all, checked when read, resumed where a run was stopped.

``features/<key>/{000000000.safetensors, 000001024.safetensors, …, manifest.json}``. A shard covers consecutive images
of the split, is named after the first of them, and holds every layer of the encoder, so that zero-shot and probe share
one pass; each carries its own digest. How many images a shard covers says how long the encoder took, and nothing else.
The manifest is written last: a directory without it is a run to be continued. With a shared cache
(`foundations.shared`) what is lacking here is fetched from there, and what is written is put there too.
"""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from vlmbench.features.table import release
from vlmbench.features.tensors import map_tensors, write_tensors
from vlmbench.foundations.atomic import exclusive
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.notes import damaged, read_note, write_note
from vlmbench.foundations.shared import SharedCache

ROWS = 1024
"""Images a shard, where they are encoded within `vlmbench.foundations.progress.SECONDS`."""
FORMAT = 3
MANIFEST = "manifest.json"
SUFFIX = ".safetensors"
_ROW = "row"


@dataclass(frozen=True)
class FeatureKey:
    """Everything that decides the features of a split; a change of any field is another entry of the store.

    The layer is not among the fields because every shard holds all layers by name.
    """

    weights_sha256: str
    preprocessing_sha256: str
    precision: str
    fingerprint: str
    split: str
    versions: Mapping[str, str]
    """The packages that decode and encode."""
    format: int = FORMAT
    engine: str | None = None
    """None: torch."""

    @cached_property
    def name(self) -> str:
        """The directory's name: 32 hexadecimal digits."""
        return digest(self.facts)[:32]

    @property
    def facts(self) -> dict[str, Any]:
        """The fields that are not none."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Manifest:
    """What a finished entry says of itself.

    Attributes:
        images: images of the split.
        skipped: ids of the damaged ones among them, which have no row.
        layers: layer to width.
    """

    images: int
    skipped: tuple[str, ...]
    layers: dict[str, int]


Tensors = dict[str, np.ndarray]


class FeatureEntry:
    """The features of one split by one model."""

    def __init__(self, cache_dir: Path, key: FeatureKey, images: int, shared: SharedCache | None = None) -> None:
        self.key, self.shared = key, shared
        self.directory = cache_dir / "features" / key.name
        self.images = images
        self._reopened = False

    def manifest(self) -> Manifest | None:
        """The manifest, if the entry is finished."""
        found = self._manifest()
        if found is None and self.shared is not None and not self._reopened:
            found = self.shared.take(self.directory / MANIFEST, self._manifest)
        return found

    def _manifest(self) -> Manifest | None:
        try:
            data = read_note(self.directory / MANIFEST)
            found = Manifest(
                images=int(data["images"]),
                skipped=tuple(map(str, data["skipped"])),
                layers={str(name): int(width) for name, width in data["layers"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return found if found.images == self.images else None

    def shards(self, position: int = 0, *, within: range | None = None) -> Iterator[tuple[range, Tensors | None]]:
        """The split from `position` to its end, or `within` a part: the images of each shard with its tensors, and with
        none those that no sound shard covers.

        Tensors are ``row`` [n] int64 and each layer [n, D] float32, mapped from the file. The last shard can reach
        beyond the part.
        """
        position, end = (position, self.images) if within is None else (within.start, within.stop)
        starts: list[int] = []
        there: set[int] | None = None  # listed once: there can be a gap for every shard
        while position < end:
            found = self._read(position)
            if found is None and there is None:
                there = self._shared_starts() or set()
                starts = sorted({*self._starts(), *there})
            if found is None and self.shared is not None and there and position in there:
                found = self.shared.take(self._path(position), partial(self._read, position))
            if found is not None:
                yield found
                position = found[0].stop
                continue
            place = bisect_right(starts, position)
            later = min(starts[place], end) if place < len(starts) else end
            yield range(position, later), None
            position = later

    def write_shard(self, covered: range, rows: np.ndarray, layers: Mapping[str, np.ndarray]) -> None:
        """Writes a shard whole or not at all.

        Args:
            covered: the images it stands for.
            rows: [n] int64 indices into the split: those among them that could be decoded.
            layers: layer to [n, D] float32.

        Raises:
            OutputError: it cannot be written.
        """
        tensors: Tensors = {
            _ROW: np.asarray(rows, np.int64),
            **{name: np.ascontiguousarray(value, np.float32) for name, value in layers.items()},
        }
        write_tensors(self._path(covered.start), tensors, self._facts(covered, tensors))
        if self.shared is not None:
            self.shared.put(self._path(covered.start))

    def finish(self, skipped: tuple[str, ...], layers: Mapping[str, int]) -> Manifest:
        """Writes the manifest: the entry is complete from here on, and nobody needs its locks."""
        manifest = Manifest(self.images, skipped, dict(layers))
        write_note(self.directory / MANIFEST, {**asdict(manifest), "skipped": list(skipped), "key": self.key.facts})
        self._share()
        for path in self.directory.glob(".lock*"):
            with suppress(OSError):  # Windows: somebody is waiting for it, to find that all is done
                path.unlink()
        return manifest

    @property
    def complete(self) -> bool:
        """Whether a sound shard covers every image."""
        return all(tensors is not None for _, tensors in self.shards())

    def reopen(self) -> None:
        """Makes a finished entry unfinished again: the next pass keeps its sound shards and encodes the others."""
        (self.directory / MANIFEST).unlink(missing_ok=True)
        self._reopened = True

    @contextmanager
    def claim(self, start: int, *, wait: bool = False) -> Iterator[bool]:
        """Holds the lock of the unit that begins at `start`, so that two processes that need the same features encode
        them once; gives whether it does, which is always so with `wait`."""
        with exclusive(self.directory / f".lock-{start:09d}", wait=wait) as held:
            yield held

    def _read(self, start: int) -> tuple[range, Tensors] | None:
        """The shard that begins at `start`; none where it is absent or damaged."""
        path = self._path(start)
        try:
            tensors, facts = map_tensors(path)
            covered = range(start, int(facts["stop"]))
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            damaged(path)
            return None
        if facts == self._facts(covered, tensors) and _ROW in tensors and start < covered.stop <= self.images:
            return covered, tensors
        damaged(path)
        return None

    def _share(self) -> None:
        """Puts the manifest into the shared cache, once all shards are there."""
        if self.shared is None or (there := self._shared_starts()) is None:
            return
        lacking = sorted({*self._starts()} - there)
        if all(self.shared.put(self._path(start)) for start in lacking):
            self.shared.put(self.directory / MANIFEST)

    def _shared_starts(self) -> set[int] | None:
        """Where shards in the shared cache begin; none where that cannot be said."""
        names = None if self.shared is None else self.shared.names(self.directory)
        return None if names is None else set(_starts_in(names))

    def _starts(self) -> Iterator[int]:
        """Where shards begin, sound or not."""
        names = os.listdir(self.directory) if self.directory.is_dir() else ()  # noqa: PTH208 - paths would take twice the time
        return _starts_in(names)

    def _facts(self, covered: range, tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
        """What a shard's header says of it."""
        where = {"key": self.key.name, "start": str(covered.start), "stop": str(covered.stop)}
        return {**where, "sha256": digest([where, _digest(tensors)])}

    def _path(self, start: int) -> Path:
        """Where the shard lies that begins at `start`."""
        return self.directory / f"{start:09d}{SUFFIX}"


def _starts_in(names: Iterable[str]) -> Iterator[int]:
    stems = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
    return (int(stem) for stem in stems if stem.isascii() and stem.isdigit() and len(stem) < 16)


def array_sha256(values: np.ndarray) -> str:
    """SHA-256 of an array's bytes in C order."""
    found = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
    release(values)
    return found


def _digest(tensors: Mapping[str, np.ndarray[Any, Any]]) -> str:
    parts = [
        [name, list(tensors[name].shape), tensors[name].dtype.str, array_sha256(tensors[name])]
        for name in sorted(tensors)
    ]
    return digest(parts)
