"""Agreement of a metric with human ratings: Kendall's tau-b and tau-c, with bootstrap intervals over images.

Sources: Kendall (1945) for tau-b, Stuart (1953) for tau-c, Efron and Tibshirani (1993), chapter 13, for the interval.
If ratings have few levels, a resample's pairs are counted in a table of levels by scores, weighted by how often each
judgement was drawn; otherwise the coefficients are SciPy's.

Scores that differ only in their last bits count as ties here; evaluations that pass plain floats to SciPy rank such
noise. On Flickr8k-Expert that changes tau-c by at most 0.00003.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.metrics.spec import Columns, MetricSpec, figure
from vlmbench.metrics.stats.intervals import RESAMPLES, iter_bootstrap_weights, percentile_interval

if TYPE_CHECKING:
    from vlmbench.records.result import Metric

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DIGITS = 12
_LEVELS = 64


@dataclass(frozen=True)
class Tau:
    """A coefficient, -1 to 1, with its 95 % interval: all NaN if one side is constant; no interval with one image."""

    value: float
    low: float
    high: float


def agreement(
    metrics: Sequence[ArrayLike],
    ratings: ArrayLike,
    groups: Sequence[str],
    seed: int,
    *,
    resamples: int = RESAMPLES,
    advance: Callable[[], None] = lambda: None,
) -> list[tuple[Tau, Tau]]:
    """Tau-b and tau-c between every metric and the ratings.

    Tau-b is ``S / sqrt((P - X) (P - Y))``: S concordant minus discordant pairs, P all pairs, X and Y those tied on each
    side. Tau-c is ``2 S / (N² (m - 1) / m)`` with m the smaller number of distinct values.

    Whole images are resampled with all their judgements: ratings of one caption, and captions of one
    image, are not independent. All metrics share the resamples. A judgement and its own copy in a resample are not a
    pair; m of tau-c is always that of the data, since it belongs to the scales, not to the sample.

    Args:
        metrics: for each metric a score per judgement, `[N]`.
        ratings: `[N]`, higher is better.
        groups: the image of each judgement, `[N]`.
        advance: called after each resample.

    Returns:
        For each metric tau-b and tau-c; with one image there is no interval, and its ends are NaN.

    Raises:
        InputError: fewer than two judgements, or all ratings equal.
    """
    images = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1].reshape(-1)
    sides = [_ranked(scores, ratings) for scores in metrics]
    if sides and (len(images) < 2 or np.ptp(sides[0][1]) == 0):
        raise InputError(
            "all ratings are equal, so they rank nothing", fix="give judgements with at least two different ratings"
        )
    drawn = np.full((len(sides), 2, resamples), np.nan)
    count = int(images.max(initial=0)) + 1
    counted = [_Counted(x, y) for x, y in sides]
    number = 0
    if count > 1:
        for block in iter_bootstrap_weights(count, resamples, derive_seed(seed, "agreement", "bootstrap")):
            for weights in block:
                times = weights[images]
                copies = int((times * (times - 1) // 2).sum())
                for metric, side in enumerate(counted):
                    drawn[metric, :, number] = side.coefficients(times, copies)
                number += 1
                advance()
    found = []
    for (x, y), (b, c) in zip(sides, drawn, strict=True):
        value_b, value_c = _both(x, y)
        scale = _scale(x, y)
        found.append((_interval(value_b, b), _interval(value_c * scale, c * scale)))
    return found


def metrics(pair: tuple[Tau, Tau]) -> dict[str, "Metric"]:
    """The two coefficients under their names in a record; undefined values and interval ends are left out."""
    return {
        spec.name: figure(tau.value, _finite(tau.low), _finite(tau.high))
        for spec, tau in zip(SPECS, pair, strict=True)
        if tau.value == tau.value
    }


def _finite(value: float) -> float | None:
    return value if value == value else None


def metrics_from_samples(
    columns: Columns, names: Sequence[str], seed: int, *, resamples: int = 0
) -> dict[str, "Metric"]:
    """The coefficients `names` from the columns of a per-sample file: score, rating, and id, the image."""
    scores, ratings, images = columns["score"], columns["rating"], list(columns["id"])
    (pair,) = agreement([scores], ratings, images, seed, resamples=max(1, resamples))
    found = metrics(pair)
    if not resamples:
        found = {name: figure(metric.value) for name, metric in found.items()}
    return {name: found[name] for name in names}


@dataclass
class _Counted:
    """Scores and ratings as ranks, `[N]` each, for computing tau repeatedly with different weights."""

    x: Ints
    y: Ints

    def __post_init__(self) -> None:
        self._levels = int(self.y.max(initial=0)) + 1
        self._scores = int(self.x.max(initial=0)) + 1
        self._cell = self.y * self._scores + self.x

    def coefficients(self, times: Ints, copies: int) -> tuple[float, float]:
        """`_both` of the judgements, each counted `times` `[N]` times."""
        if self._levels > _LEVELS:
            rows = np.repeat(np.arange(len(times)), times)
            return _both(self.x[rows], self.y[rows], copies)
        size = self._scores * self._levels
        table = np.bincount(self._cell, times, minlength=size).astype(np.int64).reshape(self._levels, self._scores)
        total, of_x, of_y = int(times.sum()), table.sum(axis=0), table.sum(axis=1)
        pairs = total * (total - 1) // 2
        untied = [pairs - int((side * (side - 1) // 2).sum()) for side in (of_x, of_y)]
        if not all(untied):
            return float("nan"), float("nan")
        s, lower = 0, np.zeros(self._scores, dtype=np.int64)
        for level, drawn in zip(table, of_y.tolist(), strict=True):  # pairs of this rating with the ones below it
            before = np.cumsum(lower) - lower
            s += int(level @ (2 * before + lower)) - drawn * int(lower.sum())
            lower += level
        return s / float(np.sqrt(float(untied[0]) * float(untied[1]))), s / (pairs - copies)


def _interval(value: float, drawn: Floats) -> Tau:
    if not np.isfinite(value) or not np.isfinite(drawn).any():
        return Tau(value, float("nan"), float("nan"))
    low, high = percentile_interval(drawn)
    return Tau(value, max(-1.0, min(value, low)), min(1.0, max(value, high)))


def _ranked(scores: ArrayLike, ratings: ArrayLike) -> tuple[Ints, Ints]:
    """Both sides as whole numbers in the same order; scores that differ only by rounding are tied. Raises `InputError`
    where the lengths differ, or a value is not finite."""
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(f"{x.size} scores for {y.size} ratings", fix="give one score per rating")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("a score or rating is not a finite number", fix="remove it")
    return _ranks(x), _ranks(y)


def _ranks(values: Floats) -> Ints:
    mantissa, exponent = np.frexp(values)
    rounded = np.ldexp(np.round(mantissa, _DIGITS), exponent)
    return np.unique(rounded, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _both(x: Ints, y: Ints, copies: int = 0) -> tuple[float, float]:
    """Tau-b, and S over all pairs but `copies` of them (tau-c up to `_scale`); NaN if one side is constant."""
    from scipy.stats import kendalltau

    pairs = len(x) * (len(x) - 1) // 2
    untied = [pairs - _tied(side) for side in (x, y)]
    if not all(untied):
        return float("nan"), float("nan")
    if len(x) == 2:  # SciPy would divide by zero for a p-value that is not needed
        b = 1.0 if (x[0] < x[1]) == (y[0] < y[1]) else -1.0
    else:
        b = float(kendalltau(x, y, variant="b", method="asymptotic").statistic)
    return b, b * float(np.sqrt(float(untied[0]) * float(untied[1]))) / (pairs - copies)


def _tied(ranks: Ints) -> int:
    counts = np.bincount(ranks).astype(np.int64) if len(ranks) else np.zeros(1, dtype=np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _scale(x: Ints, y: Ints) -> float:
    """The factor between S over all pairs and tau-c: ``(N - 1) / N · m / (m - 1)``."""
    m = min(len(np.unique(x)), len(np.unique(y)))
    return (len(x) - 1) / len(x) * m / (m - 1) if m > 1 else float("nan")


_BLIND = "how far apart scores are: only their order counts"
_UNTESTED = "it evaluates a metric, not a system"
SPECS = [
    MetricSpec(
        name="kendall_tau_b",
        title="Kendall τ-b",
        family="agreement",
        definition="Kendall's tau-b of a metric with human ratings, -1 to 1",
        source="Kendall 1945",
        blind_to=_BLIND,
        range=(-1.0, 1.0),
        columns=("id", "score", "rating"),
        untested=_UNTESTED,
        order=10,
    ),
    MetricSpec(
        name="kendall_tau_c",
        title="Kendall τ-c",
        family="agreement",
        definition="tau-c (Stuart 1953), for scales of unequal size, -1 to 1",
        source="Stuart 1953",
        blind_to=_BLIND,
        range=(-1.0, 1.0),
        columns=("id", "score", "rating"),
        untested=_UNTESTED,
        order=20,
    ),
]
