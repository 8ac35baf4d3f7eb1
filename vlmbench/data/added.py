"""Datasets of kinds that other packages add: faults of such a package become one error that names it."""

from dataclasses import dataclass, replace

import numpy as np

from vlmbench.data.base import Dataset, DatasetInfo, ImageSource, Opening, Split
from vlmbench.data.images import Raw
from vlmbench.data.names import DatasetRef
from vlmbench.foundations.plugins import Plugin
from vlmbench.metrics.spec import find


def open_added(plugin: Plugin, ref: DatasetRef, opening: Opening) -> "Added":
    """The dataset as the package opens it. Raises `InputError` where it fails, or returns something that is not a
    dataset; its own `VlmbenchError` passes."""
    opener = plugin.load()
    with plugin.blamed():
        dataset = opener(ref, opening)
        info = getattr(dataset, "info", None)
    if not isinstance(info, DatasetInfo) or not callable(getattr(dataset, "split", None)):
        raise plugin.broken(f"it returns {type(dataset).__name__}, which is not a Dataset (info and split)")
    if info.id != ref.id or not info.splits:
        raise plugin.broken(f"the dataset {ref.id} calls itself {info.id} and has {len(info.splits)} splits")
    if info.classnames and find(info.metric) is None:
        raise plugin.broken(f"there is no metric {info.metric}")
    return Added(plugin, dataset, info)


@dataclass(frozen=True)
class Added:
    """A dataset of another package."""

    plugin: Plugin
    dataset: Dataset
    info: DatasetInfo

    def split(self, name: str) -> Split:
        """The split called `name`; `InputError` where the package fails, or returns something that is not a split."""
        with self.plugin.blamed():
            found = self.dataset.split(name)
            wrong = self._wrong(found)
        if wrong:
            raise self.plugin.broken(f"its split {name} {wrong}")
        return replace(found, images=_Images(self.plugin, found.images))

    def _wrong(self, found: Split) -> str:
        """What is wrong with a split; empty if nothing is."""
        if not isinstance(found, Split):
            return f"is of type {type(found).__name__}, not Split"
        counts = [len(found.ids), len(found.labels), len(found.images)]
        if len(set(counts)) > 1:
            return "has {} ids, {} labels and {} images".format(*counts)
        if len(set(found.ids)) < len(found.ids):
            return "has an id twice"
        labels = np.asarray(found.labels)
        if labels.dtype.kind not in "iu" or labels.ndim != 1 + self.info.multilabel:
            return f"has labels of type {labels.dtype} {list(labels.shape)}"
        classes = len(self.info.classnames)
        if classes and len(labels) and not (self.info.multilabel or 0 <= labels.min() <= labels.max() < classes):
            return f"has labels from {labels.min()} to {labels.max()}, for {classes} classes"
        if not classes and len(found.captions) != len(found.ids):
            return f"has neither classes nor a caption for each of its {len(found.ids)} images"
        return ""


@dataclass(frozen=True)
class _Images:
    plugin: Plugin
    images: ImageSource

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> Raw:
        with self.plugin.blamed():
            return self.images.read(index)

    def stamp(self) -> str | None:
        with self.plugin.blamed():
            return self.images.stamp()
