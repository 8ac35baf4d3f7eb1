"""Accuracy, top-5 accuracy and mean per-class accuracy, with Wilson's intervals."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.spec import ClassificationSpec, Columns, column, figure
from vlmbench.metrics.stats.intervals import effective_trials, wilson

if TYPE_CHECKING:
    from vlmbench.records.result import Metric

TOP = 5


def right(columns: Columns) -> NDArray[np.bool_]:
    """Whether each image was classified correctly, `[N]`."""
    if "right" in columns:
        return np.asarray(columns["right"], dtype=bool)
    return np.asarray(np.asarray(columns["prediction"]) == np.asarray(columns["label"]), dtype=bool)


def in_top(columns: Columns) -> NDArray[np.bool_]:
    """Whether the class of each image is among its top five, `[N]`."""
    return np.asarray(columns["top5"] if "top5" in columns else np.asarray(columns["rank"]) < TOP, dtype=bool)


def _share(found: Callable[[Columns], NDArray[np.bool_]]) -> Callable[[Columns, int, int], "Metric"]:
    def compute(columns: Columns, seed: int, resamples: int) -> "Metric":
        hits = found(columns)
        value = int(hits.sum()) / len(hits)
        low, high = wilson(value, len(hits))
        return figure(value, low, high)

    return compute


def _mean_per_class(columns: Columns, seed: int, resamples: int) -> "Metric":
    """Mean over the classes that have test images; Wilson's interval on the effective number of images."""
    labels = np.asarray(columns["label"], dtype=np.int64)
    counts = np.bincount(labels)
    hits = np.bincount(labels, weights=right(columns))
    shares, counts = hits[counts > 0] / counts[counts > 0], counts[counts > 0]
    value = float(shares.mean())
    low, high = wilson(value, effective_trials(shares, counts))
    return figure(value, low, high)


def _weighted(columns: Columns) -> NDArray[np.float64]:
    """Right or wrong, weighted so that each class counts the same, `[N]`."""
    hits, labels = right(columns).astype(np.float64), columns["label"]
    counts = np.bincount(labels)
    weights = len(hits) / ((counts > 0).sum() * counts[labels])
    return np.asarray(hits * weights, dtype=np.float64)


def _top_references(k: int) -> Callable[[NDArray[np.int64], NDArray[np.int64], int], tuple[float, float]]:
    return lambda counts, order, images: (int(counts[order[:k]].sum()) / images, min(1.0, k / len(counts)))


def _per_class_references(counts: NDArray[np.int64], order: NDArray[np.int64], images: int) -> tuple[float, float]:
    shown: NDArray[Any] = counts > 0
    return float(shown[order[0]]) / int(shown.sum()), 1 / len(counts)


SPECS = [
    ClassificationSpec(
        name="accuracy",
        title="accuracy",
        definition="share of images whose top class is correct",
        source="Radford et al. 2021, section 3.1",
        blind_to="how confident the model was, how close a wrong class was, and classes with few images",
        columns=("label", "prediction"),
        compute=_share(right),
        per_image=lambda columns: right(columns).astype(np.float64),
        test="mcnemar",
        keeps={"right": right},
        references=_top_references(1),
        largest_class_decides=True,
        order=10,
        elsewhere=("acc1",),
    ),
    ClassificationSpec(
        name="accuracy_top5",
        title="accuracy_top5",
        definition="share of images whose class is among the top five",
        source="Russakovsky et al. 2015",
        blind_to="the order among the top five",
        in_sentences="accuracy (top 5)",
        columns=("rank",),
        compute=_share(in_top),
        per_image=lambda columns: in_top(columns).astype(np.float64),
        test="mcnemar",
        keeps={"top5": in_top},
        classes=(TOP + 1, None),
        references=_top_references(TOP),
        largest_class_decides=True,
        order=20,
        elsewhere=("acc5",),
    ),
    ClassificationSpec(
        name="mean_per_class_accuracy",
        title="mean_per_class_accuracy",
        definition="accuracy of each class, averaged over classes",
        source="Radford et al. 2021",
        blind_to="how many images a class has: a class with one image counts as much as one with a thousand",
        in_sentences="accuracy (mean per class)",
        columns=("label", "prediction"),
        compute=_mean_per_class,
        per_image=_weighted,
        test="bootstrap",
        keeps={"right": right, "label": column("label")},
        references=_per_class_references,
        order=30,
        elsewhere=("mean_per_class_recall",),
    ),
]
