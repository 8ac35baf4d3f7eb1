"""What a session hands out: the features of a split, and a model that is loaded once it has something to do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vlmbench.data.base import Dataset, DatasetInfo, Split, limited, subset
from vlmbench.data.fingerprint import fingerprint
from vlmbench.data.images import BadImage
from vlmbench.data.views.base import MEAN
from vlmbench.data.views.crops import expand
from vlmbench.encoders.families import ASIF
from vlmbench.encoders.files import ModelFiles
from vlmbench.features.store import FeatureEntry
from vlmbench.foundations.errors import InputError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.heads.zeroshot import normalise
from vlmbench.records.result import DatasetFacts, ModelFacts
from vlmbench.session.context import Context


@dataclass(frozen=True)
class SplitFeatures:
    """The features of a split by a model.

    Attributes:
        x: [N, D] float32, un-normalised; damaged images that were skipped have no row. Where the best of V views
            counts, [N * V, D], the views of an image one after the other; of several crops of a box, their mean. A
            `scipy.sparse.csr_array` where that was asked for and the model is ASIF over many anchors.
        y: [N] int64 class indices, or [N, C] uint8 for multi-label sets.
        ids: [N] image ids.
        classnames: [C] readable names.
        metric: the metric the literature reports for it.
        multilabel: whether y is a matrix.
        dataset: the dataset's part of a record.
        model: the model's part of a record.
        protocol: what else decides the features: layer, precision, preprocessing, limit.
        versions: the packages that encoded them.
        encoded: images encoded now; 0 where all came from the store.
        available_splits: the splits the dataset has.
        captions: [N] captions of each image, for captioned sets.
        group: the group a registry puts the dataset in.
        views: V, rows of `x` an image.
        stored: images (or views of them) that came from the store.
    """

    x: Any
    y: np.ndarray
    ids: tuple[str, ...]
    classnames: tuple[str, ...]
    metric: str
    multilabel: bool
    dataset: DatasetFacts
    model: ModelFacts
    protocol: dict[str, Any]
    versions: dict[str, str]
    encoded: int
    available_splits: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...] = ()
    group: str = ""
    views: int = 1
    stored: int = 0

    def rows(self, images: np.ndarray) -> np.ndarray:
        """The rows of `x` that belong to images ([M] int64 indices), [M * V]."""
        return (np.asarray(images, np.int64)[:, None] * self.views + np.arange(self.views)).ravel()


Part = tuple[int, int]


@dataclass(frozen=True)
class OpenSplit:
    """A split that is chosen, limited and fingerprinted.

    Attributes:
        info: its dataset.
        name: the dataset's id, as records carry it.
        split: the items.
        rows: what is encoded of them: themselves, or V views of each, one after the other.
        fingerprint: the items' fingerprint.
    """

    info: DatasetInfo
    name: str
    split: Split
    rows: Split
    fingerprint: str

    @property
    def content(self) -> str:
        """What stands for the images in the feature store."""
        views = self.info.views
        return self.fingerprint if views is None else digest([self.fingerprint, views.key])

    @property
    def kept(self) -> int:
        """Rows of features an item after `fold`."""
        views = self.info.views
        return 1 if views is None or views.combine == MEAN else views.count

    @property
    def things(self) -> str:
        """What messages call what is encoded."""
        return "images" if self.info.views is None else "views"

    @property
    def protocol(self) -> dict[str, Any]:
        """What a record says of the views."""
        return {} if self.info.views is None else {"views": self.info.views.text}

    def fold(self, rows: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From what was encoded to items; an item of which a view is missing is left out.

        Args:
            rows: [n] int64 indices into `rows`, ascending.
            x: [n, D] float32, their features.

        Returns:
            Items [m] int64 and x [m, D]: for ``mean`` the unit vectors' mean at unit norm (Gu et al. 2021, section
            3.2); for ``best`` [m * V, D], all views.
        """
        views = self.info.views
        if views is None:
            return rows, x
        whole = np.bincount(rows // views.count, minlength=len(self.split)) == views.count
        items = np.flatnonzero(whole)
        x = x[whole[rows // views.count]]
        if views.combine == MEAN:
            unit = normalise(x.astype(np.float64)).reshape(len(items), views.count, x.shape[1])
            x = normalise(unit.mean(axis=1)).astype(np.float32)
        return items, x


def open_split(
    dataset: Dataset, name: str, split: str, limit: int | None, part: Part | None, context: Context
) -> OpenSplit:
    """A split with the images that were asked for.

    Args:
        dataset: the dataset.
        name: its id, as records carry it; a limit's draw depends on it.
        split: one of its splits.
        limit: so many items; none: all.
        part: the i-th of n equal runs of them, counted from 1; none: all.
        context: seed, cache directory, threads.

    Raises:
        InputError: the split has no images.
    """
    items = dataset.split(split)
    if not len(items):
        raise InputError(
            f"the split {split} of {visible(name)} has no images", where=name, fix="choose another with --split"
        )
    items = limited(items, limit, context.seed, name)
    if part is not None:
        items = subset(items, np.array_split(np.arange(len(items)), part[1])[part[0] - 1])
    views = dataset.info.views
    rows = items if views is None else expand(items, views, context.workers + 1)
    return OpenSplit(dataset.info, name, items, rows, fingerprint(items, context.cache_dir, context.reporter))


def unreadable(entry: FeatureEntry) -> InputError:
    """The error for features that were encoded again, since they were damaged, and are damaged still."""
    return InputError(
        "features were written and cannot be read back",
        where=str(entry.directory),
        fix="check the disk, or choose another --cache-dir",
    )


def refuse_skipped(items: np.ndarray, opened: OpenSplit, context: Context) -> tuple[str, ...]:
    """Features that lack damaged images serve a run that skips them, with a warning, and no other.

    Args:
        items: [m] int64: the items that have features.
        opened: the split.
        context: says whether images may be skipped.

    Returns:
        The ids of those that lack.

    Raises:
        BadImage: images were skipped and ``on_bad_image`` is ``error``.
    """
    there = np.zeros(len(opened.split), bool)
    there[items] = True
    skipped = tuple(opened.split.ids[item] for item in np.flatnonzero(~there))
    if not skipped:
        return ()
    damaged, first = "damaged images", visible(skipped[0])
    if opened.split.regions is not None:
        damaged, first = f"{'box' if len(skipped) == 1 else 'boxes'} in damaged images", f"annotation {first}"
    if context.on_bad_image != "skip":
        raise BadImage(
            f"{len(skipped)} {damaged} cannot be decoded, the first is {first}",
            where=skipped[0],
            fix="fix or remove the images, or --on-bad-image skip",
        )
    context.reporter.warn(f"{len(skipped)} {damaged} of {opened.info.id} were left out, the first is {first}")
    return skipped


@dataclass
class OpenModel:
    """A model that is found, and loaded once it has something to do."""

    files: ModelFiles
    load: Callable[[], Any]

    @cached_property
    def encoder(self) -> Any:
        """The adapter, loaded when first asked for."""
        return self.load()

    def get(self) -> Any:
        """The same, as a function."""
        return self.encoder

    @property
    def loaded(self) -> bool:
        """Whether it has been needed."""
        return "encoder" in self.__dict__

    @property
    def facts(self) -> ModelFacts:
        """Its part of a record."""
        files = self.files
        kind = files.family.kind if files.family is not ASIF else ASIF.name
        return ModelFacts(
            id=files.id,
            revision=files.revision,
            weights_sha256=files.weights_sha256,
            kind=kind,
            trust_remote_code=files.own_code,
        )
