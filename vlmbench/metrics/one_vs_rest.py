"""One class against the rest: recall, precision, specificity and F1; operating points; the ROC curve and its area."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.metrics.classification import PROBABILITIES
from vlmbench.metrics.spec import Columns, figure
from vlmbench.metrics.stats.intervals import LEVEL, wilson
from vlmbench.metrics.stats.paired_ranking import placements

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


RULES = ("sensitivity", "specificity", "youden")
"""How a threshold is chosen: the highest with that sensitivity or more, the lowest with that specificity or more, that
with the largest sum of the two (Youden 1950)."""
_BINS = 400


def score_bins(
    labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]]
) -> tuple[list[float], list[list[int]]]:
    """Images of two classes by the probability of the second: the lowest probability in each bin, ascending, and the
    images of each class in it; a bin for each probability, or 400 bins."""
    found = np.unique(scores)
    starts = found[np.unique(np.linspace(0, len(found) - 1, min(len(found), _BINS)).astype(int))]
    place = np.searchsorted(starts, scores, "right") - 1
    images = np.zeros((len(starts), 2), dtype=np.int64)
    np.add.at(images, (place, labels), 1)
    return starts.tolist(), images.tolist()


def chosen_threshold(
    starts: Sequence[float], images: Sequence[Sequence[int]], positive: int, rule: str, least: float = 0.0
) -> tuple[float, float, float]:
    """The threshold that a rule of `RULES` chooses on the images of `score_bins`, with the sensitivity and the
    specificity that it has there; an image is positive if the probability of class `positive` is at least it."""
    counts = np.array(images)
    if positive:
        thresholds, said = np.array(starts), counts[::-1].cumsum(axis=0)[::-1]
    else:  # those below a bin's start are above one minus it
        thresholds = np.append(np.nextafter(1 - np.array(starts[1:]), 2), 0.0)[::-1]
        said = counts.cumsum(axis=0)[::-1]
    total = counts.sum(axis=0).clip(1)
    sensitivity, specificity = said[:, positive] / total[positive], 1 - said[:, 1 - positive] / total[1 - positive]
    if rule == "sensitivity":
        at = np.flatnonzero(sensitivity >= least)[-1]
    elif rule == "specificity":
        met = np.flatnonzero(specificity >= least)
        at = met[0] if len(met) else len(thresholds) - 1
    else:
        at = int((sensitivity + specificity).argmax())
    return float(thresholds[at]), float(sensitivity[at]), float(specificity[at])


def class_scores(columns: Columns) -> NDArray[np.float64] | None:
    """The probability of every class, `[N, C]`, from per-sample columns; None: these have it of the likeliest alone."""
    if "score" in columns:
        score = np.asarray(columns["score"], dtype=np.float64)
        return np.stack([1 - score, score], axis=1)
    return np.stack([*columns[PROBABILITIES]]).astype(np.float64) if PROBABILITIES in columns else None


def areas(labels: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]]) -> "tuple[list[Metric | None], Metric]":
    """The area under the ROC curve of each class against the rest, and the mean over classes, with 95 % intervals.

    A class's interval is Newcombe's (2006, method 5), which does not vanish where the area is 1; that of the mean
    combines these as if classes were independent (Zou and Donner 2008), and is never narrower than DeLong's on the
    logit scale, which takes all classes of an image together. Simulated, with 3 to 20 classes and 120 or 500 images, it
    holds the true mean in 92 to 100 %.

    Args:
        labels: `[N]`.
        scores: of each class, `[N, C]`; higher is more likely.

    Raises:
        ValueError: no class has both images with it and images without it.
    """
    found: list[Metric | None] = []
    influence, shown = np.zeros(len(labels)), []
    for index in range(scores.shape[1]):
        has = labels == index
        m = int(has.sum())
        if m in (0, len(has)):
            found.append(None)
            continue
        ranked = placements(has, scores[:, index])
        found.append(figure(float(ranked[has].mean()), *_newcombe(float(ranked[has].mean()), m, len(has) - m)))
        shown.append(found[-1])
        for kind in (has, ~has):
            size = int(kind.sum())
            influence[kind] += (ranked[kind] - ranked[kind].mean()) / (size * max(1, size - 1)) ** 0.5
    if not shown:
        raise ValueError("no class has both images with it and images without it")
    value, low, high = (np.array([getattr(one, name) for one in shown]) for name in ("value", "low", "high"))
    mean, count = float(value.mean()), len(shown)
    below, above = (float(np.sqrt((gap**2).sum())) / count for gap in (value - low, high - value))
    near, far = _on_logits(mean, float(np.sqrt((influence**2).sum())) / count)
    return found, figure(mean, max(0.0, min(mean - below, near)), min(1.0, max(mean + above, far)))


def _newcombe(area: float, m: int, n: int) -> tuple[float, float]:
    """The areas that a score test would not reject, of `m` positive and `n` negative images; variance: Hanley and
    McNeil's (1982), with (m + n) / 2 for both numbers."""
    from scipy import optimize, special

    z = float(special.ndtri(0.5 + LEVEL / 2))

    def excess(true: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - true) / (2 - true) + true / (1 + true))
        return (area - true) ** 2 - z * z * true * (1 - true) * spread / (m * n)

    near = 1e-12  # where the area is 0 or 1, that is a solution too
    low = float(optimize.brentq(excess, 0, area - near)) if area > near else 0.0
    high = float(optimize.brentq(excess, area + near, 1)) if area < 1 - near else 1.0
    return low, high


def _on_logits(share: float, error: float) -> tuple[float, float]:
    from scipy import special

    if not 0 < share < 1:
        return share, share
    half = float(special.ndtri(0.5 + LEVEL / 2)) * error / (share * (1 - share))
    centre = special.logit(share)
    return float(special.expit(centre - half)), float(special.expit(centre + half))


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
