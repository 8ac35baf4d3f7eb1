"""Which metric decides: the data set's own or the user's; and what cannot be computed from some labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.text import visible
from vlmbench.metrics.classification import metric_names

MAIN_METRICS = ("accuracy", "accuracy_top5", "mean_per_class_accuracy", "roc_auc", "map", "map11")
"""Those that can decide: higher is better."""


def require_metric(asked: str | None, classes: int, *, multilabel: bool, where: str) -> None:
    """Finds before an image is encoded that a metric does not exist for such data.

    Args:
        asked: as the user named it; none: nothing is asked.
        classes: C.
        multilabel: whether an image can have several labels.
        where: the data set, for errors.

    Raises:
        UsageError: there is no such metric for so many classes.
    """
    names = [name for name in metric_names(classes, multilabel=multilabel) if name in MAIN_METRICS]
    if asked is None or asked in names:
        return
    kind = f"{classes} classes" + (" and several labels for an image" if multilabel else "")
    raise UsageError(
        f"--metric: {asked} cannot be computed from {kind}", where=visible(where), mend=f"--metric {' or '.join(names)}"
    )


def computable(
    names: Sequence[str], labels: NDArray[np.integer[Any]], main: str, where: str
) -> tuple[list[str], dict[str, str]]:
    """The metrics that can be computed of the test labels, and why the others cannot.

    Args:
        names: metrics of so many classes.
        labels: `[N]`, or `[N, C]` of 0 and 1.
        main: the metric that decides.
        where: the data set, for errors.

    Raises:
        InputError: it is `main` that cannot be computed.
    """
    if "roc_auc" not in names or np.ptp(labels, axis=0).any():
        return list(names), {}
    why = "the test images are all of one class" if labels.ndim == 1 else "each class is on all images or on none"
    if main == "roc_auc":
        raise InputError(
            f"{why}: there is no ROC AUC",
            where=visible(where),
            mend="a test split that holds both, or --metric accuracy" if labels.ndim == 1 else "--metric map",
        )
    return [name for name in names if name != "roc_auc"], {"roc_auc": why}
