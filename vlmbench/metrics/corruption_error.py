"""The corruption error of Hendrycks and Dietterich 2019, section 4.2."""

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.seeds import derive_seed
from vlmbench.metrics.stats.intervals import RESAMPLES, percentile_interval, resampled_sums

Interval = tuple[float, float]


def corruption_errors(errors: NDArray[np.float64], baseline: NDArray[np.float64]) -> NDArray[np.float64]:
    """CE by kind, [..., K]: the sum of a system's errors over severities by the sum of a baseline's.

    Args:
        errors: [..., K, S] shares of wrong answers, kind by severity.
        baseline: the same of the baseline.

    Returns:
        1 where both are as good; infinite or NaN where the baseline is never wrong.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(errors.sum(axis=-1) / baseline.sum(axis=-1))


def mean_intervals(wrong: NDArray[np.float64]) -> list[Interval]:
    """Bootstrap intervals over images of the mean over severities, of each kind and, last, of all; `wrong` [N, K, S] is
    1 where an answer is wrong, the same image in each row."""
    means = _resampled(wrong).mean(axis=2)
    return [percentile_interval(column) for column in [*means.T, means.mean(axis=1)]]


def error_intervals(wrong: NDArray[np.float64], baseline: NDArray[np.float64], counted: list[int]) -> list[Interval]:
    """The same of CE, last of their mean over the kinds that are `counted`; NaN where the baseline is never wrong."""
    ratios = corruption_errors(_resampled(wrong), _resampled(baseline))
    columns = [*ratios.T, ratios[:, counted].mean(axis=1)]
    return [percentile_interval(one) if np.isfinite(one).any() else (np.nan, np.nan) for one in columns]


def _resampled(wrong: NDArray[np.float64]) -> NDArray[np.float64]:
    """[R, K, S] shares over the same resampled images for every system."""
    count, *shape = wrong.shape
    sums = resampled_sums(wrong.reshape(count, -1), derive_seed(0, "bootstrap", "corruptions"), RESAMPLES)
    return np.asarray(sums / count).reshape(len(sums), *shape)
