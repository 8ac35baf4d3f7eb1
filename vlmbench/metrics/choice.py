"""Which metric is the main one, the dataset's own or the user's; and which cannot be computed from given labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError, UsageError
from vlmbench.foundations.text import visible
from vlmbench.metrics.classification import metric_names
from vlmbench.metrics.spec import ClassificationSpec, classification_specs, find, in_sentences

DEFAULT, DEFAULT_MULTILABEL = "accuracy", "map"
"""The main metric if a dataset does not name one."""


def deciding() -> list[str]:
    """The metrics that can be the main one: those where higher is better."""
    return [spec.name for spec in classification_specs() if spec.higher_is_better]


def multilabel_only(metric: str) -> bool:
    """Whether a metric needs images with several labels."""
    spec = find(metric)
    return isinstance(spec, ClassificationSpec) and not spec.columns


def require_metric(metric: str | None, classes: int, *, multilabel: bool, where: str) -> None:
    """Checks, before any image is encoded, that a metric (None: any) exists for such data; `where` is the dataset, for
    errors. Raises `UsageError` where it does not exist for this number of classes."""
    names = [name for name in metric_names(classes, multilabel=multilabel) if name in deciding()]
    if metric is None or metric in names:
        return
    kind = f"{classes} classes" + (" and several labels per image" if multilabel else "")
    raise UsageError(
        f"--metric: {metric} cannot be computed from {kind}", where=visible(where), fix=f"--metric {' or '.join(names)}"
    )


def computable(
    names: Sequence[str], labels: NDArray[np.integer[Any]], main: str, where: str
) -> tuple[list[str], dict[str, str]]:
    """The metrics that can be computed from the test labels, and why the others cannot. Raises `InputError` where
    `main` is one of those. `labels` are `[N]`, or `[N, C]` of 0 and 1."""
    left_out = {
        spec.name: why for spec in classification_specs() if spec.name in names and (why := spec.undefined(labels))
    }
    defined = [name for name in names if name not in left_out]
    if main in left_out:
        others = [name for name in defined if name in deciding()]
        raise InputError(
            f"{left_out[main]}: there is no {in_sentences(main)}",
            where=visible(where),
            fix="use a test split with every class" + (f", or --metric {others[0]}" if others else ""),
        )
    return defined, left_out
