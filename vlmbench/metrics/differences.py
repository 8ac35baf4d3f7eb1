"""Two systems on the same images: the difference in each metric, its interval, and the p-value of its test.

A metric's spec names its test; this is the only place that computes a p-value for two runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.foundations.seeds import derive_seed
from vlmbench.metrics.spec import Columns, MetricSpec, find
from vlmbench.metrics.stats.paired import by_seed, mcnemar_exact, paired_bootstrap, rows_of, share_beyond
from vlmbench.metrics.stats.paired_ranking import paired_ranking

SEED = 0
RESAMPLES = 1000
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """First minus second, with its 95 % interval and two-sided p-value (for captions also by randomization)."""

    value: float
    low: float
    high: float
    p: float
    p_swapped: float | None = None


def differences(first: Columns, second: Columns, names: Sequence[str]) -> dict[str, Difference]:
    """The differences in metrics of one family on the same images in the same order, from the per-sample columns `[N]`
    of both systems (or those of a baseline).

    Several seeds (few-shot) are averaged per image. Raises `InputError` where a metric has no paired test, or a column
    is missing.
    """
    groups: dict[Any, list[MetricSpec]] = {}
    for name in names:
        spec = find(name)
        if spec is None or spec.test is None:
            raise InputError(f"no paired test for the metric {name}")
        groups.setdefault(spec.test, []).append(spec)
    found: dict[str, Difference] = {}
    for test, specs in groups.items():
        found |= (TESTS[test] if isinstance(test, str) else test)(specs, first, second)
    return {name: found[name] for name in names}


def _mcnemar(specs: Sequence[MetricSpec], first: Columns, second: Columns) -> dict[str, Difference]:
    """The interval by paired bootstrap, p by McNemar's exact test; with several seeds both by the bootstrap."""
    return {spec.name: _by_image(spec, first, second, exact="seed" not in first) for spec in specs}


def _bootstrap(specs: Sequence[MetricSpec], first: Columns, second: Columns) -> dict[str, Difference]:
    """Paired bootstrap of per-image figures."""
    return {spec.name: _by_image(spec, first, second, exact=False) for spec in specs}


def _by_image(spec: MetricSpec, first: Columns, second: Columns, *, exact: bool) -> Difference:
    if spec.per_image is None:
        raise InputError(f"the metric {spec.name} is not a mean over images, as its test requires")
    one, two = spec.per_image(first), spec.per_image(second)
    if "seed" in first:
        one, two = mean_by_image(first["id"], one), mean_by_image(second["id"], two)
    value, low, high, p = paired_bootstrap(one, two, _seed(spec))
    return Difference(value, low, high, mcnemar_exact(one, two) if exact else p)


def _ranking(specs: Sequence[MetricSpec], first: Columns, second: Columns) -> dict[str, Difference]:
    """DeLong's test for ROC AUC, paired bootstrap for average precision: see `paired_ranking`."""
    return {spec.name: Difference(*paired_ranking(first, second, spec.name, _seed(spec))) for spec in specs}


def _summed(specs: Sequence[MetricSpec], first: Columns, second: Columns) -> dict[str, Difference]:
    """Caption scores from summed statistics: paired bootstrap, and the p-value of approximate randomization."""
    from vlmbench.metrics.captions.statistics import paired_captions

    names, seed = [spec.name for spec in specs], derive_seed(SEED, "paired", "captions")
    found = paired_captions(first, second, names, seed=seed, resamples=RESAMPLES)
    return {
        name: Difference(item.difference, item.low, item.high, item.p_bootstrap, item.p_randomization)
        for name, item in found.items()
    }


def _statistic(specs: Sequence[MetricSpec], first: Columns, second: Columns) -> dict[str, Difference]:
    """Paired bootstrap of a figure that is not a mean over images: it is recomputed for every resample.

    Deviations are scaled by ``sqrt(n / (n - 1))``; with several seeds the mean is tested.
    """
    return {spec.name: _resampled(spec, by_seed(first), by_seed(second)) for spec in specs}


def _resampled(spec: MetricSpec, ours: Sequence[Columns], theirs: Sequence[Columns]) -> Difference:
    compute = spec.compute
    if compute is None:
        raise InputError(f"the metric {spec.name} has no compute function, which its test requires")
    size = len(next(iter(ours[0].values())))

    def gap(rows: NDArray[np.int64]) -> float:
        pairs = zip(ours, theirs, strict=True)
        return float(
            np.mean([compute(rows_of(a, rows), 0, 0).value - compute(rows_of(b, rows), 0, 0).value for a, b in pairs])
        )

    value = gap(np.arange(size))
    generator = np.random.default_rng(_seed(spec))
    drawn = np.array([gap(generator.integers(0, size, size)) for _ in range(RESAMPLES)])
    deviations = (drawn - value) * (size / max(1, size - 1)) ** 0.5
    low, high = np.quantile(value + deviations, [0.025, 0.975])
    return Difference(value, min(value, float(low)), max(value, float(high)), share_beyond(deviations, value))


def mean_by_image(ids: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the seeds of a few-shot run, for each image."""
    _, place = np.unique(np.asarray(ids).astype(str), return_inverse=True)
    return np.asarray(np.bincount(place, weights=values) / np.bincount(place))


def _seed(spec: MetricSpec) -> int:
    return derive_seed(SEED, "paired", spec.name)


TESTS: dict[str, Callable[[Sequence[MetricSpec], Columns, Columns], dict[str, Difference]]] = {
    "mcnemar": _mcnemar,
    "bootstrap": _bootstrap,
    "ranking": _ranking,
    "summed": _summed,
    "statistic": _statistic,
}
"""Tests by their name in a spec (`MetricSpec.test`)."""
