"""The images of a session: datasets and splits opened once, limited, divided and fingerprinted."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlmbench.data.base import Dataset, DatasetInfo, Split, Subset, choose_split, subset
from vlmbench.data.fingerprint import fingerprint
from vlmbench.data.names import canonical
from vlmbench.data.open import open_dataset
from vlmbench.data.views.base import MEAN
from vlmbench.data.views.crops import Tiled, expand
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.heads.zeroshot import normalise
from vlmbench.session.context import Context


@dataclass(frozen=True)
class Selection:
    """Images of a split.

    Attributes:
        dataset: as the user names it.
        split: one of its splits.
        limit: the size of a random sample of them, drawn with the session's seed; none: all.
        part: the i-th of n equal runs of these, counted from 1; none: all.
    """

    dataset: str
    split: str
    limit: int | None = None
    part: tuple[int, int] | None = None


@dataclass(frozen=True)
class OpenSplit:
    """A selection that is open.

    Attributes:
        info: its dataset.
        name: the dataset as the user names it.
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


class Images:
    """Opens datasets and splits by name."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._datasets: dict[str, Dataset] = {}
        self._splits: dict[Selection, OpenSplit] = {}

    def dataset(self, name: str) -> Dataset:
        """The dataset called `name`; see `data.open.open_dataset` for what can be wrong with it."""
        if name not in self._datasets:
            opened = open_dataset(name, self.context.cache_dir, self.context.reporter)
            for note in opened.info.notes:
                self.context.reporter.warn(f"{name}: {note}")
            self._datasets[name] = opened
        return self._datasets[name]

    def adopt(self, name: str, dataset: Dataset) -> None:
        """Takes a dataset that is open already, under a name that no other dataset has."""
        self._datasets.setdefault(name, dataset)

    def in_tiles(self, dataset: str, tiles: int) -> str:
        """A name under which `prepare` and `features` look at a dataset's images whole and in so many tiles.

        Raises:
            UsageError: its items are views already.
        """
        opened, name = self.dataset(dataset), f"{dataset} in {tiles} tiles"
        if opened.info.views is not None:
            raise UsageError("boxes are not cut into tiles", where="--tiles", fix="leave --tiles out")
        self._datasets.setdefault(name, Tiled(opened, dataset, tiles))
        return name

    def only(self, dataset: str, split: str, ids: Collection[str]) -> str:
        """A name under which `features` looks at no images of a split but these; its own where it has no others."""
        opened, ids = self.dataset(dataset), set(ids)
        rows = [row for row, id in enumerate(opened.split(split).ids) if id in ids]
        if len(rows) == len(opened.split(split)):
            return dataset
        name = f"{len(rows):,} images of {dataset} ({digest([split, rows])[:8]})"
        self._datasets.setdefault(name, Subset(opened, split, rows))
        return name

    def choose_split(self, dataset: str, name: str | None) -> str:
        """The split to evaluate on; see `data.base.choose_split`."""
        return choose_split(self.dataset(dataset).info, name)

    def open(self, selection: Selection) -> OpenSplit:
        """A split with the images that are selected.

        Raises:
            InputError: the split has no images.
        """
        if selection not in self._splits:
            self._splits[selection] = self._open(selection)
        return self._splits[selection]

    def _open(self, selection: Selection) -> OpenSplit:
        context, split, limit, part = self.context, selection.split, selection.limit, selection.part
        info = self.dataset(selection.dataset).info
        items = self.dataset(selection.dataset).split(split)
        name = canonical((info.views.of if info.views is not None else "") or selection.dataset)
        if not len(items):
            raise InputError(
                f"the split {split} of {visible(name)} has no images", where=name, fix="choose another with --split"
            )
        if limit is not None and limit < len(items):
            generator = np.random.default_rng(derive_seed(context.seed, "limit", name, split))
            items = subset(items, np.sort(generator.permutation(len(items))[:limit]))
        if part is not None:
            items = subset(items, np.array_split(np.arange(len(items)), part[1])[part[0] - 1])
        rows = items if info.views is None else expand(items, info.views, context.workers + 1)
        return OpenSplit(info, name, items, rows, fingerprint(items, context.cache_dir, context.reporter))
