"""Is one system's ranking better than another's on the same images? Areas under the ROC curve, average precision.

ROC AUC: DeLong's test (DeLong, DeLong and Clarke-Pearson 1988), from each image's contribution to the difference;
nothing is drawn at random. Average precision: the paired bootstrap over images, widened for small classes, with a
normal tail below what its draws can show (`metrics.stats.paired.share_beyond`). Means over classes and seeds are one
test.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.ranking import average_precision, truth_and_scores
from vlmbench.metrics.stats.intervals import LEVEL, iter_bootstrap_weights
from vlmbench.metrics.stats.paired import LEAST, by_seed, share_beyond

RESAMPLES = 200
"""Resamples for average precision: enough for its standard error (to 5 %), which decides interval and tail."""
_CHUNK = 4_000_000

Floats = NDArray[np.float64]
Block = tuple[NDArray[np.bool_], NDArray[np.floating[Any]]]
"""One seed's truth and scores, `[N, C]` each."""


def paired_ranking(
    first: Mapping[str, Any], second: Mapping[str, Any], metric: str, seed: int
) -> tuple[float, float, float, float]:
    """The difference in a ranking metric, first minus second, with its 95 % interval and two-sided p. Raises
    `InputError` where no class has both images with it and images without it.

    Args:
        first: per-sample columns, `[N]` each: labels and scores (several labels per image) or label and score (two
            classes); with several seeds, `[S · N]` and a column seed.
        second: the same for the other system, on the same images in the same order.
        metric: ``map11``, ``map`` or ``roc_auc``.

    Returns:
        difference, low, high, p.
    """
    ours, theirs = _blocks(first), _blocks(second)
    truth = ours[0][0]
    shown = truth.sum(axis=0)
    defined = (shown > 0) & (shown < len(truth) if metric == "roc_auc" else True)
    if not defined.any():
        raise InputError(
            "no class has both images with it and images without it", fix="use a split that holds every class"
        )
    ours, theirs = ([(y[:, defined], s[:, defined]) for y, s in blocks] for blocks in (ours, theirs))
    if metric == "roc_auc":
        return delong(ours, theirs)
    return _average_precision(ours, theirs, 11 if metric == "map11" else None, seed)


def delong(ours: Sequence[Block], theirs: Sequence[Block]) -> tuple[float, float, float, float]:
    """DeLong's test of two correlated areas under the ROC curve; means over classes and seeds are one figure.

    The variance is the sum over images of each one's squared contribution to the difference, which for one class is
    equation 5 of DeLong et al. (1988). A class with a single positive or negative image has no variance of its own; the
    largest possible one is used.

    Args:
        ours: for each seed truth and scores, `[N, C]`; each class has images with it and without it.
        theirs: the same for the other system on the same images.

    Returns:
        difference, low, high, two-sided p.
    """
    from scipy import special

    count = len(ours) * ours[0][0].shape[1]
    influence = np.zeros(len(ours[0][0]))
    value = 0.0
    for (truth, one), (_, two) in zip(ours, theirs, strict=True):
        for index in range(truth.shape[1]):
            has = truth[:, index]
            gaps = placements(has, one[:, index]) - placements(has, two[:, index])
            value += float(gaps[has].mean()) / count
            for kind in (has, ~has):
                size = int(kind.sum())
                spread = gaps[kind] - gaps[kind].mean() if size > 1 else np.ones(1)
                influence[kind] += spread / (count * (size * max(1, size - 1)) ** 0.5)
    error = float(np.sqrt((influence**2).sum()))
    half = float(special.ndtri(0.5 + LEVEL / 2)) * error
    if error > 0:
        p = max(LEAST, float(special.erfc(abs(value) / error / 2**0.5)))
    else:
        rarer = min(int(min(truth.sum(axis=0).min(), (~truth).sum(axis=0).min())) for truth, _ in ours)
        p = 1.0 if value == 0 else _all_alike(rarer)
    return value, max(-1.0, value - half), min(1.0, value + half), p


def placements(has: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> Floats:
    """For each image the share of images of the other kind that it is ranked correctly against, ties half: `[N]`."""
    found = np.empty(len(has))
    for kind, sign in ((has, 1), (~has, -1)):
        others = np.sort(sign * scores[~kind])
        own = sign * scores[kind]
        found[kind] = (np.searchsorted(others, own, "left") + np.searchsorted(others, own, "right")) / (2 * len(others))
    return found


def _average_precision(
    ours: Sequence[Block], theirs: Sequence[Block], points: int | None, seed: int
) -> tuple[float, float, float, float]:
    from scipy import special

    def gaps(weights: NDArray[np.integer[Any]]) -> Floats:
        """The difference for each class and seed under each row of weights, `[K, R]`; NaN if no image has the class."""
        found: list[Floats] = []
        for (truth, one), (_, two) in zip(ours, theirs, strict=True):
            for index in range(truth.shape[1]):
                has = truth[:, index]
                a, b = (average_precision(has, scores[:, index], weights, points=points) for scores in (one, two))
                found.append(a - b)
        return np.stack(found)

    n = len(ours[0][0])
    value = float(gaps(np.ones((1, n), dtype=np.int64)).mean())
    positives = np.concatenate([truth.sum(axis=0) for truth, _ in ours])
    if positives.max() == 1:
        return value, -1.0, 1.0, 1.0  # one image decides each class: its spread is unknown
    blocks = iter_bootstrap_weights(n, RESAMPLES, seed, chunk=_CHUNK)
    by_class = np.ma.masked_invalid(np.concatenate([gaps(block.astype(np.int32)) for block in blocks], axis=1))
    means = by_class.mean(axis=0).compressed()
    deviations = (means - value) * _stretch(positives, by_class.var(axis=1).filled(0.0))
    half = float(special.ndtri(0.5 + LEVEL / 2) * np.sqrt((deviations**2).mean()))
    p = share_beyond(deviations, value) if half > 0 else 1.0 if value == 0 else _all_alike(int(positives.sum()))
    return value, max(-1.0, value - half), min(1.0, value + half), p


def _stretch(positives: NDArray[np.int64], variances: Floats) -> float:
    """The factor by which a bootstrap's deviations are too small for small classes (as Hesterberg 2015, section 4.1).

    Args:
        positives: images with each class, `[K]`; a class's variance has one degree of freedom less.
        variances: of each class's resampled differences, `[K]`; the degrees of freedom of their mean are Welch's.
    """
    from scipy import special

    if not variances.any():
        return 1.0
    free = np.maximum(positives - 1, 1)
    freedom = variances.sum() ** 2 / (variances**2 / free).sum()
    tail = 0.5 + LEVEL / 2
    wider = (variances * positives / free).sum() / variances.sum()
    return float(wider**0.5 * special.stdtrit(freedom, tail) / special.ndtri(tail))


def _all_alike(images: int) -> float:
    """The two-sided p if every image favours one system equally: the probability that all fall to one side."""
    return max(LEAST, 2.0 ** (1 - images))


def _blocks(columns: Mapping[str, Any]) -> list[Block]:
    """Truth and scores of each seed, `[N, C]` each, images in the same order in all of them."""
    return [(truth == 1, scores) for truth, scores in map(truth_and_scores, by_seed(columns))]
