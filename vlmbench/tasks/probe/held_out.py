"""A test set out of the one split that a dataset has: a seeded share of each class."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.data.base import DatasetInfo
from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.hashing import digest
from vlmbench.foundations.seeds import derive_seed
from vlmbench.foundations.text import visible
from vlmbench.heads.fewshot import holdout
from vlmbench.session.features import SplitFeatures

SHARE = 0.25
ATTEMPTS = 100
"""Draws for images of several labels, until every class has an image on both sides."""

Rows = NDArray[np.int64]


def one_split(info: DatasetInfo) -> bool:
    """Whether a dataset is undivided, so that a test set has to be held out."""
    return len(info.splits) == 1


def check_share(share: float | None, info: DatasetInfo | None = None) -> None:
    """What can be wrong with ``--holdout`` before an image is read.

    Args:
        share: as the user gave it; None: not given.
        info: the dataset it is for; None: only the number is looked at.

    Raises:
        UsageError: it is no share, or the dataset has splits of its own.
    """
    if share is None:
        return
    if not 0 < share < 1:
        raise UsageError(f"--holdout: {share:g} is no share of the images", fix=f"--holdout {SHARE}")
    if info is not None and not one_split(info):
        raise UsageError(
            f"--holdout is for datasets of one split, and {visible(info.id)} has "
            f"{', '.join(map(visible, info.splits))}",
            where=visible(info.id),
            fix="leave --holdout out, or give this dataset a command of its own",
        )


def holdout_note(share: float, seed: int, *, multilabel: bool) -> str:
    """One line on what was held out."""
    what = "the images" if multilabel else "each class"
    verb = "are" if multilabel else "is"
    return (
        f"one split: {100 * share:.3g} % of {what}, drawn with seed {seed}, {verb} held out for the test; "
        f"zeroshot --holdout {share:g} is asked of the same images"
    )


def hold_out(y: NDArray[Any], classnames: Sequence[str], share: float, seed: int, where: str) -> tuple[Rows, Rows]:
    """Rows to train on and rows to test on: rising, disjoint, together all; the same for every model.

    Args:
        y: labels of the split, `[N]` int64, drawn from class by class; or `[N, C]` uint8, drawn from as a whole until
            every class has images on both sides.
        classnames: `[C]`.
        share: of each class for the test, rounded; at least one image, and never all of them.
        seed: seed of the run.
        where: the dataset, for errors.

    Raises:
        InputError: a class has a single image, or the draws left a class without images on one side.
    """
    counts = y.sum(axis=0) if y.ndim == 2 else np.bincount(y, minlength=len(classnames))
    lonely = np.flatnonzero(counts == 1)
    fix = "give each class two images and more, or raise --limit; or a dataset with train and test splits"
    if len(lonely):
        raise InputError(
            f"the class {visible(classnames[lonely[0]])} has one image"
            + (f", and so have {len(lonely) - 1} others" if len(lonely) > 1 else "")
            + "; a dataset of one split needs one to train on and one to test on",
            where=where,
            fix=fix,
        )
    if y.ndim == 1:
        return holdout(y, derive_seed(seed, "test"), share)
    for attempt in range(ATTEMPTS):
        train, test = holdout(y, derive_seed(seed, "test", attempt), share)
        bare = np.flatnonzero((counts > 0) & ((y[train].sum(axis=0) == 0) | (y[test].sum(axis=0) == 0)))
        if not len(bare):
            return train, test
    raise InputError(
        f"the class {visible(classnames[bare[0]])} has {int(counts[bare[0]])} images, too few for a random "
        f"{100 * share:.3g} % of the images to leave some to train on and some to test on",
        where=where,
        fix=fix + ", or another --holdout",
    )


def held_out(features: SplitFeatures, share: float, seed: int) -> SplitFeatures:
    """The part of an undivided dataset's features that a probe is tested on.

    Raises:
        InputError: as `hold_out`.
    """
    _, test = hold_out(features.y, features.info.classnames, share, seed, features.dataset.id)
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
