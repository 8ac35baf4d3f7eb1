"""``boxes:FILE.json#DATASET``: the boxes of a COCO instances file as items to classify, in the images of a dataset.

Class names are the file's categories in order of their ids, ids are annotation ids. The images are those of
``folder:DIRECTORY`` (flat like COCO's ``val2017``, or with directories of any depth below), or of another dataset whose
image ids are, or end in, the ``file_name``. Boxes lie on the pixel grid as it is stored; a crop is turned upright after
it is cut, as whole images are. Crowds (``iscrowd``) are no single objects and are left out, as are boxes without area.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from vlmbench.data.base import ALIASES, ALL, Dataset, DatasetInfo, OpenDataset, Opening, Rows, Split, readable_names
from vlmbench.data.local.folder import ImageRow, image_files, without_classes
from vlmbench.data.names import BOXES, FOLDER, DatasetRef
from vlmbench.data.regions import Regions, Views, crop_of
from vlmbench.data.views.crops import outside
from vlmbench.data.views.instances import Box, Instances, read_instances
from vlmbench.foundations.errors import AbsentError, InputError, UsageError
from vlmbench.foundations.paths import named_directory, named_file, user_path
from vlmbench.foundations.text import visible

FORM = "zeroshot -d folder:DIRECTORY --boxes INSTANCES.json, or -d boxes:INSTANCES.json#folder:DIRECTORY"


@dataclass(frozen=True)
class Boxed:
    """The boxes of a file in the images of a dataset."""

    id: str
    instances: Instances
    pictures: Dataset

    @cached_property
    def info(self) -> DatasetInfo:
        """Splits and revision of the images, classes of the file."""
        found, images = self.instances, self.pictures.info
        counts = {
            "boxes of crowds (iscrowd) that were left out": found.crowds,
            "boxes without area that were left out": found.empty,
            "boxes that reach beyond their image and are cut off there": sum(map(_reaches_beyond, found.boxes)),
        }
        return DatasetInfo(
            id=self.id,
            revision=images.revision,
            splits=images.splits,
            classnames=readable_names(found.categories),
            raw_classnames=found.categories,
            notes=tuple(f"{what}: {count:,}" for what, count in counts.items() if count),
            views=Views(),
        )

    def split(self, name: str) -> Split:
        """The boxes in the images of a split, image by image. Raises `InputError` where an image of the file is in no
        split of the dataset, or cannot be told from another."""
        pictures = self.pictures.split(name)
        rows = self._located(pictures.ids, name)
        boxes = [box for box in self.instances.boxes if box.image.id in rows]
        if not boxes:
            raise InputError(
                f"no box lies in an image of the split {visible(name)}",
                where=str(self.instances.path),
                fix="choose another with --split",
            )
        places = np.array([rows[box.image.id] for box in boxes], np.int64)
        order = np.argsort(places, kind="stable")
        boxes, places = [boxes[i] for i in order], places[order]
        regions = Regions(
            images=tuple(pictures.ids[place] for place in places),
            boxes=np.array([box.bbox for box in boxes], np.float64),
            sizes=np.array([box.image.size for box in boxes], np.int64),
            where=str(self.instances.path),
        )
        for row, box in enumerate(boxes):
            size = box.image.size
            if any(size) and crop_of(regions.boxes[row], 1.0, size) is None:
                raise outside(regions, row, box.id, size)
        return Split(
            name,
            tuple(box.id for box in boxes),
            np.array([box.category for box in boxes], np.int64),
            Rows(pictures.images, places),
            regions=regions,
            checksum=pictures.checksum,
        )

    def _located(self, ids: Sequence[str], split: str) -> dict[str, int]:
        """Image id to row, for the file's images with boxes that are in the split."""
        index = _Index(ids)
        where = str(self.instances.path)
        images = {box.image.id: box.image for box in self.instances.boxes}
        rows: dict[str, int] = {}
        absent = []
        for image in images.values():
            found = index.find(image.file, image.id)
            if len(found) > 1:
                raise InputError(
                    f"{visible(image.file)} may be {visible(ids[found[0]])} or {visible(ids[found[1]])}",
                    where=f"{where}, image {visible(image.id)}",
                    fix="name a directory with the images of this file only",
                )
            if found:
                rows[image.id] = found[0]
            else:
                absent.append(image)
        for other in (name for name in self.pictures.info.splits if name != split and absent):
            elsewhere = _Index(self.pictures.split(other).ids)
            absent = [image for image in absent if not elsewhere.find(image.file, image.id)]
        if absent:
            raise InputError(
                f"{len(absent):,} of {len(images):,} images are not in {visible(self.pictures.info.id)}, "
                f"the first is {visible(absent[0].file)}",
                where=f"{where}, image {visible(absent[0].id)}",
                fix="-d folder:DIRECTORY with the directory that contains these images",
            )
        twice = [row for row, count in Counter(rows.values()).items() if count > 1]
        if twice:
            both = [images[id] for id, row in rows.items() if row == twice[0]]
            raise InputError(
                f"{visible(both[0].file)} and {visible(both[1].file)} would both be {visible(ids[twice[0]])}",
                where=f"{where}, image {visible(both[1].id)}",
                fix="name the parent directory, below which both file names exist",
            )
        return rows


class _Index:
    """Finds a file name among image ids: the same path, or one of the two at the end of the other."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._exact = {id: row for row, id in enumerate(ids)}
        self._last: dict[str, list[int]] = {}
        for row, id in enumerate(ids):
            self._last.setdefault(id.rpartition("/")[2], []).append(row)

    def find(self, file: str, image: str) -> list[int]:
        """The rows it may be: one where it is found, None where it is not, several where it is not clear."""
        for name in (file, _without_ending(file)):
            if name in self._exact:
                return [self._exact[name]]
            near = self._last.get(name.rpartition("/")[2], [])
            found = [row for row in near if _ends(self._ids[row], name) or _ends(name, self._ids[row])]
            if found:
                return found
        return [self._exact[image]] if image in self._exact else []


def open_boxes(ref: DatasetRef, opening: Opening) -> Boxed:
    """The dataset ``boxes:FILE.json#DATASET``. Raises `InputError` where it is no COCO instances file, `UsageError`
    where the images are to be corrupted."""
    if ref.images is not None and ref.images.corruption is not None:
        raise UsageError(
            "boxes are cut from images as they are stored, not from corrupted ones",
            where=visible(str(ref)),
            fix="leave the boxes out, or ?corrupt=",
        )
    path, images = user_path(ref.place), ref.images
    named_file(path, what="instances file", fix=FORM)
    if images is None or images.kind == BOXES:
        raise AbsentError("the dataset with the images of the boxes is missing", where=visible(str(ref)), fix=FORM)
    if images.kind == FOLDER:
        root = named_directory(user_path(images.place), where=visible(str(images)), fix=FORM)
        pictures: Dataset = open_pictures(str(images), root)
    else:
        pictures = opening.open(images)
    return Boxed(ref.id, read_instances(path), pictures)


def open_pictures(id: str, root: Path) -> OpenDataset:
    """The images of a directory, at any depth, without classes; ids are paths below it.

    Where it holds nothing but directories called train, val, test (or an alias of these), they are its splits. Raises
    `InputError` where it holds no images.
    """
    found, _ = image_files(root, root)
    if not found:
        raise InputError(f"no images in {visible(str(root))}", where=id, fix="name the directory that contains them")
    splits = [ALIASES.get(name.partition("/")[0].lower(), "") if "/" in name else "" for name in found]
    if "" in splits:
        splits = [ALL] * len(found)
    rows = [ImageRow(split, name, name) for split, name in zip(splits, found, strict=True)]
    return without_classes(id, root, rows)


def _without_ending(file: str) -> str:
    head, dot, ending = file.rpartition(".")
    return head if dot and head and not head.endswith("/") and "/" not in ending else file


def _ends(path: str, end: str) -> bool:
    return path == end or path.endswith("/" + end)


def _reaches_beyond(box: Box) -> bool:
    x, y, width, height = box.bbox
    size = box.image.size
    return any(size) and (x < -1 or y < -1 or x + width > size[0] + 1 or y + height > size[1] + 1)
