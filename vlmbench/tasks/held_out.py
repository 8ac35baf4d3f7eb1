"""A test set held out of a dataset's only split: a seeded share of each class."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.base import DatasetInfo
from vlmbench.data.names import IN_GROUPS, DatasetRef
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.heads.fewshot import ATTEMPTS, by_groups, holdout
from vlmbench.session.features import SplitFeatures
from vlmbench.session.images import Selection
from vlmbench.session.session import Session

SHARE = 0.25

Rows = NDArray[np.int64]


def one_split(info: DatasetInfo) -> bool:
    """Whether a dataset has a single split, so that a test set must be held out."""
    return len(info.splits) == 1


def check_share(share: float | None, info: DatasetInfo | None = None) -> None:
    """Checks ``--holdout`` before any image is read.

    Args:
        share: as the user gave it; None: not given.
        info: the dataset; None: only the number is checked.

    Raises:
        UsageError: it is not a fraction, or the dataset has splits of its own.
    """
    if share is None:
        return
    if not 0 < share < 1:
        raise UsageError(f"--holdout: {share:g} is not a fraction between 0 and 1", fix=f"--holdout {SHARE}")
    if info is not None and not one_split(info):
        raise UsageError(
            f"--holdout is for datasets with a single split, and {visible(info.id)} has "
            f"{', '.join(map(visible, info.splits))}",
            where=visible(info.id),
            fix="leave out --holdout, or run this dataset separately",
        )


def holdout_note(share: float, seed: int, *, multilabel: bool, group: str = "") -> str:
    """One line on what was held out; `group`: the column by whose values images stay together."""
    if group:
        return (
            f"single split: {100 * share:.3g} % of each class as nearly as whole groups ({group}) allow, sampled with "
            f"seed {seed}, is held out for testing; zeroshot --holdout {share:g} --group {group} uses the same images"
        )
    what = "the images" if multilabel else "each class"
    verb = "are" if multilabel else "is"
    return (
        f"single split: {100 * share:.3g} % of {what}, sampled with seed {seed}, {verb} held out for testing; "
        f"zeroshot --holdout {share:g} uses the same images"
    )


def hold_out(
    y: NDArray[Any], classnames: Sequence[str], share: float, seed: int, where: str, groups: Sequence[str] = ()
) -> tuple[Rows, Rows]:
    """Rows for training and for testing: ascending, disjoint and complete; the same for every model.

    Args:
        y: labels of the split, `[N]` int64, sampled class by class; or `[N, C]` uint8, sampled as a whole until
            every class has images on both sides.
        classnames: `[C]`.
        share: of each class for the test, rounded; at least one image, and never all of them.
        seed: seed of the run.
        where: the dataset, for errors.
        groups: the group of each image, `[N]`: images of one group (a patient) are all on one side, so that shares
            are approximate; empty, or an empty name: an image stands alone.

    Raises:
        InputError: a class has a single image or group, or every attempt left a class without images on one side.
    """
    counts = y.sum(axis=0) if y.ndim == 2 else np.bincount(y, minlength=len(classnames))
    lonely = np.flatnonzero(counts == 1)
    fix = "give each class at least two images, raise --limit, or use a dataset with train and test splits"
    if len(lonely):
        raise InputError(
            f"the class {visible(classnames[lonely[0]])} has one image"
            + (f", and so have {len(lonely) - 1} others" if len(lonely) > 1 else "")
            + "; with a single split a class needs one for training and one for testing",
            where=where,
            fix=fix,
        )
    if groups:
        return _by_groups(y, classnames, share, seed, where, groups)
    if y.ndim == 1:
        return holdout(y, derive_seed(seed, "test"), share)
    for attempt in range(ATTEMPTS):
        train, test = holdout(y, derive_seed(seed, "test", attempt), share)
        bare = np.flatnonzero((counts > 0) & ((y[train].sum(axis=0) == 0) | (y[test].sum(axis=0) == 0)))
        if not len(bare):
            return train, test
    raise InputError(
        f"the class {visible(classnames[bare[0]])} has {int(counts[bare[0]])} images, too few for a random "
        f"{100 * share:.3g} % of the images to leave some for training and some for testing",
        where=where,
        fix=fix + ", or another --holdout",
    )


def _by_groups(
    y: NDArray[Any], classnames: Sequence[str], share: float, seed: int, where: str, groups: Sequence[str]
) -> tuple[Rows, Rows]:
    """Whole groups; every class has images on both sides."""
    chosen, bare = by_groups(y, seed, share, groups)
    if bare:
        rows = np.flatnonzero(y[:, bare[0]] if y.ndim == 2 else y == bare[0])
        alone = len({groups[int(row)] or row for row in rows}) == 1
        raise InputError(
            f"all images of the class {visible(classnames[bare[0]])} are of one group: none is left to test on"
            if alone
            else f"no division of whole groups leaves the class {visible(classnames[bare[0]])} images to test on",
            where=where,
            fix="give each class images of at least two groups, or leave out --group",
        )
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def require_whole_groups(session: Session, dataset: DatasetRef, splits: Sequence[str]) -> None:
    """Checks that no group has images in two splits of a dataset.

    Raises:
        InputError: one has.
    """
    where_of: dict[str, str] = {}
    for split in splits:
        for group in {*session.images.open(Selection(dataset, split)).split.groups} - {""}:
            if group in where_of:
                raise InputError(
                    f"images of the group {visible(group)} ({dataset.option(IN_GROUPS)}) are in both {where_of[group]} "
                    f"and {split}",
                    where=str(dataset),
                    fix="give each group one split; or leave out the column split, and --group holds out whole groups",
                )
            where_of[group] = split


def held_out(features: SplitFeatures, share: float, seed: int) -> SplitFeatures:
    """The part of a single-split dataset's features that a probe is tested on.

    Raises:
        InputError: as `hold_out`.
    """
    names, groups = features.info.classnames, features.items.groups
    _, test = hold_out(features.y, names, share, seed, features.dataset.id, groups)
    return rows_of(features, test, share)


def rows_of(features: SplitFeatures, rows: Rows, share: float) -> SplitFeatures:
    """The features at `rows`, with a fingerprint of their own, and the share in the protocol."""
    found = features.take(rows)
    own = digest([features.dataset.fingerprint, list(found.ids)])
    return replace(
        found,
        dataset=features.dataset.model_copy(update={"fingerprint": own}),
        protocol={**features.protocol, "holdout": share},
    )
