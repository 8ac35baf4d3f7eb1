"""Runs shown by a metric other than their own: a new main metric for records that have its figure."""

from collections.abc import Sequence
from dataclasses import replace

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.choice import deciding
from vlmbench.records.classification import ClassificationDetail, ProbeDetail
from vlmbench.records.store import StoredRun
from vlmbench.report.grouping import main_metric, of_family
from vlmbench.report.pairs import Pairs


def by_metric(runs: Sequence[StoredRun], metric: str) -> tuple[list[StoredRun], list[str]]:
    """The runs with `metric` as their main metric, and notes on those without it.

    A run's path and figures stay; only the figure that tables, tests and curves show changes. A record's few-shot
    curve is of its own metric, so the figures of the seeds are recomputed from its per-sample file.

    Args:
        runs: any runs; those of tasks other than classification stay as they are.
        metric: one of `metrics.choice.deciding`.

    Raises:
        InputError: no classification run has the metric, or a per-sample file cannot be read.
    """
    classified = of_family(runs, "classification")
    if classified and not any(metric in run.record.metrics for run in classified):
        known = sorted({name for run in classified for name in run.record.metrics} & set(deciding()))
        raise InputError(f"no run has the metric {metric}", where="--metric", fix=f"one of {', '.join(known)}")
    without = [run for run in classified if metric not in run.record.metrics]
    notes = [f"without {metric}, so shown by {main_metric(run.record)}: {run.path.name}" for run in without]
    pairs = Pairs()
    return [_shown_by(run, metric, pairs) for run in runs], notes


def _shown_by(run: StoredRun, metric: str, pairs: Pairs) -> StoredRun:
    record = run.record
    detail = record.detail
    if not isinstance(detail, ClassificationDetail) or metric not in record.metrics or main_metric(record) == metric:
        return run
    if isinstance(detail, ProbeDetail):
        searched = detail.search_metric or main_metric(record)
        changed = {"per_seed": _per_seed(run, metric, pairs) or None, "search_metric": searched}
        detail = detail.model_copy(update={**changed, "curve": None, "labels_to_match": None})
    protocol = record.protocol.model_copy(update={"metric": metric})
    return replace(run, record=record.model_copy(update={"protocol": protocol, "detail": detail}))


def _per_seed(run: StoredRun, metric: str, pairs: Pairs) -> list[float]:
    """The metric of each seed of a few-shot run; empty if the per-sample file is missing."""
    if run.record.shots is None:
        return [run.record.metrics[metric].value]
    if not pairs.has(run):
        return []
    import numpy as np

    from vlmbench.metrics.classification import metrics_from_samples

    columns = pairs.columns(run)
    if "seed" not in columns:
        return [run.record.metrics[metric].value]
    found = []
    for seed in np.unique(columns["seed"]):
        block = {name: column[columns["seed"] == seed] for name, column in columns.items() if name != "seed"}
        found.append(metrics_from_samples(block, [metric], 0, resamples=0)[metric].value)
    return found
