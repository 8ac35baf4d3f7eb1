"""``folder:PATH``: ``PATH/{train,val,test}/<class name>/*`` or, undivided, ``PATH/<class name>/*``.

Classes are directories in natural order (``2`` before ``10``); images are taken from any depth below them. Hidden
files are ignored. A file whose ending is no image's is ignored, and said; a ``.jpg`` that is no image is an error.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vlmbench.data.base import ALIASES, ALL, DatasetInfo, Split, ordered_splits, readable
from vlmbench.data.images import is_image, read_image
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import utf8_name
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.records.store import natural

LAYOUT = "the layout is PATH/<class name>/*.jpg, or PATH/{train,val,test}/<class name>/*.jpg"


@dataclass(frozen=True)
class Files:
    """Images that are files."""

    root: Path
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> bytes:
        """The file's bytes."""
        return read_image(self.root / self.names[index])

    def stamp(self) -> str | None:
        """Digest of every file's path, size and modification time."""
        found = []
        for name in self.names:
            try:
                facts = (self.root / name).stat()
            except (OSError, ValueError):  # a name that no file can have
                return None
            found.append((name, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns))
        return digest([str(self.root.resolve()), found])


class ImageRow(NamedTuple):
    """An image of `ImageFiles`."""

    split: str
    id: str
    file: str
    captions: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class ImageFiles:
    """Images without classes, maybe with captions, which are files below one directory."""

    id: str
    root: Path
    rows: tuple[ImageRow, ...]

    @property
    def info(self) -> DatasetInfo:
        """Its splits; it has no classes."""
        splits = ordered_splits(sorted({row.split for row in self.rows}))
        return DatasetInfo(id=self.id, revision=None, splits=splits, classnames=())

    def split(self, name: str) -> Split:
        """The images of a split; labels are zeros [N] int64."""
        rows = [row for row in self.rows if row.split == name]
        return Split(
            name,
            tuple(row.id for row in rows),
            np.zeros(len(rows), np.int64),
            Files(self.root, tuple(row.file for row in rows)),
            tuple(row.captions for row in rows) if any(row.captions for row in rows) else (),
            groups=tuple(row.group for row in rows) if any(row.group for row in rows) else (),
        )


@dataclass(frozen=True)
class Folder:
    """A directory of class directories."""

    id: str
    root: Path

    @cached_property
    def _split_roots(self) -> dict[str, Path]:
        roots: dict[str, Path] = {}
        for path in _directories(self.root):
            name = ALIASES.get(path.name.lower())
            if name is None or not _directories(path):
                continue
            if name in roots:
                raise InputError(
                    f"two directories hold the split {name}: {visible(roots[name].name)} and {visible(path.name)}",
                    where=str(self.root),
                    fix="keep one of them",
                )
            roots[name] = path
        return roots or {ALL: self.root}

    @cached_property
    def _listing(self) -> tuple[dict[str, dict[str, tuple[str, ...]]], tuple[str, ...]]:
        """Split to class to files (relative to the split's root), and notes."""
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        ignored: list[str] = []
        for split, root in self._split_roots.items():
            found[split] = {}
            for directory in _directories(root):
                files, strange = image_files(directory, root)
                if not files:
                    raise InputError(
                        f"the class {visible(directory.name)} has no images"
                        + (f" ({len(strange)} other files)" if strange else ""),
                        where=str(directory),
                        fix="put images there, or remove the directory",
                    )
                found[split][directory.name] = files
                ignored += strange
        notes = []
        if ignored:
            many = f"{len(ignored)} files that are no images were ignored, the first is"
            one = "a file that is no image was ignored:"
            notes.append(f"{one if len(ignored) == 1 else many} {visible(ignored[0])}")
        return found, tuple(notes)

    @cached_property
    def _raw_names(self) -> tuple[str, ...]:
        listing, _ = self._listing
        names = {name for classes in listing.values() for name in classes}
        if not names:
            raise InputError(f"no class directories in {visible(str(self.root))}", where=str(self.root), fix=LAYOUT)
        if len(names) == 1:
            raise InputError(
                f"only one class in {visible(str(self.root))}, {visible(next(iter(names)))}: nothing to classify",
                where=str(self.root),
                fix=LAYOUT,
            )
        return tuple(sorted(names, key=natural))

    @cached_property
    def info(self) -> DatasetInfo:
        """The dataset's facts.

        Raises:
            InputError: no classes, one class, an empty class, or a class that the training split lacks.
        """
        raw = self._raw_names
        listing, notes = self._listing
        train = listing.get("train")
        more = list(notes)
        for split, classes in listing.items():
            strange = sorted(set(classes) - set(train), key=natural) if train is not None else []
            if strange:
                raise InputError(
                    f"the class {visible(strange[0])} is in the {split} split and not in train",
                    where=str(self._split_roots[split] / strange[0]),
                    fix="give the class directories the same names in every split",
                )
            missing = [name for name in raw if name not in classes]
            if missing:
                more.append(
                    f"{len(missing)} classes have no images in the {split} split, the first is {visible(missing[0])}"
                )
        return DatasetInfo(
            id=self.id,
            revision=None,
            splits=ordered_splits(listing),
            classnames=tuple(map(readable, raw)),
            raw_classnames=raw,
            notes=tuple(more),
        )

    def split(self, name: str) -> Split:
        """The images of a split, class by class, each class in natural order."""
        classes = self._listing[0][name]
        index = {raw: i for i, raw in enumerate(self._raw_names)}
        names: list[str] = []
        labels: list[int] = []
        for raw in self._raw_names:
            files = classes.get(raw, ())
            names += files
            labels += [index[raw]] * len(files)
        return Split(name, tuple(names), np.asarray(labels, np.int64), Files(self._split_roots[name], tuple(names)))


def _directories(root: Path) -> list[Path]:
    try:
        found = [path for path in root.iterdir() if not path.name.startswith(".") and path.is_dir()]
        for path in found:
            utf8_name(path.name, str(path))
    except OSError as error:
        raise InputError(
            f"cannot read the directory: {error.strerror or error}", where=str(root), fix="fix its permissions"
        ) from error
    return sorted(found, key=lambda path: natural(path.name))


def image_files(directory: Path, root: Path) -> tuple[tuple[str, ...], list[str]]:
    """Files below `directory` relative to `root`: images, and those that are none by their ending."""
    images: list[str] = []
    others: list[str] = []
    seen: set[tuple[int, int]] = set()
    for place, directories, files in os.walk(directory, followlinks=True):
        facts = Path(place).stat()
        if (facts.st_dev, facts.st_ino) in seen:  # a link back up the tree
            directories.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in files:
            if name.startswith("."):
                continue
            path = utf8_name(Path(place, name).relative_to(root).as_posix(), str(root))
            (images if is_image(path) else others).append(path)
    images.sort(key=natural)
    return tuple(images), others
