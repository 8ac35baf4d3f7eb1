"""The images of a session: datasets and splits opened once, limited, divided and fingerprinted."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vlmbench.data.base import Dataset, DatasetInfo, Split, choose_split, limited
from vlmbench.data.corrupted import corrupted, corrupted_dataset
from vlmbench.data.fingerprint import corrupted_fingerprint, fingerprint
from vlmbench.data.names import Chosen, DatasetName, DatasetRef, Tiles
from vlmbench.data.open import open_dataset
from vlmbench.data.reduced import TEXT as REDUCED_TEXT
from vlmbench.data.reduced import reduced
from vlmbench.data.regions import MEAN, Views
from vlmbench.data.views.crops import expand, seen_as
from vlmbench.features.table import Table
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.text import visible
from vlmbench.metrics.rows import normalise
from vlmbench.session.context import REDUCED, Context

_ITEMS = 4096


@dataclass(frozen=True)
class Selection:
    """Images of a split.

    Attributes:
        dataset: as the user names it, or a view of that; held as a `DatasetRef`.
        split: one of its splits.
        limit: the size of a random sample of them, drawn with the session's seed; none: all.
        part: the i-th of n parts of these, counted from 1, of about the same size; none: all.
    """

    dataset: DatasetName
    split: str
    limit: int | None = None
    part: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset", DatasetRef.parse(self.dataset))


@dataclass(frozen=True)
class OpenSplit:
    """A selection that is open.

    Attributes:
        info: its dataset.
        name: the dataset's id, as records carry it.
        split: the items.
        rows: what is encoded of them: themselves, or V views of each, one after the other.
        fingerprint: the items' fingerprint.
        reduced: whether `rows` are decoded at reduced scale.
    """

    info: DatasetInfo
    name: str
    split: Split
    rows: Split
    fingerprint: str
    reduced: bool = False

    @property
    def content(self) -> str:
        """What stands for the images in the feature store."""
        views = self.info.views
        if self.reduced:
            return digest([self.fingerprint, REDUCED_TEXT])
        return self.fingerprint if views is None else digest([self.fingerprint, views.key])

    @property
    def things(self) -> str:
        """What messages call what is encoded."""
        return "images" if self.info.views is None else "views"

    @property
    def protocol(self) -> dict[str, Any]:
        """What a record says of the views, or of how the images are decoded."""
        if self.reduced:
            return {"decode": REDUCED_TEXT}
        return {} if self.info.views is None else {"views": self.info.views.text}

    def fold(self, rows: np.ndarray, x: Table) -> tuple[np.ndarray, Table]:
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
            means = np.empty((len(items), x.shape[1]), np.float32)
            for start in range(0, len(items), _ITEMS):
                unit = normalise(x[start * views.count : (start + _ITEMS) * views.count].astype(np.float64))
                mean = unit.reshape(-1, views.count, x.shape[1]).mean(axis=1)
                means[start : start + _ITEMS] = normalise(mean)
            x = Table([means])
        return items, x


class Images:
    """Opens datasets and splits by name."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._datasets: dict[DatasetRef, Dataset] = {}
        self._splits: dict[Selection, OpenSplit] = {}

    def dataset(self, name: DatasetName) -> Dataset:
        """The dataset called `name`; see `data.open.open_dataset` for what can be wrong with it."""
        ref = DatasetRef.parse(name)
        if ref not in self._datasets:
            if ref.view is not None:
                opened: Dataset = seen_as(self.dataset(ref.whole), ref.view)
            elif ref.corruption is not None:
                opened = corrupted_dataset(self.dataset(ref.clean), ref.corruption)
            else:
                opened = open_dataset(ref, self.context.cache_dir, self.context.reporter)
            if opened.info.views is not None and self.context.decode == REDUCED:
                raise UsageError(
                    "boxes and tiles are cut from whole images", where="--decode reduced", fix="leave --decode out"
                )
            for note in opened.info.notes:
                self.context.reporter.warn(f"{ref}: {note}")
            self._datasets[ref] = opened
        return self._datasets[ref]

    def adopt(self, name: DatasetName, dataset: Dataset) -> None:
        """Takes a dataset that is open already, under a name that no other dataset has."""
        self._datasets.setdefault(DatasetRef.parse(name), dataset)

    def in_tiles(self, dataset: DatasetName, tiles: int) -> DatasetRef:
        """A dataset's images looked at whole and in so many tiles.

        Raises:
            UsageError: its items are views already.
        """
        if self.dataset(dataset).info.views is not None:
            raise UsageError("boxes are not cut into tiles", where="--tiles", fix="leave --tiles out")
        return replace(DatasetRef.parse(dataset), view=Tiles(tiles))

    def only(self, dataset: DatasetName, split: str, ids: Collection[str]) -> DatasetRef:
        """A dataset of whose split no images but these are looked at; itself where it has no others."""
        ref, ids, whole = DatasetRef.parse(dataset), set(ids), self.dataset(dataset).split(split)
        rows = tuple(row for row, id in enumerate(whole.ids) if id in ids)
        return ref if len(rows) == len(whole) else replace(ref, view=Chosen(split, rows))

    def choose_split(self, dataset: DatasetName, name: str | None) -> str:
        """The split to evaluate on; see `data.base.choose_split`."""
        return choose_split(self.dataset(dataset).info, name)

    def open(self, selection: Selection) -> OpenSplit:
        """A split with the images that are selected, of which a part is not cut out yet.

        Raises:
            InputError: the split has no images.
        """
        whole = replace(selection, part=None)
        if whole not in self._splits:
            self._splits[whole] = self._open(whole)
        return self._splits[whole]

    def _open(self, selection: Selection) -> OpenSplit:
        context, split = self.context, selection.split
        ref = DatasetRef.parse(selection.dataset)
        name, info = ref.id, self.dataset(ref).info
        if ref.corruption is not None:
            clean = self.open(replace(selection, dataset=ref.clean))
            items = corrupted(clean.split, ref.corruption)
            rows = corrupted(clean.rows, ref.corruption) if info.views is None else self._views(items, info.views)
            sha256 = corrupted_fingerprint(clean.fingerprint, ref.corruption)
            return replace(clean, name=name, split=items, rows=rows, fingerprint=sha256)
        items = self.dataset(ref).split(split)
        if not len(items):
            raise InputError(
                f"the split {split} of {visible(name)} has no images", where=name, fix="choose another with --split"
            )
        items = limited(items, selection.limit, context.seed, name)
        smaller = context.decode == REDUCED
        rows = items if info.views is None else self._views(items, info.views)
        sha256 = fingerprint(items, context.cache_dir, context.reporter)
        return OpenSplit(info, name, items, reduced(rows) if smaller else rows, sha256, smaller)

    def _views(self, items: Split, views: Views) -> Split:
        return expand(items, views, self.context.threads + 1)
