"""What a classifier scores without looking at the image: always the most frequent class, or a random class.

Both are exact, from the numbers of images of each class; nothing is simulated. A figure not above them says
nothing about the model, however high it looks on data dominated by one class.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.spec import ClassificationSpec, find
from vlmbench.records.result import Metric

MAJORITY, CHANCE = "majority", "chance"
UNBALANCED = 2.0
"""A set is unbalanced if its largest class has more than this many times the mean of the others."""

Counts = NDArray[np.int64]


def class_counts(labels: NDArray[np.integer[Any]], classes: int) -> Counts:
    """How many images have each class, `[C]`, from labels `[N]`, or `[N, C]` of 0 and 1."""
    return labels.sum(axis=0, dtype=np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def references(
    metric: str, counts: Counts, images: int, *, train: Counts | None = None, multilabel: bool = False
) -> dict[str, float]:
    """The reference values of a metric, by `MAJORITY` and `CHANCE`.

    Chance picks every class equally often: 1/C for accuracy and each class, 0.5 for ROC AUC. For average precision
    it is the share of images with the class, averaged over classes that have any: the value for equal scores,
    also interpolated over 11 points, since its precision is that share at every recall. The majority predictor gives
    every image the same probabilities, highest for the most frequent class; ties go to the first.

    Args:
        counts: test images with each class, `[C]`.
        train: training images with each class, `[C]`, which decide the most frequent class; None: `counts` do.

    Returns:
        Nothing for a metric without a sensible reference (calibration), and no majority if images have
        several labels.
    """
    shown = counts > 0
    if not images or not shown.any():
        return {}
    order = np.argsort(-(counts if train is None else train), kind="stable")
    spec = find(metric)
    if not isinstance(spec, ClassificationSpec) or spec.references is None:
        return {}
    majority, chance = spec.references(counts, order, images)
    return {CHANCE: chance} if multilabel else {MAJORITY: majority, CHANCE: chance}


def unbeaten(figure: Metric, known: Mapping[str, float]) -> tuple[str, float] | None:
    """The highest reference that a figure does not exceed (its 95 % interval reaches down to it), if any.

    If both are equal it is chance. A figure without an interval must itself be above.
    """
    low = figure.value if figure.low is None else figure.low
    name = max(known, key=lambda key: (known[key], key == CHANCE), default=None)
    return None if name is None or low > known[name] else (name, known[name])


def imbalance(counts: Counts) -> float:
    """The size of the largest class over the mean of the other classes that have images; 1 for one class.

    Above `UNBALANCED`, accuracy mostly reflects the largest class: from two thirds of the images with two classes, from
    18 % with ten.
    """
    shown = counts[counts > 0]
    if len(shown) < 2:
        return 1.0
    return float(shown.max() * (len(shown) - 1) / (shown.sum() - shown.max()))


def not_better(name: str, value: float) -> str:
    """``not better than chance (14.3)``, for a sentence; the value times 100."""
    return f"not better than {WORDS[name]} ({100 * value:.1f})"


WORDS = {MAJORITY: "always answering the most frequent class", CHANCE: "chance"}
