"""``folder:PATH``: ``PATH/{train,val,test}/<class name>/*`` or, undivided, ``PATH/<class name>/*``.

Classes are directories in natural order (``2`` before ``10``); images are taken from any depth below them. Hidden
files are ignored. A file whose ending is no image's is ignored, and said; a ``.jpg`` that is no image is an error.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vlmbench.data.base import ALIASES, ALL, TRAIN, DatasetInfo, OpenDataset, Split, ordered_splits, readable
from vlmbench.data.images import is_image, read_image
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.files import utf8_name
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.paths import on_disk
from vlmbench.foundations.text import composed, visible
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
        return read_image(self.file(index))

    def file(self, index: int) -> Path:
        """The image's file; `data.loading` has another process read it."""
        return on_disk(self.root, self.names[index])

    def stamp(self) -> str | None:
        """Digest of every file's path, size and modification time."""
        found = []
        for name in self.names:
            try:
                facts = on_disk(self.root, name).stat()
            except (OSError, ValueError):  # a name that no file can have
                return None
            found.append((name, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns))
        return digest([str(self.root.resolve()), found])


class ImageRow(NamedTuple):
    """An image that is a file."""

    split: str
    id: str
    file: str
    label: int = 0
    captions: tuple[str, ...] = ()
    group: str = ""


def of_rows(info: DatasetInfo, root: Path, rows: Sequence[ImageRow]) -> OpenDataset:
    """The dataset of image files below one directory; its splits are those of the rows, whatever `info` says."""

    def split(name: str) -> Split:
        own = [row for row in rows if row.split == name]
        return Split(
            name,
            tuple(row.id for row in own),
            np.array([row.label for row in own], np.int64),
            Files(root, tuple(row.file for row in own)),
            tuple(row.captions for row in own) if any(row.captions for row in own) else (),
            groups=tuple(row.group for row in own) if any(row.group for row in own) else (),
        )

    return OpenDataset(replace(info, splits=ordered_splits(sorted({row.split for row in rows}))), split)


def without_classes(id: str, root: Path, rows: Sequence[ImageRow]) -> OpenDataset:
    """The same of images that have no classes, maybe captions; labels are zeros."""
    return of_rows(DatasetInfo(id=id, revision=None, splits=(), classnames=()), root, rows)


def labelled_folder(id: str, root: Path) -> OpenDataset:
    """The dataset of a directory of class directories.

    Its images come class by class, each class in natural order. Raises `InputError` where there are no two classes, one
    is empty, or the training split lacks one.
    """
    roots = _split_roots(root)
    found: dict[str, dict[str, tuple[str, ...]]] = {split: {} for split in roots}
    ignored: list[str] = []
    for split, place in roots.items():
        for directory in _directories(place):
            name = composed(directory.name)
            if name in found[split]:
                raise InputError(
                    f"two directories are the class {visible(name)}: their accents are encoded differently",
                    where=str(place),
                    fix="put the images of both in one",
                )
            found[split][name], others = image_files(directory, place)
            ignored += others
            if not found[split][name]:
                raise InputError(
                    f"the class {visible(directory.name)} has no images"
                    + (f" ({len(others)} other files)" if others else ""),
                    where=str(directory),
                    fix="put images there, or remove the directory",
                )
    raw = tuple(sorted({name for classes in found.values() for name in classes}, key=natural))
    if len(raw) < 2:
        what = f"only one class in {visible(str(root))}, {visible(raw[0])}: nothing to classify" if raw else ""
        raise InputError(what or f"no class directories in {visible(str(root))}", where=str(root), fix=LAYOUT)
    notes = []
    if ignored:
        many = f"{len(ignored)} files that are not images were ignored, the first is"
        notes.append(f"{many if len(ignored) > 1 else 'a file that is no image was ignored:'} {visible(ignored[0])}")
    for split, classes in found.items():
        extra = sorted(set(classes) - set(found.get(TRAIN, raw)), key=natural)
        if extra:
            raise InputError(
                f"the class {visible(extra[0])} is in the {split} split and not in train",
                where=str(roots[split] / extra[0]),
                fix="give the class directories the same names in every split",
            )
        missing = [name for name in raw if name not in classes]
        if missing:
            several = f"{len(missing)} classes have no images in the {split} split, the first is {visible(missing[0])}"
            one = f"the class {visible(missing[0])} has no images in the {split} split"
            notes.append(several if len(missing) > 1 else one)

    def split_of(name: str) -> Split:
        files = [found[name].get(own, ()) for own in raw]
        names = tuple(chain.from_iterable(files))
        labels = np.repeat(np.arange(len(raw)), [len(own) for own in files])
        return Split(name, names, labels, Files(roots[name], names))

    classnames = tuple(map(readable, raw))
    info = DatasetInfo(id, None, ordered_splits(found), classnames, raw_classnames=raw, notes=tuple(notes))
    return OpenDataset(info, split_of)


def _split_roots(root: Path) -> dict[str, Path]:
    """The directory of each split."""
    roots: dict[str, Path] = {}
    for path in _directories(root):
        name = ALIASES.get(path.name.lower())
        if name is None or not _directories(path):
            continue
        if name in roots:
            raise InputError(
                f"two directories contain the split {name}: {visible(roots[name].name)} and {visible(path.name)}",
                where=str(root),
                fix="keep one of them",
            )
        roots[name] = path
    return roots or {ALL: root}


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
