"""Counting: how far the number of things that a dual encoder sees in an image is from the true one."""

import numpy as np

from vlmbench.metrics.spec import MetricSpec, figure
from vlmbench.metrics.stats.intervals import percentile_interval, resampled_sums
from vlmbench.records.task import ColumnRule, EncodedProtocol, TaskSpec


class CountProtocol(EncodedProtocol):
    """What decides a count."""

    template: str
    most: int


def within(columns):
    """Whether each count is off by at most one, `[N]`."""
    return (np.abs(np.asarray(columns["count"]) - np.asarray(columns["truth"])) <= 1).astype(float)


def error(columns):
    """By how much each count is off, `[N]`."""
    return np.abs(np.asarray(columns["count"]) - np.asarray(columns["truth"])).astype(float)


def mean_of(per_image):
    """The mean of a figure over images, with its interval."""

    def compute(columns, seed, resamples):
        values = per_image(columns)
        if not resamples:
            return figure(float(values.mean()))
        sums = resampled_sums(values[:, None], seed, resamples)[:, 0]
        return figure(float(values.mean()), *percentile_interval(sums / len(values)))

    return compute


SHARED = {"family": "count", "source": "this sample", "columns": ("count", "truth"), "test": "bootstrap"}
METRICS = [
    MetricSpec(
        name="count_within_one",
        title="off by one at most",
        definition="share of images whose count is off by at most one",
        blind_to="how far the others are off",
        compute=mean_of(within),
        per_image=within,
        order=1,
        **SHARED,
    ),
    MetricSpec(
        name="count_error",
        title="count error",
        definition="mean absolute error of the count",
        blind_to="whether counts are too high or too low",
        compute=mean_of(error),
        per_image=error,
        range=(0.0, 1000.0),
        higher_is_better=False,
        order=2,
        **SHARED,
    ),
]

SPEC = TaskSpec(
    name="count",
    definition="how many things are in an image, by the nearest of the prompts for each number",
    family="count",
    protocol=CountProtocol,
    columns=(("count", "truth"),),
    rules=dict.fromkeys(("count", "truth"), ColumnRule(0, whole=True)),
    request="sample_tasks.count:CountRequest",
    check="sample_tasks.count:check_count",
    run="sample_tasks.count:run_count",
    command="sample_tasks.command:command",
)
