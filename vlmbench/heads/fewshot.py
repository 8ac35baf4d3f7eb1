"""Which images train a probe and which choose its strength: few-shot samples and stratified hold-outs, seeded.

Where images have groups (patients), no group is on both sides.

Few-shot samples are class-balanced and nested: the images of k = 2 contain those of k = 1, for training and for
validation alike. Both come from the training split and share no image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.seeds import derive_seed

VALIDATION_SHOTS = 4
HOLDOUT = 0.2
ATTEMPTS = 100
"""Attempts to divide groups, or images with several labels, until every class has images on both sides."""
NO_VALIDATION_C = 1.0
"""The strength if there is no image to choose it with (one image per class)."""


@dataclass(frozen=True)
class Sample:
    """A few-shot sample.

    Attributes:
        train: indices into the training split, ascending.
        val: indices into it for the choice of the strength, ascending; disjoint from `train`; can be empty.
        short: classes with fewer training images than requested (but some).
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    short: tuple[int, ...]


def few_shot_sample(y: NDArray[np.integer], shots: int, seed: int, groups: Sequence[str] = ()) -> Sample:
    """Samples `shots` training images per class, and min(`shots`, 4) validation images per class.

    Each class is shuffled once per seed. Its first images, up to 4 and never more than half, are for validation,
    the rest for training; a class with too few images provides all it has.

    Args:
        y: labels of the training split, `[N]`.
        groups: the group of each image, `[N]`: no group has images for validation and for training, of any class.
    """
    train: list[NDArray[np.int64]] = []
    val: list[NDArray[np.int64]] = []
    short = []
    aside = _set_aside(y, derive_seed(seed, "few-shot groups"), groups) if groups else None
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        shuffled = np.random.default_rng(derive_seed(seed, "few-shot", int(label))).permutation(members)
        kept = min(VALIDATION_SHOTS, len(members) // 2)
        first, rest = shuffled[:kept], shuffled[kept:]
        if aside is not None:
            first, rest = shuffled[aside[shuffled]][:VALIDATION_SHOTS], shuffled[~aside[shuffled]]
        val.append(first[:shots])
        train.append(rest[:shots])
        if len(train[-1]) < shots:
            short.append(int(label))
    return Sample(np.sort(np.concatenate(train)), np.sort(np.concatenate(val)), tuple(short))


def holdout(
    y: NDArray[np.integer], seed: int, share: float = HOLDOUT, groups: Sequence[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits a training split into train and validation, `share` of each class (a class of one image stays in train).

    Args:
        y: labels `[N]`; with several labels per image, `[N, C]`, the sample is not stratified.
        share: of each class, rounded, at least one image of a class that has two.
        groups: the group of each image, `[N]`: see `by_groups`.

    Returns:
        Indices of train and of validation, ascending, disjoint, together all.
    """
    if groups:
        chosen_rows = by_groups(y, seed, share, groups)[0]
        return np.flatnonzero(~chosen_rows), np.flatnonzero(chosen_rows)
    members_of = [np.flatnonzero(y == label) for label in np.unique(y)] if y.ndim == 1 else [np.arange(len(y))]
    chosen = []
    for number, members in enumerate(members_of):
        count = min(len(members) - 1, max(1, round(share * len(members))))
        generator = np.random.default_rng(derive_seed(seed, "hold-out", number))
        chosen.append(generator.permutation(members)[:count])
    val = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(y)), val), val


def by_groups(
    y: NDArray[np.integer], seed: int, share: float, groups: Sequence[str]
) -> tuple[NDArray[np.bool_], tuple[int, ...]]:
    """A share of each class, as nearly as whole groups allow; groups are taken in random order while that brings the
    class counts closer to it, and never the last of a class.

    Args:
        y: labels `[N]`, or `[N, C]` of 0 and 1.
        seed: seed of the draw.
        share: of each class.
        groups: the group of each image, `[N]`; an empty name: the image stands alone.

    Returns:
        Whether each image is taken, `[N]`, and the classes of which none is: those of one group, and in the best of
        `ATTEMPTS` draws those that could not be divided otherwise.
    """
    of_row, table = _group_table(y, groups)
    total = table.sum(axis=0)
    weight, possible = 1 / np.maximum(total, 1), (table > 0).sum(axis=0) > 1
    best, left = np.zeros(len(of_row), bool), np.flatnonzero(total)
    for attempt in range(ATTEMPTS):
        order = np.random.default_rng(derive_seed(seed, "test groups", attempt)).permutation(len(table))
        counts, chosen = np.zeros_like(total), []
        for group in order:
            after = counts + table[group]
            closer = np.abs(after * weight - share).sum() < np.abs(counts * weight - share).sum()
            if closer and not ((after == total) & (total > 0)).any():
                counts = after
                chosen.append(group)
        bare = np.flatnonzero((total > 0) & (counts == 0))
        if not attempt or len(bare) < len(left):
            best, left = np.isin(of_row, chosen), bare
        if not possible[bare].any():
            break
    return best, tuple(map(int, left))


def _set_aside(y: NDArray[np.integer], seed: int, groups: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each image's group is for validation, `[N]`: groups in random order, as long as a class lacks validation
    images and no class has more than half of its images there."""
    of_row, table = _group_table(y, groups)
    most = table.sum(axis=0) // 2
    wanted, counts, chosen = np.minimum(VALIDATION_SHOTS, most), np.zeros_like(most), []
    for group in np.random.default_rng(seed).permutation(len(table)):
        after = counts + table[group]
        if ((counts < wanted) & (table[group] > 0)).any() and (after <= most).all():
            counts = after
            chosen.append(group)
    return np.isin(of_row, chosen)


def _group_table(y: NDArray[np.integer], groups: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each image's group, `[N]`, and the images of each class in each group, `[G, C]`."""
    names = [name or f"\0{row}" for row, name in enumerate(groups)]
    of_row = np.unique(names, return_inverse=True)[1]
    labels = np.asarray(y, dtype=np.int64)
    shown = labels if labels.ndim == 2 else np.eye(int(labels.max(initial=0)) + 1, dtype=np.int64)[labels]
    table = np.zeros((of_row.max(initial=-1) + 1, shown.shape[1]), dtype=np.int64)
    np.add.at(table, of_row, shown)
    return of_row, table
