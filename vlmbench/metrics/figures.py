"""Recomputes every figure of a record from only its per-sample columns."""

from collections.abc import Sequence
from importlib import import_module

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.spec import Columns, Compute, find
from vlmbench.metrics.stats.intervals import RESAMPLES
from vlmbench.records.result import Metric

_MODULES = {
    "classification": "vlmbench.metrics.classification",
    "retrieval": "vlmbench.metrics.retrieval",
    "captions": "vlmbench.metrics.captions.statistics",
    "agreement": "vlmbench.metrics.agreement",
}
"""Families whose metrics are computed together: each module has `metrics_from_samples`."""


def figures(
    family: str, columns: Columns, names: Sequence[str], seed: int, *, resamples: int | None = None
) -> dict[str, Metric]:
    """The metrics `names` of a family with their 95 % intervals, from per-sample columns `[N]` and the record's seed.

    `resamples` 0: no intervals; None: as many as the family usually has. Raises `InputError` where a column is missing,
    or no installed package declares a metric.
    """
    try:
        if family not in _MODULES:
            return {
                name: _compute(name)(columns, seed, RESAMPLES if resamples is None else resamples) for name in names
            }
        how = {} if resamples is None else {"resamples": resamples}
        found: dict[str, Metric] = import_module(_MODULES[family]).metrics_from_samples(columns, names, seed, **how)
    except KeyError as error:
        raise InputError(f"the per-sample file has no column {error.args[0]}") from error
    return found


def _compute(name: str) -> Compute:
    spec = find(name)
    if spec is None or spec.compute is None:
        raise InputError(f"no installed package declares the metric {name}", fix="install the package that does")
    return spec.compute
