"""Intervals: Wilson's score interval for shares, the bootstrap for everything else, Student's t over seeds.

All randomness comes from a seed. Resamples are drawn as counts (how often each image was drawn), because a statistic
that is a sum over images then costs one matrix product for all resamples.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import UsageError

LEVEL = 0.95
RESAMPLES = 1000
_CHUNK = 200_000


def iter_bootstrap_weights(n: int, resamples: int, seed: int, *, chunk: int = _CHUNK) -> Iterator[NDArray[np.int64]]:
    """Blocks of bootstrap counts, `[r, n]` int64 with r·n at most about `chunk`; the blocks' sum of r is `resamples`.

    Each row counts how often each of n images was drawn in n draws with replacement (Efron 1979). The rows depend only
    on `n`, `resamples` before them and `seed`, never on `chunk`. Raises `UsageError` where `n` or `resamples` is below
    1.
    """
    if n < 1 or resamples < 1:
        raise UsageError(f"cannot resample {n} images {resamples} times")
    generator = np.random.default_rng(seed)
    rows = max(1, chunk // n)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        draws = generator.integers(0, n, size=(count, n))
        draws += np.arange(count)[:, None] * n
        yield np.bincount(draws.ravel(), minlength=count * n).reshape(count, n)


def wilson(share: float, n: float, *, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval (1927) for a share of `n` independent trials; `n` may be an effective, fractional number.

    It keeps its coverage near 0 and 1, unlike the bootstrap of a share.
    """
    from scipy import special

    if n <= 0:
        return 0.0, 1.0
    z = float(special.ndtri(0.5 + level / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def effective_trials(shares: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """The effective number of trials behind the mean of per-class shares, for `wilson` (Korn and Graubard 1998).

    The mean over K classes has variance ``sum p_k (1 - p_k) / n_k / K²``; the result is n with ``p (1 - p) / n`` equal
    to that. Each p_k is first shrunk towards the mean by one pseudo-image, so that a class with a single image does not
    count as certain.

    Args:
        shares: share of correct images by class, `[K]`, 0 to 1.
        counts: images by class, `[K]`, at least 1.
    """
    mean = float(shares.mean())
    if mean in (0.0, 1.0):
        return float(len(counts) ** 2 / (1 / counts).sum())
    smoothed = (shares * counts + mean) / (counts + 1)
    variance = float((smoothed * (1 - smoothed) / counts).sum()) / len(counts) ** 2
    return mean * (1 - mean) / variance


def percentile_interval(values: NDArray[np.float64], *, level: float = LEVEL) -> tuple[float, float]:
    """The bootstrap's percentile interval of resampled values `[R]`; NaN resamples are left out."""
    kept = values[np.isfinite(values)]
    low, high = np.quantile(kept, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def t_interval(values: NDArray[np.float64], *, level: float = LEVEL) -> tuple[float, float]:
    """Student's t interval for the mean of `values` `[S]`, S at least 2."""
    from scipy import special

    spread = float(values.std(ddof=1)) / len(values) ** 0.5
    half = float(special.stdtrit(len(values) - 1, 0.5 + level / 2)) * spread
    mean = float(values.mean())
    return mean - half, mean + half


def resampled_sums(values: NDArray[np.float64], seed: int, resamples: int) -> NDArray[np.float64]:
    """Sums over resampled images, `[R, K]`, of values `[N, K]`."""
    return np.concatenate([weights @ values for weights in iter_bootstrap_weights(len(values), resamples, seed)])
