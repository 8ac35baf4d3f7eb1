"""How well images are ranked by a class's score: ROC AUC and average precision, means over classes; bootstrap."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vlmbench.foundations.errors import InputError
from vlmbench.metrics.ranking import average_precision, roc_auc, truth_and_scores
from vlmbench.metrics.spec import ClassificationSpec, Columns, figure
from vlmbench.metrics.stats.intervals import iter_bootstrap_weights, percentile_interval

if TYPE_CHECKING:
    from vlmbench.records.result import Metric

Statistic = Callable[..., NDArray[np.float64]]


def _ranked(statistic: Statistic, columns: Columns, seed: int, resamples: int) -> "Metric":
    """The mean over classes of a statistic of each class's ranking; classes where it is undefined are left out."""
    truth, scores = truth_and_scores(columns)
    n = len(truth)
    whole = _by_class(statistic, truth, scores, np.ones((1, n), dtype=np.int64))[:, 0]
    defined = np.isfinite(whole)
    if not defined.any():
        raise InputError(
            "no class has both images with it and images without it", fix="use a split with images of every class"
        )
    value = float(whole[defined].mean())
    if not resamples:
        return figure(value)
    drawn = []
    for weights in iter_bootstrap_weights(n, resamples, seed):
        figures = np.ma.masked_invalid(_by_class(statistic, truth[:, defined], scores[:, defined], weights))
        drawn.append(figures.mean(axis=0).filled(np.nan))
    low, high = percentile_interval(np.concatenate(drawn))
    return figure(value, min(value, low), max(value, high))


def _by_class(
    statistic: Statistic, truth: NDArray[Any], scores: NDArray[Any], weights: NDArray[np.int64]
) -> NDArray[np.float64]:
    return np.stack([statistic(truth[:, index] == 1, scores[:, index], weights) for index in range(truth.shape[1])])


def _one_sided(labels: NDArray[np.integer[Any]]) -> str:
    if np.ptp(labels, axis=0).any():
        return ""
    return "all test images are of one class" if labels.ndim == 1 else "each class is in all images or in none"


def _never_shown(labels: NDArray[np.integer[Any]]) -> str:
    return "" if labels.any() else "no image has any class"


def _shares(counts: NDArray[np.int64], order: NDArray[np.int64], images: int) -> tuple[float, float]:
    """The value for equal scores: the share of images with the class, at every recall."""
    value = float((counts[counts > 0] / images).mean())
    return value, value


SPECS = [
    ClassificationSpec(
        name="map11",
        title="map11",
        definition="11-point interpolated average precision (VOC 2007), mean over classes",
        source="Everingham et al. 2010",
        blind_to="the scale of the scores, and what happens between the eleven recalls",
        in_sentences="mAP (11 points)",
        multilabel_columns=("labels", "scores"),
        compute=partial(_ranked, partial(average_precision, points=11)),
        test="ranking",
        undefined=_never_shown,
        references=_shares,
        order=40,
    ),
    ClassificationSpec(
        name="map",
        title="map",
        definition="average precision, mean over classes",
        source="Everingham et al. 2015",
        blind_to="the scale of the scores: any increasing function of them gives the same",
        in_sentences="mAP",
        multilabel_columns=("labels", "scores"),
        compute=partial(_ranked, average_precision),
        test="ranking",
        undefined=_never_shown,
        references=_shares,
        order=50,
        elsewhere=("mean_average_precision",),
    ),
    ClassificationSpec(
        name="roc_auc",
        title="roc_auc",
        definition="area under the ROC curve",
        source="Hanley and McNeil 1982",
        blind_to="where the threshold is, and how rare a class is",
        in_sentences="ROC AUC",
        columns=("label", "score"),
        multilabel_columns=("labels", "scores"),
        compute=partial(_ranked, roc_auc),
        test="ranking",
        classes=(2, 2),
        undefined=_one_sided,
        references=lambda counts, order, images: (0.5, 0.5),
        order=60,
    ),
]
