"""The interface of datasets: named splits of images with ids and labels, class names and templates."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vlmbench.data.corruptions.kinds import Corruption
from vlmbench.data.names import CORRUPT, DatasetRef
from vlmbench.data.regions import Regions, Views
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.progress import Reporter
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.metrics.choice import DEFAULT

if TYPE_CHECKING:
    from vlmbench.data.images import Raw

TRAIN, VAL, TEST, ALL = "train", "val", "test", "all"
MOST_CLASSES = 1_000_000
"""A class index at or above it is no class index: names for all below it would fill the memory."""

ALIASES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "validation": VAL,
    "valid": VAL,
    "dev": VAL,
    "test": TEST,
    "testing": TEST,
}
_RUN_TOGETHER = re.compile(r"(?<=[a-z])(?=[A-Z])")


class ImageSource(Protocol):
    """The images of one split, in order; picklable and safe to read from several threads."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> "Raw":
        """The image's encoded bytes, or its pixels; raises `BadImage` if it cannot be read."""

    def stamp(self) -> str | None:
        """A cheap digest (of paths, sizes, times) that changes when an image may have; None if there is none."""


@dataclass(frozen=True)
class Split:
    """One split.

    Attributes:
        name: ``train``, ``val``, ``test``, ``all`` (a dataset of one undivided split), or the dataset's own name.
        ids: [N] unique names of the images.
        labels: [N] int64 class indices, or [N, C] uint8 for multi-label sets.
        images: [N] images.
        captions: [N] captions of each image, for captioned sets.
        regions: [N] the place of each item in its image, for sets whose items are parts of images.
        checksum: a digest of the files with the images, if known without reading them (from a hub).
        groups: [N] the group of each image (nocaps' domain), for captioned sets with groups; empty: no group.
    """

    name: str
    ids: tuple[str, ...]
    labels: np.ndarray
    images: ImageSource
    captions: tuple[tuple[str, ...], ...] = ()
    regions: Regions | None = None
    checksum: str | None = None
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about a dataset before an image is read."""

    id: str
    revision: str | None
    splits: tuple[str, ...]
    classnames: tuple[str, ...]
    templates: tuple[str, ...] = ()
    """The dataset's own templates; None if it has none."""
    metric: str = DEFAULT
    multilabel: bool = False
    raw_classnames: tuple[str, ...] = ()
    """The names as the source spells them (``traffic_light``), where `classnames` are readable forms."""
    group: str = ""
    """Its group in the catalogue (``fine-grained``, ``abstract`` …)."""
    notes: tuple[str, ...] = field(default=())
    """What a user needs to know (a class without test images, ignored files)."""
    views: Views | None = None
    """The views of each item; None: the whole image only."""


class Dataset(Protocol):
    """An open dataset: its facts at once, its splits on request."""

    @property
    def info(self) -> DatasetInfo:
        """Its facts."""

    def split(self, name: str) -> Split:
        """The split called `name`, one of ``info.splits``."""


@dataclass(frozen=True)
class OpenDataset:
    """A `Dataset` made of facts and a function that returns a split by name."""

    info: DatasetInfo
    split: Callable[[str], Split]


@dataclass(frozen=True)
class Opening:
    """Resources for the function that opens a kind of dataset.

    Attributes:
        cache_dir: where it may store computed or downloaded files.
        reporter: receives notes and progress.
        open: opens another dataset that this one is based on.
    """

    cache_dir: Path
    reporter: Reporter
    open: Callable[[DatasetRef], Dataset]


def ordered_splits(names: Iterable[str]) -> tuple[str, ...]:
    """Unique names of splits: train, val, test, all, then others in order."""
    usual = (TRAIN, VAL, TEST, ALL)
    return tuple(sorted(dict.fromkeys(names), key=lambda name: usual.index(name) if name in usual else len(usual)))


def choose_split(info: DatasetInfo, requested: str | None, *, where: str | None = None) -> str:
    """The split to evaluate on: `requested` (or an alias: ``validation``), else the first of test, all, val, train.
    Raises `InputError` where there is no such split; the available ones are named."""
    if requested is None:
        for name in (TEST, ALL, VAL, TRAIN):
            if name in info.splits:
                return name
        return info.splits[0]
    for name in (requested, ALIASES.get(requested.lower(), requested)):
        if name in info.splits:
            return name
    raise InputError(
        f"{visible(info.id)} has no split {visible(requested)}; it has {', '.join(map(visible, info.splits))}",
        where=where or info.id,
        fix=f"--split {visible(choose_split(info, None))}",
    )


def readable(name: str) -> str:
    """A class name as a prompt needs it: underscores become spaces (``traffic_light``: ``traffic light``)."""
    return " ".join(name.replace("_", " ").split()) or name


def readable_names(names: Sequence[str]) -> tuple[str, ...]:
    """`readable`, and if no name of a set has a space, joined words are separated (``AnnualCrop``)."""
    plain = [readable(name) for name in names]
    if any(" " in name for name in plain) or len({name.casefold() for name in plain}) < len(plain):
        return tuple(plain)
    return tuple(_RUN_TOGETHER.sub(" ", name) for name in plain)


def subset(split: Split, rows: Sequence[int] | np.ndarray) -> Split:
    """The images at `rows` ([M] indices), in that order."""
    index = np.asarray(rows, dtype=np.int64)
    images = split.images
    return replace(
        split,
        ids=tuple(split.ids[i] for i in index),
        labels=split.labels[index],
        images=images.take(index) if isinstance(images, Corrupted) else Rows(images, index),
        captions=tuple(split.captions[i] for i in index) if split.captions else (),
        groups=tuple(split.groups[i] for i in index) if split.groups else (),
        regions=split.regions.take(index) if split.regions is not None else None,
    )


def limited(split: Split, limit: int | None, seed: int, id: str) -> Split:
    """The images of a split that ``--limit`` selects; `id` is the dataset's."""
    if limit is None or limit >= len(split):
        return split
    return subset(split, limited_rows(len(split), limit, seed, id, split.name))


def limited_rows(count: int, limit: int, seed: int, id: str, split: str) -> np.ndarray:
    """[limit] int64 rows of `count`, ascending: a random sample that depends only on seed, dataset and split; of
    corrupted images the same as of the clean ones."""
    id = DatasetRef.parse(id).clean.id if f"{CORRUPT}=" in id else id
    return np.sort(np.random.default_rng(derive_seed(seed, "limit", id, split)).permutation(count)[:limit])


@dataclass(frozen=True)
class Rows:
    """Some of the images of another source."""

    source: ImageSource
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: int) -> "Raw":
        """The image at ``rows[index]`` of the source."""
        return self.source.read(int(self.rows[index]))

    @property
    def file(self) -> Callable[[int], Path] | None:
        """The file of the image at ``rows[index]``; none where the source's images are no files of their own."""
        file = getattr(self.source, "file", None)
        return None if file is None else lambda index: file(int(self.rows[index]))

    def stamp(self) -> str | None:
        """The source's stamp (the rows are part of the ids that go into the fingerprint's key)."""
        return self.source.stamp()


@dataclass(frozen=True)
class Corrupted:
    """Images of another source, corrupted; `ids` [N] are their names, which what is random depends on."""

    images: ImageSource
    ids: tuple[str, ...]
    corruption: Corruption

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> np.ndarray:
        """Pixels [H, W, 3] uint8, upright; raises `BadImage` where the image cannot be decoded."""
        from vlmbench.data.corruptions.apply import corrupt
        from vlmbench.data.images import decode

        id = self.ids[index]
        return np.asarray(corrupt(decode(self.images.read(index), id), self.corruption, id))

    def stamp(self) -> str | None:
        """The clean images' own."""
        return self.images.stamp()

    def take(self, rows: np.ndarray) -> "Corrupted":
        """Those at `rows` ([M] int64)."""
        return replace(self, images=Rows(self.images, rows), ids=tuple(self.ids[row] for row in rows))
