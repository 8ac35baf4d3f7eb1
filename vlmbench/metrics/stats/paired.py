"""Is one system better than another on the same images? Paired tests, and Holm's correction for several of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.stats.intervals import LEVEL, iter_bootstrap_weights

RESAMPLES = 10_000
LEAST = 1e-16
"""The smallest p that is reported: below it doubles have no digits left."""
_FEW = 10


def mcnemar_exact(correct_a: ArrayLike, correct_b: ArrayLike) -> float:
    """McNemar's exact test (1947): two-sided p that two classifiers are right equally often on the same images.

    From whether each was correct, `[N]` bool each in the same order: the binomial test's p on the images where exactly
    one is right; 1 if there are none.
    """
    from scipy import special

    a, b = _pair(correct_a, correct_b, bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if only_a + only_b == 0:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def paired_bootstrap(
    per_sample_a: ArrayLike, per_sample_b: ArrayLike, seed: int, *, resamples: int = RESAMPLES
) -> tuple[float, float, float, float]:
    """The mean difference a - b with its 95 % interval and two-sided p, by the paired bootstrap.

    The interval is the expanded percentile interval (Hesterberg 2015, section 4.1): deviations are scaled
    by ``sqrt(n / (n - 1))`` times t over normal, so that small samples do not seem certain.

    Args:
        per_sample_a: each image's figure, `[N]` (1 and 0 for right and wrong, or a caption's score).
        per_sample_b: the other system's, for the same images in the same order.

    Returns:
        difference, low, high, p.
    """
    from scipy import special

    a, b = _pair(per_sample_a, per_sample_b, float)
    gaps = a - b
    n = len(gaps)
    difference = float(gaps.mean())
    if n < 2 or not np.ptp(gaps):
        same = difference == 0
        return difference, difference, difference, 1.0 if same or n < 2 else 1 / (resamples + 1)
    means = _resampled_means(gaps, seed, resamples)
    tail = 0.5 + LEVEL / 2
    stretch = (n / (n - 1)) ** 0.5 * float(special.stdtrit(n - 1, tail) / special.ndtri(tail))
    deviations = (means - difference) * stretch
    low, high = np.quantile(difference + deviations, [1 - tail, tail])
    beyond = int((np.abs(deviations) >= abs(difference) - 1e-12).sum())
    return difference, float(low), float(high), (1 + beyond) / (1 + resamples)


def share_beyond(deviations: NDArray[np.float64], gap: float) -> float:
    """The two-sided p of an observed difference: the share of drawn deviations that reach it, itself included.

    A thousand draws cannot show a p below 0.001, and Holm's correction over a table needs that. So if fewer than
    ten draws reach the difference, a normal tail with the draws' own spread is used, never above the share
    (after Knijnenburg et al. 2009, who fit a Pareto tail).

    Args:
        deviations: from resamples or swaps, centred at 0, `[R]`.
        gap: the observed difference.
    """
    beyond = int((np.abs(deviations) >= abs(gap) - 1e-12).sum())
    share = (1 + beyond) / (1 + len(deviations))
    if beyond >= _FEW:
        return float(share)
    spread = float(np.sqrt((deviations**2).mean()))
    tail = math.erfc(abs(gap) / spread / math.sqrt(2)) if spread else 0.0
    return float(max(LEAST, min(share, tail)))


def by_seed(columns: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The per-sample columns of each seed, images in the same order in all of them."""
    if "seed" not in columns:
        return [columns]
    ids, seeds = np.asarray(columns["id"]).astype(str), np.asarray(columns["seed"])
    order = np.lexsort((ids, seeds))
    return [rows_of(columns, order[seeds[order] == one]) for one in np.unique(seeds)]


def rows_of(columns: Mapping[str, Any], rows: NDArray[np.int64]) -> Mapping[str, Any]:
    """Some rows of per-sample columns, without the seed."""
    return {name: np.asarray(column)[rows] for name, column in columns.items() if name != "seed"}


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): adjusted p-values, in the order given, for a family of tests."""
    adjusted = [0.0] * len(pvalues)
    highest = 0.0
    for position, index in enumerate(sorted(range(len(pvalues)), key=lambda i: pvalues[i])):
        highest = max(highest, min(1.0, (len(pvalues) - position) * pvalues[index]))
        adjusted[index] = highest
    return adjusted


def _resampled_means(values: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """Bootstrap means `[R]`; if values repeat (right and wrong), only their counts are drawn: the same distribution."""
    distinct, counts = np.unique(values, return_counts=True)
    n = len(values)
    if len(distinct) * 4 <= n:
        drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)
        return np.asarray(drawn @ distinct / n)
    return np.concatenate([block @ values for block in iter_bootstrap_weights(n, resamples, seed)]) / n


def _pair(first: ArrayLike, second: ArrayLike, kind: type) -> tuple[NDArray[Any], NDArray[Any]]:
    a: NDArray[Any] = np.asarray(first, dtype=kind)
    b: NDArray[Any] = np.asarray(second, dtype=kind)
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise InputError(
            f"a paired test needs the same images for both systems, not {a.shape} and {b.shape}",
            fix="compare runs on the same dataset and split",
        )
    return a, b
