"""Feature shards on disk: written once, whole or not at all, checked when read, resumed where a run was stopped.

``features/<key>/{00000.safetensors, 00001.safetensors, …, manifest.json}``. A shard covers `ROWS` consecutive images
of the split and holds every layer of the encoder, so that zero-shot and probe share one pass; each carries its own
digest. The manifest is written last: a directory without it is a run to be continued.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from vlmbench.features.tensors import write_tensors
from vlmbench.foundations.atomic import exclusive, write_json
from vlmbench.foundations.hashing import digest

ROWS = 1024
"""Images a shard: what an interruption can lose, so that it stays minutes for the slowest encoders."""

FORMAT = 2
MANIFEST = "manifest.json"
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
    format: int = FORMAT

    @cached_property
    def name(self) -> str:
        """The directory's name: 32 hexadecimal digits."""
        return digest(asdict(self))[:32]


@dataclass(frozen=True)
class Manifest:
    """What a finished entry says of itself.

    Attributes:
        images: images of the split.
        skipped: ids of the damaged ones among them, which have no row.
        layers: layer to width.
        versions: the packages that encoded them.
        rows_per_shard: rows of a shard.
    """

    images: int
    skipped: tuple[str, ...]
    layers: dict[str, int]
    versions: dict[str, str]
    rows_per_shard: int = ROWS


class FeatureEntry:
    """The features of one split by one model."""

    def __init__(
        self, cache_dir: Path, key: FeatureKey, images: int, versions: Mapping[str, str], rows: int = ROWS
    ) -> None:
        self.key = key
        self.directory = cache_dir / "features" / key.name
        self.images = images
        self.versions = dict(versions)
        self.rows = rows

    def shard_range(self, shard: int) -> range:
        """The images that a shard covers."""
        return range(shard * self.rows, min((shard + 1) * self.rows, self.images))

    @property
    def shards(self) -> int:
        """How many shards the split takes."""
        return -(-self.images // self.rows)

    def manifest(self) -> Manifest | None:
        """The manifest, if the entry is finished."""
        try:
            data = json.loads((self.directory / MANIFEST).read_text("utf-8"))
            found = Manifest(
                images=int(data["images"]),
                skipped=tuple(map(str, data["skipped"])),
                layers={str(name): int(width) for name, width in data["layers"].items()},
                versions={str(name): str(value) for name, value in data["versions"].items()},
                rows_per_shard=int(data["rows_per_shard"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return found if found.images == self.images and found.rows_per_shard == self.rows else None

    def read_shard(self, shard: int, *, same_versions: bool = False) -> dict[str, np.ndarray] | None:
        """A shard's tensors (``row`` [n] int64 and each layer [n, D] float32), or none where it is absent or damaged.

        With `same_versions`, also none where other versions of the packages encoded it.
        """
        try:
            with safe_open(self._path(shard), framework="numpy") as handle:
                facts = handle.metadata() or {}
                tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError, ValueError):
            return None
        expected = self._facts(shard, tensors)
        if not same_versions:
            expected["versions"] = facts.get("versions", "")
        return tensors if facts == expected and _ROW in tensors else None

    def write_shard(self, shard: int, rows: np.ndarray, layers: Mapping[str, np.ndarray]) -> None:
        """Writes a shard whole or not at all.

        Args:
            shard: its number.
            rows: [n] int64 indices into the split.
            layers: layer to [n, D] float32.

        Raises:
            OutputError: it cannot be written.
        """
        tensors: dict[str, np.ndarray] = {
            _ROW: np.asarray(rows, np.int64),
            **{name: np.ascontiguousarray(value, np.float32) for name, value in layers.items()},
        }
        facts = self._facts(shard, tensors)
        write_tensors(self._path(shard), tensors, facts)

    def finish(self, skipped: tuple[str, ...], layers: Mapping[str, int]) -> Manifest:
        """Writes the manifest: the entry is complete from here on."""
        manifest = Manifest(self.images, skipped, dict(layers), self.versions, self.rows)
        write_json(self.directory / MANIFEST, {**asdict(manifest), "skipped": list(skipped), "key": asdict(self.key)})
        return manifest

    def reopen(self) -> None:
        """Makes a finished entry unfinished again: the next pass keeps its sound shards and encodes the others."""
        (self.directory / MANIFEST).unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the entry's lock, so that two runs that need the same features encode them once."""
        with exclusive(self.directory / ".lock"):
            yield

    def _facts(self, shard: int, tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
        """What a shard's header says of it."""
        covered = self.shard_range(shard)
        return {
            "sha256": _digest(tensors),
            "key": self.key.name,
            "start": str(covered.start),
            "stop": str(covered.stop),
            "versions": json.dumps(self.versions, sort_keys=True),
        }

    def _path(self, shard: int) -> Path:
        return self.directory / f"{shard:05d}.safetensors"


def array_sha256(values: np.ndarray) -> str:
    """SHA-256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def _digest(tensors: Mapping[str, np.ndarray[Any, Any]]) -> str:
    parts = [
        [name, list(tensors[name].shape), tensors[name].dtype.str, array_sha256(tensors[name])]
        for name in sorted(tensors)
    ]
    return digest(parts)
