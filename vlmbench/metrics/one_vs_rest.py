"""One class against the rest: recall, precision, specificity and F1 with intervals; operating points; the ROC curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.spec import Columns, figure
from vlmbench.metrics.stats.intervals import wilson

if TYPE_CHECKING:
    from vlmbench.records.result import Metric


AREA = "roc_auc"
"""The metric that is the area under `roc_curve`."""


@dataclass(frozen=True)
class Counts:
    """How many images have a class and are predicted to have it (true positives), and so on."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        """Images that have the class."""
        return self.tp + self.fn

    def figures(self) -> "dict[str, Metric]":
        """Recall (sensitivity), precision (positive predictive value), specificity, negative predictive value and F1,
        0 to 1; a share of no images is left out.

        Intervals: Wilson's score interval. F1 is 2 J / (1 + J) of the share J of true positives among the images that
        have the class or are predicted to (Jaccard's index), and its interval that of J, transformed.
        """
        shares = {
            "recall": (self.tp, self.n),
            "precision": (self.tp, self.tp + self.fp),
            "specificity": (self.tn, self.tn + self.fp),
            "negative_predictive_value": (self.tn, self.tn + self.fn),
        }
        found = {name: _share(hits, trials) for name, (hits, trials) in shares.items() if trials}
        if self.n:
            jaccard = _share(self.tp, self.tp + self.fp + self.fn)
            found["f1"] = figure(
                *(2 * one / (1 + one) for one in (jaccard.value, jaccard.low or 0.0, jaccard.high or 1.0))
            )
        return found


def _share(hits: int, trials: int) -> "Metric":
    low, high = wilson(hits / trials, trials)
    return figure(hits / trials, low, high)


def counts_of(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> Counts:
    """The counts of a class: whether each image has it, and whether it is predicted to, `[N]` each."""
    both = int((truth & said).sum())
    only_said, only_true = int(said.sum()) - both, int(truth.sum()) - both
    return Counts(both, only_said, only_true, len(truth) - both - only_said - only_true)


def by_class(columns: Columns, classes: int) -> list[Counts]:
    """The counts of each class, from the per-sample columns ``label`` and ``prediction``."""
    label, prediction = np.asarray(columns["label"]), np.asarray(columns["prediction"])
    return [counts_of(label == index, prediction == index) for index in range(classes)]


def positive_scores(columns: Columns, positive: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """For two classes, whether each image is of class `positive`, and that class's probability, `[N]` each."""
    score = np.asarray(columns["score"], dtype=np.float64)
    return np.asarray(columns["label"]) == positive, score if positive == 1 else 1 - score


def roc_curve(truth: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> list[tuple[float, float]]:
    """1 - specificity and sensitivity at each threshold, from (0, 0) to (1, 1); images of one score move together.

    Source: Fawcett 2006, algorithm 1.

    Args:
        truth: whether each image is of the positive class, `[N]`; both classes occur.
        scores: higher is more likely, `[N]`.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits, alarms = np.cumsum(truth[order])[ends], np.cumsum(~truth[order])[ends]
    points = np.stack([alarms / max(alarms[-1], 1), hits / max(hits[-1], 1)], axis=1)
    return [(0.0, 0.0), *((float(x), float(y)) for x, y in points)]


def thinned(points: Sequence[tuple[float, float]], most: int = 400) -> list[tuple[float, float]]:
    """At most so many points of a curve, its ends among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(at)] for at in np.linspace(0, len(points) - 1, most)]
