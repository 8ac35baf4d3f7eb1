"""A split of items as a split of their views, which are cropped as they are read."""

from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import replace
from threading import Lock

import numpy as np
from PIL.Image import Image

from vlmbench.data.base import Dataset, OpenDataset, Rows, Split, subset
from vlmbench.data.images import decode, decode_stored, refuse_sliver, upright
from vlmbench.data.names import Chosen, Tiles
from vlmbench.data.regions import SCALES, Regions, Views, crop_of, tiles_of
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.text import visible


def seen_as(dataset: Dataset, view: Tiles | Chosen) -> OpenDataset:
    """A view of a dataset that is open: its images whole and in tiles, with their ids and labels, or some of them."""
    info = replace(dataset.info, notes=())  # what there is to know was said of the dataset
    if isinstance(view, Tiles):
        return OpenDataset(replace(info, views=Views(view.count)), dataset.split)

    def split(name: str) -> Split:
        return subset(dataset.split(name), view.rows) if name == view.split else dataset.split(name)

    return OpenDataset(info, split)


def expand(split: Split, views: Views, keep: int) -> Split:
    """The views of a split's items: [N * V] rows, the V views of an item one after the other. So many decoded images
    (`keep`) are kept for the views that follow, at least as many as threads read."""
    order = np.repeat(np.arange(len(split)), views.count)
    return Split(
        split.name,
        tuple(f"{name}, view {view}" for name in split.ids for view in range(1, views.count + 1)),
        split.labels[order],
        Crops(split, views, keep),
    )


def shown(dataset: Dataset, name: str) -> Split:
    """A split as people look at it: of a set of boxes each image is the box itself."""
    split, views = dataset.split(name), dataset.info.views
    if views is None or split.regions is None:
        return split
    boxes = np.arange(len(split)) * views.count
    return replace(split, images=Rows(Crops(split, views, keep=1), boxes))


class Crops:
    """The views of a split's items as images; each image is decoded once for the views that follow each other."""

    def __init__(self, split: Split, views: Views, keep: int) -> None:
        self._split, self._views, self._keep = split, views, keep
        self._decoded: OrderedDict[str, Future[tuple[Image, int]]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._split) * self._views.count

    def stamp(self) -> str | None:
        """The stamp of the images."""
        return self._split.images.stamp()

    def read(self, index: int) -> np.ndarray:
        """A view's pixels [H, W, 3] uint8, upright. Raises `BadImage` where the image cannot be decoded, or the view is
        a thousand times as long as wide; `InputError` where the boxes were drawn on another size, or one lies outside
        of the image."""
        row, view = divmod(index, self._views.count)
        image, orientation = self._image(row)
        name = self._split.ids[row]
        if self._views.tiles:
            part = image.crop(tiles_of(self._views.tiles, image.size)[view - 1]) if view else image
            what = f"view {view + 1} of {visible(name)}"
        else:
            part = upright(image.crop(self._rectangle(row, SCALES[view], image.size)), orientation)
            what = f"the box of annotation {visible(name)}"
        refuse_sliver(part, what, name)
        return np.asarray(part)

    def _rectangle(self, row: int, scale: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
        regions = self._regions
        drawn = tuple(regions.sizes[row].tolist())
        name = regions.images[row]
        if drawn != size and any(drawn):
            turned = drawn == size[::-1]
            raise InputError(
                f"the image {visible(name)} has {size[0]} x {size[1]} pixels, "
                f"its boxes were drawn on {drawn[0]} x {drawn[1]}" + (", as if it were rotated" if turned else ""),
                where=f"{regions.where}, annotation {visible(self._split.ids[row])}",
                fix="store the images upright, without EXIF orientation (mogrify -auto-orient)"
                if turned
                else "give the images that the boxes were drawn on",
            )
        found = crop_of(regions.boxes[row], scale, size)
        if found is None:
            raise outside(regions, row, self._split.ids[row], size)
        return found

    @property
    def _regions(self) -> Regions:
        if self._split.regions is None:
            raise ValueError("crops of boxes need a split with regions")
        return self._split.regions

    def _image(self, row: int) -> tuple[Image, int]:
        """The item's image, decoded by the first thread that needs it; on its stored grid where there are boxes."""
        regions = self._split.regions if not self._views.tiles else None
        name = regions.images[row] if regions is not None else self._split.ids[row]
        with self._lock:
            found = self._decoded.get(name)
            mine = found is None
            if found is None:
                found = self._decoded[name] = Future()
                while len(self._decoded) > self._keep:
                    self._decoded.popitem(last=False)
            self._decoded.move_to_end(name)
        if mine:
            try:
                raw = self._split.images.read(row)
                found.set_result(decode_stored(raw, name) if regions is not None else (decode(raw, name), 1))
            except BaseException as error:  # every thread that waits for the image learns of it, as this one does
                found.set_exception(error)
        return found.result()


def outside(regions: Regions, row: int, id: str, size: tuple[int, int]) -> InputError:
    """The error for a box that has no part in its image."""
    return InputError(
        f"the box {regions.boxes[row].tolist()} is outside the image {visible(regions.images[row])} "
        f"of {size[0]} x {size[1]} pixels",
        where=f"{regions.where}, annotation {visible(id)}",
        fix="a bbox is [x, y, width, height] in pixels from the top left corner; fix or remove it",
    )
