"""Which images train a probe and which choose its strength: few-shot samples and stratified hold-outs, seeded.

Few-shot samples are class-balanced and nested: the images of k = 2 contain those of k = 1, for training and for
validation alike. Both come from the training split and share no image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.seeds import derive_seed

VALIDATION_SHOTS = 4
HOLDOUT = 0.2
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


def few_shot_sample(y: NDArray[np.integer], shots: int, seed: int) -> Sample:
    """Samples `shots` training images per class, and min(`shots`, 4) validation images per class.

    Each class is shuffled once per seed. Its first images, up to 4 and never more than half, are for validation, the
    rest for training; a class with too few images provides all it has. `y` are the labels of the training split, `[N]`.
    """
    train: list[NDArray[np.int64]] = []
    val: list[NDArray[np.int64]] = []
    short = []
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        shuffled = np.random.default_rng(derive_seed(seed, "few-shot", int(label))).permutation(members)
        kept = min(VALIDATION_SHOTS, len(members) // 2)
        val.append(shuffled[: min(shots, kept)])
        train.append(shuffled[kept : kept + shots])
        if len(train[-1]) < shots:
            short.append(int(label))
    return Sample(np.sort(np.concatenate(train)), np.sort(np.concatenate(val)), tuple(short))


def holdout(y: NDArray[np.integer], seed: int, share: float = HOLDOUT) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits a training split into train and validation, `share` of each class (a class of one image stays in train).

    Args:
        y: labels `[N]`; with several labels per image, `[N, C]`, the sample is not stratified.
        share: of each class, rounded, at least one image of a class that has two.

    Returns:
        Indices of train and of validation, ascending, disjoint, together all.
    """
    groups = [np.flatnonzero(y == label) for label in np.unique(y)] if y.ndim == 1 else [np.arange(len(y))]
    chosen = []
    for number, members in enumerate(groups):
        count = min(len(members) - 1, max(1, round(share * len(members))))
        generator = np.random.default_rng(derive_seed(seed, "hold-out", number))
        chosen.append(generator.permutation(members)[:count])
    val = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(y)), val), val
