"""Accuracy under distribution shift: what a system loses, whether one loses more than another, effective robustness.

Every function takes figures per image (1 and 0 for right and wrong; a mean over the seeds of a few-shot run lies
between), in distribution `[N]` and shifted `[M]`. The two test sets are independent samples, unless they show the same
images (one of them corrupted); two systems are paired on the images of each.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.metrics.differences import RESAMPLES, SEED
from vlmbench.metrics.stats.intervals import LEVEL, iter_bootstrap_weights, percentile_interval

Values = NDArray[np.float64]
FEWEST = 3
"""Baselines with different accuracies that a line is fitted over."""


@dataclass(frozen=True)
class Change:
    """A difference with its 95 % interval."""

    value: float
    low: float
    high: float


def loss(own: Values, shifted: Values, *, same_images: bool = False) -> Change:
    """Accuracy in distribution minus accuracy under shift.

    The interval is Wald's with two images added to each sample, a right and a wrong one (Agresti and Caffo 2000).
    Raises `InputError` where a sample is empty, or same images differ in number.

    Args:
        own: a system's figures in distribution, `[N]`.
        shifted: under shift, `[M]`.
        same_images: whether both are figures of the same images in the same order: then their differences are
            averaged (Bonett and Price 2012).
    """
    return _change(own, shifted, 0.0, 1.0, same_images=same_images)


def extra_loss(own: tuple[Values, Values], shifted: tuple[Values, Values], *, same_images: bool = False) -> Change:
    """What a first system loses under shift minus what a second one loses, paired on the images of each test set.

    Per image the second's figure is subtracted from the first's. The interval is Wald's for the difference of the two
    means, with half an image added to each test set that only the first gets right, and half a one that only the second
    does: as Bonett and Price 2012 for one pair of shares, and half of it for each of two samples. Raises `InputError`
    where the systems have different numbers of images, or as `loss`.

    Args:
        own: the first's and the second's figures in distribution, `[N]` each, the same images in the same order.
        shifted: the same under shift, `[M]` each.
        same_images: as in `loss`.
    """
    if own[0].shape != own[1].shape or shifted[0].shape != shifted[1].shape:
        raise InputError("two systems are compared on the same images", fix="compare runs on the same split")
    return _change(own[0] - own[1], shifted[0] - shifted[1], -1.0, 0.5, same_images=same_images)


def _change(own: Values, shifted: Values, least: float, added: float, *, same_images: bool) -> Change:
    from scipy import special

    if not len(own) or not len(shifted) or (same_images and own.shape != shifted.shape):
        raise InputError(f"cannot compare {len(own)} images with {len(shifted)}", fix="use test sets with images")
    value = float(own.mean() - shifted.mean())
    parts = (
        [_moments(own - shifted, -1.0, added)] if same_images else [_moments(v, least, added) for v in (own, shifted)]
    )
    centre = parts[0][0] - (0.0 if same_images else parts[1][0])
    half = float(special.ndtri(0.5 + LEVEL / 2)) * sum(variance for _, variance in parts) ** 0.5
    return Change(value, min(value, centre - half), max(value, centre + half))


def _moments(values: Values, least: float, added: float) -> tuple[float, float]:
    """The mean and its variance, with `added` images of each of two kinds: with the figure `least`, and with 1."""
    n = len(values) + 2 * added
    mean = (float(values.sum()) + added * (least + 1)) / n
    square = (float((values**2).sum()) + added * (least**2 + 1)) / n
    return mean, (square - mean**2) / n


@dataclass(frozen=True)
class Line:
    """Shifted accuracy as a function of accuracy in distribution, straight on logit axes."""

    slope: float
    intercept: float

    def at(self, accuracy: float) -> float:
        """The shifted accuracy of a baseline with this accuracy in distribution."""
        return float(_expit(self.slope * _logit(np.array(accuracy)) + self.intercept))


@dataclass(frozen=True)
class Robustness:
    """The line over the baselines, and each system's distance above it in shifted accuracy (0 to 1)."""

    line: Line
    above: tuple[Change, ...]


def effective_robustness(own: Values, shifted: Values, baselines: NDArray[np.bool_]) -> Robustness | None:
    """Effective robustness (Taori et al. 2020, section 2): shifted accuracy minus that of the line over the baselines.

    The line is fitted by least squares on logit axes, where an accuracy of 0 or 1 counts as half an image more or less.
    Intervals are percentiles of a bootstrap that draws the images of each test set anew, for all systems alike, and
    fits the line again.

    Args:
        own: accuracy per image in distribution, `[N, S]`.
        shifted: accuracy per image under shift, `[M, S]`.
        baselines: which of the S systems the line is fitted over.

    Returns:
        None where fewer than three baselines have different accuracies in distribution.
    """
    sizes = len(own), len(shifted)
    x, y = own.mean(axis=0)[None], shifted.mean(axis=0)[None]
    if len(np.unique(x[0, baselines])) < FEWEST:
        return None
    slope, intercept = _fit(x, y, baselines, sizes)
    values = _above(x, y, slope, intercept, sizes)[0]
    drawn = [
        np.concatenate([block @ table for block in iter_bootstrap_weights(len(table), RESAMPLES, seed)]) / len(table)
        for table, seed in ((own, derive_seed(SEED, "own")), (shifted, derive_seed(SEED, "shifted")))
    ]
    spread = _above(drawn[0], drawn[1], *_fit(drawn[0], drawn[1], baselines, sizes), sizes)
    found = []
    for value, column in zip(values.tolist(), spread.T, strict=True):
        low, high = percentile_interval(column)
        found.append(Change(value, min(value, low), max(value, high)))
    return Robustness(Line(float(slope[0]), float(intercept[0])), tuple(found))


def _fit(x: Values, y: Values, baselines: NDArray[np.bool_], sizes: tuple[int, int]) -> tuple[Values, Values]:
    """Slopes and intercepts `[R]` of lines over the baselines of accuracies `[R, S]`; NaN where all are the same."""
    across, up = (_logit(_inside(part[:, baselines], size)) for part, size in zip((x, y), sizes, strict=True))
    centred = across - across.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (centred * up).sum(axis=1) / (centred**2).sum(axis=1)
    return slope, up.mean(axis=1) - slope * across.mean(axis=1)


def _above(x: Values, y: Values, slope: Values, intercept: Values, sizes: tuple[int, int]) -> Values:
    return np.asarray(y - _expit(slope[:, None] * _logit(_inside(x, sizes[0])) + intercept[:, None]))


def _inside(shares: Values, n: int) -> Values:
    """Shares of `n` images, 0 and 1 moved by half an image."""
    return np.clip(shares, 0.5 / n, 1 - 0.5 / n)


def _logit(shares: Values) -> Values:
    return np.asarray(np.log(shares) - np.log1p(-shares))


def _expit(values: Values) -> Values:
    return np.asarray(1 / (1 + np.exp(-values)))
