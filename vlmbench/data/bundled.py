"""The bundled datasets: Parquet files with a ``dataset.json``."""

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vlmbench.data.base import DatasetInfo, Split
from vlmbench.data.images import Raw
from vlmbench.foundations.errors import AbsentError
from vlmbench.foundations.hashing import digest
from vlmbench.metrics.choice import DEFAULT

ROOT = Path(__file__).parents[1] / "bundled" / "datasets"


@dataclass(frozen=True)
class Arrays:
    """Images in memory: encoded bytes, or pixels."""

    raws: tuple[Raw, ...]
    mark: str | None = None

    def __len__(self) -> int:
        return len(self.raws)

    def read(self, index: int) -> Raw:
        """The image as it was given."""
        return self.raws[index]

    def stamp(self) -> str | None:
        """Digest of the file they were read from, if they were."""
        return self.mark


@dataclass(frozen=True)
class Bundled:
    """One of them."""

    name: str
    root: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Its ``dataset.json``."""
        value: dict[str, Any] = json.loads((self.root / "dataset.json").read_text("utf-8"))
        return value

    @cached_property
    def info(self) -> DatasetInfo:
        """Name, splits, class names, templates, metric."""
        facts = self.facts
        return DatasetInfo(
            id=self.name,
            revision=None,
            splits=tuple(facts["splits"]),
            classnames=tuple(facts.get("classnames", ())),
            templates=tuple(facts.get("templates", ())),
            metric=facts.get("metric", DEFAULT),
            group=facts.get("group", ""),
        )

    def split(self, name: str) -> Split:
        """The split from its Parquet file: ``image`` and ``label``, or ``image`` and ``captions``."""
        if self.name == "digits":
            return _digits(name)
        import pyarrow.parquet as pq

        path = self.root / f"{name}.parquet"
        if not path.is_file():
            raise AbsentError(
                f"{path.name} of {self.name} is missing",
                where=str(path),
                fix="pip install --force-reinstall vlmbench-eval",
            )
        table = pq.read_table(path)
        columns = set(table.column_names)
        images = tuple(item["bytes"] if isinstance(item, dict) else item for item in table.column("image").to_pylist())
        ids, labels = _numbered(name, len(images)), np.zeros(len(images), np.int64)
        if "image_id" in columns:
            ids = tuple(map(str, table.column("image_id").to_pylist()))
        if "label" in columns:
            labels = table.column("label").to_numpy().astype(np.int64)
        captions = tuple(map(tuple, table.column("captions").to_pylist())) if "captions" in columns else ()
        facts = path.stat()
        mark = digest([str(path), facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns])
        return Split(name, ids, labels, Arrays(images, mark), captions)


def _digits(name: str) -> Split:
    from vlmbench.bundled.digits import load_digits_split

    images, labels = load_digits_split(name)
    raws = tuple(np.asarray(image, np.uint8) for image in images)
    return Split(name, _numbered(name, len(raws)), np.asarray(labels, np.int64), Arrays(raws))


def _numbered(split: str, count: int) -> tuple[str, ...]:
    return tuple(f"{split}-{i:05d}" for i in range(count))


def open_bundled(name: str) -> Bundled:
    """The bundled dataset called `name`, one of `bundled_names`."""
    return Bundled(name, ROOT / name)


@cache
def bundled_names() -> list[str]:
    """Their names, in order."""
    return sorted(path.parent.name for path in ROOT.glob("*/dataset.json"))
