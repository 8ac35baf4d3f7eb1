"""Ranking metrics of one class, for all bootstrap resamples at once: average precision and area under the ROC curve.

Images with equal scores share one threshold, so that results do not depend on the order of the images.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def truth_and_scores(columns: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels of 0 and 1, and scores, `[N, C]` each, from per-sample columns; C is 1 where images have one label."""
    if "scores" in columns:
        return np.stack(list(columns["labels"])), np.stack(list(columns["scores"]))
    return np.asarray(columns["label"])[:, None], np.asarray(columns["score"])[:, None]


def average_precision(
    truth: NDArray[np.bool_], scores: NDArray[np.floating], weights: NDArray[np.integer], *, points: int | None = None
) -> NDArray[np.float64]:
    """Average precision under each row of weights.

    Args:
        truth: whether an image has the class, `[N]`.
        scores: higher is more likely, `[N]`.
        weights: how often each image counts, `[R, N]`.
        points: None for the area under precision over recall (scikit-learn's `average_precision_score`); 11 for the
            mean of the interpolated precision at recalls 0, 0.1 … 1 (PASCAL VOC 2007, Everingham et al. 2010, 4.2).

    Returns:
        `[R]`, 0 to 1; NaN if no image with the class is counted.
    """
    found, counted, _ = _at_hits(truth, scores, weights, above=False)
    if not found.shape[1]:
        return np.full(len(weights), np.nan)
    hits = np.cumsum(found, axis=1)
    positives = hits[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(counted > 0, hits / counted, 0.0)
        if points is None:
            return np.asarray((precision * found).sum(axis=1) / positives[:, 0])
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    total = np.zeros(len(weights))
    for step in range(points):
        reached = hits * (points - 1) >= step * positives
        total += best[np.arange(len(weights)), reached.argmax(axis=1)]
    return np.where(positives[:, 0] > 0, total / points, np.nan)


def roc_auc(
    truth: NDArray[np.bool_], scores: NDArray[np.floating], weights: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Area under the ROC curve (Mann and Whitney's statistic, ties count half) under each row of weights, `[R]`, 0 to
    1; NaN if only one kind of image is counted. Arguments as for `average_precision`."""
    found, counted, before = _at_hits(truth, scores, weights)
    hits = found.sum(axis=1)
    misses = weights.sum(axis=1) - hits
    below = misses[:, None] - (counted + before - np.cumsum(found, axis=1) - (np.cumsum(found, axis=1) - found)) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((found * below).sum(axis=1) / (hits * misses))


def _at_hits(
    truth: NDArray[np.bool_], scores: NDArray[np.floating], weights: NDArray[np.integer], *, above: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Down the distinct scores of images that have the class, from the highest: `[R, T]` three times.

    Returns:
        Counted images with the class at the score; counted images of any kind down to the score, with it and without
        (the last only with `above`, else the same again).
    """
    if not truth.any():
        empty = np.zeros((len(weights), 0), dtype=np.int64)
        return empty, empty, empty
    levels = np.unique(scores[truth])[::-1]
    order = np.argsort(-scores, kind="stable")
    ends = np.searchsorted(-scores[order], -levels, side="right")
    starts = np.searchsorted(-scores[order], -levels, side="left") if above else ends
    own = np.flatnonzero(truth)[np.argsort(-scores[truth], kind="stable")]
    found = np.add.reduceat(weights.take(own, axis=1), np.searchsorted(-scores[own], -levels, side="left"), axis=1)
    cuts = np.unique(np.concatenate([[0], starts, ends]))
    between = np.add.reduceat(weights.take(order, axis=1), cuts[cuts < len(order)], axis=1)
    upto = np.concatenate([np.zeros((len(weights), 1), dtype=np.int64), np.cumsum(between, axis=1)], axis=1)
    return found, upto[:, np.searchsorted(cuts, ends)], upto[:, np.searchsorted(cuts, starts)]
